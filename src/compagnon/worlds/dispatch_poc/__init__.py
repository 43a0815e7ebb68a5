"""The dispatch proof of concept: booked passenger transport, drivers and bookings on a map."""

from typing import Final

DISPATCH_POC: Final = "compagnon/DispatchPOC-v0"

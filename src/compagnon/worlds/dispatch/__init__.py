"""The real dispatch world: booked passenger transport, drivers and bookings."""

from typing import Final

DISPATCH: Final = "compagnon/Dispatch-v1"

"""The dispatch proof of concept: booked passenger transport, drivers and bookings on a map."""

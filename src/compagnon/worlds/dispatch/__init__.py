"""The real dispatch world: booked passenger transport, drivers and bookings."""

"""A day's files that are good, and ways to spoil one cell of them."""

from compagnon.worlds.dispatch.importing.tables import Reading, import_tables

_BOOKINGS = (
    ["id", "name", "pickup_lat", "pickup_lon", "dropoff_lat", "dropoff_lon", "seats",
     "pickup_from", "pickup_to", "dropoff_to", "booked_at", "returns_from"],
    ["a", "Ada Lovelace", "46.20", "6.14", "46.25", "6.10", "wheelchair + companion",
     "2026-03-02T08:00+01:00", "2026-03-02T08:30+01:00", "", "", ""],
    ["b", "Grace Hopper", "46.25", "6.10", "46.20", "6.14", "wheelchair",
     "2026-03-02T11:00+01:00", "2026-03-02T11:45+01:00", "", "2026-03-02T11:00+01:00", "a"],
    ["c", "Alan Turing", "46.21", "6.15", "46.23", "6.12", "2 ambulatory",
     "", "", "2026-03-02T09:15+01:00", "2026-03-01T17:00+01:00", ""],
)  # fmt: skip
_DRIVERS = (
    ["id", "phone", "shift_start", "shift_end", "start_lat", "start_lon", "seats",
     "break_from", "break_to", "break_minutes"],
    ["d1", "022 123 45 67", "2026-03-02T07:00+01:00", "2026-03-02T16:00+01:00", "46.2", "6.1",
     "2 ambulatory + wheelchair + companion",
     "2026-03-02T11:30+01:00", "2026-03-02T13:00+01:00", "30"],
)  # fmt: skip
BOOKINGS = "".join(",".join(row) + "\n" for row in _BOOKINGS)
DRIVERS = "".join(",".join(row) + "\n" for row in _DRIVERS)


def spoilt(text, line, column, value):
    """The CSV with one cell replaced; line 1 is the header."""
    lines = [row.split(",") for row in text.splitlines()]
    lines[line - 1][lines[0].index(column)] = value
    return "\n".join(",".join(row) for row in lines) + "\n"


def read(folder, bookings=BOOKINGS, drivers=DRIVERS, matrix=None, **how):
    """Import texts (or bytes) by way of files."""
    paths = []
    for name, text in (("bookings", bookings), ("drivers", drivers), ("matrix", matrix)):
        if text is None:
            paths.append(None)
            continue
        path = folder / f"{name}.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        paths.append(path)
    return import_tables(*paths, Reading(**how))

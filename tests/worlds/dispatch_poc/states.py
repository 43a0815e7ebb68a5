"""A running day of the proof of concept as the JSON of a state."""

from typing import Any

from compagnon.worlds.dispatch_poc import arrays as A
from compagnon.worlds.dispatch_poc import rules as R


def state_of(days: A.Days, row: int = 0, ends: bool = False) -> dict[str, Any]:
    """What a dispatcher knows; windows by their `ends`, or by what is left of them."""
    now = float(days.state[row, A.TICK] * R.TICK_MINUTES)
    drivers = [
        {"id": f"d{k}", "lat": R.CENTRE_LAT + lat, "lon": R.CENTRE_LON + lon, "load": int(load)}
        for k, ((lat, lon, _), load) in enumerate(
            zip(days.places[row].tolist(), days.load[row], strict=True)
        )
    ]
    bookings = []
    for j in range(int(days.state[row, A.COUNT])):
        b = days.bookings[row, j].tolist()
        taken = bool(b[A.TAKEN])
        by_end = ends or taken
        bookings.append({
            "id": f"b{j}",
            "lat": R.CENTRE_LAT + b[A.LAT],
            "lon": R.CENTRE_LON + b[A.LON],
            "priority": int(b[A.PRIORITY]),
            **({"window_end": b[A.END]} if by_end else {"minutes_left": b[A.END] - now}),
            "window": b[A.WINDOW],
            **({"taken": True} if taken else {}),
        })  # fmt: skip
    return {"time": now, "drivers": drivers, "bookings": bookings}

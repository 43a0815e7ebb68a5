"""A running day of the proof of concept as the JSON of a state."""

from typing import Any

from compagnon.worlds.dispatch_poc import arrays, constants


def state_of(days: arrays.Days, row: int = 0, ends: bool = False) -> dict[str, Any]:
    """What a dispatcher knows; windows by their `ends`, or by what is left of them."""
    now = float(days.state[row, arrays.TICK] * constants.TICK_MINUTES)
    drivers = [
        {
            "id": f"d{k}",
            "lat": constants.CENTRE_LAT + lat,
            "lon": constants.CENTRE_LON + lon,
            "load": int(load),
        }
        for k, ((lat, lon, _), load) in enumerate(
            zip(days.places[row].tolist(), days.load[row], strict=True)
        )
    ]
    bookings = []
    for j in range(int(days.state[row, arrays.COUNT])):
        b = days.bookings[row, j].tolist()
        taken = bool(b[arrays.TAKEN])
        by_end = ends or taken
        bookings.append({
            "id": f"b{j}",
            "lat": constants.CENTRE_LAT + b[arrays.LAT],
            "lon": constants.CENTRE_LON + b[arrays.LON],
            "priority": int(b[arrays.PRIORITY]),
            **({"window_end": b[arrays.END]} if by_end else {"minutes_left": b[arrays.END] - now}),
            "window": b[arrays.WINDOW],
            **({"taken": True} if taken else {}),
        })  # fmt: skip
    return {"time": now, "drivers": drivers, "bookings": bookings}

"""A running day of the environment as the JSON of a board."""

from typing import Any

import numpy as np

from compagnon.worlds.dispatch import plan as P
from compagnon.worlds.dispatch import state as W
from compagnon.worlds.dispatch import tables as D
from compagnon.worlds.dispatch import travel as T
from compagnon.worlds.dispatch.instance import Travel


def board_of(worlds: W.RunningDays, row: int = 0, travel: Travel | None = None) -> dict[str, Any]:
    """The day's future (cancellations, delays at doors) is left out; what it has become is not.

    With `travel`, of a day with a matrix, places are named or numbered, in turn.
    """
    w = W.RunningDays(*(array[row] for array in worlds))
    count, m = int(w.size[D.BOOKINGS]), w.bookings.shape[0]
    detour = float(w.rule[T.KM_FACTOR])
    listed = [b for b in range(count) if _listed(w, b)]
    empty = w.codes[:, :, P.NODE][w.codes[:, :, P.PICKED_AT] == P.DEAD] // 2
    listed = sorted({*listed, *(int(b) for b in empty if b < count)})
    named = set(listed)
    rides = [_ride(w, b, named) for b in listed]
    drivers = [_driver(w, d, m) for d in range(int(w.size[D.DRIVERS]))]
    if travel is not None:
        return {
            **_common(w, listed, rides, drivers),
            **_places(w, travel, listed, rides, drivers, m),
        }
    return {
        **_common(w, listed, rides, drivers),
        "kind": T.KINDS[int(w.rule[T.KIND])],
        "speed_kmh": 60.0 * detour / float(w.rule[T.MINUTES_PER_KM]),
        "detour": detour,
    }


def _common(w, listed, rides, drivers):
    at = {status: sum(w.status[b] == status for b in listed) for status in (W.SERVED, W.REJECTED)}
    return {
        "now": float(w.money[W.NOW]),
        "day_begin": float(w.money[W.DAY_BEGIN]),
        "day_end": float(w.money[W.DAY_END]),
        "speed": w.speed.tolist(),
        "middle": w.rule[T.MIDDLE : T.MIDDLE + 2].tolist(),
        "served": int(w.counts[W.SERVED] - at[W.SERVED]),
        "rejected": int(w.counts[W.REJECTED] - at[W.REJECTED]),
        "drivers": drivers,
        "rides": rides,
    }


def _places(w, travel, listed, rides, drivers, m):
    for b, ride in zip(listed, rides, strict=True):
        ride["pickup"] = int(w.place[2 * b])
        ride["dropoff"] = f"p{w.place[2 * b + 1]}"
    for d, driver in enumerate(drivers):
        driver["at"] = f"p{w.place[int(w.state[d, P.AT])]}"
        driver["end"] = int(w.place[2 * m + 2 * d + 1])
    points = travel.coordinates.tolist()
    return {
        "kind": "matrix",
        "places": [{"name": f"p{k}", "at": at} for k, at in enumerate(points)],
        "minutes": travel.minutes.tolist(),
        "km": travel.km.tolist(),
    }


def _listed(w, b):
    status = w.status[b]
    if status != W.LATER:
        return status != W.NO_SHOW
    outbound = int(w.bookings[b, D.LINKED_TO])
    return outbound >= 0 and w.status[outbound] >= W.OPEN


def _ride(w, b, named):
    row = w.bookings[b]
    names = {W.LATER: "later", W.SERVED: "served", W.REJECTED: "rejected", W.CANCELLED: "cancelled"}
    names[W.NO_SHOW] = "cancelled"  # listed where its driver still passes
    outbound = int(row[D.LINKED_TO])
    windows = {
        name: float(row[column]) if abs(row[column]) < 1e9 else None
        for name, column in (
            ("pickup_from", D.PICKUP_FROM), ("pickup_to", D.PICKUP_TO),
            ("dropoff_from", D.DROPOFF_FROM), ("dropoff_to", D.DROPOFF_TO),
        )
    }  # fmt: skip
    return {
        "id": f"r{b}",
        "pickup": w.coordinates[2 * b].tolist(),
        "dropoff": w.coordinates[2 * b + 1].tolist(),
        **windows,
        "seats": row[D.LOAD : D.LOAD + 4].astype(int).tolist(),
        "boarding": float(row[D.BOARDING]),
        "alighting": float(row[D.ALIGHTING]),
        "max_ride": float(row[D.MAX_RIDE]),
        "priority": int(row[D.PRIORITY]),
        "announced": float(row[D.ANNOUNCE]),
        "returns_from": f"r{outbound}" if outbound in named else None,
        "status": names.get(int(w.status[b]), "open"),
    }


def _driver(w, d, m):
    row, state, times = w.drivers[d], w.state[d], w.times[d]
    codes, stops = w.codes[d], w.stops[d]
    phase = ("waits", "busy", "drives", "off")[state[P.PHASE]]
    serving = int(state[P.SERVING])
    leaving = phase == "busy" and 0 <= serving < 2 * m and serving % 2 == 1
    plan, aboard = [], []
    for k in range(max(0, int(state[P.COUNT]) - 1)):
        node = int(codes[k, P.NODE])
        stop = {"earliest": float(stops[k, P.EARLIEST]), "limit": float(stops[k, P.LIMIT])}
        if node == P.BREAK:
            plan.append({"at": "break", **stop})
            continue
        ride = f"r{node // 2}"
        dead = codes[k, P.PICKED_AT] == P.DEAD
        if node % 2 and dead:
            plan.append({"ride": ride, "at": "passes"})
        elif node % 2:
            plan.append(
                {"ride": ride, "at": "dropoff", "ride_limit": float(stops[k, P.RIDE_LIMIT]), **stop}
            )
            if codes[k, P.PICKED_AT] < 0:
                aboard.append({"ride": ride, "since": float(stops[k, P.BOARDED])})
        else:
            plan.append({"ride": ride, "at": "nobody" if dead else "pickup", **stop})
    for one in plan:
        for name in ("earliest", "limit", "ride_limit"):
            if not np.isfinite(one.get(name, 0.0)):
                one[name] = None
    taken = any(stop["at"] == "break" for stop in plan)
    breaks = {"break_from": D.BREAK_FROM, "break_to": D.BREAK_TO, "break_minutes": D.BREAK_MINUTES}
    return {
        "at": w.coordinates[int(state[P.AT])].tolist(),
        "end": w.coordinates[2 * m + 2 * d + 1].tolist(),
        "shift_start": float(row[D.SHIFT_START]),
        "shift_end": float(row[D.SHIFT_END]),
        "seats": row[D.SEAT : D.SEAT + 4].astype(int).tolist(),
        "phase": phase,
        "free_at": float(times[P.FREE]),
        "arrives": float(stops[0, P.START]) if phase == "drives" else None,
        "plan": plan,
        "aboard": aboard,
        "alighting": f"r{serving // 2}" if leaving else None,
        **({name: float(row[column]) for name, column in breaks.items()} if taken else {}),
    }

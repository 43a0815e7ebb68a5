"""A running day of the environment as the JSON of a board."""

from typing import Any

import numpy as np

from compagnon.worlds.dispatch import plans, running_days, tables
from compagnon.worlds.dispatch import travel as travel_times
from compagnon.worlds.dispatch.instance_parts import Travel


def board_of(
    worlds: running_days.RunningDays, row: int = 0, travel: Travel | None = None
) -> dict[str, Any]:
    """The day's future (cancellations, delays at doors) is left out; what it has become is not.

    With `travel`, of a day with a matrix, places are named or numbered, in turn.
    """
    w = running_days.RunningDays(*(array[row] for array in worlds))
    count, m = int(w.size[tables.BOOKINGS]), w.bookings.shape[0]
    detour = float(w.rule[travel_times.KM_FACTOR])
    listed = [b for b in range(count) if _listed(w, b)]
    empty = w.codes[:, :, plans.NODE][w.codes[:, :, plans.PICKED_AT] == plans.DEAD] // 2
    listed = sorted({*listed, *(int(b) for b in empty if b < count)})
    named = set(listed)
    rides = [_ride(w, b, named) for b in listed]
    drivers = [_driver(w, d, m) for d in range(int(w.size[tables.DRIVERS]))]
    if travel is not None:
        return {
            **_common(w, listed, rides, drivers),
            **_places(w, travel, listed, rides, drivers, m),
        }
    return {
        **_common(w, listed, rides, drivers),
        "kind": travel_times.KINDS[int(w.rule[travel_times.KIND])],
        "speed_kmh": 60.0 * detour / float(w.rule[travel_times.MINUTES_PER_KM]),
        "detour": detour,
    }


def _common(w, listed, rides, drivers):
    at = {
        status: sum(w.status[b] == status for b in listed)
        for status in (running_days.SERVED, running_days.REJECTED)
    }
    return {
        "now": float(w.money[running_days.NOW]),
        "day_begin": float(w.money[running_days.DAY_BEGIN]),
        "day_end": float(w.money[running_days.DAY_END]),
        "speed": w.speed.tolist(),
        "halt_minutes": float(w.rule[travel_times.HALT]),
        "middle": w.rule[travel_times.MIDDLE : travel_times.MIDDLE + 2].tolist(),
        "served": int(w.counts[running_days.SERVED] - at[running_days.SERVED]),
        "rejected": int(w.counts[running_days.REJECTED] - at[running_days.REJECTED]),
        "drivers": drivers,
        "rides": rides,
    }


def _places(w, travel, listed, rides, drivers, m):
    for b, ride in zip(listed, rides, strict=True):
        ride["pickup"] = int(w.place[2 * b])
        ride["dropoff"] = f"p{w.place[2 * b + 1]}"
    for d, driver in enumerate(drivers):
        driver["at"] = f"p{w.place[int(w.state[d, plans.AT])]}"
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
    if status != running_days.LATER:
        return status != running_days.NO_SHOW
    while b >= 0 and w.status[b] == running_days.LATER:
        b = int(w.bookings[b, tables.LINKED_TO])
    return b >= 0


def _ride(w, b, named):
    row = w.bookings[b]
    names = {
        running_days.LATER: "later",
        running_days.SERVED: "served",
        running_days.REJECTED: "rejected",
        running_days.CANCELLED: "cancelled",
        running_days.TAXI: "taxi",
    }
    names[running_days.NO_SHOW] = "cancelled"  # listed where its driver still passes
    outbound = int(row[tables.LINKED_TO])
    windows = {
        name: float(row[column]) if abs(row[column]) < 1e9 else None
        for name, column in (
            ("pickup_from", tables.PICKUP_FROM), ("pickup_to", tables.PICKUP_TO),
            ("dropoff_from", tables.DROPOFF_FROM), ("dropoff_to", tables.DROPOFF_TO),
        )
    }  # fmt: skip
    return {
        "id": f"r{b}",
        "pickup": w.coordinates[2 * b].tolist(),
        "dropoff": w.coordinates[2 * b + 1].tolist(),
        **windows,
        "seats": row[tables.LOAD : tables.LOAD + 4].astype(int).tolist(),
        "boarding": float(row[tables.BOARDING]),
        "alighting": float(row[tables.ALIGHTING]),
        "max_ride": float(row[tables.MAX_RIDE]),
        "priority": int(row[tables.PRIORITY]),
        "announced": float(row[tables.ANNOUNCE]),
        "returns_from": f"r{outbound}" if outbound in named else None,
        "needs": _skills(row[tables.NEEDS]),
        "alone": bool(row[tables.ALONE]),
        "status": names.get(int(w.status[b]), "open"),
        "moved": bool(w.rides[b, running_days.MOVED_AT] == 1 + w.counts[running_days.CLOCK]),
    }


def _skills(bits):
    return [f"s{k}" for k in range(48) if int(bits) >> k & 1]


def _driver(w, d, m):
    row, state, times = w.drivers[d], w.state[d], w.times[d]
    codes, stops = w.codes[d], w.stops[d]
    phase = ("waits", "busy", "drives", "off")[state[plans.PHASE]]
    serving = int(state[plans.SERVING])
    leaving = phase == "busy" and 0 <= serving < 2 * m and serving % 2 == 1
    plan, aboard = [], []
    for k in range(max(0, int(state[plans.COUNT]) - 1)):
        node = int(codes[k, plans.NODE])
        stop = {"earliest": float(stops[k, plans.EARLIEST]), "limit": float(stops[k, plans.LIMIT])}
        if node == plans.BREAK:
            plan.append({"at": "break", **stop})
            continue
        ride = f"r{node // 2}"
        dead = codes[k, plans.PICKED_AT] == plans.DEAD
        if node % 2 and dead:
            plan.append({"ride": ride, "at": "passes"})
        elif node % 2:
            plan.append(
                {
                    "ride": ride,
                    "at": "dropoff",
                    "ride_limit": float(stops[k, plans.RIDE_LIMIT]),
                    **stop,
                }
            )
            if codes[k, plans.PICKED_AT] < 0:
                aboard.append({"ride": ride, "since": float(stops[k, plans.BOARDED])})
        else:
            plan.append({"ride": ride, "at": "nobody" if dead else "pickup", **stop})
    for one in plan:
        for name in ("earliest", "limit", "ride_limit"):
            if not np.isfinite(one.get(name, 0.0)):
                one[name] = None
    rests = sum(stop["at"] == "break" for stop in plan)
    breaks = {}
    if rests:
        breaks |= {
            "break_from": tables.BREAK_FROM,
            "break_to": tables.BREAK_TO,
            "break_minutes": tables.BREAK_MINUTES,
            "break2_from": tables.BREAK2_FROM,
            "break2_to": tables.BREAK2_TO,
            "break2_minutes": tables.BREAK2_MINUTES,
        }
    return {
        "at": w.coordinates[int(state[plans.AT])].tolist(),
        "end": w.coordinates[2 * m + 2 * d + 1].tolist(),
        "shift_start": float(row[tables.SHIFT_START]),
        "shift_end": float(row[tables.SHIFT_END]),
        "seats": row[tables.SEAT : tables.SEAT + 4].astype(int).tolist(),
        "phase": phase,
        "free_at": float(times[plans.FREE]),
        "arrives": float(stops[0, plans.START]) if phase == "drives" else None,
        "plan": plan,
        "aboard": aboard,
        "alighting": f"r{serving // 2}" if leaving else None,
        "skills": _skills(row[tables.SKILLS]),
        "fold": int(row[tables.FOLD]),
        "fold_seats": int(row[tables.FOLD_SEATS]),
        **{name: float(row[column]) for name, column in breaks.items()},
    }

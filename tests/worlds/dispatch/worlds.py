"""Days made by hand, policies that need no thought, and a recount of a running day."""

import dataclasses

import numpy as np

from compagnon.worlds.dispatch import plans, running_days, tables
from compagnon.worlds.dispatch.generator import generate
from compagnon.worlds.dispatch.instance import Instance
from compagnon.worlds.dispatch.instance_parts import Bookings, Drivers, Travel

SKILLS = ("lift", "oxygen", "child seat")


def plane_day(rides, drivers, places, name="by hand", skills=()):
    """A day on a plane where a km takes a minute.

    Args:
        rides: dicts of what differs from an ordinary ride.
        drivers: dicts of what differs from an ordinary driver.
        places: (x, y) in km.
    """
    ride = {
        "pickup": 0, "dropoff": 1, "pickup_from": 0.0, "pickup_to": 600.0,
        "dropoff_from": -np.inf, "dropoff_to": np.inf, "load": (1, 0, 0, 0),
        "boarding": 2.0, "alighting": 1.0, "max_ride": 120.0, "priority": 3, "announce": 0.0,
        "linked_to": -1, "no_show": False, "cancel": np.inf,
        "boarding_delay": 0.0, "alighting_delay": 0.0, "needs": 0, "alone": False,
    }  # fmt: skip
    driver = {
        "start": 0, "end": 0, "shift_start": 0.0, "shift_end": 600.0,
        "break_from": 0.0, "break_to": 0.0, "break_minutes": 0.0, "seats": (2, 1, 0, 1),
        "skills": 0, "fold": 0, "fold_seats": 2,
        "break2_from": 0.0, "break2_to": 0.0, "break2_minutes": 0.0,
    }  # fmt: skip
    columns = {k: np.array([{**ride, **r}[k] for r in rides]) for k in ride}
    shifts = {k: np.array([{**driver, **d}[k] for d in drivers]) for k in driver}
    none = np.zeros((0, 0))
    way = Travel("plane", np.array(places, float), 60.0, 1.0, np.ones(24), none, none)
    return Instance(name, Bookings(**columns), Drivers(**shifts), way, tuple(skills))


def rich_day(seed, preset="clinic-day", **habits):
    """A generated day with skills, riders who ride alone, seats that convert, breaks and trips."""
    day, rng = generate(preset, seed, **habits), np.random.default_rng(seed)
    b, d = day.bookings, day.drivers
    n, m = len(b), len(d)
    linked = b.linked_to.copy()
    for leg in rng.permutation(np.flatnonzero(linked < 0)):
        before = np.flatnonzero(
            (b.pickup_from < b.pickup_from[leg] - 150.0) & ~np.isin(np.arange(n), linked)
        )
        if len(before) and rng.random() < 0.5:
            linked[leg] = rng.choice(before)
    seats = d.seats.copy()
    seats[:, 0] += rng.integers(0, 3, m)
    later, second = rng.uniform(30.0, 90.0, m), rng.random(m) < 0.5
    bookings = dataclasses.replace(
        b, linked_to=linked, alone=rng.random(n) < 0.15,
        needs=np.where(rng.random(n) < 0.3, rng.integers(0, 2 ** len(SKILLS), n), 0),
    )  # fmt: skip
    drivers = dataclasses.replace(
        d, seats=seats, skills=rng.integers(0, 2 ** len(SKILLS), m) | rng.integers(0, 2, m) * 7,
        fold=np.minimum(rng.integers(0, 3, m), seats[:, 1]), fold_seats=rng.integers(1, 4, m),
        break2_from=second * (d.break_from + later), break2_minutes=15.0 * second,
        break2_to=second * (d.break_to + later + 30.0),
    )  # fmt: skip
    return dataclasses.replace(day, bookings=bookings, drivers=drivers, skills=SKILLS)


def has_room(aboard, vehicle):
    """Whether a vehicle's row of the tables has room for a load: seats by type, and company."""
    seats = vehicle[tables.SEAT : tables.SEAT + tables.LOADS]
    made = max(0, aboard[1] - (seats[1] - vehicle[tables.FOLD]))
    return (aboard <= seats).all() and aboard[0] <= seats[0] - vehicle[tables.FOLD_SEATS] * made


def load_of(w, node):
    """What the booking of a node takes: seats by type, and company."""
    return w.bookings[node // 2, tables.LOAD : tables.LOAD + tables.LOADS].astype(int)


def random_actions(mask, rng):
    """One possible action a row, uniformly."""
    return (rng.random(mask.shape) * mask).argmax(axis=1)


def first_feasible(mask, layout):
    """The first assignment that is possible, or wait."""
    pairs = mask[:, 1 : 1 + layout.drivers * layout.board]
    return np.where(pairs.any(axis=1), pairs.argmax(axis=1) + 1, 0)


def recount(worlds, row=0):
    """Count one running day again from its bookings and plans, and hold it against its counters."""
    w = running_days.RunningDays(*(array[row] for array in worlds))
    n, m = int(w.size[tables.BOOKINGS]), len(w.status)
    status = w.status[:n]
    statuses = running_days.STATUSES
    assert np.array_equal(w.counts[:statuses], np.bincount(status, minlength=statuses))
    generated = n - w.counts[running_days.LATER]
    assert generated == w.counts[running_days.OPEN : statuses].sum()
    shown = w.open[: w.counts[running_days.OPEN]]
    outbound = w.bookings[:n, tables.LINKED_TO].astype(int)
    awaited = 0
    for b in np.flatnonzero(status == running_days.LATER):
        while b >= 0 and status[b] == running_days.LATER:
            b = outbound[b]
        if b >= 0:
            rides = running_days.OPEN <= status[b] <= running_days.SERVED
            awaited += rides or status[b] == running_days.TAXI
    assert w.counts[running_days.ON_CALL] == awaited
    assert sorted(shown) == sorted(np.flatnonzero(status == running_days.OPEN))
    assert (np.diff(w.bookings[shown, tables.PICKUP_BY]) >= 0).all()
    picked, dropped = [], []
    for d in range(int(w.size[tables.DRIVERS])):
        aboard = w.state[d, plans.ABOARD : plans.ABOARD + tables.LOADS].copy()
        assert (aboard >= 0).all()
        assert has_room(aboard, w.drivers[d])
        skills = int(w.drivers[d, tables.SKILLS])
        clock = -np.inf
        for k in range(int(w.state[d, plans.COUNT])):
            node, stop = int(w.codes[d, k, plans.NODE]), w.stops[d, k]
            assert stop[plans.START] >= clock - 1e-9
            assert stop[plans.START] <= stop[plans.LIMIT] + 1e-6
            if k > 0:
                assert w.gaps[d, k, plans.DONE] == clock
            bound = plans.LIMIT if node == plans.BREAK else plans.LATEST
            assert w.gaps[d, k, plans.BOUND] == stop[bound]
            clock = stop[plans.START] + stop[plans.SERVICE]
            dead = w.codes[d, k, plans.PICKED_AT] == plans.DEAD
            if node == plans.BREAK:
                assert not aboard.any()
            elif node < 2 * m and node % 2 == 0 and not dead:
                picked.append(node // 2)
                aboard += load_of(w, node)
                assert has_room(aboard, w.drivers[d])
                assert (
                    int(w.bookings[node // 2, tables.NEEDS]) & skills
                    == w.bookings[node // 2, tables.NEEDS]
                )
            elif node < 2 * m and not dead:
                dropped.append(node // 2)
                aboard -= load_of(w, node)
            loads = w.codes[d, k, plans.LOAD_AFTER : plans.LOAD_AFTER + tables.LOADS]
            assert np.array_equal(loads, aboard)
        assert not aboard.any()
    serving = w.state[: int(w.size[tables.DRIVERS])]
    serving = serving[serving[:, plans.PHASE] == plans.BUSY, plans.SERVING]
    alighting = (serving[(serving >= 0) & (serving % 2 == 1)] // 2).tolist()
    on_board = set(np.flatnonzero(status == running_days.ABOARD))
    assert sorted(picked) == sorted(np.flatnonzero(status == running_days.PLANNED))
    assert sorted(dropped + alighting) == sorted([*picked, *on_board])
    assert w.counts[running_days.VIOLATIONS] == 0

"""The mask and the cheapest insertion, against all of them tried one by one in plain Python."""

import numpy as np
import pytest

from compagnon.worlds.dispatch import insertion, plans, running_days, tables, travel
from compagnon.worlds.dispatch.core import DispatchCore
from compagnon.worlds.dispatch.options import DispatchOptions
from tests.tiers import full
from tests.worlds.dispatch.worlds import has_room, load_of, plane_day, random_actions

EVERY = np.ones(1, np.bool_)


def stops_of(w, d):
    """The plan as (node, service, earliest, limit, ride limit, boarded, old start, ready)."""
    columns = [
        plans.SERVICE,
        plans.EARLIEST,
        plans.LIMIT,
        plans.RIDE_LIMIT,
        plans.BOARDED,
        plans.START,
        plans.READY,
    ]
    return [
        (int(w.codes[d, k, plans.NODE]), *w.stops[d, k, columns])
        for k in range(int(w.state[d, plans.COUNT]))
    ]


def new_stops(w, b):
    row = w.bookings[b]
    pickup = (
        2 * b,
        row[tables.BOARDING],
        row[tables.READY],
        row[tables.PICKUP_BY],
        np.inf,
        0.0,
        None,
        row[tables.WAITS_FROM],
    )
    dropoff = (2 * b + 1, row[tables.ALIGHTING], row[tables.DROPOFF_FROM], row[tables.DROPOFF_BY],
               row[tables.MAX_RIDE], 0.0, None, 0.0)  # fmt: skip
    return pickup, dropoff


def try_plan(w, roads, weights, d, stops):
    """(driving minutes, cost but for the driving) of a plan walked stop by stop, None if broken."""
    m = len(w.status)
    at = int(w.state[d, plans.AT])
    drives = w.state[d, plans.PHASE] == plans.DRIVES
    clock = max(w.times[d, plans.FREE], w.money[running_days.NOW])
    aboard = w.state[d, plans.ABOARD : plans.ABOARD + tables.LOADS].astype(float)
    skills = int(w.drivers[d, tables.SKILLS])
    left_door, minutes, cost = {}, 0.0, 0.0
    for k, (node, service, earliest, limit, ride_limit, boarded, old, ready) in enumerate(stops):
        if node != plans.BREAK:
            base = travel.base_minutes(roads, at, node)
            minutes += travel.driving(roads, base)
            at = node
        else:
            base = 0.0
            if aboard.any():
                return None
        start = (
            old if k == 0 and drives else max(travel.arrival(roads.speed, clock, base), earliest)
        )
        if start > limit + plans.EPSILON:
            return None
        if 0 <= node < 2 * m:
            load = load_of(w, node)
            dead = w.status[node // 2] not in (
                running_days.OPEN,
                running_days.PLANNED,
                running_days.ABOARD,
            )
            if node % 2 == 0 and not dead:
                if int(w.bookings[node // 2, tables.NEEDS]) & ~skills:
                    return None
                aboard = aboard + load
                left_door[node // 2] = start + service
                cost += weights.wait * max(0.0, start - ready - weights.promise)
                cost -= weights.ride * (start + service)
            elif not dead and node % 2 == 1:
                aboard = aboard - load
                since = left_door.get(node // 2, boarded)
                if start - since > ride_limit + plans.EPSILON:
                    return None
                cost += weights.ride * start
            if not has_room(aboard, w.drivers[d]):
                return None
        clock = start + service
    return minutes, cost


def by_enumeration(w, roads, weights, d, b):
    """(cost, minutes) of the cheapest of all insertions, None if there is none."""
    stops = stops_of(w, d)
    if w.state[d, plans.PHASE] == plans.OFF:
        return None
    before = try_plan(w, roads, weights, d, stops)
    assert before is not None
    price = weights.km * roads.rule[travel.KM_FACTOR] / roads.rule[travel.MINUTES_PER_KM]
    pickup, dropoff = new_stops(w, b)
    first, best = (1 if w.state[d, plans.PHASE] == plans.DRIVES else 0), None
    for i in range(first, len(stops)):
        for j in range(i, len(stops)):
            tried = [*stops[:i], pickup, *stops[i:j], dropoff, *stops[j:]]
            after = try_plan(w, roads, weights, d, tried)
            if after is None:
                continue
            added = after[0] - before[0]
            total = (
                added * price + after[1] - before[1] - weights.ride * w.bookings[b, tables.DIRECT]
            )
            if best is None or total < best[0] - 1e-9:
                best = (total, added)
    return best


def compare(core):
    """Hold every pair on the board against enumeration; returns (feasible, infeasible) pairs."""
    w = running_days.RunningDays(*(array[0] for array in core.worlds))
    roads = running_days.roads_for_python(w, core.view.minutes, core.view.km)
    seen = [0, 0]
    for d in range(int(w.size[tables.DRIVERS])):
        for place in range(min(core.layout.board, int(w.counts[running_days.OPEN]))):
            b = int(w.open[place])
            best = by_enumeration(w, roads, insertion.Weights(*core.view.weights), d, b)
            allowed = bool(core.out.mask[0, 1 + d * core.layout.board + place])
            assert allowed == (best is not None), (d, b)
            if best is not None:
                assert w.found[b, d, insertion.COST] == pytest.approx(best[0], rel=1e-5, abs=1e-4)
            seen[0 if allowed else 1] += 1
    return seen


@pytest.mark.parametrize(
    ("seed", "tightness", "delays"),
    [(0, 1.0, 1.0), full(1, 1.0, 0.0), full(2, 2.0, 3.0), full(3, 0.6, 1.0)],
)
def test_the_mask_is_exact_and_the_insertion_the_cheapest(seed, tightness, delays):
    options = DispatchOptions.parse(
        preset="clinic-day", tightness=tightness, delay_minutes=delays, cancel=0.15, no_show=0.1
    )
    core = DispatchCore(1, options)
    core.seed(np.array([seed], np.uint64), EVERY)
    core.reset(EVERY)
    rng = np.random.default_rng(seed)
    total = np.zeros(2, int)
    for _ in range(60):
        total += compare(core)
        mask = core.out.mask.copy()
        if mask[0, 1 : 1 + 32].any():
            mask[0, 33:] = False  # so that plans grow
        core.step(random_actions(mask, rng), True)
    assert (total > 100).all()


def test_enumeration_would_notice_a_wrong_window():
    core = DispatchCore(1, DispatchOptions.parse(preset="clinic-day"))
    core.seed(np.array([5], np.uint64), EVERY)
    core.reset(EVERY)
    b = core.worlds.open[0, 0]
    core.worlds.bookings[0, b, tables.PICKUP_BY] = 0.0
    with pytest.raises(AssertionError):
        compare(core)


@pytest.mark.parametrize(("longest", "possible"), [(52.0, False), (90.0, True)])
def test_a_shorter_way_on_from_a_break_may_make_a_ride_too_long(longest, possible):
    """By hand: with the third ride the way on from the break takes 10 minutes instead of 30.

    The first rider then boards at 140 instead of 160, and waits on board for the second one, who
    is not ready before 200; he gets out at 212.
    """
    first = {"pickup": 1, "dropoff": 2, "pickup_from": 121.0, "pickup_to": 400.0}
    second = {"pickup": 3, "dropoff": 4, "pickup_from": 200.0, "pickup_to": 300.0}
    third = {"pickup": 0, "dropoff": 5, "pickup_to": 60.0}
    rests = {"break_from": 100.0, "break_to": 120.0, "break_minutes": 30.0}
    places = [(0, 0), (30, 0), (30, 11), (30, 1), (30, 12), (20, 0)]
    day = plane_day([{**first, "max_ride": longest}, second, third], [rests], places)
    core = DispatchCore(1, DispatchOptions.parse(), [day])
    core.reset(EVERY)
    assert core.out.mask[0, 1 + place_of(core, 2)]
    for b in (0, 1):
        core.step(np.array([1 + place_of(core, b)]), True)
    assert core.worlds.codes[0, 0, :6, plans.NODE].tolist() == [plans.BREAK, 0, 2, 1, 3, 7]
    assert core.worlds.stops[0, 0, [1, 3], plans.START].tolist() == [160.0, 212.0]
    assert core.out.mask[0, 1 + place_of(core, 2)] == possible
    compare(core)


def place_of(core, b):
    return int(
        np.flatnonzero(core.worlds.open[0, : core.worlds.counts[0, running_days.OPEN]] == b)[0]
    )

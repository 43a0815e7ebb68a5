"""Large neighbourhood search over the plans of one moment, in the world's own plans, compiled.

Some rides are taken out and put back in, again and again; ways of doing either that served well
are drawn more often, and what is a little dearer is accepted at first: adaptive large neighbourhood
search (Ropke and Pisinger 2006). Whatever it plans keeps every limit, because rides go in by
`insertion.best_insertion` and come out as the world takes them out: what it cannot do, nobody can.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compagnon.envs import streams
from compagnon.envs.kernels import kernel, kernel_entry
from compagnon.worlds.dispatch import (
    insertion,
    lifecycle,
    plans,
    running_days,
    schedules,
    tables,
    travel,
)

# What is kept of plans: those that the search stands at, those it tries, and the best ones.
CURRENT, TRIAL, BEST = 0, 1, 2
RANDOM, WORST, RELATED = range(3)  # ways to take out ...
DESTROYS = 3
GREEDY, REGRET_2, REGRET_3 = range(3)  # ... and to put in
REPAIRS = 3
_NEVER = 1e9
_SAME = 1e-5  # of a cost
_MOST = 8  # rides that are taken out at once
_SHARE = 0.5  # of all, that are taken out at most
_SEGMENT = 50  # iterations after which weights follow what was scored
_REACTION = 0.2
_FOUND_BEST, _FOUND_BETTER, _ACCEPTED = 33.0, 9.0, 13.0  # scores
_WARM, _COLD = 4.0, 0.2  # cost that is accepted with probability 1/e, at first and at last
_NOISE = 0.15  # of an insertion's cost, up to which it is put up or down, every other time
_PICKS_WORST, _PICKS_RELATED = 3.0, 6.0  # exponents: the greater, the less is left to chance
# Random streams.
_HOW, _MANY, _WHOM, _BLUR, _ACCEPT = range(61, 66)


class Search(NamedTuple):
    """What the search writes; plans with the axes (CURRENT to BEST, driver)."""

    codes: NDArray[np.int32]
    stops: NDArray[np.float64]
    state: NDArray[np.int32]
    times: NDArray[np.float64]
    gaps: NDArray[np.float64]
    costs: NDArray[np.float64]  # (3, D), of each plan
    driver: NDArray[np.int64]  # (3, n), of each ride of the pool; -1: nobody
    changed: NDArray[np.bool_]  # (D,), plans in which TRIAL may differ from CURRENT
    added: NDArray[np.float64]  # (n, D), what each ride would add to each plan
    put: NDArray[np.int64]  # (n, D, 2), and where
    out: NDArray[np.float64]  # (insertion.COLUMNS,), scratch
    boarded: NDArray[np.float64]  # (MAX_STOPS,), scratch
    key: NDArray[np.float64]  # (n,), scratch to sort by
    order: NDArray[np.int64]  # (n,), scratch


def allocate(rides: int, drivers: int) -> Search:
    """Room for a search over so many rides."""
    return Search(
        codes=np.zeros((3, drivers, plans.MAX_STOPS, plans.CODE_COLUMNS), np.int32),
        stops=np.zeros((3, drivers, plans.MAX_STOPS, plans.STOP_COLUMNS)),
        state=np.zeros((3, drivers, plans.DRIVER_CODES), np.int32),
        times=np.zeros((3, drivers, plans.DRIVER_TIMES)),
        gaps=np.zeros((3, drivers, plans.MAX_STOPS, plans.GAP_COLUMNS)),
        costs=np.zeros((3, drivers)),
        driver=np.zeros((3, rides), np.int64),
        changed=np.zeros(drivers, np.bool_),
        added=np.zeros((rides, drivers)),
        put=np.zeros((rides, drivers, 2), np.int64),
        out=np.zeros(insertion.COLUMNS),
        boarded=np.zeros(plans.MAX_STOPS),
        key=np.zeros(rides),
        order=np.zeros(rides, np.int64),
    )


class Tightness(NamedTuple):
    """What a ride without a minute to spare costs, and minutes after which it is a third of it."""

    price: float
    minutes: float


@kernel
def _plan(s, kind, d):
    return plans.DriverPlan(
        s.codes[kind, d], s.stops[kind, d], s.state[kind, d], s.times[kind, d], s.gaps[kind, d]
    )


@kernel
def _tight(plan, doors, tightness):
    """The price of how little time rides have to spare, each where it has least."""
    total = 0.0
    for k in range(plan.state[plans.COUNT] - 1):
        node, stop = plan.codes[k, plans.NODE], plan.stops[k]
        if node < 0 or node >= doors or node % 2 == 0:
            continue
        picked = plan.codes[k, plans.PICKED_AT]
        if picked == plans.DEAD:
            continue
        spare = stop[plans.LIMIT] - stop[plans.START]
        if picked >= 0:
            pickup = plan.stops[picked]
            spare = min(spare, pickup[plans.LIMIT] - pickup[plans.START])
        total += tightness.price * np.exp(-max(0.0, spare) / tightness.minutes)
    return total


@kernel
def _cost(w, plan, d, roads, weights, tightness):
    shift_end = w.drivers[d, tables.SHIFT_END]
    cost = insertion.plan_cost(plan, roads, w.bookings, weights, shift_end)
    return cost + _tight(plan, 2 * w.bookings.shape[0], tightness)


@kernel
def _look(w, s, pool, n, d, roads, weights, tightness):
    """What ride `n` of the pool would add to the plan of driver `d` that is tried."""
    plan, b = _plan(s, TRIAL, d), pool[n]
    i, j = insertion.best_insertion(
        plan, w.drivers[d, tables.SEAT :], w.bookings[b], b, roads, weights,
        w.money[running_days.NOW], s.boarded, s.out,
    )  # fmt: skip
    s.put[n, d, 0], s.put[n, d, 1] = i, j
    s.added[n, d] = _NEVER
    if i >= 0:
        spare = min(2880.0, s.out[insertion.SLACK])
        tight = tightness.price * np.exp(-spare / tightness.minutes)
        s.added[n, d] = s.out[insertion.COST] + tight


@kernel
def _take_out(w, s, pool, n):
    """Take ride `n` out of the plan that is tried; that must be settled after it."""
    d = s.driver[TRIAL, n]
    lifecycle.take_out(w, _plan(s, TRIAL, d), pool[n])
    s.driver[TRIAL, n] = -1
    s.changed[d] = True


@kernel
def _settle(w, s, roads):
    for d in range(s.costs.shape[1]):
        plan = _plan(s, TRIAL, d)
        if plan.state[plans.DIRTY] == 1:
            schedules.settle(plan, roads, w.bookings, w.money[running_days.NOW])


@kernel
def _put_in(w, s, pool, penalty, roads, weights, tightness, repair, blurred, seed, counter):
    """Put in whoever has nobody, as long as it is cheaper than to leave them out.

    Args:
        repair: GREEDY to REGRET_3. blurred: whether costs are put up and down by chance.
        counter: (1,), of draws, written.
    """
    rides, drivers = s.added.shape
    for n in range(rides):
        if s.driver[TRIAL, n] < 0:
            for d in range(drivers):
                _look(w, s, pool, n, d, roads, weights, tightness)
    while True:
        chosen, driver, most = -1, -1, -np.inf
        for n in range(rides):
            if s.driver[TRIAL, n] >= 0:
                continue
            best, second, third, where = penalty[n], penalty[n], penalty[n], -1
            for d in range(drivers):
                cost = s.added[n, d]
                if cost >= _NEVER:
                    continue
                if blurred:
                    counter[0] += 1
                    cost *= 1.0 + _NOISE * (2.0 * streams.uniform(seed, _BLUR, counter[0]) - 1.0)
                if cost < best:
                    best, second, third, where = cost, best, second, d
                elif cost < second:
                    second, third = cost, second
                elif cost < third:
                    third = cost
            if where < 0:
                continue
            gain = -best
            if repair == REGRET_2:
                gain = second - best
            elif repair == REGRET_3:
                gain = second + third - 2.0 * best
            if gain > most:
                chosen, driver, most = n, where, gain
        if chosen < 0:
            return
        plan, b = _plan(s, TRIAL, driver), pool[chosen]
        i, j = s.put[chosen, driver, 0], s.put[chosen, driver, 1]
        schedules.insert(plan, b, i, j, roads, w.bookings, w.money[running_days.NOW])
        s.driver[TRIAL, chosen] = driver
        s.changed[driver] = True
        for n in range(rides):
            if s.driver[TRIAL, n] < 0:
                _look(w, s, pool, n, driver, roads, weights, tightness)


@kernel
def _related(w, pool, a, b, roads):
    """How unlike two rides are: minutes between their doors, and between their times."""
    one, other = pool[a], pool[b]
    apart = travel.base_minutes(roads, 2 * one, 2 * other)
    apart += travel.base_minutes(roads, 2 * one + 1, 2 * other + 1)
    first, second = w.bookings[one], w.bookings[other]
    return apart + 0.3 * (
        abs(first[tables.READY] - second[tables.READY])
        + abs(first[tables.DROPOFF_READY] - second[tables.DROPOFF_READY])
    )


@kernel
def _saving(w, s, pool, n, roads, weights, tightness):
    """What the plan of ride `n` would cost less without it."""
    d = s.driver[TRIAL, n]
    spare = running_days.spare_plan(w)
    plan = _plan(s, TRIAL, d)
    plans.copy_plan(plan, spare)
    lifecycle.take_out(w, spare, pool[n])
    schedules.settle(spare, roads, w.bookings, w.money[running_days.NOW])
    return s.costs[CURRENT, d] - _cost(w, spare, d, roads, weights, tightness)


@kernel
def _sort(key, order, count):
    """Sort the first `count` of `order` by their keys, the lowest first."""
    for k in range(1, count):
        one, q = order[k], k
        while q > 0 and key[order[q - 1]] > key[one]:
            order[q] = order[q - 1]
            q -= 1
        order[q] = one


@kernel
def _destroy(w, s, pool, how, roads, weights, tightness, seed, iteration, counter):
    """Take some rides out of the plans that are tried."""
    rides, placed = s.added.shape[0], 0
    for n in range(rides):
        if s.driver[TRIAL, n] >= 0:
            s.order[placed] = n
            placed += 1
    if placed == 0:
        return
    most = min(placed, _MOST, max(2, int(_SHARE * placed)))
    count = 1 + int(streams.uniform(seed, _MANY, iteration) * most)
    counter[0] += 1
    power = 1.0
    if how == WORST:
        power = _PICKS_WORST
        for k in range(placed):
            n = s.order[k]
            s.key[n] = -_saving(w, s, pool, n, roads, weights, tightness)
        _sort(s.key, s.order, placed)
    elif how == RELATED:
        power = _PICKS_RELATED
        # Like somebody: whoever has nobody first, since for them room is looked for.
        like, alone = s.order[int(streams.uniform(seed, _WHOM, counter[0]) * placed)], 0
        for n in range(rides):
            if s.driver[TRIAL, n] < 0:
                alone += 1
                counter[0] += 1
                if streams.uniform(seed, _WHOM, counter[0]) * alone < 1.0:
                    like = n
        for k in range(placed):
            n = s.order[k]
            s.key[n] = _related(w, pool, like, n, roads)
        _sort(s.key, s.order, placed)
    for _ in range(count):
        counter[0] += 1
        k = int(streams.uniform(seed, _WHOM, counter[0]) ** power * placed)
        _take_out(w, s, pool, s.order[k])
        placed -= 1
        for q in range(k, placed):
            s.order[q] = s.order[q + 1]
    _settle(w, s, roads)


@kernel
def _copy_changed(s, source, target, every):
    for d in range(s.costs.shape[1]):
        if every or s.changed[d]:
            plans.copy_plan(_plan(s, source, d), _plan(s, target, d))
            s.costs[target, d] = s.costs[source, d]
    for n in range(s.added.shape[0]):
        s.driver[target, n] = s.driver[source, n]


@kernel
def _total(w, s, penalty, roads, weights, tightness):
    """The cost of what is tried."""
    total = 0.0
    for d in range(s.costs.shape[1]):
        if s.changed[d]:
            s.costs[TRIAL, d] = _cost(w, _plan(s, TRIAL, d), d, roads, weights, tightness)
        total += s.costs[TRIAL, d]
    for n in range(s.added.shape[0]):
        if s.driver[TRIAL, n] < 0:
            total += penalty[n]
    return total


@kernel
def _draw(weights, u):
    """A position, drawn by the weights."""
    total = 0.0
    for k in range(weights.shape[0]):
        total += weights[k]
    u *= total
    for k in range(weights.shape[0] - 1):
        u -= weights[k]
        if u < 0.0:
            return k
    return weights.shape[0] - 1


@kernel_entry
def search(worlds, row, view, pool, penalty, tightness, iterations, seed, s, adaptive, counter):
    """Search for the cheapest plans; the best drivers of the pool stand in ``s.driver[BEST]``.

    Args:
        pool: (n,), bookings that may go anywhere: open ones, and planned ones that may move.
        penalty: (n,), cost of giving one to nobody.
        s: `allocate`.
        adaptive: float64 (3, DESTROYS + REPAIRS): weights, scores, how often; scratch.
        counter: int64 (1,), scratch.

    Returns:
        (the cost of the plans that it began with, of the best ones), penalties included.
    """
    w = running_days.row(worlds, row)
    roads = running_days.roads_of(w, view.minutes, view.km)
    weights = insertion.weights_of(view.weights)
    drivers = w.size[tables.DRIVERS]
    for d in range(s.costs.shape[1]):
        s.changed[d] = d < drivers
        if d < drivers:
            plans.copy_plan(running_days.plan_of(w, d), _plan(s, TRIAL, d))
        else:
            s.state[:, d, plans.PHASE] = plans.OFF
    for n in range(pool.shape[0]):
        planned = w.status[pool[n]] == running_days.PLANNED
        s.driver[TRIAL, n] = int(w.rides[pool[n], running_days.BY_DRIVER]) if planned else -1
    adaptive[0, :], adaptive[1, :], adaptive[2, :] = 1.0, 0.0, 0.0
    counter[0] = 0
    _put_in(w, s, pool, penalty, roads, weights, tightness, REGRET_3, False, seed, counter)
    begun = current = best = _total(w, s, penalty, roads, weights, tightness)
    _copy_changed(s, TRIAL, CURRENT, True)
    _copy_changed(s, TRIAL, BEST, True)
    temperature = _WARM
    cooling = (_COLD / _WARM) ** (1.0 / max(1, iterations))
    for t in range(iterations):
        s.changed[:] = False
        how = _draw(adaptive[0, :DESTROYS], streams.uniform(seed, _HOW, 3 * t))
        repair = _draw(adaptive[0, DESTROYS:], streams.uniform(seed, _HOW, 3 * t + 1))
        blurred = streams.uniform(seed, _HOW, 3 * t + 2) < 0.5
        _destroy(w, s, pool, how, roads, weights, tightness, seed, t, counter)
        _put_in(w, s, pool, penalty, roads, weights, tightness, repair, blurred, seed, counter)
        total = _total(w, s, penalty, roads, weights, tightness)
        score = 0.0
        accepted = streams.uniform(seed, _ACCEPT, t) < np.exp(
            min(0.0, (current - total) / temperature)
        )
        if total < best - _SAME:
            score = _FOUND_BEST
            best = total
            _copy_changed(s, TRIAL, BEST, True)
        elif total < current - _SAME:
            score = _FOUND_BETTER
        elif accepted and total > current + _SAME:
            score = _ACCEPTED
        if accepted:
            current = total
            _copy_changed(s, TRIAL, CURRENT, False)
        else:
            _copy_changed(s, CURRENT, TRIAL, False)
        temperature *= cooling
        for k in (how, DESTROYS + repair):
            adaptive[1, k] += score
            adaptive[2, k] += 1.0
        if (t + 1) % _SEGMENT == 0:
            _adapt(adaptive)
    return begun, best


@kernel
def _adapt(adaptive):
    """Let the weights follow what was scored since they last did."""
    for k in range(adaptive.shape[1]):
        if adaptive[2, k] > 0.0:
            found = adaptive[1, k] / adaptive[2, k]
            adaptive[0, k] = max(0.1, (1.0 - _REACTION) * adaptive[0, k] + _REACTION * found)
        adaptive[1, k], adaptive[2, k] = 0.0, 0.0


class Improved(NamedTuple):
    """What a search found.

    Attributes:
        drivers: (n,), the best driver of each ride, -1 for nobody.
        begun, cost: of the plans with everybody put in once, and of the best ones.
    """

    drivers: NDArray[np.int64]
    begun: float
    cost: float


def improve(
    worlds: running_days.RunningDays,
    row: int,
    view: Any,
    pool: NDArray[np.int64],
    penalty: NDArray[np.float64],
    tightness: Tightness,
    iterations: int,
    seed: int,
) -> Improved:
    """Search from the plans of one running day, which stays as it is; see `search`."""
    found = allocate(len(pool), worlds.state.shape[1])
    begun, cost = search(
        worlds, row, view, pool, penalty, tightness, iterations, np.uint64(seed), found,
        np.zeros((3, DESTROYS + REPAIRS)), np.zeros(1, np.int64),
    )  # fmt: skip
    return Improved(found.driver[BEST].copy(), float(begun), float(cost))

"""The cheapest feasible place for one more ride in a driver's plan: exact, with early ways out."""

from typing import NamedTuple

import numpy as np

from compagnon.envs.kernels import kernel, kernel_inline
from compagnon.worlds.dispatch import plan as P
from compagnon.worlds.dispatch import tables as D
from compagnon.worlds.dispatch import travel as T
from compagnon.worlds.dispatch.instance import SEATS

# Columns of an insertion: whether there is one; driving minutes added (at relative speed 1); its
# cost as planned; when boarding begins; the least minutes left before a limit among the stops that
# it adds or moves; minutes of the ride; driving minutes to the pickup (at relative speed 1).
FEASIBLE, MINUTES, COST, BOARDS_AT, SLACK, RIDE, APPROACH = range(7)
COLUMNS = 7
_COARSE = 1e-5  # bounds that only save time are loose by more than `plan.EPSILON`


class Weights(NamedTuple):
    """What a ride, a minute or a kilometre costs; all in one unit."""

    reject_base: float
    reject_priority: float
    late: float
    wait: float
    ride: float
    km: float
    overtime: float
    promise: float  # minutes after the window's begin that a pickup may take at no cost


@kernel
def weights_of(values):
    """The weights from an array: a parallel loop takes no tuple within a tuple."""
    return Weights(
        values[0], values[1], values[2], values[3], values[4], values[5], values[6], values[7]
    )


@kernel_inline
def _fits(load, seats, row):
    """Whether a booking's load fits beside the `load` (counted from its first column)."""
    fits = True
    for seat in range(SEATS):
        fits &= load[seat] + row[D.LOAD + seat] <= seats[seat]
    return fits


@kernel_inline
def _waits(start, ready, weights):
    return weights.wait * max(0.0, start - ready - weights.promise)


@kernel_inline
def _place_before(plan, i):
    """The node where the driver is before stop `i`; a break is taken wherever he is."""
    while i > 0:
        i -= 1
        if plan.codes[i, P.NODE] != P.BREAK:
            return plan.codes[i, P.NODE]
    return plan.state[P.AT]


@kernel_inline
def _tail(plan, roads, weights, i, j, clock, at, boarded):
    """Walk the stops from `j` on, the driver free at node `at` at minute `clock`.

    Args:
        i: the pickup is inserted before this position.
        boarded: scratch (MAX_STOPS,), when the pickups from `i` on that were walked ended.

    Returns:
        (minutes, cost, slack): driving minutes added, what the delays cost, the least minutes left
        before a limit; a slack of -1 if a limit is broken.
    """
    codes, stops = plan.codes, plan.stops
    minutes, cost, slack = 0.0, 0.0, np.inf
    metric = roads.rule[T.KIND] != T.MATRIX
    away = True  # the last place is not the one that the plan's next leg begins at
    earlier = False  # a pickup begins earlier than planned: a shorter way on from a break
    last = plan.state[P.COUNT] - 1
    for k in range(j, last + 1):
        node, stop = codes[k, P.NODE], stops[k]
        leg = stop[P.LEG]
        if node != P.BREAK and away:
            leg = T.base_minutes(roads, at, node)
            minutes += leg - stop[P.LEG]
            away = False
        arrives = T.arrival(roads.speed, clock, leg)
        start = max(arrives, stop[P.EARLIEST])
        if start > stop[P.LIMIT] + P.EPSILON or (not away and start > stop[P.LATEST] + _COARSE):
            return 0.0, 0.0, -1.0
        # Who is home before the shift ends has that much time left.
        slack = min(slack, stop[P.LIMIT] - (arrives if k == last else start))
        if stop[P.RIDE_LIMIT] < np.inf:
            since = stop[P.BOARDED]
            if codes[k, P.PICKED_AT] >= i:
                since = boarded[codes[k, P.PICKED_AT]]
            if start - since > stop[P.RIDE_LIMIT] + P.EPSILON:
                return 0.0, 0.0, -1.0
            cost += weights.ride * (start - stop[P.START])
        elif node != P.BREAK and k < last and codes[k, P.PICKED_AT] != P.DEAD:
            boarded[k] = start + stop[P.SERVICE]
            earlier |= start < stop[P.START]
            cost -= weights.ride * (start - stop[P.START])
            cost += _waits(start, stop[P.READY], weights)
            cost -= _waits(stop[P.START], stop[P.READY], weights)
        if metric and not away and start == stop[P.START]:
            # From here on nothing changes, but how long those ride who board at another time.
            if earlier and not _rides_kept(plan, i, k, boarded):
                return 0.0, 0.0, -1.0
            break
        clock = start + stop[P.SERVICE]
    return minutes, cost, max(0.0, slack)


@kernel_inline
def _rides_kept(plan, i, k, boarded):
    """Whether those who board between `i` and `k` and ride on beyond it keep their longest ride.

    Args:
        boarded: as in `_tail`; the stops after `k` begin as planned.
    """
    codes, stops = plan.codes, plan.stops
    for q in range(k + 1, plan.state[P.COUNT]):
        stop, picked = stops[q], codes[q, P.PICKED_AT]
        rides_on = stop[P.RIDE_LIMIT] < np.inf and i <= picked <= k
        if rides_on and stop[P.START] - boarded[picked] > stop[P.RIDE_LIMIT] + P.EPSILON:
            return False
    return True


@kernel_inline
def best_insertion(plan, seats, row, b, roads, weights, now, boarded, out):
    """Find the cheapest feasible insertion of booking `b` into a plan.

    The cost is that of the driving added, of the waiting beyond the promise (the rider's and the
    others') and of the minutes on board beyond the direct ride (the rider's and the others'). Of
    equally cheap ones the first counts.

    Args:
        seats: (4,) of the vehicle.
        row: of the booking.
        boarded: scratch (MAX_STOPS,).
        out: (COLUMNS,), written.

    Returns:
        The positions (i, j) for `plan.insert`, or (-1, -1).
    """
    codes, stops, state = plan.codes, plan.stops, plan.state
    n, first = state[P.COUNT], P.first_open(plan)
    for k in range(COLUMNS):
        out[k] = 0.0
    best_i, best_j, best = -1, -1, np.inf
    if state[P.PHASE] == P.OFF or n + 2 > P.MAX_STOPS:
        return best_i, best_j
    for seat in range(SEATS):
        if row[D.LOAD + seat] > seats[seat]:
            return best_i, best_j
    metric = roads.rule[T.KIND] != T.MATRIX
    km_price = 0.0
    if roads.rule[T.MINUTES_PER_KM] > 0.0:
        km_price = weights.km * roads.rule[T.KM_FACTOR] / roads.rule[T.MINUTES_PER_KM]
    pickup, dropoff = 2 * b, 2 * b + 1
    ready, pickup_by = row[D.READY], row[D.PICKUP_BY]
    dropoff_from, dropoff_by = row[D.DROPOFF_FROM], row[D.DROPOFF_BY]
    longest = row[D.MAX_RIDE]
    leave = max(plan.times[P.FREE], now)
    for i in range(first, n):
        if i > 0:
            leave = plan.gaps[i, P.DONE]
        if leave > pickup_by + P.EPSILON:
            break
        bound = plan.gaps[i, P.BOUND]
        if ready + row[D.BOARDING] > bound + _COARSE:
            continue
        load = codes[i - 1, P.LOAD_AFTER :] if i > 0 else state[P.ABOARD :]
        if not _fits(load, seats, row):
            continue
        at = _place_before(plan, i)
        approach = T.base_minutes(roads, at, pickup)
        boards = max(T.arrival(roads.speed, leave, approach), ready)
        clock = boards + row[D.BOARDING]
        if boards > pickup_by + P.EPSILON or clock > bound + _COARSE:
            continue
        off = clock
        minutes, slack, last, away = approach, pickup_by - boards, pickup, True
        cost = _waits(boards, ready, weights)
        for j in range(i, n):
            leg = T.base_minutes(roads, last, dropoff)
            alights = max(T.arrival(roads.speed, clock, leg), dropoff_from)
            ride = alights - off
            if alights <= dropoff_by + P.EPSILON and ride <= longest + P.EPSILON:
                more, delays, left = _tail(
                    plan, roads, weights, i, j, alights + row[D.ALIGHTING], dropoff, boarded
                )
                if left >= 0.0:
                    total = (minutes + leg + more) * km_price + cost + delays
                    total += weights.ride * (ride - row[D.DIRECT])
                    if total < best - 1e-9:
                        best, best_i, best_j = total, i, j
                        out[MINUTES], out[COST] = minutes + leg + more, total
                        out[BOARDS_AT], out[RIDE], out[APPROACH] = boards, ride, approach
                        out[SLACK] = max(
                            0.0, min(slack, left, dropoff_by - alights, longest - ride)
                        )
            # On to stop j with the rider on board.
            node, stop = codes[j, P.NODE], stops[j]
            if node == P.BREAK or j == n - 1:
                break
            leg = stop[P.LEG]
            if away:
                leg = T.base_minutes(roads, last, node)
                minutes += leg - stop[P.LEG]
                away = False
            start = max(T.arrival(roads.speed, clock, leg), stop[P.EARLIEST])
            bound = stop[P.LATEST] + _COARSE if metric else stop[P.LIMIT] + P.EPSILON
            if start > stop[P.LIMIT] + P.EPSILON or start > bound:
                break
            if start > dropoff_by + P.EPSILON or start - off > longest + P.EPSILON:
                break
            if stop[P.RIDE_LIMIT] < np.inf:
                since = stop[P.BOARDED]
                if codes[j, P.PICKED_AT] >= i:
                    since = boarded[codes[j, P.PICKED_AT]]
                if start - since > stop[P.RIDE_LIMIT] + P.EPSILON:
                    break
                cost += weights.ride * (start - stop[P.START])
            elif codes[j, P.PICKED_AT] != P.DEAD:
                if not _fits(codes[j, P.LOAD_AFTER :], seats, row):
                    break
                boarded[j] = start + stop[P.SERVICE]
                cost -= weights.ride * (start - stop[P.START])
                cost += _waits(start, stop[P.READY], weights)
                cost -= _waits(stop[P.START], stop[P.READY], weights)
            slack = min(slack, stop[P.LIMIT] - start)
            clock, last = start + stop[P.SERVICE], node
    out[FEASIBLE] = 1.0 if best_i >= 0 else 0.0
    return best_i, best_j

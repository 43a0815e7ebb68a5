"""The cheapest feasible place for one more ride in a driver's plan: exact, with early ways out."""

from typing import NamedTuple

import numpy as np

from compagnon.envs.kernels import kernel, kernel_inline
from compagnon.worlds.dispatch import plans, tables, travel

# Columns of an insertion: whether there is one; driving minutes added (at relative speed 1); its
# cost as planned; when boarding begins; the least minutes left before a limit among the stops that
# it adds or moves; minutes of the ride; driving minutes to the pickup (at relative speed 1); the
# cost with the price of a tight plan.
FEASIBLE, MINUTES, COST, BOARDS_AT, SLACK, RIDE, APPROACH, PRICED = range(8)
COLUMNS = 8
TIGHT = 15.0  # cost of a plan that has no minute to spare ...
TIGHT_MINUTES = 15.0  # ... and minutes to spare after which it is a third of that
_LONG = 2880.0  # minutes; more slack than that is as good
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
    answer: float  # a minute that a caller of the same day waits for an answer ...
    answer_on_call: float  # ... that one waits who calls for the way home ...
    answer_in_advance: float  # ... and one who asked the day before
    answer_limit: float  # minutes after which no answer is a refusal; 0: none
    taxi: float  # 1: who must get home gets a taxi, at this price ...
    taxi_base: float
    taxi_km: float  # ... and this for each road kilometre
    broken: float  # a promise that is not kept
    replan: float  # 1: planned rides may be moved ...
    freeze: float  # ... until so many minutes before the driver sets out for them
    move: float  # a ride that is moved
    move_worth: float  # dispatch is asked for moves alone where one lowers the cost by as much


@kernel
def weights_of(values):
    """The weights from an array: a parallel loop takes no tuple within a tuple."""
    return Weights(
        values[0], values[1], values[2], values[3], values[4], values[5], values[6], values[7],
        values[8], values[9], values[10], values[11], values[12], values[13], values[14],
        values[15], values[16], values[17], values[18], values[19],
    )  # fmt: skip


@kernel_inline
def _fits(load, seats, row):
    """Whether a booking's load fits beside the `load` (counted from its first column)."""
    fits = True
    for seat in range(tables.LOADS):
        fits &= load[seat] + row[tables.LOAD + seat] <= seats[seat]
    return fits & tables.folded(load[0] + row[tables.LOAD], load[1] + row[tables.LOAD + 1], seats)


@kernel_inline
def price_of_minutes(roads, weights):
    """What driving for a minute at relative speed 1 costs."""
    if roads.rule[travel.MINUTES_PER_KM] > 0.0:
        return weights.km * roads.rule[travel.KM_FACTOR] / roads.rule[travel.MINUTES_PER_KM]
    return 0.0


@kernel_inline
def _waits(start, ready, weights):
    return weights.wait * max(0.0, start - ready - weights.promise)


@kernel_inline
def _place_before(plan, i):
    """The node where the driver is before stop `i`; a break is taken wherever he is."""
    while i > 0:
        i -= 1
        if plan.codes[i, plans.NODE] != plans.BREAK:
            return plan.codes[i, plans.NODE]
    return plan.state[plans.AT]


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
    metric = roads.rule[travel.KIND] != travel.MATRIX
    away = True  # the last place is not the one that the plan's next leg begins at
    earlier = False  # a pickup begins earlier than planned: a shorter way on from a break
    last = plan.state[plans.COUNT] - 1
    for k in range(j, last + 1):
        node, stop = codes[k, plans.NODE], stops[k]
        leg = stop[plans.LEG]
        if node != plans.BREAK and away:
            leg = travel.base_minutes(roads, at, node)
            minutes += travel.driving(roads, leg) - travel.driving(roads, stop[plans.LEG])
            away = False
        arrives = travel.arrival(roads.speed, clock, leg)
        start = max(arrives, stop[plans.EARLIEST])
        if start > stop[plans.LIMIT] + plans.EPSILON or (
            not away and start > stop[plans.LATEST] + _COARSE
        ):
            return 0.0, 0.0, -1.0
        # Who is home before the shift ends has that much time left.
        slack = min(slack, stop[plans.LIMIT] - (arrives if k == last else start))
        if stop[plans.RIDE_LIMIT] < np.inf:
            since = stop[plans.BOARDED]
            if codes[k, plans.PICKED_AT] >= i:
                since = boarded[codes[k, plans.PICKED_AT]]
            if start - since > stop[plans.RIDE_LIMIT] + plans.EPSILON:
                return 0.0, 0.0, -1.0
            cost += weights.ride * (start - stop[plans.START])
        elif node != plans.BREAK and k < last and codes[k, plans.PICKED_AT] != plans.DEAD:
            boarded[k] = start + stop[plans.SERVICE]
            earlier |= start < stop[plans.START]
            cost -= weights.ride * (start - stop[plans.START])
            cost += _waits(start, stop[plans.READY], weights)
            cost -= _waits(stop[plans.START], stop[plans.READY], weights)
        if metric and not away and start == stop[plans.START]:
            # From here on nothing changes, but how long those ride who board at another time.
            if earlier and not _rides_kept(plan, i, k, boarded):
                return 0.0, 0.0, -1.0
            break
        clock = start + stop[plans.SERVICE]
    return minutes, cost, max(0.0, slack)


@kernel_inline
def _rides_kept(plan, i, k, boarded):
    """Whether those who board between `i` and `k` and ride on beyond it keep their longest ride.

    Args:
        boarded: as in `_tail`; the stops after `k` begin as planned.
    """
    codes, stops = plan.codes, plan.stops
    for q in range(k + 1, plan.state[plans.COUNT]):
        stop, picked = stops[q], codes[q, plans.PICKED_AT]
        rides_on = stop[plans.RIDE_LIMIT] < np.inf and i <= picked <= k
        if (
            rides_on
            and stop[plans.START] - boarded[picked] > stop[plans.RIDE_LIMIT] + plans.EPSILON
        ):
            return False
    return True


@kernel_inline
def best_insertion(plan, seats, row, b, roads, weights, now, boarded, out):
    """Find the cheapest feasible insertion of booking `b` into a plan.

    The cost is that of the driving added, of the waiting beyond the promise (the rider's and the
    others') and of the minutes on board beyond the direct ride (the rider's and the others'). Of
    equally cheap ones the first counts.

    Args:
        seats: what the vehicle has, of a driver's row from SEAT on.
        row: of the booking.
        boarded: scratch (MAX_STOPS,).
        out: (COLUMNS,), written.

    Returns:
        The positions (i, j) for `plan.insert`, or (-1, -1).
    """
    codes, stops, state = plan.codes, plan.stops, plan.state
    n, first = state[plans.COUNT], plans.first_open(plan)
    for k in range(COLUMNS):
        out[k] = 0.0
    best_i, best_j, best = -1, -1, np.inf
    if state[plans.PHASE] == plans.OFF or n + 2 > plans.MAX_STOPS:
        return best_i, best_j
    if not tables.suits(seats, row):
        return best_i, best_j
    metric = roads.rule[travel.KIND] != travel.MATRIX
    km_price = price_of_minutes(roads, weights)
    pickup, dropoff = 2 * b, 2 * b + 1
    ready, pickup_by = row[tables.READY], row[tables.PICKUP_BY]
    dropoff_from, dropoff_by = row[tables.DROPOFF_FROM], row[tables.DROPOFF_BY]
    longest = row[tables.MAX_RIDE]
    leave = max(plan.times[plans.FREE], now)
    for i in range(first, n):
        if i > 0:
            leave = plan.gaps[i, plans.DONE]
        if leave > pickup_by + plans.EPSILON:
            break
        bound = plan.gaps[i, plans.BOUND]
        if ready + row[tables.BOARDING] > bound + _COARSE:
            continue
        load = codes[i - 1, plans.LOAD_AFTER :] if i > 0 else state[plans.ABOARD :]
        if not _fits(load, seats, row):
            continue
        at = _place_before(plan, i)
        approach = travel.base_minutes(roads, at, pickup)
        boards = max(travel.arrival(roads.speed, leave, approach), ready)
        clock = boards + row[tables.BOARDING]
        if boards > pickup_by + plans.EPSILON or clock > bound + _COARSE:
            continue
        off = clock
        slack, last, away = pickup_by - boards, pickup, True
        minutes = travel.driving(roads, approach)
        cost = _waits(boards, row[tables.WAITS_FROM], weights)
        for j in range(i, n):
            leg = travel.base_minutes(roads, last, dropoff)
            alights = max(travel.arrival(roads.speed, clock, leg), dropoff_from)
            ride = alights - off
            if alights <= dropoff_by + plans.EPSILON and ride <= longest + plans.EPSILON:
                more, delays, left = _tail(
                    plan, roads, weights, i, j, alights + row[tables.ALIGHTING], dropoff, boarded
                )
                if left >= 0.0:
                    added = minutes + travel.driving(roads, leg) + more
                    total = added * km_price + cost + delays
                    total += weights.ride * (ride - row[tables.DIRECT])
                    if total < best - 1e-9:
                        best, best_i, best_j = total, i, j
                        out[MINUTES], out[COST] = added, total
                        out[BOARDS_AT], out[RIDE], out[APPROACH] = boards, ride, approach
                        out[SLACK] = max(
                            0.0, min(slack, left, dropoff_by - alights, longest - ride)
                        )
            # On to stop j with the rider on board.
            node, stop = codes[j, plans.NODE], stops[j]
            if node == plans.BREAK or j == n - 1:
                break
            leg = stop[plans.LEG]
            if away:
                leg = travel.base_minutes(roads, last, node)
                minutes += travel.driving(roads, leg) - travel.driving(roads, stop[plans.LEG])
                away = False
            start = max(travel.arrival(roads.speed, clock, leg), stop[plans.EARLIEST])
            bound = stop[plans.LATEST] + _COARSE if metric else stop[plans.LIMIT] + plans.EPSILON
            if start > stop[plans.LIMIT] + plans.EPSILON or start > bound:
                break
            if start > dropoff_by + plans.EPSILON or start - off > longest + plans.EPSILON:
                break
            if stop[plans.RIDE_LIMIT] < np.inf:
                since = stop[plans.BOARDED]
                if codes[j, plans.PICKED_AT] >= i:
                    since = boarded[codes[j, plans.PICKED_AT]]
                if start - since > stop[plans.RIDE_LIMIT] + plans.EPSILON:
                    break
                cost += weights.ride * (start - stop[plans.START])
            elif codes[j, plans.PICKED_AT] != plans.DEAD:
                if not _fits(codes[j, plans.LOAD_AFTER :], seats, row):
                    break
                boarded[j] = start + stop[plans.SERVICE]
                cost -= weights.ride * (start - stop[plans.START])
                cost += _waits(start, stop[plans.READY], weights)
                cost -= _waits(stop[plans.START], stop[plans.READY], weights)
            slack = min(slack, stop[plans.LIMIT] - start)
            clock, last = start + stop[plans.SERVICE], node
    out[FEASIBLE] = 1.0 if best_i >= 0 else 0.0
    if best_i >= 0:
        out[PRICED] = out[COST] + TIGHT * np.exp(-min(_LONG, out[SLACK]) / TIGHT_MINUTES)
    return best_i, best_j


@kernel
def plan_cost(plan, roads, bookings, weights, shift_end):
    """What a plan costs from here on: driving, waiting, riding, lateness and overtime as planned.

    Minutes on board count whole, the direct ride among them; a leg under way does not count.
    """
    codes, stops, state = plan.codes, plan.stops, plan.state
    n = state[plans.COUNT]
    km_price, minutes, cost = price_of_minutes(roads, weights), 0.0, 0.0
    for k in range(n):
        node, stop = codes[k, plans.NODE], stops[k]
        if node != plans.BREAK and (k > 0 or state[plans.PHASE] != plans.DRIVES):
            minutes += travel.driving(roads, stop[plans.LEG])
        if node == plans.BREAK or codes[k, plans.PICKED_AT] == plans.DEAD:
            continue
        start = stop[plans.START]
        if k == n - 1:
            cost += weights.overtime * max(0.0, start - shift_end)
        elif node % 2 == 0:
            cost += _waits(start, stop[plans.READY], weights)
            cost += weights.late * max(0.0, start - bookings[node // 2, tables.PICKUP_TO])
        else:
            cost += weights.ride * (start - stop[plans.BOARDED])
            cost += weights.late * max(0.0, start - bookings[node // 2, tables.DROPOFF_TO])
    return cost + minutes * km_price

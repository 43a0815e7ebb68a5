"""What becomes of a booking: dispatch hears of it, answers, plans, moves, declines, withdraws it.

Every function takes one day (`world.row`), its roads and the weights of the cost.
"""

import numpy as np

from compagnon.envs.kernels import kernel
from compagnon.worlds.dispatch import plans, running_days, schedules, tables, travel


@kernel
def awaits_call(status):
    """1 if the return of an outbound ride of this status is still to be called, if unheard of."""
    rides = running_days.OPEN <= status <= running_days.SERVED or status == running_days.TAXI
    return 1 if rides else 0


@kernel
def on_call(w, b):
    """1 if a booking that is unheard of is a leg to come of a trip that dispatch knows."""
    while b >= 0 and w.status[b] == running_days.LATER:
        b = int(w.bookings[b, tables.LINKED_TO])
    return awaits_call(w.status[b]) if b >= 0 else 0


@kernel
def set_status(w, b, status):
    """Move booking `b` to another status, and the counts with it."""
    before, back = w.status[b], int(w.bookings[b, tables.RETURN])
    unheard = before == running_days.LATER
    awaited = on_call(w, b) if unheard else awaits_call(before)
    w.counts[before] -= 1
    w.counts[status] += 1
    w.status[b] = status
    while back >= 0 and w.status[back] == running_days.LATER:
        w.counts[running_days.ON_CALL] += awaits_call(status) - awaited
        back = int(w.bookings[back, tables.RETURN])
    if unheard:
        w.counts[running_days.ON_CALL] -= awaited


@kernel
def announce(w, b):
    """Dispatch hears of booking `b`: it is open, in the order of the deadlines."""
    k = w.counts[running_days.OPEN]
    by = w.bookings[b, tables.PICKUP_BY]
    while k > 0 and w.bookings[w.open[k - 1], tables.PICKUP_BY] > by:
        w.open[k] = w.open[k - 1]
        k -= 1
    w.open[k] = b
    set_status(w, b, running_days.OPEN)
    for d in range(w.state.shape[0]):
        w.where[b, d, running_days.FOUND_FOR] = -1


@kernel
def asked_at(w, b):
    """When the wait for an answer began: with the call, or with the day."""
    return max(w.bookings[b, tables.ANNOUNCE], w.money[running_days.DAY_BEGIN])


@kernel
def answer_price(w, b, weights):
    """What a minute without an answer costs."""
    announced, outbound = w.bookings[b, tables.ANNOUNCE], int(w.bookings[b, tables.LINKED_TO])
    if announced <= 0.0:
        return weights.answer_in_advance
    if outbound >= 0 and announced > w.bookings[outbound, tables.DROPOFF_BY]:
        return weights.answer_on_call
    return weights.answer


@kernel
def _tell(w, b, status):
    """Note when a caller is told yes or no."""
    if status in (running_days.PLANNED, running_days.REJECTED, running_days.TAXI):
        w.rides[b, running_days.ANSWERED] = w.money[running_days.NOW]


@kernel
def close(w, b, status):
    """Take booking `b` off the open ones; who rode or is refused has an answer now."""
    _tell(w, b, status)
    k = 0
    while w.open[k] != b:
        k += 1
    for q in range(k, w.counts[running_days.OPEN] - 1):
        w.open[q] = w.open[q + 1]
    set_status(w, b, status)


@kernel
def reject_cost(w, b, weights):
    """What a ride that is asked for and not given costs."""
    return weights.reject_base + weights.reject_priority * w.bookings[b, tables.PRIORITY]


@kernel
def must_get_home(w, b):
    """Whether a ride is the way back of somebody who was brought, or is promised to be."""
    outbound = int(w.bookings[b, tables.LINKED_TO])
    if outbound < 0:
        return False
    status = w.status[outbound]
    return running_days.PLANNED <= status <= running_days.SERVED or status == running_days.TAXI


@kernel
def taxi_price(b, roads, weights):
    """What it costs that somebody else drives."""
    return weights.taxi_base + weights.taxi_km * travel.road_km(roads, 2 * b, 2 * b + 1)


@kernel
def decline_cost(w, b, roads, weights):
    """What it costs to give the booking to none of the drivers, and the way back that hangs on it.

    That is a taxi for who must get home, where there are any, and a refusal for everybody else.
    """
    if weights.taxi > 0.0 and must_get_home(w, b):
        return taxi_price(b, roads, weights)
    cost = reject_cost(w, b, weights)
    back = int(w.bookings[b, tables.RETURN])
    while back >= 0:
        if w.status[back] <= running_days.PLANNED:
            cost += reject_cost(w, back, weights)
        back = int(w.bookings[back, tables.RETURN])
    return cost


@kernel
def decline(w, b, roads, weights):
    """Give the open booking `b` to none of the drivers; `settle` must follow."""
    if weights.taxi > 0.0 and must_get_home(w, b):
        close(w, b, running_days.TAXI)
        _order_taxi(w, b, roads, weights)
    else:
        withdraw(w, b, running_days.REJECTED, weights)


@kernel
def _order_taxi(w, b, roads, weights):
    """Pay for a taxi; where nobody will be at the door, that comes out when it is there."""
    w.money[running_days.C_TAXI] += taxi_price(b, roads, weights)
    row, count = w.bookings[b], w.counts
    if row[tables.NO_SHOW] == 0.0 or row[tables.CANCEL] < np.inf:
        return
    row[tables.CANCEL] = max(w.money[running_days.NOW], row[tables.READY])
    k = count[running_days.CANCEL_COUNT]
    while k > count[running_days.CANCELS_SEEN] and (
        w.bookings[w.cancels[k - 1], tables.CANCEL] > row[tables.CANCEL]
    ):
        k -= 1
    # The list has a place for each booking: what stands behind those to be cancelled is not read.
    for q in range(count[running_days.CANCEL_COUNT], k, -1):
        w.cancels[q] = w.cancels[q - 1]
    w.cancels[k] = b
    count[running_days.CANCEL_COUNT] += 1


@kernel
def withdraw(w, b, status, weights):
    """Booking `b` will not be ridden: rejected or cancelled, with the rides that hang on it.

    `settle` must follow.
    """
    _withdraw_one(w, b, status, weights)
    withdraw_followers(w, b, status, weights)


@kernel
def withdraw_followers(w, b, status, weights):
    """The same of the way back that hangs on booking `b`, and of what hangs on that."""
    if status == running_days.NO_SHOW:  # of who was not there nobody waits for the way back
        status = running_days.CANCELLED
    back = int(w.bookings[b, tables.RETURN])
    while back >= 0:
        if w.status[back] == running_days.TAXI:  # called off; it is paid all the same
            set_status(w, back, running_days.CANCELLED)
        elif w.status[back] <= running_days.PLANNED:
            if w.status[back] == running_days.LATER:
                _tell(w, back, status)
            _withdraw_one(w, back, status, weights)
        back = int(w.bookings[back, tables.RETURN])


@kernel
def _withdraw_one(w, b, status, weights):
    if w.status[b] == running_days.OPEN:
        close(w, b, status)
    else:
        if w.status[b] == running_days.PLANNED:
            unplan(w, b)
        set_status(w, b, status)
    if status == running_days.REJECTED:
        w.money[running_days.C_REJECTED] += reject_cost(w, b, weights)


@kernel
def unplan(w, b):
    """Take a planned ride out of its driver's plan; one under way to it finds nobody there.

    `settle` must follow.
    """
    take_out(w, running_days.plan_of(w, int(w.rides[b, running_days.BY_DRIVER])), b)


@kernel
def move_out(w, b, roads, weights):
    """Take a planned ride out of its plan, to be put in elsewhere at this clock time."""
    plan = running_days.plan_of(w, int(w.rides[b, running_days.BY_DRIVER]))
    take_out(w, plan, b)
    schedules.settle(plan, roads, w.bookings, w.money[running_days.NOW])
    w.counts[running_days.MOVES] += 1
    w.money[running_days.C_MOVE] += weights.move
    w.rides[b, running_days.MOVED_AT] = 1.0 + w.counts[running_days.CLOCK]


@kernel
def take_out(w, plan, b):
    """The same of any plan that holds the ride."""
    k, last = plans.position(plan, 2 * b), plans.position(plan, 2 * b + 1)
    plans.lighten(plan, w.bookings[b], k, last)
    plans.empty(plan, last)
    if k == 0 and plan.state[plans.PHASE] == plans.DRIVES:
        plan.codes[0, plans.PICKED_AT] = plans.DEAD
        plan.stops[0, plans.SERVICE] = 0.0
    else:
        plans.empty(plan, k)
    plan.state[plans.DIRTY] = 1


@kernel
def break_promise(w, b, roads, weights):
    """A ride that was promised is not given: it goes by taxi, or not at all."""
    w.counts[running_days.BROKEN] += 1
    w.money[running_days.C_PROMISE] += weights.broken
    if weights.taxi > 0.0 and must_get_home(w, b):
        set_status(w, b, running_days.TAXI)
        _order_taxi(w, b, roads, weights)
    else:
        set_status(w, b, running_days.REJECTED)
        w.money[running_days.C_REJECTED] += reject_cost(w, b, weights)
        withdraw_followers(w, b, running_days.CANCELLED, weights)

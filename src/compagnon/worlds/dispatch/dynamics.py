"""What happens by itself: drivers leave, arrive, serve; riders call, cancel, do not show up.

Every function takes one day (`world.row`), its roads and the weights of the cost.
"""

import numpy as np

from compagnon.envs.kernels import kernel
from compagnon.worlds.dispatch import plans, running_days, tables, travel

_TOLERANCE = 1e-4  # minutes; what a check of the schedule against the facts may differ by


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
def _pass_time(w, until, weights):
    """Move the clock; whoever has no answer yet waits so much longer."""
    if weights.answer + weights.answer_on_call + weights.answer_in_advance > 0.0:
        minutes = until - w.money[running_days.NOW]
        for k in range(w.counts[running_days.OPEN]):
            w.money[running_days.C_ANSWER] += minutes * answer_price(w, w.open[k], weights)
    w.money[running_days.NOW] = until


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
    plans.settle(plan, roads, w.bookings, w.money[running_days.NOW])
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
def _leave(w, d, roads, weights):
    """Set out for the first stop; its kilometres are driven from here on."""
    state = w.state[d]
    node = w.codes[d, 0, plans.NODE]
    plans.set_out(running_days.plan_of(w, d), roads, w.money[running_days.NOW])
    state[plans.VERSION] += 1
    if node == plans.BREAK:
        return
    km = travel.road_km(roads, state[plans.AT], node)
    w.money[running_days.KM] += km
    w.money[running_days.C_KM] += weights.km * km
    for seat in range(4):
        if state[plans.ABOARD + seat] > 0:
            w.money[running_days.LOADED_KM] += km
            break


@kernel
def _check_arrival(w, d, roads):
    """Count it if the driver is somewhere earlier than the road allows, or later than agreed."""
    state, times, stop = w.state[d], w.times[d], w.stops[d, 0]
    node = w.codes[d, 0, plans.NODE]
    if node != plans.BREAK:
        base = travel.base_minutes(roads, state[plans.AT], node)
        there = travel.arrival(roads.speed_real, times[plans.LEFT], base)
        if stop[plans.START] < there - _TOLERANCE:
            w.counts[running_days.VIOLATIONS] += 1
    if stop[plans.START] > stop[plans.LIMIT] + _TOLERANCE:
        w.counts[running_days.VIOLATIONS] += 1


@kernel
def _arrive(w, d, roads, weights):
    """Begin the first stop. True if that is news: nobody at the door."""
    plan = running_days.plan_of(w, d)
    state, times = plan.state, plan.times
    node, now = plan.codes[0, plans.NODE], plan.stops[0, plans.START]
    service = plan.stops[0, plans.SERVICE]
    _check_arrival(w, d, roads)
    news = False
    if node >= 2 * w.bookings.shape[0]:
        over = max(0.0, now - w.drivers[d, tables.SHIFT_END])
        w.money[running_days.OVERTIME] += over
        w.money[running_days.C_OVERTIME] += weights.overtime * over
        state[plans.AT], state[plans.PHASE], state[plans.COUNT] = node, plans.OFF, 0
        state[plans.VERSION] += 1
        times[plans.FREE], times[plans.NEXT] = now, np.inf
        return False
    free = now + service
    dead = plan.codes[0, plans.PICKED_AT] == plans.DEAD
    if node == plans.BREAK:
        plans.remove(plan, 0)
        state[plans.RESTS] -= 1
    elif dead:
        plans.remove(plan, 0)
    elif node % 2 == 0:
        news, delay = _meet(w, d, node // 2, now, service, roads, weights)
        free += delay
    else:
        free += _drop(w, d, node // 2, now, weights)
        plans.remove(plan, 0)
    state[plans.PHASE], times[plans.FREE] = plans.BUSY, free
    state[plans.SERVING] = plans.BREAK if dead else node  # nobody gets out where nobody is
    if node != plans.BREAK:
        state[plans.AT] = node
    state[plans.DIRTY] = 1
    return news


@kernel
def _meet(w, d, b, now, service, roads, weights):
    """At a pickup's door. Returns (whether nobody is there, the delay); the stop is taken off."""
    plan = running_days.plan_of(w, d)
    row = w.bookings[b]
    outbound = int(row[tables.LINKED_TO])
    missing = row[tables.NO_SHOW] > 0.0
    stranded = (
        outbound >= 0
        and w.status[outbound] != running_days.SERVED
        and w.status[outbound] != running_days.TAXI
    )  # the outbound ride is delayed
    dropoff = plans.position(plan, 2 * b + 1)
    if missing or stranded:
        plans.lighten(plan, row, 0, dropoff)
        plans.empty(plan, dropoff)
        plans.remove(plan, 0)
        plan.state[plans.PHASE] = plans.BUSY  # nobody is under way to what comes first now
        if missing:
            set_status(w, b, running_days.NO_SHOW)
            withdraw_followers(w, b, running_days.NO_SHOW, weights)
        else:
            _break_promise(w, b, roads, weights)
        return True, 0.0
    ride = w.rides[b]
    ride[running_days.BOARDS] = now
    ride[running_days.WAIT] = max(0.0, now - row[tables.WAITS_FROM])
    ride[running_days.LATE_PICKUP] = max(0.0, now - row[tables.PICKUP_TO])
    w.money[running_days.C_WAIT] += weights.wait * max(
        0.0, ride[running_days.WAIT] - weights.promise
    )
    w.money[running_days.C_LATE] += weights.late * ride[running_days.LATE_PICKUP]
    plan.stops[dropoff, plans.BOARDED] = now + service + row[tables.BOARDING_DELAY]
    plans.remove(plan, 0)
    for seat in range(tables.LOADS):
        plan.state[plans.ABOARD + seat] += int(row[tables.LOAD + seat])
    seats = w.drivers[d, tables.SEAT :]
    if not (tables.holds(plan.state[plans.ABOARD :], seats) and tables.suits(seats, row)):
        w.counts[running_days.VIOLATIONS] += 1
    if now < row[tables.READY] - _TOLERANCE:
        w.counts[running_days.VIOLATIONS] += 1
    set_status(w, b, running_days.ABOARD)
    return False, row[tables.BOARDING_DELAY]


@kernel
def _break_promise(w, b, roads, weights):
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


@kernel
def _drop(w, d, b, now, weights):
    """At a drop-off's door; returns the delay."""
    row, ride, stop = w.bookings[b], w.rides[b], w.stops[d, 0]
    ride[running_days.RIDE] = now - stop[plans.BOARDED]
    ride[running_days.EXCESS] = max(0.0, ride[running_days.RIDE] - row[tables.DIRECT])
    ride[running_days.LATE_DROPOFF] = max(0.0, now - row[tables.DROPOFF_TO])
    w.money[running_days.C_RIDE] += weights.ride * ride[running_days.EXCESS]
    w.money[running_days.C_LATE] += weights.late * ride[running_days.LATE_DROPOFF]
    if (
        ride[running_days.RIDE] > stop[plans.RIDE_LIMIT] + _TOLERANCE
        or w.status[b] != running_days.ABOARD
    ):
        w.counts[running_days.VIOLATIONS] += 1
    if now < row[tables.DROPOFF_FROM] - _TOLERANCE:
        w.counts[running_days.VIOLATIONS] += 1
    for seat in range(tables.LOADS):
        w.state[d, plans.ABOARD + seat] -= int(row[tables.LOAD + seat])
        if w.state[d, plans.ABOARD + seat] < 0:
            w.counts[running_days.VIOLATIONS] += 1
    return row[tables.ALIGHTING_DELAY]


@kernel
def _finish(w, d):
    """The driver is free again; a ride that ended may bring its return's call."""
    state = w.state[d]
    node = state[plans.SERVING]
    state[plans.PHASE], state[plans.SERVING] = plans.WAITS, plans.BREAK
    plans.write_next(running_days.plan_of(w, d))
    if node >= 0 and node % 2 == 1:
        b = node // 2
        set_status(w, b, running_days.SERVED)
        back = int(w.bookings[b, tables.RETURN])
        called = back >= 0 and w.bookings[back, tables.ANNOUNCE] <= w.money[running_days.NOW]
        if called and w.status[back] == running_days.LATER:
            announce(w, back)


@kernel
def _driver_event(w, d, roads, weights):
    """What happens to driver `d` now; True if it is news."""
    phase = w.state[d, plans.PHASE]
    if phase == plans.DRIVES:
        return _arrive(w, d, roads, weights)
    if phase == plans.WAITS:
        if w.times[d, plans.BREAKS_DOWN] <= w.money[running_days.NOW]:
            _break_down(w, d)
            return True
        _leave(w, d, roads, weights)
        return False
    _finish(w, d)
    return True


@kernel
def _break_down(w, d):
    """The driver stands where he is, with all on board, until another vehicle has come."""
    state, times = w.state[d], w.times[d]
    now = times[plans.BROKE_AT] = w.money[running_days.NOW]
    times[plans.BREAKS_DOWN] = np.inf
    times[plans.FREE] = now + w.drivers[d, tables.REPAIR_MINUTES]
    state[plans.PHASE], state[plans.SERVING], state[plans.DIRTY] = plans.BUSY, plans.BREAK, 1


@kernel
def _calls(w):
    """Announcements that are due; True if there was one."""
    news = False
    count, now = w.counts, w.money[running_days.NOW]
    while count[running_days.CALLED] < w.size[tables.BOOKINGS]:
        b = w.calls[count[running_days.CALLED]]
        if w.bookings[b, tables.ANNOUNCE] > now:
            break
        count[running_days.CALLED] += 1
        if w.status[b] != running_days.LATER:
            continue
        outbound = int(w.bookings[b, tables.LINKED_TO])
        on_call = (
            outbound >= 0
            and w.bookings[b, tables.ANNOUNCE] > w.bookings[outbound, tables.DROPOFF_BY]
        )
        if on_call and not (
            w.status[outbound] == running_days.SERVED or w.status[outbound] == running_days.TAXI
        ):
            continue  # announced when the outbound ride ends
        announce(w, b)
        news = True
    return news


@kernel
def _cancellations(w, weights):
    """Cancellations that are due; True if there was one."""
    news = False
    count, now = w.counts, w.money[running_days.NOW]
    while count[running_days.CANCELS_SEEN] < count[running_days.CANCEL_COUNT]:
        b = w.cancels[count[running_days.CANCELS_SEEN]]
        if w.bookings[b, tables.CANCEL] > now:
            break
        count[running_days.CANCELS_SEEN] += 1
        if w.status[b] <= running_days.PLANNED:
            withdraw(w, b, running_days.CANCELLED, weights)
            news = True
        elif w.status[b] == running_days.TAXI:
            absent = w.bookings[b, tables.NO_SHOW] > 0.0
            withdraw(w, b, running_days.NO_SHOW if absent else running_days.CANCELLED, weights)
            news = True
    return news


@kernel
def next_event(w):
    """The minute of the next event of any kind, inf if there is none."""
    count = w.counts
    when = np.inf
    for d in range(w.size[tables.DRIVERS]):
        when = min(when, w.times[d, plans.NEXT])
    if count[running_days.CALLED] < w.size[tables.BOOKINGS]:
        when = min(when, w.bookings[w.calls[count[running_days.CALLED]], tables.ANNOUNCE])
    if count[running_days.CANCELS_SEEN] < count[running_days.CANCEL_COUNT]:
        when = min(when, w.bookings[w.cancels[count[running_days.CANCELS_SEEN]], tables.CANCEL])
    return when


@kernel
def _first_lost(w, now, weights):
    """The open booking that is lost first if nobody takes it, and the minute at which it is."""
    b = w.open[0]
    by = max(now, w.bookings[b, tables.PICKUP_BY])
    if weights.answer_limit > 0.0:
        for k in range(w.counts[running_days.OPEN]):
            until = max(now, asked_at(w, w.open[k]) + weights.answer_limit)
            if until < by:
                b, by = w.open[k], until
    return b, by


@kernel
def advance(w, roads, weights, look_again):
    """Let time pass to the next moment at which dispatch may be asked, or to the day's end.

    Dispatch is asked where there is news and an open booking, and again `look_again` minutes after
    it was asked last if a booking is open still. With planned rides alone it is asked where there
    is news, if to move one of them is worth it (`kernel.act`). An open booking whose latest pickup
    goes by on the way is declined, and so is one that has waited for an answer as long as anybody
    may.
    """
    news = False
    again = w.money[running_days.NOW] + look_again
    while True:
        settle(w, roads)
        when = next_event(w)
        now = w.money[running_days.NOW]
        if when > now:
            if w.counts[running_days.OPEN] > 0:
                if news or now == again:
                    _stand_still(w, roads)
                    return
                b, by = _first_lost(w, now, weights)
                if by < min(when, again):
                    _pass_time(w, by, weights)
                    decline(w, b, roads, weights)
                    continue
                when = min(when, again)
            elif news and weights.replan > 0.0 and w.counts[running_days.PLANNED] > 0:
                _stand_still(w, roads)
                return
            news = False
            if when == np.inf:
                w.counts[running_days.DONE] = 1
                return
            _pass_time(w, when, weights)
        for d in range(w.size[tables.DRIVERS]):
            # Asked here, because a call with a whole world takes longer than most answers.
            if w.times[d, plans.NEXT] <= w.money[running_days.NOW] and w.state[d, plans.DIRTY] == 0:
                news |= _driver_event(w, d, roads, weights)
        news |= _calls(w)
        news |= _cancellations(w, weights)


@kernel
def _stand_still(w, roads):
    """A moment at which dispatch may be asked: who holds back is planned from now on."""
    w.counts[running_days.CLOCK] += 1
    now = w.money[running_days.NOW]
    for d in range(w.size[tables.DRIVERS]):
        plan = running_days.plan_of(w, d)
        if plans.holds_back(plan, now):
            plans.settle(plan, roads, w.bookings, now)


@kernel
def settle(w, roads):
    """Plan again for the drivers who lost a stop, or stand at a door."""
    for d in range(w.size[tables.DRIVERS]):
        if w.state[d, plans.DIRTY] == 1:
            plans.settle(running_days.plan_of(w, d), roads, w.bookings, w.money[running_days.NOW])


@kernel
def begin_calls(w):
    """What is known when the day begins: the rides announced in advance."""
    _calls(w)

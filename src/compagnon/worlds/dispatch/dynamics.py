"""What happens by itself: drivers leave, arrive, serve; riders call, cancel, do not show up.

Every function takes one day (`world.row`), its roads and the weights of the cost. What becomes of
a booking by that is in `lifecycle`.
"""

import numpy as np

from compagnon.envs.kernels import kernel
from compagnon.worlds.dispatch import lifecycle, plans, running_days, schedules, tables, travel

_TOLERANCE = 1e-4  # minutes; what a check of the schedule against the facts may differ by


@kernel
def _pass_time(w, until, weights):
    """Move the clock; whoever has no answer yet waits so much longer."""
    if weights.answer + weights.answer_on_call + weights.answer_in_advance > 0.0:
        minutes = until - w.money[running_days.NOW]
        for k in range(w.counts[running_days.OPEN]):
            w.money[running_days.C_ANSWER] += minutes * lifecycle.answer_price(
                w, w.open[k], weights
            )
    w.money[running_days.NOW] = until


@kernel
def _leave(w, d, roads, weights):
    """Set out for the first stop; its kilometres are driven from here on."""
    state = w.state[d]
    node = w.codes[d, 0, plans.NODE]
    schedules.set_out(running_days.plan_of(w, d), roads, w.money[running_days.NOW])
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
            lifecycle.set_status(w, b, running_days.NO_SHOW)
            lifecycle.withdraw_followers(w, b, running_days.NO_SHOW, weights)
        else:
            lifecycle.break_promise(w, b, roads, weights)
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
    lifecycle.set_status(w, b, running_days.ABOARD)
    return False, row[tables.BOARDING_DELAY]


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
    schedules.write_next(running_days.plan_of(w, d))
    if node >= 0 and node % 2 == 1:
        b = node // 2
        lifecycle.set_status(w, b, running_days.SERVED)
        back = int(w.bookings[b, tables.RETURN])
        called = back >= 0 and w.bookings[back, tables.ANNOUNCE] <= w.money[running_days.NOW]
        if called and w.status[back] == running_days.LATER:
            lifecycle.announce(w, back)


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
        lifecycle.announce(w, b)
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
            lifecycle.withdraw(w, b, running_days.CANCELLED, weights)
            news = True
        elif w.status[b] == running_days.TAXI:
            absent = w.bookings[b, tables.NO_SHOW] > 0.0
            lifecycle.withdraw(
                w, b, running_days.NO_SHOW if absent else running_days.CANCELLED, weights
            )
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
            until = max(now, lifecycle.asked_at(w, w.open[k]) + weights.answer_limit)
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
                    lifecycle.decline(w, b, roads, weights)
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
        if schedules.holds_back(plan, now):
            schedules.settle(plan, roads, w.bookings, now)


@kernel
def settle(w, roads):
    """Plan again for the drivers who lost a stop, or stand at a door."""
    for d in range(w.size[tables.DRIVERS]):
        if w.state[d, plans.DIRTY] == 1:
            schedules.settle(
                running_days.plan_of(w, d), roads, w.bookings, w.money[running_days.NOW]
            )


@kernel
def begin_calls(w):
    """What is known when the day begins: the rides announced in advance."""
    _calls(w)

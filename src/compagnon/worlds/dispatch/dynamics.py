"""What happens by itself: drivers leave, arrive, serve; riders call, cancel, do not show up.

Every function takes one day (`world.row`), its roads and the weights of the cost.
"""

import numpy as np

from compagnon.envs.kernels import kernel
from compagnon.worlds.dispatch import plan as P
from compagnon.worlds.dispatch import state as W
from compagnon.worlds.dispatch import tables as D
from compagnon.worlds.dispatch import travel as T

_TOLERANCE = 1e-4  # minutes; what a check of the schedule against the facts may differ by


@kernel
def awaits_call(status):
    """1 if the return of an outbound ride of this status is still to be called, if unheard of."""
    return 1 if W.OPEN <= status <= W.SERVED else 0


@kernel
def set_status(w, b, status):
    """Move booking `b` to another status, and the counts with it."""
    before = w.status[b]
    w.counts[before] -= 1
    w.counts[status] += 1
    w.status[b] = status
    back, outbound = int(w.bookings[b, D.RETURN]), int(w.bookings[b, D.LINKED_TO])
    if back >= 0 and w.status[back] == W.LATER:
        w.counts[W.ON_CALL] += awaits_call(status) - awaits_call(before)
    if before == W.LATER and outbound >= 0:
        w.counts[W.ON_CALL] -= awaits_call(w.status[outbound])


@kernel
def announce(w, b):
    """Dispatch hears of booking `b`: it is open, in the order of the deadlines."""
    k = w.counts[W.OPEN]
    by = w.bookings[b, D.PICKUP_BY]
    while k > 0 and w.bookings[w.open[k - 1], D.PICKUP_BY] > by:
        w.open[k] = w.open[k - 1]
        k -= 1
    w.open[k] = b
    set_status(w, b, W.OPEN)
    for d in range(w.state.shape[0]):
        w.where[b, d, W.FOUND_FOR] = -1


@kernel
def close(w, b, status):
    """Take booking `b` off the open ones."""
    k = 0
    while w.open[k] != b:
        k += 1
    for q in range(k, w.counts[W.OPEN] - 1):
        w.open[q] = w.open[q + 1]
    set_status(w, b, status)


@kernel
def reject_cost(w, b, weights):
    """What a ride that is asked for and not given costs."""
    return weights.reject_base + weights.reject_priority * w.bookings[b, D.PRIORITY]


@kernel
def withdraw(w, b, status, weights):
    """Booking `b` will not be ridden: rejected or cancelled, with the return that hangs on it.

    `settle` must follow.
    """
    if w.status[b] == W.OPEN:
        close(w, b, status)
    elif w.status[b] == W.PLANNED:
        _unplan(w, b)
        set_status(w, b, status)
    else:
        set_status(w, b, status)
    if status == W.REJECTED:
        w.money[W.C_REJECTED] += reject_cost(w, b, weights)
    back = int(w.bookings[b, D.RETURN])
    if back >= 0 and w.status[back] <= W.PLANNED:
        if w.status[back] == W.OPEN:
            close(w, back, status)
        else:
            if w.status[back] == W.PLANNED:
                _unplan(w, back)
            set_status(w, back, status)
        if status == W.REJECTED:
            w.money[W.C_REJECTED] += reject_cost(w, back, weights)


@kernel
def _unplan(w, b):
    """Take a planned ride out of its driver's plan; one under way to it finds nobody there."""
    d = int(w.rides[b, W.BY_DRIVER])
    plan = W.plan_of(w, d)
    k, last = P.position(plan, 2 * b), P.position(plan, 2 * b + 1)
    P.lighten(plan, w.bookings[b], k, last)
    P.empty(plan, last)
    if k == 0 and plan.state[P.PHASE] == P.DRIVES:
        plan.codes[0, P.PICKED_AT] = P.DEAD
        plan.stops[0, P.SERVICE] = 0.0
    else:
        P.empty(plan, k)
    plan.state[P.DIRTY] = 1


@kernel
def _leave(w, d, roads, weights):
    """Set out for the first stop; its kilometres are driven from here on."""
    state, times = w.state[d], w.times[d]
    node = w.codes[d, 0, P.NODE]
    state[P.PHASE] = P.DRIVES
    state[P.VERSION] += 1
    times[P.LEFT] = w.money[W.NOW]
    times[P.NEXT] = w.stops[d, 0, P.START]
    if node == P.BREAK:
        return
    km = T.road_km(roads, state[P.AT], node)
    w.money[W.KM] += km
    w.money[W.C_KM] += weights.km * km
    for seat in range(4):
        if state[P.ABOARD + seat] > 0:
            w.money[W.LOADED_KM] += km
            break


@kernel
def _check_arrival(w, d, roads):
    """Count it if the driver is somewhere earlier than the road allows, or later than agreed."""
    state, times, stop = w.state[d], w.times[d], w.stops[d, 0]
    node = w.codes[d, 0, P.NODE]
    if node != P.BREAK:
        base = T.base_minutes(roads, state[P.AT], node)
        if stop[P.START] < T.arrival(roads.speed, times[P.LEFT], base) - _TOLERANCE:
            w.counts[W.VIOLATIONS] += 1
    if stop[P.START] > stop[P.LIMIT] + _TOLERANCE:
        w.counts[W.VIOLATIONS] += 1


@kernel
def _arrive(w, d, roads, weights):
    """Begin the first stop. True if that is news: nobody at the door."""
    plan = W.plan_of(w, d)
    state, times = plan.state, plan.times
    node, now = plan.codes[0, P.NODE], plan.stops[0, P.START]
    service = plan.stops[0, P.SERVICE]
    _check_arrival(w, d, roads)
    news = False
    if node >= 2 * w.bookings.shape[0]:
        over = max(0.0, now - w.drivers[d, D.SHIFT_END])
        w.money[W.OVERTIME] += over
        w.money[W.C_OVERTIME] += weights.overtime * over
        state[P.AT], state[P.PHASE], state[P.COUNT] = node, P.OFF, 0
        state[P.VERSION] += 1
        times[P.FREE], times[P.NEXT] = now, np.inf
        return False
    free = now + service
    dead = plan.codes[0, P.PICKED_AT] == P.DEAD
    if node == P.BREAK:
        P.remove(plan, 0)
        state[P.RESTS] = 0
    elif dead:
        P.remove(plan, 0)
    elif node % 2 == 0:
        news, delay = _meet(w, d, node // 2, now, service, weights)
        free += delay
    else:
        free += _drop(w, d, node // 2, now, weights)
        P.remove(plan, 0)
    state[P.PHASE], times[P.FREE] = P.BUSY, free
    state[P.SERVING] = P.BREAK if dead else node  # nobody gets out where nobody is
    if node != P.BREAK:
        state[P.AT] = node
    state[P.DIRTY] = 1
    return news


@kernel
def _meet(w, d, b, now, service, weights):
    """At a pickup's door. Returns (whether nobody is there, the delay); the stop is taken off."""
    plan = W.plan_of(w, d)
    row = w.bookings[b]
    outbound = int(row[D.LINKED_TO])
    missing = row[D.NO_SHOW] > 0.0
    stranded = outbound >= 0 and w.status[outbound] != W.SERVED  # the outbound ride is delayed
    dropoff = P.position(plan, 2 * b + 1)
    if missing or stranded:
        P.lighten(plan, row, 0, dropoff)
        P.empty(plan, dropoff)
        P.remove(plan, 0)
        set_status(w, b, W.NO_SHOW if missing else W.REJECTED)
        if not missing:
            w.money[W.C_REJECTED] += reject_cost(w, b, weights)
        back = int(row[D.RETURN])
        if back >= 0 and w.status[back] <= W.PLANNED:
            if w.status[back] == W.PLANNED and int(w.rides[back, W.BY_DRIVER]) == d:
                first, last = P.position(plan, 2 * back), P.position(plan, 2 * back + 1)
                P.lighten(plan, w.bookings[back], first, last)
                P.empty(plan, last)
                P.empty(plan, first)
                set_status(w, back, W.CANCELLED)
            else:
                withdraw(w, back, W.CANCELLED, weights)
        return True, 0.0
    ride = w.rides[b]
    ride[W.WAIT] = max(0.0, now - row[D.READY])
    ride[W.LATE_PICKUP] = max(0.0, now - row[D.PICKUP_TO])
    w.money[W.C_WAIT] += weights.wait * max(0.0, ride[W.WAIT] - weights.promise)
    w.money[W.C_LATE] += weights.late * ride[W.LATE_PICKUP]
    plan.stops[dropoff, P.BOARDED] = now + service + row[D.BOARDING_DELAY]
    P.remove(plan, 0)
    for seat in range(4):
        plan.state[P.ABOARD + seat] += int(row[D.LOAD + seat])
        if plan.state[P.ABOARD + seat] > w.drivers[d, D.SEAT + seat]:
            w.counts[W.VIOLATIONS] += 1
    if now < row[D.READY] - _TOLERANCE:
        w.counts[W.VIOLATIONS] += 1
    set_status(w, b, W.ABOARD)
    return False, row[D.BOARDING_DELAY]


@kernel
def _drop(w, d, b, now, weights):
    """At a drop-off's door; returns the delay."""
    row, ride, stop = w.bookings[b], w.rides[b], w.stops[d, 0]
    ride[W.RIDE] = now - stop[P.BOARDED]
    ride[W.EXCESS] = max(0.0, ride[W.RIDE] - row[D.DIRECT])
    ride[W.LATE_DROPOFF] = max(0.0, now - row[D.DROPOFF_TO])
    w.money[W.C_RIDE] += weights.ride * ride[W.EXCESS]
    w.money[W.C_LATE] += weights.late * ride[W.LATE_DROPOFF]
    if ride[W.RIDE] > stop[P.RIDE_LIMIT] + _TOLERANCE or w.status[b] != W.ABOARD:
        w.counts[W.VIOLATIONS] += 1
    if now < row[D.DROPOFF_FROM] - _TOLERANCE:
        w.counts[W.VIOLATIONS] += 1
    for seat in range(4):
        w.state[d, P.ABOARD + seat] -= int(row[D.LOAD + seat])
        if w.state[d, P.ABOARD + seat] < 0:
            w.counts[W.VIOLATIONS] += 1
    return row[D.ALIGHTING_DELAY]


@kernel
def _finish(w, d):
    """The driver is free again; a ride that ended may bring its return's call."""
    state = w.state[d]
    node = state[P.SERVING]
    state[P.PHASE], state[P.SERVING] = P.WAITS, P.BREAK
    w.times[d, P.NEXT] = w.times[d, P.LEAVE]
    if node >= 0 and node % 2 == 1:
        b = node // 2
        set_status(w, b, W.SERVED)
        back = int(w.bookings[b, D.RETURN])
        called = back >= 0 and w.bookings[back, D.ANNOUNCE] <= w.money[W.NOW]
        if called and w.status[back] == W.LATER:
            announce(w, back)


@kernel
def _driver_event(w, d, roads, weights):
    """What happens to driver `d` now; True if it is news."""
    phase = w.state[d, P.PHASE]
    if phase == P.DRIVES:
        return _arrive(w, d, roads, weights)
    if phase == P.WAITS:
        _leave(w, d, roads, weights)
        return False
    _finish(w, d)
    return True


@kernel
def _calls(w):
    """Announcements that are due; True if there was one."""
    news = False
    count, now = w.counts, w.money[W.NOW]
    while count[W.CALLED] < w.size[D.BOOKINGS]:
        b = w.calls[count[W.CALLED]]
        if w.bookings[b, D.ANNOUNCE] > now:
            break
        count[W.CALLED] += 1
        if w.status[b] != W.LATER:
            continue
        outbound = int(w.bookings[b, D.LINKED_TO])
        on_call = outbound >= 0 and w.bookings[b, D.ANNOUNCE] > w.bookings[outbound, D.DROPOFF_BY]
        if on_call and w.status[outbound] != W.SERVED:
            continue  # announced when the outbound ride ends
        announce(w, b)
        news = True
    return news


@kernel
def _cancellations(w, weights):
    """Cancellations that are due; True if there was one."""
    news = False
    count, now = w.counts, w.money[W.NOW]
    while count[W.CANCELS_SEEN] < count[W.CANCEL_COUNT]:
        b = w.cancels[count[W.CANCELS_SEEN]]
        if w.bookings[b, D.CANCEL] > now:
            break
        count[W.CANCELS_SEEN] += 1
        if w.status[b] <= W.PLANNED:
            withdraw(w, b, W.CANCELLED, weights)
            news = True
    return news


@kernel
def next_event(w):
    """The minute of the next event of any kind, inf if there is none."""
    count = w.counts
    when = np.inf
    for d in range(w.size[D.DRIVERS]):
        when = min(when, w.times[d, P.NEXT])
    if count[W.CALLED] < w.size[D.BOOKINGS]:
        when = min(when, w.bookings[w.calls[count[W.CALLED]], D.ANNOUNCE])
    if count[W.CANCELS_SEEN] < count[W.CANCEL_COUNT]:
        when = min(when, w.bookings[w.cancels[count[W.CANCELS_SEEN]], D.CANCEL])
    return when


@kernel
def advance(w, roads, weights, look_again):
    """Let time pass to the next moment at which dispatch is asked, or to the day's end.

    Dispatch is asked where there is news and an open booking, and again `look_again` minutes after
    it was asked last if a booking is open still. An open booking whose latest pickup goes by on the
    way is rejected.
    """
    news = False
    again = w.money[W.NOW] + look_again
    while True:
        settle(w, roads)
        when = next_event(w)
        now = w.money[W.NOW]
        if when > now:
            if w.counts[W.OPEN] > 0:
                if news or now == again:
                    w.counts[W.CLOCK] += 1
                    return
                b = w.open[0]
                by = max(now, w.bookings[b, D.PICKUP_BY])
                if by < min(when, again):
                    w.money[W.NOW] = by
                    withdraw(w, b, W.REJECTED, weights)
                    continue
                when = min(when, again)
            news = False
            if when == np.inf:
                w.counts[W.DONE] = 1
                return
            w.money[W.NOW] = when
        for d in range(w.size[D.DRIVERS]):
            # Asked here, because a call with a whole world takes longer than most answers.
            if w.times[d, P.NEXT] <= w.money[W.NOW] and w.state[d, P.DIRTY] == 0:
                news |= _driver_event(w, d, roads, weights)
        news |= _calls(w)
        news |= _cancellations(w, weights)


@kernel
def settle(w, roads):
    """Plan again for the drivers who lost a stop, or stand at a door."""
    for d in range(w.size[D.DRIVERS]):
        if w.state[d, P.DIRTY] == 1:
            P.settle(W.plan_of(w, d), roads, w.bookings, w.money[W.NOW])


@kernel
def begin_calls(w):
    """What is known when the day begins: the rides announced in advance."""
    _calls(w)

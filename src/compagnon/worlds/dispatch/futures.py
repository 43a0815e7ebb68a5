"""Draws the rest of a day anew: what dispatch knows stays, what it cannot know comes from a seed.

Known are the bookings it has heard of, with their windows and seats, the plans, and where everybody
is. It cannot know which bookings are still to come, when a patient will call for the way home,
how long the doors will take, who will cancel and who will not be there. A look-ahead that
averages over such futures is told nothing that a dispatcher is not.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compagnon.envs import streams
from compagnon.envs.kernels import kernel, kernel_entry
from compagnon.worlds.dispatch import (
    conditions,
    generator,
    insertion,
    lifecycle,
    running_days,
    tables,
    travel,
)

# Random streams of a future; those of `generator` draw the fresh day under the same seed.
_DAY, _CALL, _DOOR, _ABSENT, _CANCELS, _CANCEL_AT = range(41, 47)
_DELAYS = (tables.BOARDING_DELAY, tables.ALIGHTING_DELAY)
_EARLIEST_CANCEL = 240.0  # minutes before the pickup window; as in `generator`


class Experience(NamedTuple):
    """How days go here, as far as a dispatcher can know it from other days.

    Attributes:
        stays: (K,) minutes from the end of an outbound ride's window to the call for its return.
        delay: mean minutes that a door takes longer than planned.
        no_show, no_show_back, cancel: probabilities; of an outbound ride and of a way back.
    """

    stays: NDArray[np.float64]
    delay: float
    no_show: float
    no_show_back: float
    cancel: float


def experience_of(days: tables.Day, habits: generator.Habits, own: int = -1) -> Experience:
    """What the replayed days say; what the generator draws from, where there are none.

    Args:
        own: the day that is under way, of which only the others may speak.
    """
    others = np.arange(len(days.size)) != own
    bookings, size = days.bookings[others], days.size[others]
    if not len(size):
        return Experience(
            generator.TREATMENTS, habits.delay_minutes, habits.no_show, 0.0, habits.cancel
        )
    there = np.arange(bookings.shape[1]) < size[:, tables.BOOKINGS, None]
    stays = []
    for day, known in zip(bookings, there, strict=True):
        linked = day[:, tables.LINKED_TO].astype(np.int64)
        outbound = day[np.maximum(linked, 0)]
        stay = day[:, tables.ANNOUNCE] - outbound[:, tables.DROPOFF_TO]
        stays.append(stay[known & (linked >= 0) & np.isfinite(stay) & (stay > 0.0)])
    found, rows = np.concatenate(stays), bookings[there]
    back = rows[:, tables.LINKED_TO] >= 0
    return Experience(
        found if len(found) else generator.TREATMENTS,
        _mean(rows[:, list(_DELAYS)]),
        _mean(rows[~back, tables.NO_SHOW] > 0.0),
        _mean(rows[back, tables.NO_SHOW] > 0.0),
        _mean(np.isfinite(rows[:, tables.CANCEL])),
    )


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if values.size else 0.0


@kernel
def _draw_fresh(w, seed, settings, fresh):
    """Write another day into `fresh`: of the generator, or one of the other replayed days.

    Where a single day is replayed there is no other one, and `fresh` has no bookings.
    """
    fresh.size[:] = 0
    fresh.bookings[:], fresh.coordinates[:], fresh.place[:] = 0.0, 0.0, 0
    fresh.drivers[:], fresh.rule[:] = 0.0, 0.0
    days = settings.days
    count = days.size.shape[0]
    if count == 0:
        generator.draw_day(seed, settings.preset, settings.habits, fresh)
        return
    own = running_days.replayed(w.seeds[0], w.counts[running_days.EPISODE] - 1, count)
    begin = int(streams.uniform(seed, _DAY, 0) * count)
    for step in range(count):
        k = (begin + step) % count
        if k == own or days.size[k, tables.MATRIX_ROW] != w.size[tables.MATRIX_ROW]:
            continue
        tables.copy_row(days.size[k], fresh.size)
        tables.copy_row(days.place[k], fresh.place)
        tables.copy_rows(days.bookings[k], fresh.bookings)
        tables.copy_rows(days.coordinates[k], fresh.coordinates)
        return


@kernel
def _heard_of(w, b):
    """Whether dispatch knows of booking `b`: it was announced, or a leg of its trip before it."""
    while b >= 0 and w.status[b] == running_days.LATER:
        b = int(w.bookings[b, tables.LINKED_TO])
    return b >= 0


@kernel
def _forget(w, b):
    """Empty the row of a booking that nobody has heard of: it never comes."""
    for column in range(tables.BOOKING_COLUMNS):
        w.bookings[b, column] = 0.0
    w.bookings[b, tables.LINKED_TO] = -1.0
    w.bookings[b, tables.ANNOUNCE] = np.inf
    w.bookings[b, tables.CANCEL] = np.inf
    w.bookings[b, tables.PICKUP_TO] = w.bookings[b, tables.DROPOFF_TO] = np.inf
    w.bookings[b, tables.DROPOFF_FROM] = -np.inf
    w.bookings[b, tables.MAX_RIDE] = 1440.0
    for end in range(2):
        w.place[2 * b + end] = 0
        w.coordinates[2 * b + end, 0] = w.coordinates[2 * b + end, 1] = 0.0


@kernel
def _take(w, b, fresh, f, linked_to):
    """Put booking `f` of the fresh day into row `b`."""
    for column in range(tables.BOOKING_COLUMNS):
        w.bookings[b, column] = fresh.bookings[f, column]
    w.bookings[b, tables.LINKED_TO] = linked_to
    for end in range(2):
        w.place[2 * b + end] = fresh.place[2 * f + end]
        w.coordinates[2 * b + end, 0] = fresh.coordinates[2 * f + end, 0]
        w.coordinates[2 * b + end, 1] = fresh.coordinates[2 * f + end, 1]
    w.status[b] = running_days.LATER
    for column in range(running_days.RIDE_COLUMNS):
        w.rides[b, column] = 0.0
    w.rides[b, running_days.ANSWERED] = -1.0


@kernel
def _next_free(w, b, known):
    """The first row from `b` on without anybody known; how many rows there are where none is."""
    while b < w.bookings.shape[0] and known[b] > 0.0:
        b += 1
    return b


@kernel
def _next_leg(fresh, f):
    """The booking of the fresh day that goes on from booking `f`, or -1."""
    for leg in range(fresh.size[tables.BOOKINGS]):
        if int(fresh.bookings[leg, tables.LINKED_TO]) == f:
            return leg
    return -1


@kernel
def _replace_unknown(w, fresh, known):
    """What is still to come, from the fresh day: its bookings that are announced after now.

    Args:
        known: scratch (M,), written: 1 for each booking that dispatch has heard of.
    """
    now, before = w.money[running_days.NOW], w.size[tables.BOOKINGS]
    for b in range(w.bookings.shape[0]):
        known[b] = 1.0 if b < before and _heard_of(w, b) else 0.0
        if known[b] == 0.0:
            _forget(w, b)
    last = 0
    for b in range(before):
        last = b + 1 if known[b] > 0.0 else last
    at = 0
    for f in range(fresh.size[tables.BOOKINGS]):
        outbound = int(fresh.bookings[f, tables.LINKED_TO])
        if outbound >= 0 or fresh.bookings[f, tables.ANNOUNCE] <= now:
            continue
        at = _next_free(w, at, known)
        if at >= w.bookings.shape[0]:
            break
        first = at
        _take(w, first, fresh, f, -1.0)
        at, last = first + 1, max(last, first + 1)
        leg = _next_leg(fresh, f)
        while leg >= 0:
            at = _next_free(w, at, known)
            if at >= w.bookings.shape[0]:
                break
            _take(w, at, fresh, leg, float(first))
            first, leg = at, _next_leg(fresh, leg)
            at, last = at + 1, max(last, at + 1)
    w.size[tables.BOOKINGS] = last


@kernel
def _draw_call(w, b, seed, experience):
    """When a known patient, who has not called yet, will call for the way home."""
    row, now = w.bookings[b], w.money[running_days.NOW]
    outbound = int(row[tables.LINKED_TO])
    there = w.bookings[outbound]
    by = there[tables.DROPOFF_TO]
    if not by < np.inf:
        by = there[tables.PICKUP_TO] + there[tables.BOARDING] + there[tables.MAX_RIDE]
    width = np.round(row[tables.PICKUP_TO] - row[tables.PICKUP_FROM], 6)
    served = w.status[outbound] == running_days.SERVED
    count = experience.stays.shape[0]
    call = by
    for tried in range(16):
        u = streams.uniform(seed, _CALL, 16 * b + tried)
        call = by + experience.stays[int(u * count)]
        if not served or call > now:
            break
    if served and call <= now:  # longer than anybody has stayed
        call = now + 1.0 + 29.0 * streams.uniform(seed, _CALL, 16 * b + 15)
    row[tables.ANNOUNCE] = row[tables.PICKUP_FROM] = call
    row[tables.PICKUP_TO] = call + width


@kernel
def _draw_cancellation(w, b, seed, chance):
    """Whether and when a booking that has not been cancelled yet will be."""
    row, now = w.bookings[b], w.money[running_days.NOW]
    row[tables.CANCEL] = np.inf
    end = row[tables.PICKUP_FROM]
    begin = max(row[tables.ANNOUNCE], end - _EARLIEST_CANCEL)
    left = max(0.0, end - max(begin, now))
    # Of the time in which it might have been; one who calls off while he calls has no such time.
    share = 1.0 if begin > now else left / max(left, end - begin, 1e-9)
    if streams.uniform(seed, _CANCELS, b) < chance * share / (1.0 - chance * (1.0 - share)):
        row[tables.CANCEL] = max(begin, now + 1e-6) + left * streams.uniform(seed, _CANCEL_AT, b)


@kernel
def _draw_rest(w, b, seed, experience):
    """What is not known yet of a booking that dispatch has heard of."""
    row, status = w.bookings[b], w.status[b]
    if status > running_days.ABOARD:
        return
    on_call = status == running_days.LATER
    if on_call:
        _draw_call(w, b, seed, experience)
    for end in range(2):
        if status < running_days.ABOARD or end == 1:
            u = streams.uniform(seed, _DOOR, 2 * b + end)
            row[tables.BOARDING_DELAY + end] = min(
                generator.MAX_DELAY, -experience.delay * np.log(1.0 - u)
            )
    if status == running_days.ABOARD:
        return
    chance = experience.no_show if row[tables.LINKED_TO] < 0.0 else experience.no_show_back
    row[tables.NO_SHOW] = 1.0 if streams.uniform(seed, _ABSENT, b) < chance else 0.0
    _draw_cancellation(w, b, seed, experience.cancel)


@kernel
def _past(w, column, order):
    """How many of the bookings, which stand in order of a column of minutes, are past by now."""
    passed, now = 0, w.money[running_days.NOW]
    while passed < w.size[tables.BOOKINGS] and w.bookings[order[passed], column] <= now:
        passed += 1
    return passed


@kernel
def _count_anew(w):
    """Calls, cancellations and counts of the bookings as they stand now."""
    bookings, count = w.size[tables.BOOKINGS], w.counts
    running_days.put_in_order(w, tables.ANNOUNCE, w.calls)
    count[running_days.CALLED] = _past(w, tables.ANNOUNCE, w.calls)
    count[running_days.CANCEL_COUNT] = running_days.put_in_order(w, tables.CANCEL, w.cancels)
    count[running_days.CANCELS_SEEN] = _past(w, tables.CANCEL, w.cancels)
    count[running_days.LATER] = count[running_days.ON_CALL] = 0
    for b in range(bookings):
        if w.status[b] == running_days.LATER:
            count[running_days.LATER] += 1
            count[running_days.ON_CALL] += lifecycle.on_call(w, b)
            for d in range(w.state.shape[0]):
                w.where[b, d, running_days.FOUND_FOR] = -1


@kernel_entry
def redraw(worlds, rows, seeds, settings, experience, view, fresh, known):
    """Draw what is still to come of some running days, and leave all that is known as it is.

    Args:
        rows: int64, which days. seeds: uint64, one for each of `rows`.
        settings, view: of the kernel, see `kernel.KernelSettings` and `kernel.View`.
        fresh: tables of one day, scratch. known: float64 (M,), scratch.
    """
    for k in range(rows.shape[0]):
        w = running_days.row(worlds, rows[k])
        _draw_fresh(w, seeds[k], settings, fresh)
        _replace_unknown(w, fresh, known)
        for b in range(w.size[tables.BOOKINGS]):
            outbound, leg = int(w.bookings[b, tables.LINKED_TO]), b
            if known[b] == 0.0 or (outbound >= 0 and known[outbound] > 0.0):
                continue
            while leg >= 0:  # when the last leg is called for hangs on when the one before was
                _draw_rest(w, leg, seeds[k], experience)
                leg = int(w.bookings[leg, tables.RETURN])
        travel.write_xyz(w.rule[travel.KIND], w.coordinates, w.xyz)
        travel.write_near(w.rule, w.coordinates, w.near)
        roads = running_days.roads_of(w, view.minutes, view.km)
        conditions.redraw(w, seeds[k], settings.conditions, roads)
        weights = insertion.weights_of(view.weights)
        tables.derive(w.bookings, w.size[tables.BOOKINGS], roads, weights.promise)
        _count_anew(w)

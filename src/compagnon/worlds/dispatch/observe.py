"""Writes what a policy sees and may do; looks for insertions only where something changed."""

from compagnon.envs.kernels import kernel_inline
from compagnon.worlds.dispatch import fields as F
from compagnon.worlds.dispatch import insertion as I
from compagnon.worlds.dispatch import plan as P
from compagnon.worlds.dispatch import state as W
from compagnon.worlds.dispatch import tables as D
from compagnon.worlds.dispatch import travel as T

_GLOBAL, _DRIVER, _BOOKING, _PAIR = len(F.GLOBAL), len(F.DRIVER), len(F.BOOKING), len(F.PAIR)
_DAY = 2880.0
_KM = 1000.0
_MANY = 100_000.0


@kernel_inline
def look(w, roads, weights, board, boarded, out):
    """Bring the insertions of every driver and every booking on the board up to date.

    Args:
        boarded, out: scratch for `insertion.best_insertion`.
    """
    now = w.money[W.NOW]
    clock = w.counts[W.CLOCK]
    shown = min(board, w.counts[W.OPEN])
    for d in range(w.size[D.DRIVERS]):
        plan = W.plan_of(w, d)
        version = plan.state[P.VERSION]
        # Who stands free can leave no earlier than now.
        standing = plan.state[P.PHASE] == P.WAITS and plan.times[P.FREE] < now
        seats = w.drivers[d, D.SEAT :]
        for place in range(shown):
            b = w.open[place]
            if w.where[b, d, W.FOUND_FOR] == version:
                if not standing or w.where[b, d, W.FOUND_AT] == clock:
                    continue
                if _still_holds(w, roads, plan.state[P.AT], b, now):
                    w.where[b, d, W.FOUND_AT] = clock
                    continue
            i, j = I.best_insertion(
                plan, seats, w.bookings[b], b, roads, weights, now, boarded, out
            )
            w.where[b, d, W.PUT_PICKUP], w.where[b, d, W.PUT_DROPOFF] = i, j
            w.where[b, d, W.FOUND_FOR], w.where[b, d, W.FOUND_AT] = version, clock
            for k in range(I.COLUMNS):
                w.found[b, d, k] = out[k]


@kernel_inline
def _still_holds(w, roads, at, b, now):
    """Whether a later clock time changes nothing for a driver who stands free at node `at`.

    It counts only for a ride that comes first in the plan; and where the rider is not ready before
    the driver could be there now, that one begins when it would have begun before.
    """
    base = T.base_minutes(roads, at, 2 * b)
    return T.arrival(roads.speed, now, base) <= w.bookings[b, D.READY]


@kernel_inline
def _clip(value, low, high):
    return min(high, max(low, value))


@kernel_inline
def write_mask(w, board, mask):
    """Wait always; assign where an insertion exists; reject what is shown. Action 0 is to wait."""
    for k in range(mask.shape[0]):
        mask[k] = False
    mask[0] = True
    shown = min(board, w.counts[W.OPEN])
    drivers = w.state.shape[0]
    for place in range(shown):
        for d in range(w.size[D.DRIVERS]):
            if w.found[w.open[place], d, I.FEASIBLE] > 0.0:
                mask[1 + d * board + place] = True
    for place in range(shown):
        mask[1 + drivers * board + place] = True


@kernel_inline
def _write_global(w, shown, obs):
    count, now = w.counts, w.money[W.NOW]
    free = 0
    for d in range(w.size[D.DRIVERS]):
        if w.state[d, P.PHASE] == P.WAITS and w.times[d, P.FREE] <= now:
            free += 1
    obs[0] = now
    obs[1] = _clip(w.money[W.DAY_END] - now, -_DAY, _DAY)
    obs[2] = count[W.OPEN]
    obs[3] = count[W.OPEN] - shown
    obs[4] = count[W.ON_CALL]
    obs[5] = count[W.PLANNED]
    obs[6] = count[W.ABOARD]
    obs[7] = count[W.SERVED]
    obs[8] = count[W.REJECTED]
    obs[9] = free


@kernel_inline
def _write_driver(w, d, obs):
    plan, now = W.plan_of(w, d), w.money[W.NOW]
    state, n = plan.state, plan.state[P.COUNT]
    first = P.first_open(plan)
    if n == first:  # the way home has begun, or is done
        for k in range(_DRIVER):
            obs[k] = 0.0
        return
    obs[0] = 1.0
    at, free = state[P.AT], plan.times[P.FREE]
    if first == 1:
        at = plan.codes[0, P.NODE]
        free = plan.stops[0, P.START] + plan.stops[0, P.SERVICE]
    obs[1] = _clip(w.near[at, 0], -_KM, _KM)
    obs[2] = _clip(w.near[at, 1], -_KM, _KM)
    obs[3] = max(0.0, free - now)
    obs[4] = n - 1
    done = free if n == 1 else plan.stops[n - 2, P.START] + plan.stops[n - 2, P.SERVICE]
    obs[5] = max(0.0, done - now)
    obs[6] = _clip(w.drivers[d, D.SHIFT_END] - now, -_DAY, _DAY)
    obs[7] = state[P.RESTS]
    obs[8] = first
    obs[9] = max(0.0, plan.stops[first, P.LATEST] - plan.stops[first, P.START])
    for seat in range(4):
        seats = w.drivers[d, D.SEAT + seat]
        obs[10 + seat] = seats - state[P.ABOARD + seat]
        obs[14 + seat] = seats


@kernel_inline
def _write_booking(w, b, obs):
    row, now = w.bookings[b], w.money[W.NOW]
    obs[0] = 1.0
    for end in range(2):
        obs[1 + 2 * end] = _clip(w.near[2 * b + end, 0], -_KM, _KM)
        obs[2 + 2 * end] = _clip(w.near[2 * b + end, 1], -_KM, _KM)
    obs[5] = max(-_DAY, row[D.READY] - now)
    obs[6] = _clip(row[D.PICKUP_BY] - now, -_DAY, 2 * _DAY)
    obs[7] = _clip(row[D.DROPOFF_READY] - now, -_DAY, 2 * _DAY)
    obs[8] = _clip(row[D.DROPOFF_BY] - now, -_DAY, 2 * _DAY)
    obs[9] = min(_DAY, row[D.DIRECT])
    for seat in range(4):
        obs[10 + seat] = row[D.LOAD + seat]
    obs[14] = row[D.BOARDING] + row[D.ALIGHTING]
    obs[15] = row[D.MAX_RIDE]
    obs[16] = row[D.PRIORITY]
    obs[17] = 1.0 if row[D.LINKED_TO] >= 0.0 else 0.0
    obs[18] = 1.0 if row[D.RETURN] >= 0.0 else 0.0
    obs[19] = _clip(now - max(row[D.ANNOUNCE], w.money[W.DAY_BEGIN]), 0.0, _DAY)


@kernel_inline
def write_observation(w, board, scale, obs):
    """One flat vector; see `fields.Layout`.

    Args:
        scale: one factor a field of the four groups, `fields.scales`.
        obs: float32 of shape (layout.size,).
    """
    now = w.money[W.NOW]
    drivers, present = w.state.shape[0], w.size[D.DRIVERS]
    shown = min(board, w.counts[W.OPEN])
    of_booking = _GLOBAL + _DRIVER
    of_pair = of_booking + _BOOKING
    _write_global(w, shown, obs[:_GLOBAL])
    for k in range(_GLOBAL):
        obs[k] *= scale[k]
    column = _GLOBAL
    for d in range(drivers):
        if d < present:
            _write_driver(w, d, obs[column : column + _DRIVER])
            for k in range(_DRIVER):
                obs[column + k] *= scale[_GLOBAL + k]
        else:
            for k in range(_DRIVER):
                obs[column + k] = 0.0
        column += _DRIVER
    for place in range(board):
        if place < shown:
            b = w.open[place]
            _write_booking(w, b, obs[column : column + _BOOKING])
            choices = 0.0
            for d in range(present):
                choices += w.found[b, d, I.FEASIBLE]
            obs[column + _BOOKING - 1] = choices
            for k in range(_BOOKING):
                obs[column + k] *= scale[of_booking + k]
        else:
            for k in range(_BOOKING):
                obs[column + k] = 0.0
        column += _BOOKING
    for k in range(column, obs.shape[0]):
        obs[k] = 0.0
    for place in range(shown):
        b = w.open[place]
        for d in range(present):
            found = w.found[b, d]
            if found[I.FEASIBLE] > 0.0:
                at = column + (d * board + place) * _PAIR
                obs[at] = 1.0
                obs[at + 1] = found[I.MINUTES] * scale[of_pair + 1]
                obs[at + 2] = found[I.COST] * scale[of_pair + 2]
                obs[at + 3] = (found[I.BOARDS_AT] - now) * scale[of_pair + 3]
                obs[at + 4] = min(_DAY, found[I.SLACK]) * scale[of_pair + 4]
                obs[at + 5] = (found[I.RIDE] - w.bookings[b, D.DIRECT]) * scale[of_pair + 5]
                obs[at + 6] = found[I.APPROACH] * scale[of_pair + 6]

"""Writes what a policy sees and may do; looks for insertions only where something changed."""

from compagnon.envs.kernels import kernel_inline
from compagnon.worlds.dispatch import fields, insertion, plans, running_days, tables, travel

_GLOBAL, _DRIVER, _BOOKING, _PAIR = (
    len(fields.GLOBAL),
    len(fields.DRIVER),
    len(fields.BOOKING),
    len(fields.PAIR),
)
_DAY = 2880.0
_KM = 1000.0
_MANY = 100_000.0


@kernel_inline
def look(w, roads, weights, board, boarded, out):
    """Bring the insertions of every driver and every booking on the board up to date.

    Args:
        boarded, out: scratch for `insertion.best_insertion`.
    """
    now = w.money[running_days.NOW]
    clock = w.counts[running_days.CLOCK]
    shown = min(board, w.counts[running_days.OPEN])
    for d in range(w.size[tables.DRIVERS]):
        plan = running_days.plan_of(w, d)
        version = plan.state[plans.VERSION]
        # Who stands free can leave no earlier than now.
        standing = plan.state[plans.PHASE] == plans.WAITS and plan.times[plans.FREE] < now
        seats = w.drivers[d, tables.SEAT :]
        for place in range(shown):
            b = w.open[place]
            if w.where[b, d, running_days.FOUND_FOR] == version:
                if not standing or w.where[b, d, running_days.FOUND_AT] == clock:
                    continue
                if _still_holds(w, roads, plan.state[plans.AT], b, now):
                    w.where[b, d, running_days.FOUND_AT] = clock
                    continue
            i, j = insertion.best_insertion(
                plan, seats, w.bookings[b], b, roads, weights, now, boarded, out
            )
            w.where[b, d, running_days.PUT_PICKUP], w.where[b, d, running_days.PUT_DROPOFF] = i, j
            w.where[b, d, running_days.FOUND_FOR], w.where[b, d, running_days.FOUND_AT] = (
                version,
                clock,
            )
            for k in range(insertion.COLUMNS):
                w.found[b, d, k] = out[k]


@kernel_inline
def _still_holds(w, roads, at, b, now):
    """Whether a later clock time changes nothing for a driver who stands free at node `at`.

    It counts only for a ride that comes first in the plan; and where the rider is not ready before
    the driver could be there now, that one begins when it would have begun before.
    """
    base = travel.base_minutes(roads, at, 2 * b)
    return travel.arrival(roads.speed, now, base) <= w.bookings[b, tables.READY]


@kernel_inline
def _clip(value, low, high):
    return min(high, max(low, value))


@kernel_inline
def write_mask(w, board, mask):
    """Wait always; assign where an insertion exists; reject what is shown. Action 0 is to wait."""
    for k in range(mask.shape[0]):
        mask[k] = False
    mask[0] = True
    shown = min(board, w.counts[running_days.OPEN])
    drivers = w.state.shape[0]
    for place in range(shown):
        for d in range(w.size[tables.DRIVERS]):
            if w.found[w.open[place], d, insertion.FEASIBLE] > 0.0:
                mask[1 + d * board + place] = True
    for place in range(shown):
        mask[1 + drivers * board + place] = True


@kernel_inline
def _write_global(w, shown, obs):
    count, now = w.counts, w.money[running_days.NOW]
    free = 0
    for d in range(w.size[tables.DRIVERS]):
        if w.state[d, plans.PHASE] == plans.WAITS and w.times[d, plans.FREE] <= now:
            free += 1
    obs[0] = now
    obs[1] = _clip(w.money[running_days.DAY_END] - now, -_DAY, _DAY)
    obs[2] = count[running_days.OPEN]
    obs[3] = count[running_days.OPEN] - shown
    obs[4] = count[running_days.ON_CALL]
    obs[5] = count[running_days.PLANNED]
    obs[6] = count[running_days.ABOARD]
    obs[7] = count[running_days.SERVED]
    obs[8] = count[running_days.REJECTED]
    obs[9] = free


@kernel_inline
def _write_driver(w, d, obs):
    plan, now = running_days.plan_of(w, d), w.money[running_days.NOW]
    state, n = plan.state, plan.state[plans.COUNT]
    first = plans.first_open(plan)
    if n == first:  # the way home has begun, or is done
        for k in range(_DRIVER):
            obs[k] = 0.0
        return
    obs[0] = 1.0
    at, free = state[plans.AT], plan.times[plans.FREE]
    if first == 1:
        at = plan.codes[0, plans.NODE]
        free = plan.stops[0, plans.START] + plan.stops[0, plans.SERVICE]
    obs[1] = _clip(w.near[at, 0], -_KM, _KM)
    obs[2] = _clip(w.near[at, 1], -_KM, _KM)
    obs[3] = max(0.0, free - now)
    obs[4] = n - 1
    done = free if n == 1 else plan.stops[n - 2, plans.START] + plan.stops[n - 2, plans.SERVICE]
    obs[5] = max(0.0, done - now)
    obs[6] = _clip(w.drivers[d, tables.SHIFT_END] - now, -_DAY, _DAY)
    obs[7] = state[plans.RESTS]
    obs[8] = first
    obs[9] = max(0.0, plan.stops[first, plans.LATEST] - plan.stops[first, plans.START])
    for seat in range(4):
        seats = w.drivers[d, tables.SEAT + seat]
        obs[10 + seat] = seats - state[plans.ABOARD + seat]
        obs[14 + seat] = seats


@kernel_inline
def _write_booking(w, b, obs):
    row, now = w.bookings[b], w.money[running_days.NOW]
    obs[0] = 1.0
    for end in range(2):
        obs[1 + 2 * end] = _clip(w.near[2 * b + end, 0], -_KM, _KM)
        obs[2 + 2 * end] = _clip(w.near[2 * b + end, 1], -_KM, _KM)
    obs[5] = max(-_DAY, row[tables.READY] - now)
    obs[6] = _clip(row[tables.PICKUP_BY] - now, -_DAY, 2 * _DAY)
    obs[7] = _clip(row[tables.DROPOFF_READY] - now, -_DAY, 2 * _DAY)
    obs[8] = _clip(row[tables.DROPOFF_BY] - now, -_DAY, 2 * _DAY)
    obs[9] = min(_DAY, row[tables.DIRECT])
    for seat in range(4):
        obs[10 + seat] = row[tables.LOAD + seat]
    obs[14] = row[tables.BOARDING] + row[tables.ALIGHTING]
    obs[15] = row[tables.MAX_RIDE]
    obs[16] = row[tables.PRIORITY]
    obs[17] = 1.0 if row[tables.LINKED_TO] >= 0.0 else 0.0
    obs[18] = 1.0 if row[tables.RETURN] >= 0.0 else 0.0
    obs[19] = _clip(now - max(row[tables.ANNOUNCE], w.money[running_days.DAY_BEGIN]), 0.0, _DAY)


@kernel_inline
def write_observation(w, board, scale, obs):
    """One flat vector; see `fields.Layout`.

    Args:
        scale: one factor a field of the four groups, `fields.scales`.
        obs: float32 of shape (layout.size,).
    """
    now = w.money[running_days.NOW]
    drivers, present = w.state.shape[0], w.size[tables.DRIVERS]
    shown = min(board, w.counts[running_days.OPEN])
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
                choices += w.found[b, d, insertion.FEASIBLE]
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
            if found[insertion.FEASIBLE] > 0.0:
                at = column + (d * board + place) * _PAIR
                obs[at] = 1.0
                obs[at + 1] = found[insertion.MINUTES] * scale[of_pair + 1]
                obs[at + 2] = found[insertion.COST] * scale[of_pair + 2]
                obs[at + 3] = (found[insertion.BOARDS_AT] - now) * scale[of_pair + 3]
                obs[at + 4] = min(_DAY, found[insertion.SLACK]) * scale[of_pair + 4]
                obs[at + 5] = (found[insertion.RIDE] - w.bookings[b, tables.DIRECT]) * scale[
                    of_pair + 5
                ]
                obs[at + 6] = found[insertion.APPROACH] * scale[of_pair + 6]

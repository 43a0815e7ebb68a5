"""Writes what a policy sees and may do; looks for insertions only where something changed."""

from compagnon.envs.kernels import kernel, kernel_inline
from compagnon.worlds.dispatch import (
    fields,
    insertion,
    lifecycle,
    plans,
    running_days,
    schedules,
    tables,
    travel,
)

_GLOBAL, _DRIVER, _BOOKING, _PAIR = (
    len(fields.GLOBAL),
    len(fields.DRIVER),
    len(fields.BOOKING),
    len(fields.PAIR),
)
_DAY = 2880.0
_KM = 1000.0
_MANY = 100_000.0
_SAME = 1e-3  # of the cost; a ride moves within its own plan for more than that alone


@kernel
def look(w, roads, weights, board, boarded, out):
    """Bring the insertions of every driver and every booking on the board up to date.

    Args:
        boarded, out: scratch for `insertion.best_insertion`.
    """
    _list_movable(w, roads, weights, board)
    now = w.money[running_days.NOW]
    clock = w.counts[running_days.CLOCK]
    shown = running_days.shown_places(w, board)
    opened = min(board, w.counts[running_days.OPEN])
    for d in range(w.size[tables.DRIVERS]):
        plan = running_days.plan_of(w, d)
        version = plan.state[plans.VERSION]
        # Who stands free can leave no earlier than now.
        standing = plan.state[plans.PHASE] == plans.WAITS and plan.times[plans.FREE] < now
        seats = w.drivers[d, tables.SEAT :]
        for place in range(shown):
            b = running_days.booking_at(w, board, place)
            own = place >= opened and int(w.rides[b, running_days.BY_DRIVER]) == d
            if w.where[b, d, running_days.FOUND_FOR] == version:
                if not standing or w.where[b, d, running_days.FOUND_AT] == clock:
                    continue
                if not own and _still_holds(w, roads, plan.state[plans.AT], b, now):
                    w.where[b, d, running_days.FOUND_AT] = clock
                    continue
            tried = plan
            if own:
                tried = running_days.spare_plan(w)
                _try_without(w, tried, d, b, roads, weights)
            i, j = insertion.best_insertion(
                tried, seats, w.bookings[b], b, roads, weights, now, boarded, out
            )
            w.where[b, d, running_days.PUT_PICKUP], w.where[b, d, running_days.PUT_DROPOFF] = i, j
            w.where[b, d, running_days.FOUND_FOR], w.where[b, d, running_days.FOUND_AT] = (
                version,
                clock,
            )
            if own and out[insertion.COST] - w.rides[b, running_days.SAVES] > -_SAME:
                out[insertion.FEASIBLE] = 0.0  # it stands at its best place there
            for k in range(insertion.COLUMNS):
                w.found[b, d, k] = out[k]


@kernel
def _list_movable(w, roads, weights, board):
    """List the planned rides that may still move, as many as the board has room for.

    Those come first that their drivers set out for first. A ride moves once at one clock time.
    """
    w.counts[running_days.SHOWN] = 0
    room = board - min(board, w.counts[running_days.OPEN])
    if weights.replan == 0.0 or room == 0:
        return
    doors, shown = 2 * w.bookings.shape[0], 0
    earliest = w.money[running_days.NOW] + weights.freeze
    moved = 1.0 + w.counts[running_days.CLOCK]
    for d in range(w.size[tables.DRIVERS]):
        for k in range(plans.first_open(running_days.plan_of(w, d)), w.state[d, plans.COUNT]):
            node, stop = w.codes[d, k, plans.NODE], w.stops[d, k]
            if node < 0 or node >= doors or node % 2 == 1:
                continue
            b = node // 2
            if w.status[b] != running_days.PLANNED or w.rides[b, running_days.MOVED_AT] == moved:
                continue
            leaves = travel.departure(roads.speed, stop[plans.START], stop[plans.LEG])
            if leaves <= earliest:
                continue
            w.rides[b, running_days.LEAVES_AT] = leaves
            q = shown
            while q > 0 and w.rides[w.movable[q - 1], running_days.LEAVES_AT] > leaves:
                if q < room:
                    w.movable[q] = w.movable[q - 1]
                q -= 1
            if q < room:
                w.movable[q] = b
                shown = min(room, shown + 1)
    w.counts[running_days.SHOWN] = shown


@kernel
def _try_without(w, spare, d, b, roads, weights):
    """Write driver `d`'s plan without planned ride `b` into `spare`, and what that saves."""
    plan, now = running_days.plan_of(w, d), w.money[running_days.NOW]
    shift_end = w.drivers[d, tables.SHIFT_END]
    plans.copy_plan(plan, spare)
    lifecycle.take_out(w, spare, b)
    schedules.settle(spare, roads, w.bookings, now)
    saved = insertion.plan_cost(plan, roads, w.bookings, weights, shift_end)
    saved -= insertion.plan_cost(spare, roads, w.bookings, weights, shift_end)
    w.rides[b, running_days.SAVES] = saved - weights.ride * w.bookings[b, tables.DIRECT]


@kernel_inline
def added_cost(w, b, d):
    """What booking `b` adds to the cost with driver `d`: of a planned one, beside its place now."""
    cost = w.found[b, d, insertion.COST]
    if w.status[b] == running_days.PLANNED:
        cost -= w.rides[b, running_days.SAVES]
    return cost


@kernel
def best_move(w, roads, weights, board, boarded, out):
    """What the move of one planned ride can save at most; 0 where none saves anything."""
    if weights.replan == 0.0 or w.counts[running_days.PLANNED] == 0:
        return 0.0
    look(w, roads, weights, board, boarded, out)
    best = 0.0
    for q in range(w.counts[running_days.SHOWN]):
        b = w.movable[q]
        for d in range(w.size[tables.DRIVERS]):
            if w.found[b, d, insertion.FEASIBLE] > 0.0:
                best = max(best, -added_cost(w, b, d) - weights.move)
    return best


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
    """Wait always; assign or move where an insertion exists; decline what is open, and shown."""
    for k in range(mask.shape[0]):
        mask[k] = False
    mask[0] = True
    drivers = w.state.shape[0]
    for place in range(running_days.shown_places(w, board)):
        b = running_days.booking_at(w, board, place)
        for d in range(w.size[tables.DRIVERS]):
            if w.found[b, d, insertion.FEASIBLE] > 0.0:
                mask[1 + d * board + place] = True
    for place in range(min(board, w.counts[running_days.OPEN])):
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
    obs[7] = min(1, state[plans.RESTS])
    obs[8] = first
    obs[9] = max(0.0, plan.stops[first, plans.LATEST] - plan.stops[first, plans.START])
    for seat in range(4):
        seats = w.drivers[d, tables.SEAT + seat]
        obs[10 + seat] = seats - state[plans.ABOARD + seat]
        obs[14 + seat] = seats


@kernel_inline
def _write_booking(w, b, roads, weights, obs):
    row, now, ride = w.bookings[b], w.money[running_days.NOW], w.rides[b]
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
    obs[19] = _clip(now - lifecycle.asked_at(w, b), 0.0, _DAY)
    promised = w.status[b] == running_days.PLANNED
    home = weights.taxi > 0.0 and lifecycle.must_get_home(w, b)
    obs[20] = 1.0 if promised else 0.0
    obs[21] = 1.0 if home else 0.0
    for k in range(22, 26):
        obs[k] = 0.0
    if promised:
        obs[25] = _clip(ride[running_days.LEAVES_AT] - weights.freeze - now, 0.0, _DAY)
    else:
        obs[22] = lifecycle.decline_cost(w, b, roads, weights)
        obs[23] = lifecycle.answer_price(w, b, weights)
        obs[24] = _DAY
        if weights.answer_limit > 0.0:
            obs[24] = _clip(lifecycle.asked_at(w, b) + weights.answer_limit - now, 0.0, _DAY)


@kernel_inline
def _write_choices(w, b, present, obs):
    """How many drivers can take the booking, and what it costs more without the best of them.

    Costs are those with the price of tight plans; declining an open booking is a choice as well.

    Returns:
        (driver, least, missed): the best one (-1: to decline), its cost, what the next costs more.
    """
    planned = w.status[b] == running_days.PLANNED
    saves = w.rides[b, running_days.SAVES] if planned else 0.0
    decline = 0.0 if planned else obs[22]
    driver, least, second, choices = -1, decline, decline, 0.0
    for d in range(present):
        found = w.found[b, d]
        if found[insertion.FEASIBLE] > 0.0:
            choices += 1.0
            cost = found[insertion.PRICED] - saves
            if cost < least:
                driver, least, second = d, cost, least
            elif cost < second:
                second = cost
    obs[26] = second - least
    obs[27] = choices
    return driver, least, second - least


@kernel_inline
def write_observation(w, roads, weights, board, scale, noted, obs):
    """One flat vector; see `fields.Layout`.

    Args:
        scale: one factor a field of the four groups, `fields.scales`.
        noted: scratch, at least drivers + 3 boards long.
        obs: float32 of shape (layout.size,).
    """
    now = w.money[running_days.NOW]
    drivers, present = w.state.shape[0], w.size[tables.DRIVERS]
    opened = min(board, w.counts[running_days.OPEN])
    shown = running_days.shown_places(w, board)
    of_booking = _GLOBAL + _DRIVER
    of_pair = of_booking + _BOOKING
    _write_global(w, opened, obs[:_GLOBAL])
    for k in range(_GLOBAL):
        obs[k] *= scale[k]
    column = _GLOBAL
    for d in range(drivers):
        noted[d] = 0.0
        if d < present:
            _write_driver(w, d, obs[column : column + _DRIVER])
            for k in range(_DRIVER):
                obs[column + k] *= scale[_GLOBAL + k]
        else:
            for k in range(_DRIVER):
                obs[column + k] = 0.0
        column += _DRIVER
    best, least, missed = noted[drivers:], noted[drivers + board :], noted[drivers + 2 * board :]
    for place in range(board):
        if place < shown:
            b = running_days.booking_at(w, board, place)
            _write_booking(w, b, roads, weights, obs[column : column + _BOOKING])
            driver, least[place], missed[place] = _write_choices(
                w, b, present, obs[column : column + _BOOKING]
            )
            best[place] = driver
            if driver >= 0 and place < opened:
                noted[driver] += missed[place]  # what the open ones lose without this driver
            for k in range(_BOOKING):
                obs[column + k] *= scale[of_booking + k]
        else:
            for k in range(_BOOKING):
                obs[column + k] = 0.0
        column += _BOOKING
    for k in range(column, obs.shape[0]):
        obs[k] = 0.0
    factor = scale[of_pair:]
    for place in range(shown):
        b = running_days.booking_at(w, board, place)
        planned = w.status[b] == running_days.PLANNED
        saves = w.rides[b, running_days.SAVES] if planned else 0.0
        own = int(w.rides[b, running_days.BY_DRIVER]) if planned else -1
        direct = w.bookings[b, tables.DIRECT]
        for d in range(present):
            found = w.found[b, d]
            if found[insertion.FEASIBLE] > 0.0:
                at = column + (d * board + place) * _PAIR
                others = noted[d] - (missed[place] if best[place] == d and place < opened else 0.0)
                over = found[insertion.PRICED] - saves - least[place]
                obs[at] = 1.0
                obs[at + 1] = found[insertion.MINUTES] * factor[1]
                obs[at + 2] = (found[insertion.COST] - saves) * factor[2]
                obs[at + 3] = (found[insertion.BOARDS_AT] - now) * factor[3]
                obs[at + 4] = min(_DAY, found[insertion.SLACK]) * factor[4]
                obs[at + 5] = (found[insertion.RIDE] - direct) * factor[5]
                obs[at + 6] = found[insertion.APPROACH] * factor[6]
                obs[at + 7] = factor[7] if own == d else 0.0
                obs[at + 8] = _clip(over, -_MANY, _MANY) * factor[8]
                obs[at + 9] = others * factor[9]

"""What comes on top of any day, generated or saved: traffic, late riders, breakdowns, parking.

Plans, masks and expected arrivals know the usual speeds alone. What a leg really takes, a driver
knows once he has set out. A rider who is not ready, and a vehicle that breaks down, nobody knows
of before. All of it is drawn from the episode's seed before the day begins.
"""

from typing import NamedTuple

import numpy as np

from compagnon.envs import streams
from compagnon.envs.kernels import kernel
from compagnon.worlds.dispatch import plans, running_days, schedules, tables, travel
from compagnon.worlds.dispatch.instance_checks import FASTEST, SLOWEST

# Random streams of a day, beside those of `generator`; the index is the hour, booking or driver.
_DAY_SPEED, _HOUR_SPEED, _LATE, _LATE_MINUTES, _BREAKS, _BREAKS_AT, _REPAIR = range(61, 68)
LONGEST_LATE = 60.0  # minutes
LONGEST_HALT = 30.0
SHORTEST_REPAIR, LONGEST_REPAIR = 1.0, 240.0


class Conditions(NamedTuple):
    """What can be chosen about it."""

    traffic_day: float  # standard deviation of the logarithm of the whole day's speed
    traffic_hour: float  # the same of each hour's
    late_ready: float  # probability that who rides on or back is not ready
    late_ready_minutes: float  # mean
    breakdown: float  # probability, of each driver
    repair_minutes: float  # mean
    halt_minutes: float  # of parking, on each way to another place


NONE = Conditions(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@kernel
def draw(seed, conditions, day):
    """Write into one day's tables, but for these complete, what comes on top of it."""
    day.rule[travel.HALT] = conditions.halt_minutes
    factor = conditions.traffic_day * _normal(seed, _DAY_SPEED, 0)
    for hour in range(travel.HOURS):
        _write_speed(seed, conditions, hour, factor, day)
    for b in range(day.size[tables.BOOKINGS]):
        add_lateness(seed, conditions, b, day.bookings[b])
    for d in range(day.size[tables.DRIVERS]):
        row = day.drivers[d]
        row[tables.REPAIR_MINUTES] = 0.0
        if streams.uniform(seed, _BREAKS, d) < conditions.breakdown:
            begin, length = row[tables.SHIFT_START], row[tables.SHIFT_END] - row[tables.SHIFT_START]
            row[tables.BREAKS_DOWN_AT] = begin + length * streams.uniform(seed, _BREAKS_AT, d)
            row[tables.REPAIR_MINUTES] = _repair(seed, conditions, d)


@kernel
def _normal(seed, stream, index):
    return streams.normal(
        streams.uniform(seed, stream, 2 * index), streams.uniform(seed, stream, 2 * index + 1)
    )


@kernel
def _write_speed(seed, conditions, hour, factor, day):
    """The real speed of an hour; `factor` is the logarithm of what all hours have in common."""
    if conditions.traffic_day + conditions.traffic_hour == 0.0:
        day.speed_real[hour] = day.speed[hour]
        return
    much = factor + conditions.traffic_hour * _normal(seed, _HOUR_SPEED, hour)
    day.speed_real[hour] = max(SLOWEST, min(FASTEST, day.speed[hour] * np.exp(much)))


@kernel
def add_lateness(seed, conditions, b, row):
    """Have the driver wait at the door of one who rides on or back and is not ready yet."""
    late = row[tables.LINKED_TO] >= 0.0
    if late and streams.uniform(seed, _LATE, b) < conditions.late_ready:
        u = streams.uniform(seed, _LATE_MINUTES, b)
        minutes = -conditions.late_ready_minutes * np.log(1.0 - u)
        row[tables.BOARDING_DELAY] += min(LONGEST_LATE, minutes)


@kernel
def _repair(seed, conditions, d):
    minutes = -conditions.repair_minutes * np.log(1.0 - streams.uniform(seed, _REPAIR, d))
    return max(SHORTEST_REPAIR, min(LONGEST_REPAIR, minutes))


@kernel
def redraw(w, seed, conditions, roads):
    """Draw anew what nobody can know yet: the hours to come, who will be late, what will break."""
    if conditions.traffic_day + conditions.traffic_hour > 0.0:
        _redraw_traffic(w, seed, conditions, roads)
    if conditions.late_ready > 0.0:
        for b in range(w.size[tables.BOOKINGS]):
            if w.status[b] < running_days.ABOARD:
                add_lateness(seed, conditions, b, w.bookings[b])
    if conditions.breakdown > 0.0:
        for d in range(w.size[tables.DRIVERS]):
            _redraw_breakdown(w, d, seed, conditions)


@kernel
def _last_known_hour(w, roads):
    """The last hour, counted from midnight, in which somebody drove or knows to arrive."""
    last = w.money[running_days.NOW]
    for d in range(w.size[tables.DRIVERS]):
        if w.state[d, plans.PHASE] == plans.DRIVES and w.codes[d, 0, plans.NODE] != plans.BREAK:
            leg = w.stops[d, 0, plans.LEG]
            last = max(last, travel.arrival(roads.speed_real, w.times[d, plans.LEFT], leg))
    return int(np.ceil(last / 60.0)) - 1


@kernel
def _redraw_traffic(w, seed, conditions, roads):
    """The hours to come, with what the past ones tell of the day as a whole."""
    first = int(np.floor(w.money[running_days.DAY_BEGIN] / 60.0))
    known = max(0, min(travel.HOURS, _last_known_hour(w, roads) + 1 - first))
    total = 0.0
    for k in range(known):
        hour = (first + k) % travel.HOURS
        total += np.log(w.speed_real[hour] / w.speed[hour])
    of_day, of_hour = conditions.traffic_day**2, conditions.traffic_hour**2
    # The normal distribution of the day's part, given the sums that were seen.
    factor, spread = 0.0, of_day
    if known > 0 and of_hour > 0.0:
        factor = total * of_day / (known * of_day + of_hour)
        spread = of_day * of_hour / (known * of_day + of_hour)
    elif known > 0:
        factor, spread = total / known, 0.0
    factor += np.sqrt(spread) * _normal(seed, _DAY_SPEED, 0)
    for k in range(known, travel.HOURS):
        _write_speed(seed, conditions, (first + k) % travel.HOURS, factor, w)


@kernel
def _redraw_breakdown(w, d, seed, conditions):
    """Whether the vehicle will still break down, if it has not so far."""
    row, times, now = w.drivers[d], w.times[d], w.money[running_days.NOW]
    if w.state[d, plans.PHASE] == plans.OFF or times[plans.BROKE_AT] > 0.0:
        return
    begin, end = row[tables.SHIFT_START], row[tables.SHIFT_END]
    left = max(0.0, end - max(begin, now))
    chance, share = conditions.breakdown, left / (end - begin)
    times[plans.BREAKS_DOWN] = np.inf
    row[tables.REPAIR_MINUTES] = 0.0
    if streams.uniform(seed, _BREAKS, d) < chance * share / (1.0 - chance * (1.0 - share)):
        at = max(begin, now + 1e-6) + left * streams.uniform(seed, _BREAKS_AT, d)
        times[plans.BREAKS_DOWN] = row[tables.BREAKS_DOWN_AT] = at
        row[tables.REPAIR_MINUTES] = _repair(seed, conditions, d)
    schedules.write_next(running_days.plan_of(w, d))

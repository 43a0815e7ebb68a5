"""What a dispatcher asks of a finished (or running) day, computed within the kernel."""

from typing import Final

import numpy as np

from compagnon.envs.kernels import kernel
from compagnon.worlds.dispatch import lifecycle, running_days, tables

KPI_NAMES: Final = (
    "cost",
    *(f"cost_{part}" for part in running_days.COST_PARTS),
    "generated",
    "served",
    "rejected",
    "cancelled",
    "no_show",
    "served_share",
    "wait_mean",
    "wait_p95",
    "late_mean",
    "late_p95",
    "ride_mean",
    "excess_mean",
    "on_time_share",
    "km",
    "loaded_km",
    "empty_km",
    "km_per_ride",
    "rides_per_driver_hour",
    "gini",
    "satisfaction",
    "overtime_minutes",
    "decisions",
    "violations",
    "answer_median",
    "answer_p95",
    "told_ahead_share",
    "refused_ahead_share",
    "taxis",
    "moves",
    "broken_promises",
)
KPIS: Final = len(KPI_NAMES)
AHEAD = 60.0  # minutes before the window begins at which a caller should know
EARLY, LATE = 10.0, 30.0  # minutes around the promised pickup that count as on time


@kernel
def satisfaction(late, wait, excess):
    """How a served ride is taken, from 5 down to 1.

    A star goes for every 15 minutes late, for every 30 minutes of waiting beyond the first 15, and
    for every 20 minutes on board beyond the direct ride and the first 10. A refusal is a 1.
    """
    lost = late / 15.0 + max(0.0, wait - 15.0) / 30.0 + max(0.0, excess - 10.0) / 20.0
    return max(1.0, 5.0 - lost)


@kernel
def _sort(values, count):
    """Put the first `count` values in order; a library's sort takes seconds to compile."""
    for k in range(1, count):
        value, q = values[k], k
        while q > 0 and values[q - 1] > value:
            values[q] = values[q - 1]
            q -= 1
        values[q] = value


@kernel
def _p95(values, count):
    """The smallest value that at least 95 % of the first `count` values do not exceed.

    Puts them in order.
    """
    if count == 0:
        return 0.0
    _sort(values, count)
    return values[int(np.ceil(0.95 * count)) - 1]


@kernel
def gini(values):
    """The Gini coefficient of numbers from 0: 0 where all are equal, near 1 where one has all.

    Puts them in order.
    """
    n = len(values)
    _sort(values, n)
    total, weighted = 0.0, 0.0
    for k in range(n):
        total += values[k]
        weighted += (2.0 * (k + 1) - n - 1.0) * values[k]
    return weighted / (n * total) if total > 0.0 else 0.0


@kernel
def _median(values, count):
    """The middle one of the first `count` values, which stand in order."""
    if count == 0:
        return 0.0
    return 0.5 * (values[(count - 1) // 2] + values[count // 2])


@kernel
def _write_answers(w, scratch, out):
    """How long callers waited for an answer, and how many knew it an hour before their window.

    Of the shares only those count who asked an hour before; 1 where nobody did.
    """
    told, asked_in_time, refused_in_time, told_ahead, refused_ahead = 0, 0, 0, 0, 0
    for b in range(w.size[tables.BOOKINGS]):
        answered, ready = w.rides[b, running_days.ANSWERED], w.bookings[b, tables.READY]
        if answered < 0.0:
            continue
        asked = lifecycle.asked_at(w, b)
        scratch[told] = max(0.0, answered - asked)
        told += 1
        if asked > ready - AHEAD:
            continue
        ahead = 1 if answered <= ready - AHEAD else 0
        if w.status[b] == running_days.REJECTED:
            refused_in_time += 1
            refused_ahead += ahead
        else:
            asked_in_time += 1
            told_ahead += ahead
    out[1] = _p95(scratch, told)  # puts them in order
    out[0] = _median(scratch, told)
    out[2] = told_ahead / asked_in_time if asked_in_time else 1.0
    out[3] = refused_ahead / refused_in_time if refused_in_time else 1.0


@kernel
def write_kpis(w, scratch, out):
    """The KPIs of one day (`world.row`), into (KPIS,) in the order of `KPI_NAMES`.

    Args:
        scratch: float64, at least 2 bookings + drivers long.
    """
    count, money = w.counts, w.money
    bookings, drivers = w.size[tables.BOOKINGS], w.size[tables.DRIVERS]
    waits, lates = scratch[:bookings], scratch[bookings : 2 * bookings]
    by_driver = scratch[2 * bookings : 2 * bookings + drivers]
    for d in range(drivers):
        by_driver[d] = 0.0
    served, on_time = 0, 0
    wait_sum, late_sum, rides, excess, stars = 0.0, 0.0, 0.0, 0.0, 0.0
    for b in range(bookings):
        if w.status[b] == running_days.SERVED:
            ride = w.rides[b]
            late = ride[running_days.LATE_PICKUP] + ride[running_days.LATE_DROPOFF]
            waits[served], lates[served] = ride[running_days.WAIT], late
            wait_sum += ride[running_days.WAIT]
            late_sum += late
            rides += ride[running_days.RIDE]
            excess += ride[running_days.EXCESS]
            stars += satisfaction(late, ride[running_days.WAIT], ride[running_days.EXCESS])
            on_time += 1 if -EARLY <= ride[running_days.WAIT] <= LATE else 0
            by_driver[int(ride[running_days.BY_DRIVER])] += 1.0
            served += 1
        elif w.status[b] == running_days.REJECTED:
            stars += 1.0
    hours = money[running_days.OVERTIME] / 60.0
    for d in range(drivers):
        hours += (w.drivers[d, tables.SHIFT_END] - w.drivers[d, tables.SHIFT_START]) / 60.0
    some = max(1, served)
    brought = served + count[running_days.TAXI]
    asked = max(1, brought + count[running_days.REJECTED])
    cost = 0.0
    for part in range(running_days.PARTS):
        cost += money[part]
        out[1 + part] = money[part]
    out[0] = cost
    k = 1 + running_days.PARTS
    out[k] = bookings - count[running_days.LATER]
    out[k + 1] = served
    out[k + 2] = count[running_days.REJECTED]
    out[k + 3] = count[running_days.CANCELLED]
    out[k + 4] = count[running_days.NO_SHOW]
    out[k + 5] = brought / asked
    out[k + 6] = wait_sum / some
    out[k + 7] = _p95(waits, served)
    out[k + 8] = late_sum / some
    out[k + 9] = _p95(lates, served)
    out[k + 10] = rides / some
    out[k + 11] = excess / some
    out[k + 12] = on_time / some
    out[k + 13] = money[running_days.KM]
    out[k + 14] = money[running_days.LOADED_KM]
    out[k + 15] = money[running_days.KM] - money[running_days.LOADED_KM]
    out[k + 16] = money[running_days.KM] / some
    out[k + 17] = served / hours
    out[k + 18] = gini(by_driver)
    out[k + 19] = stars / max(1, served + count[running_days.REJECTED])
    out[k + 20] = money[running_days.OVERTIME]
    out[k + 21] = count[running_days.DECISIONS]
    out[k + 22] = count[running_days.VIOLATIONS]
    _write_answers(w, waits, out[k + 23 :])
    out[k + 27] = count[running_days.TAXI]
    out[k + 28] = count[running_days.MOVES]
    out[k + 29] = count[running_days.BROKEN]

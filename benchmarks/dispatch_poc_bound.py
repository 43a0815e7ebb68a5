"""How much any policy could earn in a day of `compagnon/DispatchPOC-v0`: a clairvoyant bound.

    python benchmarks/dispatch_poc_bound.py
    python benchmarks/dispatch_poc_bound.py --days 100 --seed 1000000

A linear programme is told the whole day's demand beforehand and plans it as a flow of drivers from
drop-off to pick-up: one assignment a tick, each booking once and within its window, ways and
rewards as the world has them. It is a relaxation: a driver may have any number of rides, half a
driver may serve half a booking, and the bonuses for even work and short ways are given. No policy
that plays in time, and none that turns nothing away, can earn more on the same days.
"""

import argparse
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import csr_matrix

from compagnon.evaluation.statistics import estimate_each
from compagnon.worlds.dispatch_poc import arrays, constants
from compagnon.worlds.dispatch_poc.core import PocCore
from compagnon.worlds.dispatch_poc.options import PocOptions
from compagnon.worlds.dispatch_poc.outlook import reward_of
from compagnon.worlds.dispatch_poc.travel import cosine, kilometres, minutes_a_km
from harness import QUICK

CENTRE = 0  # the place where drivers begin; place 1 + b is the drop-off of booking b


@dataclass(frozen=True)
class Ways:
    """Every way that a driver could go for a booking: from a place, to a booking, at a tick.

    Attributes:
        place, booking, tick: (K,). worth: (K,), points more than waiting and losing the booking.
    """

    place: NDArray[np.int64]
    booking: NDArray[np.int64]
    tick: NDArray[np.int64]
    worth: NDArray[np.float64]


def days_of(seeds: NDArray[np.uint64], options: PocOptions) -> list[NDArray[np.float64]]:
    """The bookings of each day, rows as in `Days.bookings`; a board that turns nobody away."""
    core = PocCore(len(seeds), options.model_copy(update={"slots": 100}))
    every = np.ones(len(seeds), np.bool_)
    core.seed(seeds, every)
    core.reset(every)
    found: list[list[NDArray[np.float64]]] = [[] for _ in seeds]
    for tick in range(core.params.ticks + 1):
        if tick:
            core.step(np.zeros(len(seeds), np.int64), autoreset=False)
        for day, rows in enumerate(core.days.bookings):
            for row in rows[: core.days.state[day, arrays.COUNT]]:
                if row[arrays.END] - row[arrays.WINDOW] == tick * constants.TICK_MINUTES:
                    found[day].append(row.copy())
    return [np.array(rows) for rows in found]


def ways_of(bookings: NDArray[np.float64], ticks: int) -> Ways:
    """Every way that arrives in time."""
    rows: list[tuple[int, int, int, float]] = []
    places = [(0.0, 0.0, -1), *((b[arrays.TO_LAT], b[arrays.TO_LON], _come(b)) for b in bookings)]
    for number, booking in enumerate(bookings):
        lost = (
            constants.CANCELLED * booking[arrays.PRIORITY]
            if booking[arrays.END] <= ticks * 5
            else 0.0
        )
        lost += constants.WAIT_COST + constants.COMPLETION_BONUS / len(bookings)
        at, on = booking[arrays.LAT], booking[arrays.LON]
        for place, (lat, lon, since) in enumerate(places):
            if place == 1 + number:
                continue
            km = kilometres(lat, lon, cosine(lat), at, on, cosine(at))
            for tick in range(max(_come(booking), since + 1), ticks):
                minutes = km * minutes_a_km(tick)
                left = booking[arrays.END] - tick * constants.TICK_MINUTES
                if left <= 0:
                    break
                if minutes <= left:
                    reward = reward_of(
                        km, minutes, booking[arrays.PRIORITY], booking[arrays.WINDOW]
                    )
                    rows.append((place, number, tick, lost + reward))
    place_, booking_, tick_, worth = (np.array(column) for column in zip(*rows, strict=True))
    return Ways(place_, booking_, tick_, worth)


def _come(booking: NDArray[np.float64]) -> int:
    return int(booking[arrays.END] - booking[arrays.WINDOW]) // constants.TICK_MINUTES


def bound_of(bookings: NDArray[np.float64], drivers: int, ticks: int) -> tuple[float, float]:
    """The most that a day can bring: reward a tick, and the completion of that plan."""
    ways = ways_of(bookings, ticks)
    count, places = len(ways.worth), 1 + len(bookings)
    # Unknowns: each way's share, then how many drivers stand at each place as each tick begins.
    stand = count + np.arange(places * (ticks + 1)).reshape(places, ticks + 1)
    every = np.arange(count)
    # Who stands here next tick = who stands here now, less who leaves, and who arrives.
    balance = ways.place * ticks + ways.tick
    arrive = (1 + ways.booking) * ticks + ways.tick
    here = np.arange(places * ticks)
    flow = csr_matrix(
        (
            np.concatenate(
                [np.ones(count), -np.ones(count), -np.ones(len(here)), np.ones(len(here))]
            ),
            (
                np.concatenate([balance, arrive, here, here]),
                np.concatenate([every, every, stand[:, :-1].ravel(), stand[:, 1:].ravel()]),
            ),
        ),
        shape=(len(here), stand[-1, -1] + 1),
    )
    once = csr_matrix(
        (
            np.ones(2 * count),
            (np.concatenate([ways.booking, len(bookings) + ways.tick]), np.tile(every, 2)),
        ),
        shape=(len(bookings) + ticks, stand[-1, -1] + 1),
    )
    upper = np.full(stand[-1, -1] + 1, float(drivers))
    upper[stand[:, 0]] = 0.0
    lower = np.zeros_like(upper)
    lower[stand[CENTRE, 0]] = upper[stand[CENTRE, 0]] = drivers
    worth = np.concatenate([ways.worth, np.zeros(stand.size)])
    solved = linprog(
        -worth, once, np.ones(once.shape[0]), flow, np.zeros(len(here)),
        np.stack([lower, upper], axis=1), method="highs",
    )  # fmt: skip
    if solved.x is None:
        raise RuntimeError(f"the linear programme was not solved: {solved.message}")
    lost = (
        constants.CANCELLED
        * bookings[bookings[:, arrays.END] <= ticks * constants.TICK_MINUTES, arrays.PRIORITY].sum()
    )
    total = (
        -solved.fun
        - lost
        - ticks * constants.WAIT_COST
        + constants.EVEN_BONUS
        + constants.NEAR_BONUS
    )
    return total / ticks, float(solved.x[:count].sum()) / len(bookings)


def main() -> None:
    """Print the mean bound, with 95 % intervals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1_000_000)
    parser.add_argument("--hours", type=int, default=8)
    parser.add_argument("--quick", action="store_true", help=QUICK)
    given = parser.parse_args()
    if given.quick:
        given.days, given.hours = 3, 1
    options = PocOptions.parse(hours=given.hours)
    seeds = np.arange(given.seed, given.seed + given.days, dtype=np.uint64)
    ticks = options.hours * 60 // constants.TICK_MINUTES
    found = np.array([bound_of(day, options.drivers, ticks) for day in days_of(seeds, options)])
    figures = estimate_each({"reward_per_step": found[:, 0], "completion": found[:, 1]})
    print(f"{given.days} days from seed {given.seed}, mean and 95 % interval")
    for words, name in (
        ("reward a step, at most", "reward_per_step"),
        ("completion of the plan that earns it", "completion"),
    ):
        low, high = figures[name].ci95
        print(f"{words}: {figures[name].mean:.3f} ({low:.3f} to {high:.3f})")


if __name__ == "__main__":
    main()

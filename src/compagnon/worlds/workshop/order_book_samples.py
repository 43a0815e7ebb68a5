"""Order books to try things with: drawn from the workshop's own demand, or the one that ships."""

import csv
import io
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np

from compagnon.envs import streams
from compagnon.errors import InputError
from compagnon.worlds.workshop import arrays, constants
from compagnon.worlds.workshop.options import DEMAND_FACTORS
from compagnon.worlds.workshop.order_book import COLUMNS, MAX_WEEKS, PRODUCTS

_MEAN_LINE = 2.0  # units a customer asks for at once


class OrderLine(NamedTuple):
    """One line of an order book; `time` is minutes since the first week began, or a datetime."""

    time: int | datetime
    product: str
    quantity: int


def generate_order_book(
    weeks: int,
    seed: int,
    demand: str | float = "published",
    start: date | None = None,
    growth: float = 0.0,
) -> list[OrderLine]:
    """Draw customers' orders at the workshop's own rates, in order of time.

    Without growth, week `w` holds, in each 15 minutes, exactly what a workshop reset with `seed`
    and that demand is asked for in its episode `w` (without rushes); the units are split into
    lines at random minutes.

    Args:
        weeks: 1 to 520.
        seed: 0 or more.
        demand: a preset of the environment, or a factor of the published rates.
        start: the Monday on which week 1 begins; without it, times are minutes.
        growth: relative growth of the rates from week to week.

    Raises:
        InputError: an argument is outside what is said above.
    """
    if not 1 <= weeks <= MAX_WEEKS:
        raise InputError(f"weeks={weeks}: give 1 to {MAX_WEEKS}")
    if not 0 <= seed < 2**64:
        raise InputError(f"seed={seed}: give a whole number from 0 to 2^64 - 1")
    if isinstance(demand, str) and demand not in DEMAND_FACTORS:
        raise InputError(f"demand={demand!r}: give {', '.join(DEMAND_FACTORS)}, or a factor")
    if start is not None and start.weekday() != 0:
        monday = start - timedelta(days=start.weekday())
        raise InputError(f"start={start} is no Monday; the one before it is {monday}")
    factor = DEMAND_FACTORS[demand] if isinstance(demand, str) else demand
    try:
        largest = factor * max(1.0, (1.0 + growth) ** (weeks - 1)) if growth > -1.0 else -1.0
    except OverflowError:
        largest = float("inf")
    if not 0.0 <= largest <= 60.0 or factor < 0.0:
        raise InputError(f"demand={demand!r} and growth={growth}: rates must stay within 0 to x 60")
    if start is not None and start.toordinal() + 7 * weeks > date.max.toordinal():
        raise InputError(f"start={start}: {weeks} weeks from there run past the calendar's end")
    midnight = None if start is None else datetime.combine(start, time())
    rng = np.random.default_rng(seed)
    lines: list[OrderLine] = []
    for week in range(weeks):
        week_seed = np.uint64(streams.episode_seed(np.uint64(seed), week))
        week_factor = factor * (1.0 + growth) ** week
        for tick in range(constants.TICKS_PER_EPISODE):
            units = _asked(week_seed, tick, week_factor)
            begins = week * constants.EPISODE_MINUTES + tick * constants.TICK_MINUTES
            for minute, product, quantity in _split(rng, begins, units):
                when = minute if midnight is None else midnight + timedelta(minutes=minute)
                lines.append(OrderLine(when, product, quantity))
    return lines


def _asked(week_seed: np.uint64, tick: int, factor: float) -> tuple[int, int]:
    """What the kernel draws at this tick: units of P1 and of P2."""
    minute = (tick + 1) * constants.TICK_MINUTES % constants.MINUTES_PER_DAY
    rate = (
        constants.DAY_RATE
        if constants.DAY_START <= minute < constants.DAY_END
        else constants.NIGHT_RATE
    )
    mean = constants.TICK_MINUTES * (rate * factor)
    asked = int(streams.poisson(mean, streams.uniform(week_seed, arrays.DEMAND, tick)))
    p1 = int(constants.P1_SHARE * asked)
    return p1, asked - p1


def _split(
    rng: np.random.Generator, begins: int, units: tuple[int, int]
) -> list[tuple[int, str, int]]:
    """The units of one tick as customers' lines, by minute."""
    lines = []
    for product, left in zip(PRODUCTS, units, strict=True):
        while left > 0:
            quantity = min(left, int(rng.geometric(1.0 / _MEAN_LINE)))
            minute = begins + int(rng.integers(constants.TICK_MINUTES))
            lines.append((minute, product, quantity))
            left -= quantity
    return sorted(lines)


def order_book_text(lines: Iterable[OrderLine]) -> str:
    """What stands in the file of an order book."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for line in lines:
        when: object = line.time
        if isinstance(line.time, datetime):
            when = line.time.isoformat(timespec="minutes")
        writer.writerow((when, line.product, line.quantity))
    return text.getvalue()


def sample_order_book() -> Path:
    """The order book that ships: four weeks from Monday 2026-03-02, growing to a tight demand.

    It is ``generate_order_book(4, seed=2026, demand=1.8, start=date(2026, 3, 2), growth=0.06)``.
    """
    return Path(str(resources.files("compagnon.worlds.workshop") / "data" / "order_book.csv"))

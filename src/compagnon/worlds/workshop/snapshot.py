"""One moment of a shop, and the minutes before it, as a person wants to know them."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.worlds.workshop import arrays, constants

DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

# Columns of a history.
(H_TIME, H_M1_TASK, H_M1_LEFT, H_M2_LEFT, H_M1_DOWN, H_M2_DOWN, H_SETUP,
 H_BACKLOG_P1, H_BACKLOG_P2, H_PROFIT) = range(10)  # fmt: skip
HISTORY_COLUMNS: Final = 10


@dataclass(frozen=True)
class WorkshopSnapshot:
    """A shop at one moment; units of product, minutes, and money.

    Attributes:
        time: minutes since the week began.
        m1_task: `rules.IDLE`, `MAKES_P1` or `MAKES_STEP1`.
        m1_units_left, m2_units_left: units still to come out of the machine.
        m1_minutes_left, m2_minutes_left: work left, set-up included.
        m1_setup: minutes of set-up left.
        m1_down, m2_down: minutes until the machine is repaired, 0 if it works.
        next_delivery: minutes to the next delivery, None if nothing is on its way.
        last_action: the last decision.
        rush: demand is in a rush.
        profit: sales less raw material and backlog penalty, since the week began.
    """

    time: int
    m1_task: int
    m1_units_left: int
    m1_minutes_left: int
    m1_setup: int
    m1_down: int
    m2_units_left: int
    m2_minutes_left: int
    m2_down: int
    raw: int
    p1: int
    p2_inter: int
    p2: int
    backlog_p1: int
    backlog_p2: int
    raw_in_transit: int
    next_delivery: int | None
    last_action: int
    rush: bool
    profit: float
    sold_p1: int
    sold_p2: int
    overflow: int
    theft: int

    @classmethod
    def of(
        cls,
        state: NDArray[np.int64],
        money: NDArray[np.float64],
        counters: NDArray[np.int64],
    ) -> "WorkshopSnapshot":
        """Read one shop's rows of the kernel's `state`, `money` and `counters`."""
        s, c = state.tolist(), counters.tolist()
        unit = (
            constants.P1_MINUTES
            if s[arrays.M1_TASK] == constants.MAKES_P1
            else constants.STEP1_MINUTES
        )
        return cls(
            time=s[arrays.TIME],
            m1_task=s[arrays.M1_TASK],
            m1_units_left=-(-s[arrays.M1_LEFT] // unit),
            m1_minutes_left=s[arrays.M1_LEFT] + s[arrays.M1_SETUP],
            m1_setup=s[arrays.M1_SETUP],
            m1_down=s[arrays.M1_DOWN],
            m2_units_left=-(-s[arrays.M2_LEFT] // constants.STEP2_MINUTES),
            m2_minutes_left=s[arrays.M2_LEFT],
            m2_down=s[arrays.M2_DOWN],
            raw=s[arrays.RAW],
            p1=s[arrays.P1],
            p2_inter=s[arrays.P2_INTER],
            p2=s[arrays.P2],
            backlog_p1=s[arrays.BACKLOG_P1],
            backlog_p2=s[arrays.BACKLOG_P2],
            raw_in_transit=s[arrays.IN_TRANSIT],
            next_delivery=s[arrays.NEXT_DUE] - s[arrays.TIME] if s[arrays.IN_TRANSIT] else None,
            last_action=s[arrays.LAST_ACTION],
            rush=bool(s[arrays.RUSH]),
            profit=_profit(money),
            sold_p1=c[arrays.C_SOLD_P1],
            sold_p2=c[arrays.C_SOLD_P2],
            overflow=sum(c[arrays.C_OVER_RAW : arrays.C_OVER_P2 + 1]),
            theft=sum(c[arrays.C_THEFT_P1 : arrays.C_THEFT_P2 + 1]),
        )

    @property
    def day(self) -> str:
        """Name of the day; the week begins on a Monday and its last minute is Sunday's 24:00."""
        return DAYS[min(self.time // constants.MINUTES_PER_DAY, 6)]

    @property
    def clock(self) -> str:
        """Time of the day, HH:MM."""
        hours, minutes = divmod(self.time % constants.MINUTES_PER_DAY, 60)
        return "24:00" if self.time >= constants.EPISODE_MINUTES else f"{hours:02}:{minutes:02}"


def _profit(money: NDArray[np.float64]) -> float:
    return float(money[arrays.TERM_TOTALS : arrays.TERM_TOTALS + constants.PROFIT_TERMS].sum())


class History:
    """The moments of one episode, one row a step, in time order; the start is the first row."""

    def __init__(self) -> None:
        self._rows = np.zeros((constants.EPISODE_MINUTES + 1, HISTORY_COLUMNS))
        self._count = 0

    def begin(
        self, state: NDArray[np.int64], money: NDArray[np.float64], counters: NDArray[np.int64]
    ) -> None:
        """Forget everything and start from this moment."""
        self._count = 0
        self.append(state, money, counters)

    def append(
        self, state: NDArray[np.int64], money: NDArray[np.float64], counters: NDArray[np.int64]
    ) -> None:
        """Add the moment at which a step ended."""
        row = self._rows[self._count]
        row[:] = (
            state[arrays.TIME], state[arrays.M1_TASK], state[arrays.M1_LEFT], state[arrays.M2_LEFT],
            state[arrays.M1_DOWN], state[arrays.M2_DOWN], counters[arrays.C_SETUP],
            state[arrays.BACKLOG_P1], state[arrays.BACKLOG_P2], _profit(money),
        )  # fmt: skip
        self._count += 1

    @property
    def rows(self) -> NDArray[np.float64]:
        """The moments so far, float64 of shape (T, HISTORY_COLUMNS); a view."""
        return self._rows[: self._count]


def to_text(shop: WorkshopSnapshot) -> str:
    """A shop in six lines."""
    if shop.next_delivery is None:
        delivery = "nothing on its way"
    else:
        delivery = f"{shop.raw_in_transit} on its way, next in {shop.next_delivery} min"
    return "\n".join(
        (
            f"{shop.day} {shop.clock}   profit {shop.profit:,.0f}"
            f"   last decision: {constants.describe_action(shop.last_action)}",
            f"M1       {m1_in_words(shop)}",
            f"M2       {m2_in_words(shop)}",
            f"stock    raw {shop.raw}  P1 {shop.p1}  P2 half-finished {shop.p2_inter}"
            f"  P2 {shop.p2}  (each at most {constants.STOCK_CAP})",
            f"backlog  P1 {shop.backlog_p1}  P2 {shop.backlog_p2}"
            f"   sold  P1 {shop.sold_p1}  P2 {shop.sold_p2}",
            f"raw      {delivery}   lost: {shop.overflow} over the cap, {shop.theft} stolen",
        )
    )


def m1_in_words(shop: WorkshopSnapshot) -> str:
    """What M1 does now."""
    task = "P1" if shop.m1_task == constants.MAKES_P1 else "P2 (step 1)"
    if shop.m1_down:
        return f"broken down, {shop.m1_down} min to repair"
    if shop.m1_task == constants.IDLE:
        return "free"
    if shop.m1_setup:
        return f"set-up for {shop.m1_units_left} {task}, {shop.m1_setup} min"
    return f"{shop.m1_units_left} {task} left, {shop.m1_minutes_left} min"


def m2_in_words(shop: WorkshopSnapshot) -> str:
    """What M2 does now."""
    if shop.m2_down:
        return f"broken down, {shop.m2_down} min to repair"
    if not shop.m2_minutes_left:
        return "free"
    return f"{shop.m2_units_left} P2 (step 2) left, {shop.m2_minutes_left} min"

"""A shop as its owner can describe it, and what a policy may see and do there, without a kernel.

A real workshop has no kernel: whoever asks for a decision knows the stocks and what the machines
do. The rules are those of `kernel.write_fields` and `kernel.write_mask`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.worlds.workshop import constants
from compagnon.worlds.workshop.fields import FIELDS

TASKS: Final = {"idle": constants.IDLE, "p1": constants.MAKES_P1, "p2_step1": constants.MAKES_STEP1}
_MANY: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopState:
    """One moment of one shop; minutes, units, money.

    Attributes:
        time: minutes since the week began, 0 to 10,080.
        raw, p1, p2_inter, p2: stocks, 0 to 50.
        backlog_p1, backlog_p2: asked for and not yet sold.
        raw_in_transit: ordered and not yet delivered. next_delivery: minutes until some of it
            comes, 0 to 122; 0 too if nothing is on its way.
        m1_task: ``idle``, ``p1`` or ``p2_step1``. m1_minutes_left: work left on M1 without
            set-up. m1_setup_left: minutes of set-up left.
        m2_minutes_left: work left on M2.
        m1_ready_for: what M1 is set up for; ``idle`` for nothing yet.
        m1_down, m2_down: broken down.
        recent_demand: moving average of units asked for in 15 minutes.
        last_action: the last decision.
        reward_total, last_reward: for policies that were taught to read them.

    Raises:
        InputError: names the field, and says what would be right.
    """

    time: int
    raw: int
    p1: int
    p2_inter: int
    p2: int
    backlog_p1: int = 0
    backlog_p2: int = 0
    raw_in_transit: int = 0
    next_delivery: int = 0
    m1_task: str = "idle"
    m1_minutes_left: int = 0
    m1_setup_left: int = 0
    m2_minutes_left: int = 0
    m1_ready_for: str = "idle"
    m1_down: bool = False
    m2_down: bool = False
    recent_demand: float = 0.0
    last_action: int = constants.WAIT
    reward_total: float = 0.0
    last_reward: float = 0.0

    def __post_init__(self) -> None:
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"{name} is {value}; it should be {low:,} to {high:,}")
        for name in ("m1_task", "m1_ready_for"):
            if getattr(self, name) not in TASKS:
                raise InputError(f"{name} is {getattr(self, name)!r}; use {', '.join(TASKS)}")
        longest = {"idle": 0, "p1": constants.BATCHES * constants.P1_MINUTES}.get(
            self.m1_task, constants.BATCHES * constants.STEP1_MINUTES
        )
        if not (self.m1_task != "idle") <= self.m1_minutes_left <= longest:
            raise InputError(
                f"m1_minutes_left is {self.m1_minutes_left}; with m1_task {self.m1_task!r} it "
                f"should be {int(self.m1_task != 'idle')} to {longest}"
            )
        if self.next_delivery > 0 and not self.raw_in_transit:
            raise InputError(
                f"next_delivery is {self.next_delivery} and raw_in_transit is 0; "
                "where nothing is on its way, both are 0"
            )

    def values(self) -> NDArray[np.float64]:
        """Every field in physical units, in the order of `fields.FIELDS`; (32,)."""
        minute = self.time % constants.MINUTES_PER_DAY
        task, last = TASKS[self.m1_task], self.last_action
        waited = last >= constants.WAIT
        left = self.m1_minutes_left
        return np.array(
            [
                self.time,
                task != constants.IDLE,
                left + self.m1_setup_left,
                self.m2_minutes_left > 0,
                self.m2_minutes_left,
                *(self.raw, self.p1, self.p2_inter, self.p2),
                self.next_delivery,
                *(self.backlog_p1, self.backlog_p2),
                self.raw_in_transit,
                last // constants.BATCHES,
                0 if waited else last % constants.BATCHES + 1,
                last,
                minute,
                *(constants.P1_PRICE * self.backlog_p1, constants.P2_PRICE * self.backlog_p2),
                constants.THEFT_MINUTE - 60 <= minute < constants.THEFT_MINUTE,
                *(self.reward_total, self.last_reward),
                constants.TICK_MINUTES - self.time % constants.TICK_MINUTES,
                task,
                -(-left // constants.P1_MINUTES) if task == constants.MAKES_P1 else 0,
                -(-left // constants.STEP1_MINUTES) if task == constants.MAKES_STEP1 else 0,
                -(-self.m2_minutes_left // constants.STEP2_MINUTES),
                TASKS[self.m1_ready_for],
                *(self.m1_down, self.m2_down),
                self.recent_demand,
                constants.EPISODE_MINUTES - self.time,
            ],
            np.float64,
        )

    def mask(self) -> NDArray[np.bool_]:
        """The actions that are possible now; (201,)."""
        m1_free = self.m1_task == "idle" and not self.m1_down
        m2_free = self.m2_minutes_left == 0 and not self.m2_down
        mask = np.zeros(constants.NUM_ACTIONS, np.bool_)
        if m1_free:
            mask[constants.P1_START : constants.P1_START + self.raw] = True
            mask[constants.STEP1_START : constants.STEP1_START + self.raw] = True
        if m2_free:
            mask[constants.STEP2_START : constants.STEP2_START + self.p2_inter] = True
        mask[constants.ORDER_START :] = True
        return mask

    def why_impossible(self, action: int) -> str | None:
        """What stands in the way of an action, in words; None where it is possible."""
        if action >= constants.ORDER_START or self.mask()[action]:
            return None
        on_m2 = action >= constants.STEP2_START
        if on_m2 and self.m2_down:
            return "M2 is broken down"
        if on_m2 and self.m2_minutes_left:
            return f"M2 is at work for another {_minutes(self.m2_minutes_left)}"
        if not on_m2 and self.m1_down:
            return "M1 is broken down"
        if not on_m2 and self.m1_task != "idle":
            return (
                f"M1 is at work for another {_minutes(self.m1_minutes_left + self.m1_setup_left)}"
            )
        needed = action % constants.BATCHES + 1
        held, what = (self.p2_inter, "half-finished P2") if on_m2 else (self.raw, "raw")
        return f"it takes {needed} {what}, and the store holds {held}"


def _minutes(count: int) -> str:
    return f"{count} minute{'' if count == 1 else 's'}"


_RANGES: Final = (
    ("time", 0, constants.EPISODE_MINUTES),
    *((name, 0, constants.STOCK_CAP) for name in ("raw", "p1", "p2_inter", "p2")),
    *((name, 0, _MANY) for name in ("backlog_p1", "backlog_p2", "raw_in_transit")),
    ("next_delivery", 0, constants.DELIVERY_MINUTES + constants.DELIVERY_SPREAD),
    ("m1_setup_left", 0, constants.MINUTES_PER_DAY),
    ("m2_minutes_left", 0, constants.BATCHES * constants.STEP2_MINUTES),
    ("recent_demand", 0, _MANY),
    ("last_action", 0, constants.WAIT),
    *((name, -1_000_000, 1_000_000) for name in ("reward_total", "last_reward")),
)
assert len(FIELDS) == 32

"""The workshop's numbers and names: one place for what both the kernel and people refer to.

Compiled code is cached by the kernel's own file: after a change here, `make clean` or touch
`kernel.py`, or the old numbers go on playing.
"""

from typing import Final, NamedTuple

MINUTES_PER_DAY: Final = 1440
EPISODE_MINUTES: Final = 7 * MINUTES_PER_DAY
TICK_MINUTES: Final = 15
TICKS_PER_EPISODE: Final = EPISODE_MINUTES // TICK_MINUTES

STOCK_CAP: Final = 50
INITIAL_RAW: Final = 10
P1_MINUTES: Final = 3
STEP1_MINUTES: Final = 10
STEP2_MINUTES: Final = 15
DELIVERY_MINUTES: Final = 120
DELIVERY_SPREAD: Final = 2
IN_TRANSIT_SLOTS: Final = 128  # a ring longer than the longest delivery, and a power of two
THEFT_MINUTE: Final = 1435
THEFT_KEPT: Final = 0.9
DAY_START: Final = 480
DAY_END: Final = 1200
DAY_RATE: Final = 0.10
NIGHT_RATE: Final = 0.02
P1_SHARE: Final = 0.7

# Actions: four families of 50 batch sizes, then WAIT.
BATCHES: Final = 50
P1_START: Final = 0
STEP1_START: Final = 50
STEP2_START: Final = 100
ORDER_START: Final = 150
WAIT: Final = 200
NUM_ACTIONS: Final = 201

# What M1 works on.
IDLE: Final = 0
MAKES_P1: Final = 1
MAKES_STEP1: Final = 2

P1_PRICE: Final = 2.0
P2_PRICE: Final = 20.0
RAW_COST: Final = 1.0
P1_LAUNCH_BONUS: Final = 0.5
STEP1_LAUNCH_BONUS: Final = 5.0
STEP2_LAUNCH_BONUS: Final = 15.0
WAIT_COST: Final = 0.2
INVALID_COST: Final = 1.0
BACKLOG_COST: Final = 0.02

REWARD_TERMS: Final = (
    "sales_p1",
    "sales_p2",
    "raw_cost",
    "backlog_cost",
    "launch_bonus",
    "wait_cost",
    "invalid_cost",
)
PROFIT_TERMS: Final = 4  # the first four terms are what the business earns

COUNTERS: Final = (
    "demand_p1",
    "demand_p2",
    "sold_p1",
    "sold_p2",
    "overflow_raw",
    "overflow_p1",
    "overflow_p2_inter",
    "overflow_p2",
    "theft_p1",
    "theft_p2",
    "m1_busy_minutes",
    "m2_busy_minutes",
    "backlog_p1_ticks",
    "backlog_p2_ticks",
    "raw_ordered",
    "raw_in_transit_minutes",
    "launches",
    "waits",
    "m1_down_minutes",
    "m2_down_minutes",
    "setup_minutes",
)


class ShopParams(NamedTuple):
    """Everything the compiled kernel needs to know of an environment's options."""

    profit_reward: bool
    decision_points: bool
    day_rate: float
    night_rate: float
    setup_minutes: int
    failure_probability: float
    mean_repair_minutes: float
    calm_factor: float
    rush_factor: float
    rush_begins: float
    rush_ends: float
    book_weeks: int


def describe_action(action: int) -> str:
    """An action in words: ``describe_action(149)`` is ``"make 50 P2 (step 2)"``."""
    if action == WAIT:
        return "wait"
    family, size = divmod(action, BATCHES)
    size += 1
    return (
        f"make {size} P1",
        f"make {size} P2 (step 1)",
        f"make {size} P2 (step 2)",
        f"order {size} raw",
    )[family]

"""The proof of concept's numbers: one place for what both the kernel and people refer to.

Compiled code is cached by the kernel's own file: after a change here, `make clean` or touch
`kernel.py`, or the old numbers go on playing.
"""

from typing import Final, NamedTuple

TICK_MINUTES: Final = 5
START_HOUR: Final = 8
CENTRE_LAT: Final = 46.2044
CENTRE_LON: Final = 6.1432
REACH: Final = 0.1  # degrees from the centre to the edge of the box
EARTH_KM: Final = 6371.0

MAX_LOAD: Final = 3  # rides that a driver has at once
RIDE_ENDS: Final = 0.10  # chance a tick that a loaded driver ends one
FREE_SPEED: Final = 30.0  # km/h without traffic
TRAFFIC_SLOWS: Final = 0.5  # share of the speed that the densest traffic takes
RUSH_TRAFFIC: Final = 0.8
NOON_TRAFFIC: Final = 0.5
CALM_TRAFFIC: Final = 0.3

FIRST_BOOKINGS: Final = (3, 7)
MORE_BOOKINGS: Final = (1, 3)
RUSH_DEMAND: Final = 0.5
NOON_DEMAND: Final = 0.35
CALM_DEMAND: Final = 0.2
PRIORITIES: Final = 5
URGENT: Final = 4  # from this priority on
URGENT_WINDOW: Final = (10, 29)
WINDOW: Final = (20, 59)

ASSIGNED: Final = 50.0
LATE_A_MINUTE: Final = 5.0
LATE_AT_MOST: Final = 100.0
NEAR_KM: Final = 5.0
NEAR: Final = 10.0
URGENT_BONUS: Final = 20.0
PROMPT: Final = 15.0
CANCELLED: Final = 40.0  # for each point of priority
WAIT_COST: Final = 1.0
INVALID_COST: Final = 10.0

EVEN_SD: Final = 1.5
EVEN_BONUS: Final = 50.0
COMPLETION_BONUS: Final = 100.0
NEAR_BONUS: Final = 30.0
LATE_SHARE: Final = 0.20
LATE_SHARE_COST: Final = 50.0

# A passenger's grade: 5 less these, at least 1; who is cancelled gives 1.
GRADE_A_WAITED_MINUTE: Final = 0.05
GRADE_A_LATE_MINUTE: Final = 0.10


class PocParams(NamedTuple):
    """Everything the compiled kernel needs to know of an environment's options."""

    ticks: int
    assignments_per_tick: int
    faults: bool
    pairs: bool
    trips: bool
    by_urgency: bool


def describe_action(action: int, slots: int) -> str:
    """An action in words: ``describe_action(22, 20)`` is ``"driver 1 to booking 1"``."""
    if action == 0:
        return "wait"
    driver, booking = divmod(action - 1, slots)
    return f"driver {driver} to booking {booking}"

"""What a policy sees: four groups of named fields in physical units, flat in one vector."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.envs.field import Field
from compagnon.worlds.dispatch.instance_parts import SEAT_TYPES

_DAY: Final = 2880.0
_KM: Final = 1000.0
_MANY: Final = 100_000.0

# The order is that of `observe`.
GLOBAL: Final = (
    Field("time", "min", 0, 2 * _DAY, 1440, "the clock, minutes since midnight"),
    Field("time_left", "min", -_DAY, _DAY, 720, "minutes to the end of the last shift"),
    Field("open", "rides", 0, _MANY, 50, "open bookings"),
    Field("behind", "rides", 0, _MANY, 50, "open bookings that the board has no place for"),
    Field("on_call", "rides", 0, _MANY, 50, "returns that will be announced by a call"),
    Field("planned", "rides", 0, _MANY, 50, "rides in a plan, nobody on board yet"),
    Field("on_board", "rides", 0, _MANY, 10, "rides under way"),
    Field("served", "rides", 0, _MANY, 100, "rides done"),
    Field("rejected", "rides", 0, _MANY, 20, "rides refused or missed"),
    Field("drivers_free", "drivers", 0, _MANY, 10, "drivers on shift who stand free"),
)
_SEATS = tuple(f"seats_{seat}" for seat in SEAT_TYPES)
DRIVER: Final = (
    Field("present", "0/1", 0, 1, 1, "there is such a driver, and the way home has not begun"),
    Field("east", "km", -_KM, _KM, 10, "where he is free next, from the middle of the map"),
    Field("north", "km", -_KM, _KM, 10, "where he is free next, from the middle of the map"),
    Field("free_in", "min", 0, 2 * _DAY, 60, "minutes until he can be sent elsewhere"),
    Field("stops_ahead", "stops", 0, 64, 10, "stops in his plan, the way home not counted"),
    Field("planned_for", "min", 0, 2 * _DAY, 240, "minutes until his last planned stop is done"),
    Field("shift_left", "min", -_DAY, _DAY, 480, "minutes to the end of his shift"),
    Field("break_ahead", "0/1", 0, 1, 1, "his break is still to come"),
    Field("driving", "0/1", 0, 1, 1, "he is under way to a stop"),
    Field("slack", "min", 0, 2 * _DAY, 60, "minutes his next open stop can be put off"),
    *(Field(f"free_{name}", "seats", 0, 100, 4, f"{name} free now") for name in _SEATS),
    *(Field(name, "seats", 0, 100, 4, f"{name} of the vehicle") for name in _SEATS),
)
BOOKING: Final = (
    Field("shown", "0/1", 0, 1, 1, "the place on the board is taken"),
    Field("pickup_east", "km", -_KM, _KM, 10, "from the middle of the map"),
    Field("pickup_north", "km", -_KM, _KM, 10, "from the middle of the map"),
    Field("dropoff_east", "km", -_KM, _KM, 10, "from the middle of the map"),
    Field("dropoff_north", "km", -_KM, _KM, 10, "from the middle of the map"),
    Field("pickup_from", "min", -_DAY, 2 * _DAY, 120, "minutes until the pickup window begins"),
    Field("pickup_by", "min", -_DAY, 2 * _DAY, 120, "minutes until it ends: the deadline"),
    Field("dropoff_from", "min", -_DAY, 2 * _DAY, 120, "minutes until the earliest drop-off"),
    Field("dropoff_by", "min", -_DAY, 2 * _DAY, 120, "minutes until the latest drop-off"),
    Field("direct", "min", 0, _DAY, 30, "minutes of the direct ride"),
    *(Field(f"load_{seat}", "seats", 0, 100, 2, f"{seat} seats taken") for seat in SEAT_TYPES),
    Field("door", "min", 0, 480, 10, "planned minutes of boarding and alighting"),
    Field("max_ride", "min", 0, _DAY, 60, "minutes on board at most"),
    Field("priority", "1-5", 0, 5, 5, "1 low to 5 high"),
    Field("is_return", "0/1", 0, 1, 1, "it is the way back of an earlier ride"),
    Field("has_return", "0/1", 0, 1, 1, "a way back hangs on it"),
    Field("waited", "min", 0, _DAY, 60, "minutes since it was announced or the day began"),
    Field("promised", "0/1", 0, 1, 1, "it is in a plan, and may be moved"),
    Field("gets_home", "0/1", 0, 1, 1, "declining it orders a taxi: somebody must get home"),
    Field("decline_cost", "cost", 0, _MANY, 60, "of a refusal with what hangs on it, or a taxi"),
    Field("answer_price", "cost/min", 0, _MANY, 0.2, "cost of a minute without an answer"),
    Field("answer_left", "min", 0, _DAY, 120, "minutes until no answer is a refusal"),
    Field("locked_in", "min", 0, _DAY, 60, "minutes until a promised ride stays where it is"),
    Field("missed", "cost", 0, _MANY, 20, "what it costs more without its best driver"),
    Field("choices", "drivers", 0, 10_000, 10, "drivers who can take it"),
)
PAIR: Final = (
    Field("feasible", "0/1", 0, 1, 1, "the driver can take the booking"),
    Field("added_minutes", "min", -_DAY, _DAY, 30, "driving added, at relative speed 1"),
    Field(
        "added_cost",
        "cost",
        -_MANY,
        _MANY,
        20,
        "cost added; if promised, beside its place now",
    ),
    Field("boards_in", "min", -_DAY, 2 * _DAY, 60, "minutes until boarding begins"),
    Field("slack", "min", 0, _DAY, 30, "least minutes before a limit of a stop it adds or moves"),
    Field("detour", "min", -_DAY, _DAY, 30, "minutes on board beyond the direct ride"),
    Field("approach", "min", 0, _DAY, 30, "driving to the pickup, at relative speed 1"),
    Field("own", "0/1", 0, 1, 1, "he has it planned already, and it would go to another place"),
    Field("over_best", "cost", -_MANY, _MANY, 20, "cost, tightness priced, beyond the best choice"),
    Field("others_miss", "cost", 0, _MANY, 20, "what other open bookings miss without the driver"),
)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the groups stand in an observation: global | drivers | board | pairs.

    Attributes:
        drivers, board: how many drivers and places on the board there are.
        global_size, driver_size, booking_size, pair_size: fields of each.
    """

    drivers: int
    board: int
    global_size: int = len(GLOBAL)
    driver_size: int = len(DRIVER)
    booking_size: int = len(BOOKING)
    pair_size: int = len(PAIR)

    @property
    def driver_start(self) -> int:
        """Column of the first driver's first field."""
        return self.global_size

    @property
    def board_start(self) -> int:
        """Column of the first place's first field."""
        return self.driver_start + self.drivers * self.driver_size

    @property
    def pair_start(self) -> int:
        """Column of the first field of (driver 0, place 0); places run faster than drivers."""
        return self.board_start + self.board * self.booking_size

    @property
    def size(self) -> int:
        """Columns of an observation."""
        return self.pair_start + self.drivers * self.board * self.pair_size

    @property
    def actions(self) -> int:
        """Actions: wait, drivers x board assignments, board rejections."""
        return 1 + self.drivers * self.board + self.board


def all_fields(layout: Layout) -> tuple[Field, ...]:
    """One field a column: `time`, ..., `driver3_east`, ..., `place0_pickup_by`, `pair3_0_slack`."""
    fields = list(GLOBAL)
    for d in range(layout.drivers):
        fields += [_renamed(f"driver{d}", field) for field in DRIVER]
    for j in range(layout.board):
        fields += [_renamed(f"place{j}", field) for field in BOOKING]
    for d in range(layout.drivers):
        for j in range(layout.board):
            fields += [_renamed(f"pair{d}_{j}", field) for field in PAIR]
    return tuple(fields)


def _renamed(prefix: str, field: Field) -> Field:
    name = f"{prefix}_{field.name}"
    return Field(name, field.unit, field.low, field.high, field.divisor, field.meaning)


def scales(scaling: str) -> NDArray[np.float64]:
    """What the kernel multiplies the fields of the four groups by, one after the other."""
    fields = (*GLOBAL, *DRIVER, *BOOKING, *PAIR)
    if scaling == "published":
        return np.array([1.0 / field.divisor for field in fields])
    return np.ones(len(fields))

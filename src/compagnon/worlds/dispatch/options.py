"""The options of dispatch, validated: each field is an argument of the environment."""

from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from compagnon.envs.options import parse_options
from compagnon.errors import InputError
from compagnon.worlds.dispatch.conditions import LONGEST_HALT, Conditions
from compagnon.worlds.dispatch.generator import PRESETS, Habits
from compagnon.worlds.dispatch.insertion import Weights

# How long it takes, of what happens with a probability.
_MEANS: Final = {"late_ready_minutes": "late_ready", "repair_minutes": "breakdown"}
BOARDS: Final = {"clinic-day": 8, "city": 12, "metro": 24}


class DispatchOptions(BaseModel):
    """What can be chosen about a day of dispatch."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    preset: Literal["clinic-day", "city", "metro"] = Field(
        "city", description="size and habits of the generated days"
    )
    days: str = Field(
        "", description="a saved day, or a folder of them, replayed instead of generated ones"
    )
    board: int = Field(
        0, ge=0, le=256, description="places on the board; 0 for the preset's 8, 12 or 24"
    )
    tightness: float = Field(
        1.0, ge=0.25, le=3.0, description="rides are multiplied by it, and windows divided"
    )
    delay_minutes: float = Field(
        1.0, ge=0.0, le=3.0, description="mean minutes that a door takes longer than planned"
    )
    no_show: float = Field(0.03, ge=0.0, le=1.0, description="probability, outbound rides alone")
    cancel: float = Field(0.05, ge=0.0, le=1.0, description="probability of a late cancellation")
    traffic_day: float = Field(
        0.0, ge=0.0, le=1.0, description="spread (log) of the speed of the whole day, unknown"
    )
    traffic_hour: float = Field(
        0.0, ge=0.0, le=1.0, description="spread (log) of the speed of each hour, unknown"
    )
    late_ready: float = Field(
        0.0, ge=0.0, le=1.0, description="probability that who rides back or on is not ready"
    )
    late_ready_minutes: float = Field(
        15.0, gt=0.0, le=60.0, description="minutes that it takes them, on average"
    )
    breakdown: float = Field(
        0.0, ge=0.0, le=1.0, description="probability that a driver's vehicle breaks down that day"
    )
    repair_minutes: float = Field(
        60.0, gt=0.0, le=240.0, description="minutes until another one is there, on average"
    )
    halt_minutes: float = Field(
        0.0, ge=0.0, le=LONGEST_HALT, description="minutes of parking at each place driven to"
    )
    look_again: float = Field(
        30.0,
        ge=1.0,
        le=1440.0,
        description="minutes without news after which dispatch looks again at open bookings",
    )
    town: int = Field(0, ge=0, le=2**31 - 1, description="which town")
    reject_base: float = Field(30.0, ge=0.0, description="cost of a ride refused or missed ...")
    reject_priority: float = Field(10.0, ge=0.0, description="... and for each point of priority")
    late: float = Field(1.0, ge=0.0, description="cost of a minute after a window")
    wait: float = Field(0.3, ge=0.0, description="cost of a minute's wait beyond the promise")
    promise: float = Field(15.0, ge=0.0, description="minutes a pickup may take at no cost")
    ride: float = Field(0.2, ge=0.0, description="cost of a minute beyond the direct ride")
    km: float = Field(0.5, ge=0.0, description="cost of a kilometre")
    overtime: float = Field(1.0, ge=0.0, description="cost of a driver's minute after the shift")
    answer: float = Field(
        0.05, ge=0.0, description="cost of a minute that a caller of the same day waits to be told"
    )
    answer_on_call: float = Field(
        0.2, ge=0.0, description="... that one waits who calls for the way home ..."
    )
    answer_in_advance: float = Field(
        0.01, ge=0.0, description="... and one who asked the day before, from the day's begin on"
    )
    answer_limit: float = Field(
        0.0, ge=0.0, le=2880.0, description="minutes after which no answer is a refusal; 0: none"
    )
    replan: bool = Field(
        True, description="accepted rides may be given to another driver, or another place"
    )
    freeze: float = Field(
        15.0,
        ge=0.0,
        le=1440.0,
        description="minutes before a driver sets out for a pickup from which on it stays his",
    )
    move: float = Field(0.0, ge=0.0, description="cost of a ride that is moved")
    move_worth: float = Field(
        2.0, ge=0.0, description="saving from which on dispatch is asked for moves alone"
    )
    taxi: bool = Field(
        True, description="who was brought, or is promised to be, gets home by taxi if need be"
    )
    taxi_base: float = Field(40.0, ge=0.0, description="cost of a taxi ...")
    taxi_km: float = Field(2.5, ge=0.0, description="... and for each road kilometre")
    broken: float = Field(
        200.0, ge=0.0, description="cost of a promise that cannot be kept, beside the ride's"
    )
    impossible: float = Field(
        1.0, ge=0.0, description="cost of asking for what is masked; then time passes"
    )
    scaling: Literal["physical", "published"] = Field(
        "physical", description="`published` divides each field by its divisor"
    )

    @classmethod
    def parse(cls, **arguments: object) -> "DispatchOptions":
        """Validate keyword arguments.

        Raises:
            InputError: names the argument, what was given, and what would be right.
        """
        options = parse_options(cls, "dispatch", arguments)
        if not options.replan and {"freeze", "move", "move_worth"} & arguments.keys():
            raise InputError(
                "replan=False: accepted rides do not move, so freeze, move and move_worth "
                "say nothing; leave them out"
            )
        if not options.taxi and {"taxi_base", "taxi_km"} & arguments.keys():
            raise InputError("taxi=False: leave taxi_base and taxi_km out")
        for minutes, chance in _MEANS.items():
            if minutes in arguments and not getattr(options, chance):
                raise InputError(
                    f"{minutes} says nothing with {chance}=0; give {chance}, or leave it out"
                )
        dearest = options.reject_base + 5 * options.reject_priority
        if options.broken < dearest:
            raise InputError(
                f"broken={options.broken:g}: a broken promise should cost no less than the "
                f"dearest refusal, {dearest:g}"
            )
        if options.days and not Path(options.days).exists():
            raise InputError(
                f"days={options.days!r} does not exist; give a saved day (JSON), "
                "or a folder of them"
            )
        return options

    @property
    def places(self) -> int:
        """Places on the board."""
        return self.board or BOARDS[self.preset]

    def weights(self) -> Weights:
        """What the kernel weighs costs with."""
        return Weights(**{name: getattr(self, name) for name in Weights._fields})

    def conditions(self) -> Conditions:
        """What comes on top of any day."""
        return Conditions(**{name: getattr(self, name) for name in Conditions._fields})

    def habits(self) -> Habits:
        """What the generator asks."""
        return Habits(**{name: getattr(self, name) for name in Habits._fields})


assert set(BOARDS) == set(PRESETS)

"""The proof of concept's options, validated: each field is an argument of the environment."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from compagnon.envs.options import parse_options
from compagnon.errors import InputError
from compagnon.worlds.dispatch_poc import constants


class PocOptions(BaseModel):
    """What can be chosen about the proof of concept. The defaults are the published sizes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    drivers: int = Field(10, ge=1, le=100, description="N, drivers")
    slots: int = Field(20, ge=1, le=100, description="M, bookings that are on the board at once")
    hours: int = Field(8, ge=1, le=16, description="length of the day, from 08:00")
    assignments_per_tick: int = Field(
        1, ge=1, le=1000, description="decisions that fit in one tick of five minutes"
    )
    faults: bool = Field(False, description="the original's behaviour, slots never freed and all")
    observation: Literal["published", "pairs", "trips"] = Field(
        "published",
        description="`published`: 4N + 4M + 2 fields; `pairs`: N M more, the minutes to spare; "
        "`trips`: drop-offs, windows, and what each pair earns and leaves behind",
    )
    order: Literal["arrival", "urgency"] = Field(
        "arrival",
        description="`urgency`: by the windows' ends, drivers by the way to the first booking",
    )
    scaling: Literal["physical", "published"] = Field(
        "physical", description="`published` divides each field by its published divisor"
    )

    @classmethod
    def parse(cls, **arguments: object) -> "PocOptions":
        """Validate keyword arguments.

        Raises:
            InputError: names the argument, what was given, and what would be right.
        """
        options = parse_options(cls, "dispatch proof of concept", arguments)
        if options.faults and options.order == "urgency":
            raise InputError("order='urgency' with faults=True: the original keeps arrival order")
        return options

    @property
    def num_actions(self) -> int:
        """N M + 1."""
        return self.drivers * self.slots + 1

    def kernel_params(self) -> constants.PocParams:
        """The same choices as the numbers the kernel wants."""
        return constants.PocParams(
            ticks=self.hours * 60 // constants.TICK_MINUTES,
            assignments_per_tick=self.assignments_per_tick,
            faults=self.faults,
            pairs=self.observation == "pairs",
            trips=self.observation == "trips",
            by_urgency=self.order == "urgency",
        )

"""The workshop's options, validated: each field is an argument of the environment."""

from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from compagnon.envs.options import parse_options
from compagnon.errors import InputError
from compagnon.worlds.workshop import constants

DEMAND_FACTORS: Final = {"published": 1.0, "tight": 2.0, "overload": 3.0}


class WorkshopOptions(BaseModel):
    """What can be chosen about a workshop. The defaults are the published one."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    reward: Literal["published", "profit"] = Field(
        "published", description="`profit` is sales less raw material and backlog penalty alone"
    )
    demand: str = Field(
        "published",
        description="`published`, `tight` (x 2), `overload` (x 3), or the path of an order book",
    )
    observation: str | tuple[str, ...] = Field(
        "full", description="`full` (23), `compact` (13), `state` (23), or a list of field names"
    )
    scaling: Literal["physical", "published"] = Field(
        "physical", description="`published` divides each field by its published divisor"
    )
    decision_points: bool = Field(
        False,
        description=(
            "WAIT lasts until a machine comes free or gets work, a delivery, demand or a sale"
        ),
    )
    setup_minutes: int = Field(
        0, ge=0, le=1_440, description="minutes M1 is set up when it changes product"
    )
    minutes_between_failures: float = Field(
        0.0, ge=0.0, description="mean minutes between a machine's breakdowns; 0 for never"
    )
    repair_minutes: float = Field(
        60.0, ge=1.0, le=10_080.0, description="mean minutes of a repair (geometric)"
    )
    calm_factor: float = Field(1.0, ge=0.0, le=20.0, description="demand factor in calm times")
    rush_factor: float = Field(1.0, ge=0.0, le=20.0, description="demand factor in a rush")
    calm_minutes: float = Field(
        0.0, ge=0.0, description="mean minutes of calm before a rush; 0 for no rush ever"
    )
    rush_minutes: float = Field(480.0, ge=15.0, description="mean minutes of a rush")

    @classmethod
    def parse(cls, **arguments: object) -> "WorkshopOptions":
        """Validate keyword arguments.

        Raises:
            InputError: names the argument, what was given, and what would be right.
        """
        options = parse_options(cls, "workshop", arguments)
        if options.demand not in DEMAND_FACTORS and not Path(options.demand).is_file():
            raise InputError(
                f"demand={options.demand!r} is neither a preset ({', '.join(DEMAND_FACTORS)}) "
                "nor an order book that exists (a CSV file: time,product,quantity)"
            )
        return options

    def kernel_params(self, book_weeks: int) -> constants.ShopParams:
        """The same choices as the numbers the kernel wants."""
        factor = DEMAND_FACTORS.get(self.demand, 1.0)
        failures = self.minutes_between_failures
        return constants.ShopParams(
            profit_reward=self.reward == "profit",
            decision_points=self.decision_points,
            day_rate=constants.DAY_RATE * factor,
            night_rate=constants.NIGHT_RATE * factor,
            setup_minutes=self.setup_minutes,
            failure_probability=min(1.0, 1.0 / failures) if failures > 0 else 0.0,
            mean_repair_minutes=self.repair_minutes,
            calm_factor=self.calm_factor,
            rush_factor=self.rush_factor,
            rush_begins=min(1.0, constants.TICK_MINUTES / self.calm_minutes)
            if self.calm_minutes
            else 0.0,
            rush_ends=min(1.0, constants.TICK_MINUTES / self.rush_minutes),
            book_weeks=book_weeks,
        )

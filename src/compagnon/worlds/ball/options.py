"""The ball's options, validated: each field is an argument of the environment."""

from pydantic import BaseModel, ConfigDict, Field

from compagnon.envs.options import parse_options


class BallOptions(BaseModel):
    """What can be chosen about a ball. The defaults are the published one, in one dimension."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dimension: int = Field(1, ge=1, le=64, description="axes of the box")
    sigma: float = Field(
        1.0, ge=0.0, le=1_000.0, description="standard deviation of a step's noise on each axis"
    )
    max_steps: int = Field(500, ge=1, le=1_000_000_000, description="steps of a whole episode")
    bonus: float = Field(
        50.0, description="added to the reward of the last step of a whole episode"
    )
    terminal_bonus: bool = Field(
        False, description="a whole episode is terminated, as published, rather than truncated"
    )

    @classmethod
    def parse(cls, **arguments: object) -> "BallOptions":
        """Validate keyword arguments.

        Raises:
            InputError: names the argument, what was given, and what would be right.
        """
        return parse_options(cls, "ball", arguments)

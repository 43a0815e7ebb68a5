"""How much DDPG explores, apart from how: reading a recipe needs no torch."""

from typing import Literal

from pydantic import Field, model_validator

from compagnon.rl.networks.registry import Norm
from compagnon.rl.settings import AlgorithmSettings, Fixed, Free

Exploration = Literal["ou", "gaussian", "draws", "parameters", "none"]


class ExplorationSettings(AlgorithmSettings):
    """Settings of exploration; deviations are in units of the half-range of an action's bounds."""

    norm: Fixed[Norm] = Field("none", description="in the hidden layers of actor and critics")
    exploration: Fixed[Exploration | None] = Field(
        None,
        description="ou, gaussian, draws, parameters, none; not named: ou for vectors, else draws",
    )
    noise_std: Free[float] = Field(0.2, ge=0, description="ou, gaussian: deviation, in half-ranges")
    ou_theta: Free[float] = Field(
        0.15, ge=0, description="ou: how strongly the noise is pulled to 0"
    )
    ou_dt: Free[float] = Field(0.01, gt=0, le=1, description="ou: time of a step")
    repulsive_boundary: Free[bool] = Field(
        True, description="ou, gaussian: keep the action and the noise off the bounds"
    )
    repulsion: Free[float] = Field(
        1e-4, gt=0, description="share of the boundary's slope of a step"
    )
    parameter_std: Fixed[float] = Field(
        0.1, gt=0, description="parameters: deviation of weights at first"
    )
    parameter_distance: Free[float] = Field(
        0.2, gt=0, description="parameters: how far actions shall move, in half-ranges"
    )
    parameter_factor: Free[float] = Field(
        1.01, gt=1, description="parameters: how much the deviation changes at a time"
    )
    parameter_every: Free[int] = Field(
        50, ge=1, description="parameters: steps of each copy between two such changes"
    )

    @model_validator(mode="after")
    def _norm_fits(self) -> "ExplorationSettings":
        if self.exploration == "parameters" and self.norm != "layer":
            raise ValueError(
                "exploration: 'parameters' needs norm = 'layer', without which one deviation "
                "does not suit every layer"
            )
        return self

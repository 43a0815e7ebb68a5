"""The settings of DDPG and TD3, apart from them: reading a recipe needs no torch."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from compagnon.rl.exploration.settings import ExplorationSettings
from compagnon.rl.off_policy import OffPolicySettings
from compagnon.rl.settings import Fixed, Free

Widths = tuple[Annotated[int, Field(ge=1, le=4096)], ...]


class DDPGSettings(OffPolicySettings, ExplorationSettings):
    """Settings of DDPG."""

    serves = ("box", "discrete")
    kind: Fixed[Literal["ddpg"]] = "ddpg"
    version: Fixed[Literal["double", "simple"]] = Field(
        "double", description="with target networks (double) or without (simple)"
    )
    capacity: Fixed[int] = Field(5000, ge=1, description="transitions that are remembered")
    learning_starts: Free[int] = Field(
        1000, ge=0, description="environment steps of uniform actions before the first update"
    )
    batch_size: Free[int] = Field(64, ge=1, description="transitions of an update")
    actor_learning_rate: Free[float] = Field(
        1e-3, gt=0, description="Adam's step size for the actor"
    )
    critic_learning_rate: Free[float] = Field(
        1e-3, gt=0, description="Adam's step size for the critic"
    )
    final_rate_share: Free[float] = Field(
        1.0, ge=0, le=1, description="of both step sizes, reached linearly by the budget's end"
    )
    max_grad_norm: Free[float] = Field(
        0.0, ge=0, description="gradient norm at most, of the actor and of the critics; 0: any"
    )
    tau: Free[float] = Field(
        0.005, gt=0, le=1, description="double: how far the targets move at a time"
    )
    target_interval: Free[int] = Field(
        1, ge=1, description="double: updates between two such moves"
    )
    critic_state_hidden: Fixed[Widths] = Field(
        (16, 32), description="widths of the critic's state stream"
    )
    critic_action_hidden: Fixed[Widths] = Field(
        (16, 32), description="widths of the critic's action stream"
    )
    critic_hidden: Fixed[Widths] = Field(
        (64, 64), description="widths of what joins the two streams"
    )
    squash: Fixed[Literal["sigmoid", "tanh"]] = Field(
        "sigmoid", description="what brings the actor's outputs within the bounds"
    )
    twin_critics: Fixed[bool] = Field(
        False, description="TD3: learn the lesser of two critics' values"
    )
    target_noise: Free[float] = Field(
        0.0, ge=0, description="TD3: deviation of the noise on the target's actions, in half-ranges"
    )
    target_noise_clip: Free[float] = Field(0.5, gt=0, description="TD3: that noise at most")
    actor_delay: Free[int] = Field(
        1, ge=1, description="TD3: updates of the critics for one of the actor"
    )

    @model_validator(mode="after")
    def _learns(self) -> "DDPGSettings":
        if self.learning_starts > self.capacity:
            raise ValueError("learning_starts: more than capacity holds; the rest would be lost")
        if self.norm == "batch" and self.batch_size == 1:
            raise ValueError("batch_size: norm = 'batch' needs more than one transition")
        return self

"""The settings of DDPG and TD3, apart from them: reading a recipe needs no torch."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from compagnon.rl.exploration.settings import ExplorationSettings
from compagnon.rl.networks.registry import is_known, known_networks
from compagnon.rl.off_policy import OffPolicySettings
from compagnon.rl.problem_defaults import Chosen, ProblemFacts, fill
from compagnon.rl.settings import Fixed, Free

Widths = tuple[Annotated[int, Field(ge=1, le=4096)], ...]


class DDPGSettings(OffPolicySettings, ExplorationSettings):
    """Settings of DDPG."""

    serves = ("box", "discrete")
    num_envs_key = "num_envs"
    network_defaults = {"hidden": [128, 128], "activation": "relu"}  # noqa: RUF012
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
    critic_network: Fixed[str | None] = Field(
        None,
        description="beside a network.kind of your own, another one for critics that read states "
        "and actions apart: module:function that makes one, or its registered name",
    )
    critic_options: Fixed[dict[str, Any] | None] = Field(
        None, description="what the function that makes those critics is called with"
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
        if self.critic_network is not None and not is_known(self.critic_network):
            known = ", ".join(map(repr, known_networks()))
            raise ValueError(
                f"critic_network: should be {f'{known} or ' if known else ''}module:function, "
                f"got {self.critic_network!r}"
            )
        if self.critic_options and self.critic_network is None:
            raise ValueError("critic_options: these are for a critic_network")
        return self

    @classmethod
    def complete(cls, problem: ProblemFacts, given: dict[str, Any]) -> None:
        """See `AlgorithmSettings.complete`."""
        fill(given, defaults(problem, given))


def defaults(problem: ProblemFacts, given: Mapping[str, Any]) -> Chosen:
    """A memory that holds the budget, one network for state and action, and two of TD3's remedies.

    Twin critics and a slower actor (arXiv 1802.09477) keep the actor from climbing errors of the
    critic, which is how the plain algorithm breaks down. Noise is wide and pushes one way for some
    67 steps (1 over theta dt): what has to swing, such as a car in a valley, gets somewhere.
    """
    capacity = given.get("capacity", min(max(problem.steps, 10_000), 200_000))
    chosen = {
        "capacity": capacity,
        "learning_starts": min(500, capacity),
        "batch_size": 256,
        "gamma": problem.gamma,
        "reward_scale": "auto",
        "tau": 0.01,
        "critic_state_hidden": [],
        "critic_action_hidden": [],
        "squash": "tanh",
        "twin_critics": True,
        "actor_delay": 2,
    }
    if given.get("exploration") in (None, "ou"):
        chosen |= {"noise_std": 0.5, "ou_dt": 0.1}
    return chosen

"""The settings of PPO, and which of them exclude each other."""

from typing import Literal

from pydantic import Field, model_validator

from compagnon.rl.networks.kinds import Networks, Std
from compagnon.rl.settings import AlgorithmSettings, Fixed, Free


class PPOSettings(AlgorithmSettings):
    """Settings of PPO."""

    serves = ("discrete", "box")
    renamed = {"sd": "std", "initial_sd": "initial_std"}  # noqa: RUF012 (a ClassVar of the base)
    kind: Fixed[Literal["ppo"]] = "ppo"
    num_envs: Fixed[int] = Field(256, ge=1, description="copies of the environment")
    rollout_steps: Free[int] = Field(64, ge=1, description="steps of each copy between two updates")
    episodes_per_env: Free[int] = Field(
        0, ge=0, description="whole episodes of each copy between two updates, instead of steps"
    )
    epochs: Free[int] = Field(3, ge=1, description="passes over a rollout")
    minibatch_size: Free[int] = Field(2048, ge=1, description="rows of one gradient step")
    learning_rate: Free[float] = Field(3e-4, gt=0, description="Adam's step size at the start")
    final_learning_rate: Free[float] = Field(
        0.0, ge=0, description="step size reached at the end of the budget, linearly; 0 stays put"
    )
    critic_learning_rate: Free[float | None] = Field(
        None, gt=0, description="the critic's step size at the start, if it is to be another"
    )
    adam_eps: Free[float] = Field(
        1e-5, gt=0, description="added to the root of Adam's second moment"
    )
    gamma: Free[float] = Field(
        0.999, gt=0, le=1, description="discount of one unit of the env's time"
    )
    gae_lambda: Free[float] = Field(0.95, ge=0, le=1, description="1 gives rewards-to-go")
    reward_scale: Fixed[Literal["none", "running", "per_trajectory"]] = Field(
        "none", description="divide by the return's deviation; standardise in each episode"
    )
    standardise_advantages: Free[Literal["rollout", "minibatch", "none"]] = Field(
        "rollout", description="over what advantages get mean 0 and deviation 1"
    )
    clip_coef: Free[float] = Field(0.2, gt=0, description="how far the ratio may usefully move")
    entropy_coef: Free[float] = Field(0.0, ge=0, description="weight of the entropy bonus")
    final_entropy_coef: Free[float | None] = Field(
        None, ge=0, description="weight reached at the end of the budget, linearly"
    )
    networks: Fixed[Networks] = Field(
        "separate", description="actor and critic apart, or one network with a value output"
    )
    value_coef: Free[float] = Field(1.0, gt=0, description="weight of the critic's loss")
    value_clip: Free[float] = Field(
        0.0, ge=0, description="how far a value may usefully move, in its own units; 0: no bound"
    )
    scale_values: Fixed[bool] = Field(
        True, description="the critic learns returns in units of their moving deviation (PopArt)"
    )
    std: Fixed[Std] = Field(
        "learnt", description="deviation of vector actions; by_state: an output of the actor"
    )
    initial_std: Fixed[float] = Field(
        1.0, gt=0, description="that deviation at the start, in half the range of the bounds"
    )
    max_grad_norm: Free[float] = Field(
        0.5, ge=0, description="gradient norm of each network at most; 0: no bound"
    )
    target_kl: Free[float | None] = Field(
        None, gt=0, description="stop the epochs when the policy has moved so far"
    )
    target_kl_after: Free[Literal["epoch", "minibatch"]] = Field(
        "epoch", description="when that is looked at; a minibatch that is too far is not learnt"
    )
    critic_warmup: Free[int] = Field(
        0, ge=0, description="first iterations that train the critic alone, for a policy that knows"
    )
    reference_coef: Free[float] = Field(
        0.0, ge=0, description="weight of KL(start || policy): how hard the start is held on to"
    )
    reference_half_life: Free[float] = Field(
        50.0, gt=0, description="iterations after the warm-up in which that weight halves"
    )

    @model_validator(mode="after")
    def _fits(self) -> "PPOSettings":
        if self.networks == "joint" and self.critic_learning_rate is not None:
            raise ValueError("critic_learning_rate: joint networks have one optimiser, so one rate")
        if self.networks == "joint" and self.critic_warmup > 0:
            raise ValueError("critic_warmup: joint networks have no critic to train alone")
        return self

    def iterations_for(self, env_steps: int) -> int | None:
        """Iterations until so many environment steps are taken; None with whole episodes."""
        if self.episodes_per_env:
            return None
        return -(-env_steps // (self.num_envs * self.rollout_steps))

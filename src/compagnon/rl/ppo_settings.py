"""The settings of PPO, which of them exclude each other, and what they are by default."""

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import Field, model_validator

from compagnon.rl.networks.registry import Networks, Std
from compagnon.rl.problem_defaults import Chosen, ProblemFacts, fill, power_below
from compagnon.rl.settings import AlgorithmSettings, Fixed, Free

_UPDATES: Final = 40  # rollouts that a budget is cut into, unless they become too short or too long
_SMALL, _MEDIUM, _LARGE = 1_024, 2_048, 16_384  # steps of a rollout, of all envs together


class PPOSettings(AlgorithmSettings):
    """Settings of PPO."""

    serves = ("discrete", "box")
    renamed = {"sd": "std", "initial_sd": "initial_std"}  # noqa: RUF012 (a ClassVar of the base)
    num_envs_key = "num_envs"
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
    distribution: Fixed[str | None] = Field(
        None, description="of actions: one of your own, by module:function or its registered name"
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

    @classmethod
    def complete(cls, problem: ProblemFacts, given: dict[str, Any]) -> None:
        """See `AlgorithmSettings.complete`."""
        fill(given, defaults(problem, given))

    @classmethod
    def complete_practice(cls, problem: ProblemFacts, given: dict[str, Any]) -> None:
        """The same for PPO after imitation: what a clone knows is not to be run over."""
        chosen = defaults(problem, given)
        for key in ("learning_rate", "final_learning_rate"):
            chosen.pop(key, None)
        fill(given, chosen)


def defaults(problem: ProblemFacts, given: Mapping[str, Any]) -> Chosen:
    """A rollout of a fortieth of the budget, though not below 1,024 steps; many short passes.

    Args:
        given: what the recipe says of these settings; sizes follow the envs that it asks for.
    """
    most = _LARGE if problem.compiled else _MEDIUM
    rollout = min(max(power_below(problem.steps // _UPDATES), _SMALL), most)
    num_envs = given.get("num_envs", max(8, rollout // 64) if problem.compiled else 8)
    large = rollout > _MEDIUM
    chosen = {
        "num_envs": num_envs,
        "rollout_steps": max(1, rollout // num_envs),
        "minibatch_size": rollout // 8 if large else 64,
        "epochs": 3 if large else 10,
        "gamma": problem.gamma,
    }
    if given.get("episodes_per_env"):
        del chosen["num_envs"], chosen["rollout_steps"]
    if problem.scheduled and "learning_rate" not in given:
        chosen |= {"learning_rate": 1e-3, "final_learning_rate": 1e-5}
    return chosen

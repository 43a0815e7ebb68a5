"""The settings of DQN, apart from it: reading a recipe needs no torch."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from compagnon.rl.off_policy import OffPolicySettings
from compagnon.rl.problem_defaults import Chosen, ProblemFacts, fill
from compagnon.rl.settings import Fixed, Free


class DQNSettings(OffPolicySettings):
    """Settings of DQN."""

    num_envs_key = "num_envs"
    network_defaults = {"hidden": [128, 128], "activation": "relu"}  # noqa: RUF012
    kind: Fixed[Literal["dqn"]] = "dqn"
    capacity: Fixed[int] = Field(10_000, ge=1, description="transitions that are remembered")
    learning_starts: Free[int] = Field(128, ge=1, description="transitions before the first update")
    batch_size: Free[int] = Field(128, ge=1, description="transitions of an update")
    learning_rate: Free[float] = Field(3e-4, gt=0, description="Adam's step size at the start")
    final_learning_rate: Free[float] = Field(
        0.0, ge=0, description="step size reached at the end of the budget, linearly; 0 stays put"
    )
    target_every: Free[int] = Field(
        500, ge=1, description="environment steps between two updates of the target network"
    )
    tau: Free[float] = Field(
        1.0, gt=0, le=1, description="how far the target then moves; 1 copies the network"
    )
    epsilon_start: Free[float] = Field(
        1.0, ge=0, le=1, description="share of random actions at first"
    )
    epsilon_end: Free[float] = Field(
        0.05, ge=0, le=1, description="share of random actions at last"
    )
    epsilon_decay: Free[Literal["linear", "geometric"]] = Field(
        "linear", description="how the share falls from the one to the other"
    )
    epsilon_steps: Free[int] = Field(10_000, ge=1, description="environment steps that this takes")
    epsilon_episodes: Free[int | None] = Field(
        None, ge=1, description="episodes that this takes, instead of steps"
    )
    epsilon_spread: Free[float] = Field(
        0.0, ge=0, description="copy i of N explores with epsilon ** (1 + spread i / (N - 1))"
    )
    loss: Free[Literal["huber", "squared"]] = Field("huber", description="of the errors")
    max_grad_norm: Free[float] = Field(10.0, ge=0, description="gradient norm at most; 0: any")
    max_grad_value: Free[float] = Field(0.0, ge=0, description="each gradient at most; 0: any")
    double: Free[bool] = Field(False, description="the network chooses, the target network values")
    dueling: Fixed[bool] = Field(
        False, description="values and advantages have layers of their own"
    )
    prioritised: Fixed[bool] = Field(False, description="draw transitions by their errors")
    alpha: Fixed[float] = Field(0.6, ge=0, description="prioritised: how much errors matter")
    beta: Free[float] = Field(
        0.4, ge=0, le=1, description="prioritised: correction at the start; 1 at the budget's end"
    )

    @model_validator(mode="after")
    def _fits(self) -> "DQNSettings":
        if self.epsilon_decay == "geometric" and min(self.epsilon_start, self.epsilon_end) == 0:
            raise ValueError("epsilon_decay: a geometric one needs shares above 0 at both ends")
        if self.learning_starts > self.capacity:
            raise ValueError("learning_starts: more than capacity holds; nothing would be learnt")
        return self

    @classmethod
    def complete(cls, problem: ProblemFacts, given: dict[str, Any]) -> None:
        """See `AlgorithmSettings.complete`."""
        fill(given, defaults(problem, given))


def defaults(problem: ProblemFacts, given: Mapping[str, Any]) -> Chosen:
    """Exploration that lasts for a tenth of the budget, and a memory that holds most of it.

    The target follows slowly, all the time; targets span three steps and are not overrated
    (double): both bring a reward that comes late to where it was earned. Large rewards are scaled,
    as a Huber loss learns values of hundreds one unit at a time.
    """
    num_envs = given.get("num_envs", 4)  # an update for each of their steps: fewer fail more often
    capacity = given.get("capacity", min(max(problem.steps, 10_000), 100_000))
    chosen = {
        "num_envs": num_envs,
        "updates": num_envs,
        "capacity": capacity,
        "learning_starts": min(1_000, capacity),
        "gamma": problem.gamma,
        "reward_scale": "auto",
        "target_every": num_envs,
        "tau": 0.01,
        "epsilon_steps": max(1_000, problem.steps // 10),
        "double": True,
        "n_step": 3,
    }
    if problem.scheduled and "learning_rate" not in given:
        chosen |= {"learning_rate": 5e-4, "final_learning_rate": 1e-5}
    return chosen

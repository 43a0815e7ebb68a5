"""The settings of DAgger, apart from it: reading a recipe needs no torch."""

from typing import Literal

from pydantic import Field

from compagnon.policy.loading import DECISIONS
from compagnon.rl.settings import AlgorithmSettings, Fixed, Free


class DaggerSettings(AlgorithmSettings):
    """Settings of DAgger."""

    ends_after = "iterations"
    expert_key = "expert"
    num_envs_key = "num_envs"
    kind: Fixed[Literal["dagger"]] = "dagger"
    expert: Fixed[str] = Field(
        "",
        description="the policy to imitate, or recorded decisions as file:PATH (CSV, npz); without "
        "it, the first that its world brings",
    )
    num_envs: Free[int] = Field(32, ge=1, description="copies of the environment that collect")
    collect_steps: Free[int] = Field(
        10_080, ge=1, description="steps of each copy in one collection"
    )
    iterations: Free[int] = Field(3, ge=1, description="collections, the first by the expert alone")
    expert_share: Free[float] = Field(
        0.0, ge=0, le=1, description="beta of collection i is this to the power i"
    )
    student: Free[Literal["greedy", "sampled"]] = Field(
        "greedy", description="how the student acts"
    )
    capacity: Fixed[int] = Field(
        500_000, ge=1, description="decisions kept; a fair sample beyond that"
    )
    keep_share: Free[float] = Field(
        1.0, gt=0, le=1, description="share of WAIT-like common decisions kept when collecting"
    )
    batch_size: Free[int] = Field(1024, ge=1, description="decisions of one gradient step")
    gradient_steps: Free[int] = Field(
        2000, ge=0, description="gradient steps an iteration; 0 counts in epochs instead"
    )
    epochs: Free[int] = Field(0, ge=0, description="passes over the data an iteration, if no steps")
    learning_rate: Free[float] = Field(1e-3, gt=0, description="Adam's step size")
    final_learning_rate: Free[float] = Field(
        0.0, ge=0, description="step size reached at the end of each iteration; 0 stays put"
    )
    fresh_optimiser: Free[bool] = Field(
        False, description="begin each iteration with Adam's moments at zero"
    )
    balance: Free[float] = Field(
        0.5, ge=0, le=1, description="weight of a label: its frequency to the power -balance"
    )
    mask_loss: Free[bool] = Field(True, description="take the loss over possible actions alone")
    hold_out: Fixed[bool] = Field(
        True, description="keep one episode in 20 out of training, to measure agreement on"
    )

    @property
    def imitated(self) -> str:
        """See `AlgorithmSettings.imitated`."""
        return self.expert

    def imitation(self, iterations: int | None) -> "DaggerSettings":
        """See `AlgorithmSettings.imitation`."""
        return self.model_copy(
            update={"iterations": min(self.iterations, iterations or self.iterations)}
        )

    @property
    def collected_steps(self) -> int:
        """Environment steps of one iteration; none where the decisions were recorded."""
        recorded = self.expert.startswith(DECISIONS)
        return 0 if recorded else self.num_envs * self.collect_steps

    def iterations_for(self, env_steps: int) -> int | None:
        """Iterations until so many environment steps are taken."""
        each = self.collected_steps
        return -(-env_steps // each) if each else self.iterations

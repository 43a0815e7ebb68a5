"""Settings that the algorithms share which learn from what they remember (DQN, DDPG)."""

from typing import Annotated, Literal

from pydantic import Field

from compagnon.rl.settings import AlgorithmSettings, Fixed, Free


class OffPolicySettings(AlgorithmSettings):
    """How much is practised, how often it is learnt from, and what a transition says."""

    num_envs: Fixed[int] = Field(1, ge=1, description="copies of the environment")
    iteration_steps: Free[int] = Field(
        1000, ge=1, description="environment steps, of all copies together, of one iteration"
    )
    train_every: Free[int] = Field(1, ge=1, description="steps of each copy between two trainings")
    updates: Free[int] = Field(1, ge=1, description="updates of a training")
    gamma: Fixed[float] = Field(
        0.99, gt=0, le=1, description="discount of one unit of the env's time"
    )
    reward_scale: Fixed[Annotated[float, Field(gt=0)] | Literal["auto"]] = Field(
        1.0,
        description="what rewards are multiplied by, as values near 1 are learnt soonest; "
        "auto: over the root mean square of those of the warm-up, where that is above 1",
    )
    n_step: Fixed[int] = Field(1, ge=1, le=100, description="steps that a transition spans")

    def iterations_for(self, env_steps: int) -> int | None:
        """Iterations until so many environment steps are taken."""
        return -(-env_steps // (self.steps_of_each * self.num_envs))

    @property
    def steps_of_each(self) -> int:
        """Steps of each env in an iteration."""
        return -(-self.iteration_steps // self.num_envs)

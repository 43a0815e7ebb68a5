"""The settings of expert iteration, apart from it: reading a recipe needs no torch."""

from typing import Literal

from pydantic import Field

from compagnon.rl.hybrid_settings import CloneAndPractice
from compagnon.rl.settings import Fixed, Free

Phase = Literal["dagger", "look_ahead", "ppo"]


class ExpertIterationSettings(CloneAndPractice):
    """Settings of expert iteration."""

    kind: Fixed[Literal["expert_iteration"]] = "expert_iteration"
    rounds: Fixed[int] = Field(2, ge=1, description="look-aheads, each followed by practice")
    practice: Fixed[int] = Field(
        10, ge=0, description="iterations of practice after each look-ahead"
    )
    looks: Free[int] = Field(
        4000, ge=1, description="decisions that a look-ahead values in one round"
    )
    num_envs: Free[int] = Field(64, ge=1, description="copies of the environment to look in")
    collect_steps: Free[int] = Field(
        200, ge=1, description="steps of each copy, over which the looks are spread"
    )
    plays_on: Free[Literal["network", "expert"]] = Field(
        "network",
        description="who plays on after a candidate, from the second round on: an expert that is a "
        "compiled rule is ten times as fast, and what is learnt is one step ahead of it",
    )
    futures: Free[int] = Field(32, ge=2, le=4096, description="drawn futures of one decision")
    candidates: Free[int] = Field(
        0, ge=0, description="actions that are tried in one decision at most; 0 for the world's own"
    )
    kl_coef: Free[float] = Field(
        0.1, ge=0, description="weight of the KL from the policy before, to advantages of size 1"
    )
    batch_size: Free[int] = Field(256, ge=1, description="decisions of one gradient step")
    gradient_steps: Free[int] = Field(400, ge=1, description="gradient steps of one round")
    learning_rate: Free[float] = Field(1e-3, gt=0, description="Adam's step size, which falls to 0")

    def phase(self, iteration: int) -> Phase:
        """Which part an iteration belongs to: the clone, the rounds, and then practice alone."""
        done = iteration - self.dagger.iterations
        if done < 0:
            return "dagger"
        in_rounds = done < self.rounds * (1 + self.practice)
        return "look_ahead" if in_rounds and done % (1 + self.practice) == 0 else "ppo"

    def iterations_for(self, env_steps: int) -> int | None:
        """Iterations until so many environment steps are taken; None with whole episodes."""
        if self.ppo.episodes_per_env:
            return None
        each = {
            "dagger": self.dagger.collected_steps,
            "look_ahead": self.num_envs * self.collect_steps,
            "ppo": self.ppo.num_envs * self.ppo.rollout_steps,
        }
        last = self.dagger.iterations + self.rounds * (1 + self.practice)
        taken = 0
        for iteration in range(last):
            if taken >= env_steps:
                return iteration
            taken += each[self.phase(iteration)]
        return last - min(0, taken - env_steps) // each["ppo"]

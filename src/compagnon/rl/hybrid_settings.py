"""The settings of the hybrid, apart from it: reading a recipe needs no torch."""

from typing import Any, Literal

from pydantic import Field

from compagnon.rl.dagger_settings import DaggerSettings
from compagnon.rl.ppo_settings import PPOSettings
from compagnon.rl.problem_defaults import ProblemFacts
from compagnon.rl.settings import AlgorithmSettings, Fixed


class CloneAndPractice(AlgorithmSettings):
    """What settings of algorithms that are made of DAgger and PPO have in common."""

    expert_key = "dagger.expert"
    num_envs_key = "ppo.num_envs"
    clone_temperature: Fixed[float] = Field(
        1.0, ge=1, description="a clone's logits are divided by it before it is practised"
    )
    dagger: DaggerSettings = DaggerSettings()
    ppo: PPOSettings = PPOSettings()

    @property
    def imitated(self) -> str:
        """See `AlgorithmSettings.imitated`."""
        return self.dagger.imitated

    def imitation(self, iterations: int | None) -> DaggerSettings:  # noqa: ARG002
        """See `AlgorithmSettings.imitation`; whole, whatever the budget leaves for practice."""
        return self.dagger

    @classmethod
    def complete(cls, problem: ProblemFacts, given: dict[str, Any]) -> None:
        """See `AlgorithmSettings.complete`."""
        PPOSettings.complete_practice(problem, given.setdefault("ppo", {}))


class HybridSettings(CloneAndPractice):
    """Settings of the hybrid."""

    kind: Fixed[Literal["hybrid"]] = "hybrid"
    mode: Fixed[Literal["sequence", "alternate"]] = Field(
        "sequence", description="all imitation first, or one iteration of each in turn"
    )
    ppo_per_dagger: Fixed[int] = Field(
        5, ge=1, description="in turn: iterations of practice after each of imitation"
    )

    def phase(self, iteration: int, imitated: int) -> Literal["dagger", "ppo"]:
        """Which algorithm an iteration belongs to, with so many of imitation done before it."""
        if imitated >= self.dagger.iterations:
            return "ppo"
        in_turn = iteration % (1 + self.ppo_per_dagger) == 0
        return "dagger" if self.mode == "sequence" or in_turn else "ppo"

    def iterations_for(self, env_steps: int) -> int | None:
        """Iterations until so many environment steps are taken; None with whole episodes."""
        if self.ppo.episodes_per_env:
            return None
        a_dagger = self.dagger.collected_steps
        a_ppo = self.ppo.num_envs * self.ppo.rollout_steps
        iteration = imitated = taken = 0
        while taken < env_steps:
            if imitated >= self.dagger.iterations:  # nothing but practice from here on
                return iteration - (taken - env_steps) // a_ppo
            if self.phase(iteration, imitated) == "dagger":
                taken += a_dagger
                imitated += 1
            else:
                taken += a_ppo
            iteration += 1
        return iteration

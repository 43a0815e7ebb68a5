"""DAgger and PPO on one policy: first the clone and then practice, or both in turn."""

from typing import Any, Literal

import torch
from pydantic import Field

from compagnon.learning.dagger import Dagger, DaggerSettings
from compagnon.learning.ppo import PPO, PPOSettings
from compagnon.learning.settings import AlgorithmSettings


class HybridSettings(AlgorithmSettings):
    """Settings of the hybrid."""

    kind: Literal["hybrid"] = "hybrid"
    mode: Literal["sequence", "alternate"] = Field(
        "sequence", description="all imitation first, or one iteration of each in turn"
    )
    ppo_per_dagger: int = Field(
        5, ge=1, description="in turn: iterations of practice after each of imitation"
    )
    clone_temperature: float = Field(
        1.0, ge=1, description="in sequence: logits of the clone are divided by it before practice"
    )
    dagger: DaggerSettings = DaggerSettings()
    ppo: PPOSettings = PPOSettings()

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
        a_dagger = self.dagger.num_envs * self.dagger.collect_steps
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


class Hybrid:
    """Hands the same network from DAgger to PPO.

    Args:
        settings: see `HybridSettings`.
        dagger, ppo: built on the same `PolicyNetwork`.
    """

    def __init__(self, settings: HybridSettings, dagger: Dagger, ppo: PPO) -> None:
        self.settings, self.dagger, self.ppo = settings, dagger, ppo
        self.iteration = 0

    @property
    def env_steps(self) -> int:
        """Environment steps of both phases."""
        return self.dagger.env_steps + self.ppo.env_steps

    @property
    def episodes(self) -> int:
        """Episodes that ended in both phases."""
        return self.dagger.episodes + self.ppo.episodes

    @property
    def phase(self) -> str:
        """Which algorithm the next iteration belongs to."""
        return self.settings.phase(self.iteration, self.dagger.iteration)

    def iterate(self) -> dict[str, float]:
        """One iteration of the phase's algorithm; its metrics."""
        if self.phase == "ppo" and self.ppo.iteration == 0:
            self._soften()
        metrics = self.dagger.iterate() if self.phase == "dagger" else self.ppo.iterate()
        self.iteration += 1
        return metrics

    def _soften(self) -> None:
        """Let a clone that is sure of everything try other choices; its best ones stay the same."""
        temperature = self.settings.clone_temperature
        if self.settings.mode == "sequence" and temperature > 1.0:
            with torch.no_grad():
                for layer in self.ppo.network.actor.output_layers():  # type: ignore[operator]
                    layer.weight /= temperature
                    layer.bias /= temperature

    def state_dict(self) -> dict[str, Any]:
        """Both algorithms' states."""
        return {
            "iteration": self.iteration,
            "dagger": self.dagger.state_dict(),
            "ppo": self.ppo.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave."""
        self.iteration = int(state["iteration"])
        self.dagger.load_state_dict(state["dagger"])
        self.ppo.load_state_dict(state["ppo"])

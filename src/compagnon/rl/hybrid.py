"""DAgger and PPO on one policy: first the clone and then practice, or both in turn."""

from abc import ABC, abstractmethod
from typing import Any

from compagnon.envs import BatchEnv
from compagnon.rl import dagger, ppo
from compagnon.rl.algorithm import BuildPlan, policy_network
from compagnon.rl.dagger import Dagger
from compagnon.rl.hybrid_settings import HybridSettings
from compagnon.rl.networks.trainable import PolicyNetwork
from compagnon.rl.ppo import PPO

__all__ = ["Hybrid", "HybridSettings"]


class CloningAndPractising(ABC):
    """What an algorithm made of an imitation and a practice says of itself; to inherit from.

    Attributes:
        dagger, ppo: the two, on one network.
    """

    dagger: Dagger
    ppo: PPO
    iteration: int

    @property
    @abstractmethod
    def phase(self) -> str:
        """See `Algorithm`."""

    @property
    def env_steps(self) -> int:
        """Environment steps of both."""
        return self.dagger.env_steps + self.ppo.env_steps

    @property
    def episodes(self) -> int:
        """Episodes that ended in both."""
        return self.dagger.episodes + self.ppo.episodes

    @property
    def goes_on(self) -> bool:
        """See `Algorithm`."""
        return self.ppo.goes_on

    @property
    def env(self) -> BatchEnv:
        """See `Algorithm`; the episodes of imitation begin anew each time."""
        return self.ppo.env

    @property
    def imitating(self) -> bool:
        """See `Algorithm`."""
        return self.phase != self.ppo.phase

    @property
    def practice(self) -> PPO:
        """See `Algorithm`."""
        return self.ppo

    def state_dict(self) -> dict[str, Any]:
        """The states of both."""
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


class Hybrid(CloningAndPractising):
    """Hands the same network from DAgger to PPO.

    Args:
        settings: see `HybridSettings`.
        dagger, ppo: built on the same `PolicyNetwork`.
    """

    def __init__(self, settings: HybridSettings, dagger: Dagger, ppo: PPO) -> None:
        self.settings, self.dagger, self.ppo = settings, dagger, ppo
        self.iteration = 0

    @property
    def phase(self) -> str:
        """Which algorithm the next iteration belongs to."""
        return self.settings.phase(self.iteration, self.dagger.iteration)

    def iterate(self) -> dict[str, float]:
        """One iteration of the phase's algorithm; its metrics."""
        if self.phase == "ppo" and self._imitated_last:
            # A clone that is sure of everything tries other choices.
            self.ppo.network.soften(self.settings.clone_temperature)
        metrics = self.dagger.iterate() if self.phase == "dagger" else self.ppo.iterate()
        self.iteration += 1
        return metrics

    @property
    def _imitated_last(self) -> bool:
        """Whether the iteration before this one was of imitation."""
        each = 1 if self.settings.mode == "sequence" else 1 + self.settings.ppo_per_dagger
        return self.iteration - 1 == (self.dagger.iteration - 1) * each


def build(plan: BuildPlan) -> tuple[Hybrid, PolicyNetwork]:
    """The hybrid as a recipe describes it.

    Raises:
        InputError: a setting that does not fit the environment.
    """
    settings = plan.settings
    assert isinstance(settings, HybridSettings)
    own = settings.ppo
    network = policy_network(plan, own.networks, own.std, own.initial_std)
    imitates = dagger.on_network(plan, settings.dagger, network)
    total = None if plan.total is None else max(1, plan.total - settings.dagger.iterations)
    practises = ppo.on_network(plan.of(settings.ppo, total), settings.ppo, network)
    return Hybrid(settings, imitates, practises), network

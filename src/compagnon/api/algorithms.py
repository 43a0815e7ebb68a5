"""`PPO`, `DQN`, `DDPG`, `DAgger`, `Hybrid`: the learners that have a name of their own.

Each only says which algorithm it is, so that editors and type checkers know its settings; one that
has no class here is `Learner.of_kind`.
"""

from collections.abc import Mapping
from typing import Any, Unpack

from compagnon.api.experts import ExpertLike
from compagnon.api.keywords import (
    DaggerKeywords,
    DDPGKeywords,
    DQNKeywords,
    ExpertIterationKeywords,
    HybridKeywords,
    PPOKeywords,
)
from compagnon.api.learners import AlgorithmLearner
from compagnon.envs.from_object import EnvLike


class PPO(AlgorithmLearner):
    """Proximal policy optimisation, with action masks (Schulman et al. 2017, arXiv 1707.06347).

    Args:
        env: an id, ``module:ID``, an environment or a factory.
        seed: of everything random in training.
        env_args: the environment's arguments.
        settings: those of a recipe, see `PPOKeywords`. What is left open is chosen by the problem,
            as in a recipe.

    Raises:
        InputError: names the setting, what was given and what would be right.
    """

    kind = "ppo"

    def __init__(
        self,
        env: EnvLike,
        *,
        seed: int = 0,
        env_args: Mapping[str, Any] | None = None,
        **settings: Unpack[PPOKeywords],
    ) -> None:
        super().__init__(env, seed, env_args, settings)


class DQN(AlgorithmLearner):
    """Deep Q-learning: masked, double, dueling, prioritised, n-step (arXiv 1710.02298).

    Args, Raises: see `PPO`; the settings are those of `DQNKeywords`.
    """

    kind = "dqn"

    def __init__(
        self,
        env: EnvLike,
        *,
        seed: int = 0,
        env_args: Mapping[str, Any] | None = None,
        **settings: Unpack[DQNKeywords],
    ) -> None:
        super().__init__(env, seed, env_args, settings)


class DDPG(AlgorithmLearner):
    """Deterministic policy gradients with TD3's remedies (arXiv 1509.02971, 1802.09477).

    Args, Raises: see `PPO`; the settings are those of `DDPGKeywords`.
    """

    kind = "ddpg"

    def __init__(
        self,
        env: EnvLike,
        *,
        seed: int = 0,
        env_args: Mapping[str, Any] | None = None,
        **settings: Unpack[DDPGKeywords],
    ) -> None:
        super().__init__(env, seed, env_args, settings)


class DAgger(AlgorithmLearner):
    """Imitation of an expert in the states that the student meets (Ross et al. 2011).

    Args:
        expert: a name, a path, a policy, a rule (object, class, or a function
            ``(obs, action_mask) -> actions`` of batches); or `Demonstrations`, or the path of
            some (CSV, npz), which are cloned as they are.
        env: where both are; see `PPO` for this and what follows.
        settings: see `DaggerKeywords`.
    """

    kind = "dagger"

    def __init__(
        self,
        expert: ExpertLike,
        env: EnvLike,
        *,
        seed: int = 0,
        env_args: Mapping[str, Any] | None = None,
        **settings: Unpack[DaggerKeywords],
    ) -> None:
        super().__init__(env, seed, env_args, settings, expert)


class Hybrid(AlgorithmLearner):
    """Imitation by DAgger, then practice by PPO on the same policy, or both in turn.

    Args:
        expert, env: see `DAgger`.
        settings: see `HybridKeywords`; ``dagger={...}`` and ``ppo={...}`` hold those of the two.
    """

    kind = "hybrid"

    def __init__(
        self,
        expert: ExpertLike,
        env: EnvLike,
        *,
        seed: int = 0,
        env_args: Mapping[str, Any] | None = None,
        **settings: Unpack[HybridKeywords],
    ) -> None:
        super().__init__(env, seed, env_args, settings, expert)


class ExpertIteration(AlgorithmLearner):
    """A clone that is looked ahead over, learns what that found, and practises, round after round.

    Args:
        expert, env: see `DAgger`; the env's world brings what a look-ahead needs (`World.forks`).
        settings: see `ExpertIterationKeywords`; ``dagger={...}`` and ``ppo={...}`` as of a hybrid.
    """

    kind = "expert_iteration"

    def __init__(
        self,
        expert: ExpertLike,
        env: EnvLike,
        *,
        seed: int = 0,
        env_args: Mapping[str, Any] | None = None,
        **settings: Unpack[ExpertIterationKeywords],
    ) -> None:
        super().__init__(env, seed, env_args, settings, expert)

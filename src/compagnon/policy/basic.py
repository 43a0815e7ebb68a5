"""The policies that know nothing: uniform over what is possible, and always the same action."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.policy.protocol import check_choice
from compagnon.policy.schema import Schema


def sample_rows(probabilities: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw one column a row, by inversion of the cumulative sum; never one of probability 0."""
    return columns_at(probabilities, rng.random(len(probabilities)))


def columns_at(
    probabilities: NDArray[np.float64], uniforms: NDArray[np.float64]
) -> NDArray[np.int64]:
    """The column a row at which the cumulative probability passes `uniforms`, (N,) in [0, 1)."""
    cumulative = probabilities.cumsum(axis=1)
    threshold = uniforms * cumulative[:, -1]
    return np.asarray((cumulative <= threshold[:, None]).sum(axis=1), np.int64)


def keep_possible(actions: NDArray[np.int64], action_mask: NDArray[np.bool_]) -> None:
    """Replace, in place, each action that its row of the mask forbids by the last possible one."""
    blocked = ~action_mask[np.arange(len(actions)), actions]
    last = action_mask.shape[1] - 1 - action_mask[:, ::-1].argmax(axis=1)
    actions[blocked] = last[blocked]


@dataclass(frozen=True)
class RandomPolicy:
    """Uniform over the possible actions; "greedy" play draws by a hash of the observation."""

    schema: Schema
    name: str = "random"

    def __post_init__(self) -> None:
        if self.schema.action.kind != "discrete":
            raise InputError("policy 'random' serves discrete actions only")

    def probabilities(
        self, obs: NDArray[np.float32], action_mask: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64]:
        """(N, A): equal over what the mask allows."""
        if action_mask is None:
            action_mask = np.ones((len(obs), self.schema.action.n), np.bool_)
        check_choice(obs, action_mask, self.name)
        return np.asarray(action_mask / action_mask.sum(axis=1, keepdims=True), np.float64)

    def act(
        self,
        obs: NDArray[np.float32],
        action_mask: NDArray[np.bool_] | None = None,
        rng: np.random.Generator | None = None,
    ) -> NDArray[np.int64]:
        """Draw from the possible actions, whether asked for a greedy choice or not.

        Without `rng` a row's draw is a function of its observation alone, so that it is repeatable
        and does not depend on the rows beside it.
        """
        probabilities = self.probabilities(obs, action_mask)
        if rng is not None:
            return sample_rows(probabilities, rng)
        return columns_at(probabilities, _hash_rows(obs))


@dataclass(frozen=True)
class RandomBoxPolicy:
    """Uniform within the bounds; "greedy" play draws by a hash of the observation."""

    schema: Schema
    name: str = "random"

    def __post_init__(self) -> None:
        action = self.schema.action
        if not np.isfinite([*action.low, *action.high]).all():
            raise InputError(
                f"policy 'random' needs bounds to draw between; {self.schema.env_id} has "
                f"{action.words}"
            )

    def act(
        self,
        obs: NDArray[np.float32],
        action_mask: NDArray[np.bool_] | None = None,
        rng: np.random.Generator | None = None,
    ) -> NDArray[np.float32]:
        """Draw actions (N, D); without `rng` a row's draw is a function of its observation."""
        check_choice(obs, action_mask, self.name)
        action = self.schema.action
        if rng is not None:
            uniforms = rng.random((len(obs), action.n))
        else:
            uniforms = np.stack([_hash_rows(obs, column) for column in range(action.n)], axis=1)
        low, high = np.array(action.low), np.array(action.high)
        return np.asarray(low + uniforms * (high - low), np.float32)


def random_policy(schema: Schema) -> RandomPolicy | RandomBoxPolicy:
    """Uniform play of either kind of actions."""
    return RandomPolicy(schema) if schema.action.kind == "discrete" else RandomBoxPolicy(schema)


def _hash_rows(obs: NDArray[np.float32], salt: int = 0) -> NDArray[np.float64]:
    """A number in [0, 1) for each row (FNV-1a over its 32-bit words, then a mixing step)."""
    words = np.ascontiguousarray(obs, np.float32).view(np.uint32).astype(np.uint64)
    mixed = np.full(len(obs), 0xCBF29CE484222325 ^ salt, np.uint64)
    for column in words.T:
        mixed = (mixed ^ column) * np.uint64(0x100000001B3)
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    return (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53


@dataclass(frozen=True)
class ConstantPolicy:
    """Always the same action; where that one is masked, the last possible one."""

    schema: Schema
    action: int

    def __post_init__(self) -> None:
        if self.schema.action.kind != "discrete":
            raise InputError(f"policy 'constant:{self.action}' serves discrete actions only")
        if not 0 <= self.action < self.schema.action.n:
            raise InputError(
                f"policy 'constant:{self.action}': the environment has actions "
                f"0 to {self.schema.action.n - 1}"
            )

    @property
    def name(self) -> str:
        """``constant:ACTION``."""
        return f"constant:{self.action}"

    def act(
        self,
        obs: NDArray[np.float32],
        action_mask: NDArray[np.bool_] | None = None,
        rng: np.random.Generator | None = None,  # noqa: ARG002
    ) -> NDArray[np.int64]:
        """The constant, (N,)."""
        check_choice(obs, action_mask, self.name)
        actions = np.full(len(obs), self.action, np.int64)
        if action_mask is not None:
            keep_possible(actions, action_mask)
        return actions

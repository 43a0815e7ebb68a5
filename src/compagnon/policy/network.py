"""A trained network as a policy, in numpy alone: what decides needs no training framework."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.policy.action_selection import PolicyOutput
from compagnon.policy.basic import sample_rows
from compagnon.policy.graphs import Graph, graph_of
from compagnon.policy.groups import Groups
from compagnon.policy.manifest import (
    DeterministicHead,
    GaussianHead,
    Manifest,
    MatchingHead,
    ValuesHead,
)
from compagnon.policy.matched import best_matched
from compagnon.policy.protocol import check_choice
from compagnon.policy.schema import Projection, Schema
from compagnon.policy.vector_action_selection import VectorsSaid, said_by_normals, said_surely

FloatArray = NDArray[np.float32]
TIE: Final = 1e-5  # of the greatest output of a possible action: what differs by less is equal


def _sigmoid_units(x: FloatArray) -> FloatArray:
    """2 sigmoid(x) - 1, written so that nothing overflows."""
    return np.tanh(x / 2)


_SQUASHES: dict[str, Callable[[FloatArray], FloatArray]] = {
    "tanh": np.tanh,
    "sigmoid": _sigmoid_units,
    "none": lambda x: x,
}


@dataclass(frozen=True)
class NetworkPolicy(ABC):
    """A scaler and a network, exactly as they were trained; heads are subclasses.

    Attributes:
        manifest: what the policy reads, what it chooses, where it comes from.
        weights: ``scaler.mean``, ``scaler.std`` (F,) where there is a scaler; ``head.log_std`` (D,)
            where there is one; and those of the network, see `graphs.shapes`.
    """

    manifest: Manifest
    weights: dict[str, FloatArray]
    projection: Projection | None = field(default=None)
    label: str | None = None

    @property
    def name(self) -> str:
        """Its label (the path it was loaded from), or the manifest's name."""
        return self.label or self.manifest.name

    @property
    def schema(self) -> Schema:
        """What it was trained to read and choose."""
        return self.manifest.schema_

    def bind(self, given: Schema) -> Self:
        """The same policy, reading its inputs by name from observations of schema `given`.

        Raises:
            InputError: another number of actions, or a field it needs is not shown.
        """
        manifest = self.manifest.bound_to(given, self.name)
        projection = manifest.schema_.observation.projection_from(given.observation, self.name)
        return replace(self, manifest=manifest, projection=projection)

    @functools.cached_property
    def _graph(self) -> Graph:
        return graph_of(self.manifest, self.weights)

    def outputs(self, obs: FloatArray) -> FloatArray:
        """What the network says of observations (N, F), before the head; (N, outputs).

        Raises:
            InputError: the weights make of these observations what is no number.
        """
        x = obs if self.projection is None else self.projection(obs)
        if self.manifest.scaler is not None:
            mean, std = self.weights["scaler.mean"], self.weights["scaler.std"]
            clip = self.manifest.scaler.clip
            x = np.clip((x - mean) / std, -clip, clip).astype(np.float32)
        x = self._graph.outputs(x)
        if not np.isfinite(x).all():
            row = int(np.argmin(np.isfinite(x).all(axis=1)))
            raise InputError(f"{self.name}: the outputs of row {row} are not finite numbers")
        return np.asarray(x, np.float32)

    def say(
        self,
        obs: FloatArray,  # noqa: ARG002
        action_mask: NDArray[np.bool_] | None = None,  # noqa: ARG002
    ) -> PolicyOutput:
        """Everything that a play of a policy of A actions needs, in one run of the network.

        Raises:
            InputError: a policy whose actions are vectors, or see `outputs`.
        """
        raise InputError(f"{self.name}: vectors of actions have no list of probabilities")

    def say_vectors(self, obs: FloatArray) -> VectorsSaid:  # noqa: ARG002
        """The same of a policy whose actions are vectors.

        Raises:
            InputError: a policy of A actions, or see `outputs`.
        """
        raise InputError(f"{self.name}: it chooses among actions, and no vectors")

    @abstractmethod
    def act(
        self,
        obs: FloatArray,
        action_mask: NDArray[np.bool_] | None = None,
        rng: np.random.Generator | None = None,
    ) -> NDArray[Any]:
        """One action a row; see `Policy.act`."""


@dataclass(frozen=True)
class CategoricalPolicy(NetworkPolicy):
    """A softmax over the possible actions."""

    def logits(self, obs: FloatArray) -> FloatArray:
        """(N, F) -> unmasked (N, A)."""
        return self.outputs(obs)

    def probabilities(
        self, obs: FloatArray, action_mask: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64]:
        """(N, A): softmax over what the mask allows."""
        check_choice(obs, action_mask, self.name)
        return _softmax(self.outputs(obs), action_mask)

    def say(self, obs: FloatArray, action_mask: NDArray[np.bool_] | None = None) -> PolicyOutput:
        """See `NetworkPolicy`."""
        check_choice(obs, action_mask, self.name)
        outputs = self.outputs(obs)
        best = self._best(outputs, action_mask)
        return PolicyOutput(outputs, best, _softmax(outputs, action_mask), valued=False)

    def _best(
        self, outputs: FloatArray, action_mask: NDArray[np.bool_] | None
    ) -> NDArray[np.int64]:
        """The greedy choice, (N,)."""
        return _best_possible(outputs, action_mask)

    def act(
        self,
        obs: FloatArray,
        action_mask: NDArray[np.bool_] | None = None,
        rng: np.random.Generator | None = None,
    ) -> NDArray[np.int64]:
        """The most probable possible action, or with `rng` a draw; int64 (N,)."""
        if rng is not None:
            return sample_rows(self.probabilities(obs, action_mask), rng)
        check_choice(obs, action_mask, self.name)
        return self._best(self.outputs(obs), action_mask)


@dataclass(frozen=True)
class MatchingPolicy(CategoricalPolicy):
    """A softmax over the possible actions, whose greedy play matches a whole batch of pairs."""

    def _best(
        self, outputs: FloatArray, action_mask: NDArray[np.bool_] | None
    ) -> NDArray[np.int64]:
        """The best pair of the best batch, (N,)."""
        return best_matched(outputs, action_mask, self._places)

    @functools.cached_property
    def _places(self) -> int:
        return Groups.of(self.schema.observation.names, self.name).places


@dataclass(frozen=True)
class ValuesPolicy(NetworkPolicy):
    """The possible action of the highest value; it has no other play."""

    def values(self, obs: FloatArray) -> FloatArray:
        """(N, F) -> the value of every action, possible or not; (N, A)."""
        return self.outputs(obs)

    def probabilities(
        self, obs: FloatArray, action_mask: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64]:
        """(N, A): 1 for the action that is taken."""
        return _one_hot(self.act(obs, action_mask), self.schema.action.n)

    def say(self, obs: FloatArray, action_mask: NDArray[np.bool_] | None = None) -> PolicyOutput:
        """See `NetworkPolicy`."""
        check_choice(obs, action_mask, self.name)
        outputs = self.outputs(obs)
        best = _best_possible(outputs, action_mask)
        return PolicyOutput(outputs, best, _one_hot(best, self.schema.action.n), valued=True)

    def act(
        self,
        obs: FloatArray,
        action_mask: NDArray[np.bool_] | None = None,
        rng: np.random.Generator | None = None,  # noqa: ARG002
    ) -> NDArray[np.int64]:
        """The best possible action, with or without `rng`; int64 (N,)."""
        check_choice(obs, action_mask, self.name)
        return _best_possible(self.outputs(obs), action_mask)


def _softmax(outputs: FloatArray, action_mask: NDArray[np.bool_] | None) -> NDArray[np.float64]:
    logits = outputs.astype(np.float64)
    if action_mask is not None:
        logits = np.where(action_mask, logits, -np.inf)
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exp / exp.sum(axis=1, keepdims=True), np.float64)


def _one_hot(actions: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    probabilities = np.zeros((len(actions), n))
    probabilities[np.arange(len(actions)), actions] = 1.0
    return probabilities


def _best_possible(outputs: FloatArray, action_mask: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    """Of several that are equally good, up to `TIE`, the first, as in the graph that is exported.

    Two free vehicles at one place are the same to a policy. What tells their outputs apart is how
    sums were rounded, which is another way in every program, and with other rows in the batch.
    """
    possible = masked = outputs
    if action_mask is not None:
        possible = np.where(action_mask, outputs, np.float32(0.0))
        masked = np.where(action_mask, outputs, np.float32(-np.inf))
    size = np.abs(possible).max(axis=1, keepdims=True)
    least = masked.max(axis=1, keepdims=True) - np.float32(TIE) * size
    return np.asarray((masked >= least).argmax(axis=1), np.int64)


@dataclass(frozen=True)
class GaussianPolicy(NetworkPolicy):
    """A normal distribution around the network's means, clipped to the bounds."""

    def means_and_stds(self, obs: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(N, F) -> means and deviations (N, D), in units of the half-range of the bounds."""
        outputs, n = self.outputs(obs), self.schema.action.n
        log_std = outputs[:, n:] if outputs.shape[1] > n else self.weights["head.log_std"]
        return outputs[:, :n], np.broadcast_to(np.exp(log_std), (len(obs), n))

    def say_vectors(self, obs: FloatArray) -> VectorsSaid:
        """See `NetworkPolicy`."""
        check_choice(obs, None, self.name)
        units, stds = self.means_and_stds(obs)
        return said_by_normals(
            self.schema.action, self.schema.action.from_units(units), units, stds
        )

    def act(
        self,
        obs: FloatArray,
        action_mask: NDArray[np.bool_] | None = None,
        rng: np.random.Generator | None = None,
    ) -> FloatArray:
        """The mean, or with `rng` a draw, within the bounds; float32 (N, D)."""
        check_choice(obs, action_mask, self.name)
        units, stds = self.means_and_stds(obs)
        if rng is not None:
            units = units + stds * rng.standard_normal(units.shape).astype(np.float32)
        return self.schema.action.from_units(units)


@dataclass(frozen=True)
class DeterministicPolicy(NetworkPolicy):
    """The network's own action, squashed into the bounds; it has no other play."""

    def act(
        self,
        obs: FloatArray,
        action_mask: NDArray[np.bool_] | None = None,
        rng: np.random.Generator | None = None,  # noqa: ARG002
    ) -> FloatArray:
        """The action, with or without `rng`; float32 (N, D)."""
        check_choice(obs, action_mask, self.name)
        head = self.manifest.head
        assert isinstance(head, DeterministicHead)
        return self.schema.action.from_units(_SQUASHES[head.squash](self.outputs(obs)))

    def say_vectors(self, obs: FloatArray) -> VectorsSaid:
        """See `NetworkPolicy`."""
        return said_surely(self.act(obs))


def network_policy(
    manifest: Manifest,
    weights: dict[str, FloatArray],
    projection: Projection | None = None,
    label: str | None = None,
) -> NetworkPolicy:
    """The policy of a manifest, of the kind that its head says."""
    kinds: dict[type, type[NetworkPolicy]] = {
        ValuesHead: ValuesPolicy,
        MatchingHead: MatchingPolicy,
        GaussianHead: GaussianPolicy,
        DeterministicHead: DeterministicPolicy,
    }
    kind = kinds.get(type(manifest.head), CategoricalPolicy)
    return kind(manifest, weights, projection, label)

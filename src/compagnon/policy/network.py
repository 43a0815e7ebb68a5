"""A trained network as a policy, in numpy alone: what decides needs no training framework."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.policy.basic import sample_rows
from compagnon.policy.manifest import Manifest
from compagnon.policy.protocol import check_choice
from compagnon.policy.schema import Projection, Schema

FloatArray = NDArray[np.float32]


def _relu(x: FloatArray) -> FloatArray:
    return np.maximum(x, np.float32(0))


_ACTIVATIONS: dict[str, Callable[[FloatArray], FloatArray]] = {"tanh": np.tanh, "relu": _relu}


@dataclass(frozen=True)
class NetworkPolicy:
    """A scaler, a multilayer perceptron and a masked softmax, exactly as they were trained.

    Attributes:
        manifest: what the policy reads, what it chooses, where it comes from.
        weights: ``scaler.mean``, ``scaler.std`` (F,), and ``actor.<i>.weight`` (out, in),
            ``actor.<i>.bias`` (out,) for each layer i.
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

    def bind(self, given: Schema) -> "NetworkPolicy":
        """The same policy, reading its inputs by name from observations of schema `given`.

        Raises:
            InputError: another number of actions, or a field it needs is not shown.
        """
        self.manifest.require_actions(given, self.name)
        projection = self.schema.observation.projection_from(given.observation, self.name)
        return replace(self, projection=projection)

    def logits(self, obs: FloatArray) -> FloatArray:
        """(N, F) -> unmasked (N, A).

        Raises:
            InputError: the weights make of these observations what is no number.
        """
        x = obs if self.projection is None else self.projection(obs)
        if self.manifest.scaler is not None:
            mean, std = self.weights["scaler.mean"], self.weights["scaler.std"]
            clip = self.manifest.scaler.clip
            x = np.clip((x - mean) / std, -clip, clip).astype(np.float32)
        activation = _ACTIVATIONS[self.manifest.network.activation]
        last = len(self.manifest.network.hidden)
        for layer in range(last + 1):
            weight = self.weights[f"actor.{layer}.weight"]
            x = x @ weight.T + self.weights[f"actor.{layer}.bias"]
            if layer < last:
                x = activation(x)
        if not np.isfinite(x).all():
            row = int(np.argmin(np.isfinite(x).all(axis=1)))
            raise InputError(f"{self.name}: the outputs of row {row} are not finite numbers")
        return np.asarray(x, np.float32)

    def probabilities(
        self, obs: FloatArray, action_mask: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64]:
        """(N, A): softmax over what the mask allows."""
        check_choice(obs, action_mask, self.name)
        logits = self.logits(obs).astype(np.float64)
        if action_mask is not None:
            logits = np.where(action_mask, logits, -np.inf)
        exp = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(exp / exp.sum(axis=1, keepdims=True), np.float64)

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
        logits = self.logits(obs)
        if action_mask is not None:
            logits = np.where(action_mask, logits, np.float32(-np.inf))
        return np.asarray(logits.argmax(axis=1), np.int64)

"""The kinds of networks that numpy can compute: which weights each has, and what it gives."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from compagnon.policy import pairwise as pairs
from compagnon.policy.groups import Groups
from compagnon.policy.manifest import Manifest, MlpSpec, OnnxSpec, PairwiseSpec
from compagnon.policy.onnx_network import OnnxGraph

FloatArray = NDArray[np.float32]
_NORM_EPS = np.float32(1e-5)


class Graph(Protocol):
    """What a network computes."""

    def outputs(self, x: FloatArray) -> FloatArray:
        """Scaled observations (N, F) -> (N, outputs)."""
        ...


def _relu(x: FloatArray) -> FloatArray:
    return np.maximum(x, np.float32(0))


_ACTIVATIONS: dict[str, Callable[[FloatArray], FloatArray]] = {"tanh": np.tanh, "relu": _relu}


@dataclass(frozen=True)
class MlpGraph:
    """A multilayer perceptron."""

    spec: MlpSpec
    weights: dict[str, FloatArray]

    def outputs(self, x: FloatArray) -> FloatArray:
        """See `Graph`."""
        activation = _ACTIVATIONS[self.spec.activation]
        last = len(self.spec.hidden)
        for layer in range(last + 1):
            weight = self.weights[f"actor.{layer}.weight"]
            x = x @ weight.T + self.weights[f"actor.{layer}.bias"]
            if layer < last:
                if self.spec.layer_norm:
                    x = self._normalised(x, layer)
                x = activation(x)
        return x

    def _normalised(self, x: FloatArray, layer: int) -> FloatArray:
        """Layer norm (arXiv 1607.06450)."""
        centred = x - x.mean(axis=1, keepdims=True)
        spread = np.sqrt((centred**2).mean(axis=1, keepdims=True) + _NORM_EPS)
        weight = self.weights[f"actor.{layer}.norm.weight"]
        return np.asarray(centred / spread * weight + self.weights[f"actor.{layer}.norm.bias"])


def graph_of(manifest: Manifest, weights: dict[str, FloatArray]) -> Graph:
    """The network of a manifest."""
    spec = manifest.network
    if isinstance(spec, PairwiseSpec):
        groups = Groups.of(manifest.schema_.observation.names, manifest.name)
        return pairs.PairwiseGraph(spec, groups, weights, _ACTIVATIONS[spec.activation])
    if isinstance(spec, OnnxSpec):
        return OnnxGraph(manifest, weights)
    return MlpGraph(spec, weights)


def shapes(manifest: Manifest) -> dict[str, tuple[int, ...]]:
    """The name and shape of every weight of a manifest's network.

    Of a perceptron ``actor.<i>.weight`` (out, in) and ``actor.<i>.bias`` (out,) for each layer i,
    with layer norm also ``actor.<i>.norm.weight`` and ``.bias`` (out,). A graph of somebody's own
    has none: its weights are its bytes.
    """
    spec, names = manifest.network, manifest.schema_.observation.names
    if isinstance(spec, PairwiseSpec):
        return pairs.shapes(spec, Groups.of(names, manifest.name))
    if isinstance(spec, OnnxSpec):
        return {}
    sizes = [len(names), *spec.hidden, manifest.outputs]
    expected: dict[str, tuple[int, ...]] = {}
    for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        expected[f"actor.{layer}.weight"] = (fan_out, fan_in)
        expected[f"actor.{layer}.bias"] = (fan_out,)
        if spec.layer_norm and layer < len(sizes) - 2:
            for part in ("weight", "bias"):
                expected[f"actor.{layer}.norm.{part}"] = (fan_out,)
    return expected

"""A policy on disk as a torch module again: what an export is compared with, and raced against."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from compagnon.onnx_export.onnx_graph import OnnxModule
from compagnon.policy.groups import Groups
from compagnon.policy.manifest import (
    DeterministicHead,
    GaussianHead,
    Manifest,
    MlpSpec,
    PairwiseSpec,
    ValuesHead,
)
from compagnon.policy.network import TIE
from compagnon.rl.networks.pairwise import PairwiseActor

Weights = dict[str, NDArray[np.float32]]
_NORM_EPS = 1e-5


class TorchOutput(NamedTuple):
    """What a policy says of N observations, as `policy.onnx_policy.Answer` but in torch."""

    outputs: torch.Tensor
    action: torch.Tensor
    probabilities: torch.Tensor | None
    std: torch.Tensor | None


def mlp_module(manifest: Manifest, weights: Weights) -> nn.Module:
    """The perceptron of `actor.*`, with torch's own layers."""
    network, layers = manifest.network, nn.Sequential()
    assert isinstance(network, MlpSpec)
    last = len(network.hidden)
    for layer in range(last + 1):
        fan_out, fan_in = weights[f"actor.{layer}.weight"].shape
        linear = nn.Linear(fan_in, fan_out)
        _fill(linear, weights, f"actor.{layer}")
        layers.append(linear)
        if layer < last:
            if network.layer_norm:
                norm = nn.LayerNorm(fan_out, eps=_NORM_EPS)
                _fill(norm, weights, f"actor.{layer}.norm")
                layers.append(norm)
            layers.append(nn.ReLU() if network.activation == "relu" else nn.Tanh())
    return layers


def pairwise_module(manifest: Manifest, weights: Weights) -> nn.Module:
    """The network of pairs, as it is trained."""
    spec = manifest.network
    assert isinstance(spec, PairwiseSpec)
    groups = Groups.of(manifest.schema_.observation.names, manifest.name)
    actor = PairwiseActor(spec, groups, torch.Generator())
    own = {name.removeprefix("actor."): torch.from_numpy(w.copy()) for name, w in weights.items()}
    actor.load_state_dict(own)
    return actor


def _fill(module: nn.Linear | nn.LayerNorm, weights: Weights, name: str) -> None:
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(weights[f"{name}.weight"]))
        module.bias.copy_(torch.from_numpy(weights[f"{name}.bias"]))


# By the kind of network that a manifest names, as `graph.BODIES`.
MODULES: dict[str, Callable[[Manifest, Weights], nn.Module]] = {
    MlpSpec().kind: mlp_module,
    PairwiseSpec().kind: pairwise_module,
    "onnx": OnnxModule,
}


class TorchPolicy(nn.Module):
    """Scaler, network, mask and the treatment of outputs, in torch; reads the policy's own fields.

    Written for itself, not from the graph: two descriptions that agree are worth more than one.
    """

    mean: torch.Tensor
    scale: torch.Tensor
    middle: torch.Tensor
    half_range: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor
    log_std: torch.Tensor

    def __init__(self, manifest: Manifest, weights: Weights) -> None:
        super().__init__()
        self.manifest = manifest
        self.network = MODULES[manifest.network.kind](manifest, weights)
        self.clip = None if manifest.scaler is None else manifest.scaler.clip
        if self.clip is not None:
            self.register_buffer("mean", torch.from_numpy(weights["scaler.mean"].copy()))
            self.register_buffer("scale", torch.from_numpy(weights["scaler.std"].copy()))
        action = manifest.schema_.action
        self.n, self.discrete = action.n, action.kind == "discrete"
        if not self.discrete:
            middle, half = action.middle_and_half()
            self.register_buffer("middle", torch.from_numpy(middle))
            self.register_buffer("half_range", torch.from_numpy(half))
            self.register_buffer("low", torch.tensor(action.low, dtype=torch.float32))
            self.register_buffer("high", torch.tensor(action.high, dtype=torch.float32))
        if "head.log_std" in weights:
            self.register_buffer("log_std", torch.from_numpy(weights["head.log_std"].copy()))
        self.eval()

    def forward(self, obs: torch.Tensor, action_mask: torch.Tensor | None = None) -> TorchOutput:
        """Observations (N, F) and, for discrete actions, masks (N, A)."""
        x = obs
        if self.clip is not None:
            x = ((x - self.mean) / self.scale).clamp(-self.clip, self.clip)
        outputs = self.network(x)
        if self.discrete:
            assert action_mask is not None
            return self._choose(outputs, action_mask)
        head, std = self.manifest.head, None
        units = outputs[:, : self.n]
        if isinstance(head, GaussianHead):
            logs = outputs[:, self.n :] if head.state_dependent else self.log_std
            std = logs.exp().expand(len(outputs), self.n)
        elif isinstance(head, DeterministicHead) and head.squash != "none":
            units = 2 * units.sigmoid() - 1 if head.squash == "sigmoid" else units.tanh()
        action = (self.middle + self.half_range * units).clamp(self.low, self.high)
        return TorchOutput(outputs, action, None, std)

    def _choose(self, outputs: torch.Tensor, action_mask: torch.Tensor) -> TorchOutput:
        masked = outputs.masked_fill(~action_mask, -torch.inf)
        size = outputs.masked_fill(~action_mask, 0.0).abs().amax(dim=1, keepdim=True)
        least = masked.amax(dim=1, keepdim=True) - TIE * size
        action = (masked >= least).float().argmax(dim=1)  # the first of those that are as good
        if isinstance(self.manifest.head, ValuesHead):
            probabilities = nn.functional.one_hot(action, self.n).float()
        else:
            probabilities = masked.softmax(dim=1)
        return TorchOutput(outputs, action, probabilities, None)

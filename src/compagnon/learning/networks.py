"""The networks that are trained, and how they become a policy that needs no torch."""

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from compagnon.learning.scaler import RunningScaler
from compagnon.policy.manifest import Manifest, MlpSpec, Provenance, ScalerSpec
from compagnon.policy.network import NetworkPolicy
from compagnon.policy.schema import Projection, Schema


class _NumpyTanh(torch.autograd.Function):
    """tanh by numpy, which on a CPU is about ten times faster than torch's at these sizes."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        """(B, width) -> the same."""
        y = torch.from_numpy(np.tanh(x.detach().numpy()))
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """The gradient with respect to x: (1 - y^2) times that of y."""
        (y,) = ctx.saved_tensors
        return torch.ops.aten.tanh_backward(gradients[0], y)


class Tanh(nn.Module):
    """The hyperbolic tangent."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, width) -> the same."""
        if x.device.type == "cpu":
            return _NumpyTanh.apply(x)  # type: ignore[no-any-return,no-untyped-call]
        return torch.tanh(x)


_ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": Tanh, "relu": nn.ReLU}


class Mlp(nn.Module):
    """A multilayer perceptron with orthogonal initialisation.

    Args:
        sizes: input, hidden layers, output.
        output_gain: scale of the last layer; 0.01 makes the first policy near uniform.
    """

    def __init__(
        self, sizes: Sequence[int], activation: str, output_gain: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Linear(fan_in, fan_out) for fan_in, fan_out in pairwise(sizes)
        )
        self.activation = _ACTIVATIONS[activation]()
        for index, layer in enumerate(self.layers):
            assert isinstance(layer, nn.Linear)
            last = index == len(self.layers) - 1
            nn.init.orthogonal_(layer.weight, output_gain if last else 2**0.5, generator=generator)
            nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inputs) -> (B, outputs)."""
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)  # type: ignore[no-any-return]


class PolicyNetwork:
    """What every algorithm here trains: a scaler, an actor, a critic, and what they read.

    Imitation trains the actor; practice trains both. Handing the same object from one algorithm to
    the next is what makes a clone improve by practice.

    Args:
        given: the environment's schema. observation: the field names to read; None for all.
        hidden: sizes of the hidden layers, actor and critic alike.
    """

    def __init__(
        self,
        given: Schema,
        hidden: Sequence[int],
        activation: str,
        seed: int,
        observation: Sequence[str] | None = None,
        scale_inputs: bool = True,
        device: str = "cpu",
    ) -> None:
        own = given.observation if observation is None else given.observation.select(observation)
        self.schema = Schema(given.env_id, own, given.action)
        self.project: Projection = own.projection_from(given.observation, "the network")
        self.hidden, self.activation = tuple(hidden), activation
        self.scaler = RunningScaler(len(own.fields)) if scale_inputs else None
        self.device = torch.device(device)
        generator = torch.Generator().manual_seed(seed)
        inputs = len(own.fields)
        self.actor = Mlp([inputs, *hidden, given.action.n], activation, 0.01, generator)
        self.critic = Mlp([inputs, *hidden, 1], activation, 1.0, generator)
        self.actor.to(self.device)
        self.critic.to(self.device)

    def read(self, obs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Observations as the networks take them: own columns, scaled; a fresh array."""
        x = self.project(obs)
        return x.copy() if self.scaler is None else self.scaler(x)

    def logits(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Unmasked logits (B, A) of read observations (B, F), outside autograd."""
        with torch.inference_mode():
            logits = self.actor(torch.from_numpy(x).to(self.device))
            return logits.cpu().numpy()  # type: ignore[no-any-return]

    def as_policy(self, name: str, provenance: Provenance | None = None) -> NetworkPolicy:
        """A copy of the policy as it is now, in numpy, reading this environment's observations."""
        weights: dict[str, NDArray[Any]] = {}
        for index, layer in enumerate(self.actor.layers):
            assert isinstance(layer, nn.Linear)
            weights[f"actor.{index}.weight"] = layer.weight.detach().cpu().numpy().copy()
            weights[f"actor.{index}.bias"] = layer.bias.detach().cpu().numpy().copy()
        scaler = None
        if self.scaler is not None:
            scaler = ScalerSpec(clip=self.scaler.clip)
            weights["scaler.mean"] = self.scaler.mean32.copy()
            weights["scaler.std"] = self.scaler.std32.copy()
        activation: Any = self.activation
        manifest = Manifest(
            name=name,
            schema=self.schema,
            schema_sha256=self.schema.sha256(),
            network=MlpSpec(hidden=self.hidden, activation=activation),
            scaler=scaler,
            weights_sha256="",
            provenance=provenance or Provenance(),
        )
        return NetworkPolicy(manifest, weights, self.project)

    def state_dict(self) -> dict[str, Any]:
        """Weights and scaler."""
        return {
            "actor": dict(self.actor.state_dict()),
            "critic": dict(self.critic.state_dict()),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.actor.load_state_dict(state["actor"])
        self.critic.load_state_dict(state["critic"])
        if self.scaler is not None:
            self.scaler.load_state_dict(state["scaler"])


def library_versions() -> dict[str, str]:
    """Versions of what a trained policy depends on, for its provenance."""
    return {name: version(name) for name in ("compagnon", "numpy", "torch", "numba", "gymnasium")}


def timestamp() -> str:
    """Now, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")

"""The networks that are trained, and how they become a policy that needs no torch."""

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from compagnon.learning.mlp import Activation, Mlp, PlainMlp
from compagnon.learning.scaler import RunningScaler
from compagnon.policy.manifest import (
    CategoricalHead,
    Head,
    Manifest,
    MlpSpec,
    Provenance,
    ScalerSpec,
)
from compagnon.policy.network import NetworkPolicy, network_policy
from compagnon.policy.schema import Projection, Schema

ScaleInputs = bool | Literal["ranges"]


class TrainedNetwork:
    """What an algorithm trains: modules, the scaler of their inputs, and what they read.

    Handing the same object from one algorithm to the next is what makes a clone improve by practice.

    Args:
        given: the environment's schema. observation: the field names to read; None for all.
        scale_inputs: by running mean and deviation, not at all, or by the fields' own ranges.

    Attributes:
        modules: everything that is trained and saved; `actor` is what becomes the policy.
        head: what the policy makes of the actor's outputs.
    """

    head: Head = CategoricalHead()
    actor: nn.Module

    def __init__(
        self,
        given: Schema,
        observation: Sequence[str] | None = None,
        scale_inputs: ScaleInputs = True,
        device: str = "cpu",
    ) -> None:
        own = given.observation if observation is None else given.observation.select(observation)
        self.schema = Schema(given.env_id, own, given.action)
        self.project: Projection = own.projection_from(given.observation, "the network")
        self.scaler: RunningScaler | None = None
        if scale_inputs == "ranges":
            self.scaler = RunningScaler.of_ranges(own.fields)
        elif scale_inputs:
            self.scaler = RunningScaler(len(own.fields))
        self.device = torch.device(device)

    @property
    def modules(self) -> dict[str, nn.Module]:
        """Name -> module, of everything that is trained."""
        return {"actor": self.actor}

    def read(self, obs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Observations as the networks take them: own columns, scaled; a fresh array."""
        return self.scaled(self.project(obs))

    def scaled(self, projected: NDArray[np.float32]) -> NDArray[np.float32]:
        """Own columns (B, F) -> the same, scaled; a fresh array."""
        return projected.copy() if self.scaler is None else self.scaler(projected)

    def tensor(self, array: NDArray[Any]) -> torch.Tensor:
        """An array on the networks' device."""
        return torch.from_numpy(array).to(self.device)

    def outputs(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """The actor's outputs (B, K) for read observations (B, F), outside autograd."""
        with torch.inference_mode():
            return self.actor(self.tensor(x)).cpu().numpy()  # type: ignore[no-any-return]

    def plain_actor(self) -> PlainMlp:
        """The actor as the policy floor knows it, with whatever else the head needs."""
        return self.actor.plain()  # type: ignore[operator,no-any-return]

    def as_policy(self, name: str, provenance: Provenance | None = None) -> NetworkPolicy:
        """A copy of the policy as it is now, in numpy, reading this environment's observations."""
        plain = self.plain_actor()
        weights: dict[str, NDArray[Any]] = dict(plain.weights)
        scaler = None
        if self.scaler is not None:
            scaler = ScalerSpec(clip=self.scaler.clip)
            weights["scaler.mean"] = self.scaler.mean32.copy()
            weights["scaler.std"] = self.scaler.std32.copy()
        manifest = Manifest(
            name=name,
            schema=self.schema,
            schema_sha256=self.schema.sha256(),
            network=MlpSpec(
                hidden=plain.hidden, activation=plain.activation, layer_norm=plain.layer_norm
            ),
            scaler=scaler,
            head=self.head,
            weights_sha256="",
            provenance=provenance or Provenance(),
        )
        return network_policy(manifest, weights, self.project)

    def state_dict(self) -> dict[str, Any]:
        """Weights and scaler."""
        return {
            **{name: dict(module.state_dict()) for name, module in self.modules.items()},
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        for name, module in self.modules.items():
            module.load_state_dict(state[name])
        if self.scaler is not None:
            self.scaler.load_state_dict(state["scaler"])


class PolicyNetwork(TrainedNetwork):
    """An actor that gives logits and a critic that gives values, for imitation and for PPO.

    Imitation trains the actor; practice trains both.

    Args:
        hidden: sizes of the hidden layers, actor and critic alike.
    """

    def __init__(
        self,
        given: Schema,
        hidden: Sequence[int],
        activation: Activation,
        seed: int,
        observation: Sequence[str] | None = None,
        scale_inputs: ScaleInputs = True,
        device: str = "cpu",
    ) -> None:
        super().__init__(given, observation, scale_inputs, device)
        generator = torch.Generator().manual_seed(seed)
        inputs = len(self.schema.observation.fields)
        self.actor: Mlp = Mlp([inputs, *hidden, given.action.n], activation, 0.01, generator)
        self.critic = Mlp([inputs, *hidden, 1], activation, 1.0, generator)
        self.actor.to(self.device)
        self.critic.to(self.device)

    @property
    def modules(self) -> dict[str, nn.Module]:
        """Actor and critic."""
        return {"actor": self.actor, "critic": self.critic}

    def logits(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Unmasked logits (B, A) of read observations (B, F), outside autograd."""
        return self.outputs(x)


def library_versions() -> dict[str, str]:
    """Versions of what a trained policy depends on, for its provenance."""
    return {name: version(name) for name in ("compagnon", "numpy", "torch", "numba", "gymnasium")}


def timestamp() -> str:
    """Now, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")

"""The networks that are trained, and how they become a policy that needs no torch."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from compagnon.errors import InputError
from compagnon.policy.groups import Groups
from compagnon.policy.manifest import (
    CategoricalHead,
    GaussianHead,
    Head,
    Manifest,
    MatchingHead,
    OnnxSpec,
    PairwiseSpec,
    ScalerSpec,
)
from compagnon.policy.network import NetworkPolicy, network_policy
from compagnon.policy.provenance import Provenance
from compagnon.policy.schema import Projection, Schema
from compagnon.rl.networks.mlp import Activation, Mlp, MlpArrays
from compagnon.rl.networks.pairwise import PairwiseActor, PairwiseCritic
from compagnon.rl.networks.registry import Networks, Std
from compagnon.rl.networks.scaler import RunningScaler
from compagnon.rl.networks.spec import NetworkArrays, NumpyNetwork

ScaleInputs = bool | Literal["ranges"]


class TrainableNetwork:
    """What an algorithm trains: modules, the scaler of their inputs, and what they read.

    Handing the same object from one algorithm to the next is what makes a clone improve by
    practice.

    Args:
        given: the environment's schema. observation: the field names to read; None for all.
        scale_inputs: by running mean and deviation, not at all, or by the fields' own ranges.
        scaling: what the networks read, if it is not what the environment shows.

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
        scaling: str | None = None,
    ) -> None:
        names = given.observation.names if observation is None else observation
        own = given.observation.select(names, scaling)
        self.schema = Schema(given.env_id, own, given.action, masked=given.masked)
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

    def actor_arrays(self) -> NumpyNetwork:
        """The actor as the policy floor knows it, with whatever else the head needs."""
        return self.actor.to_arrays()  # type: ignore[operator,no-any-return]

    def as_policy(self, name: str, provenance: Provenance | None = None) -> NetworkPolicy:
        """A copy of the policy as it is now, in numpy, reading this environment's observations."""
        plain = self.actor_arrays()
        weights: dict[str, NDArray[Any]] = dict(plain.weights)
        scaler = None
        if self.scaler is not None and not isinstance(plain.spec, OnnxSpec):
            scaler = ScalerSpec(clip=self.scaler.clip)
            weights["scaler.mean"] = self.scaler.mean32.copy()
            weights["scaler.std"] = self.scaler.std32.copy()
        manifest = Manifest(
            name=name,
            schema=self.schema,
            schema_sha256=self.schema.sha256(),
            network=plain.spec,
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


class JointMlp(Mlp):
    """Policy and value in one perceptron: the last output is the value, the others the policy's."""

    def __init__(
        self, sizes: Sequence[int], activation: Activation, generator: torch.Generator
    ) -> None:
        super().__init__(sizes, activation, 0.01, generator)
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            nn.init.orthogonal_(last.weight[-1:], 1.0, generator=generator)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inputs) -> the policy's outputs (B, outputs - 1)."""
        return super().forward(x)[:, :-1]

    def values(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inputs) -> the values (B, 1)."""
        return super().forward(x)[:, -1:]

    def to_arrays(self) -> MlpArrays:
        """The policy's part, as a copy in numpy."""
        whole = super().to_arrays()
        last = f"actor.{len(self.layers) - 1}"
        cut = {
            f"{last}.{part}": whole.weights[f"{last}.{part}"][:-1] for part in ("weight", "bias")
        }
        return replace(whole, weights={**whole.weights, **cut})


class LogStd(nn.Module):
    """Logarithms of standard deviations that are the same in every state; (D,)."""

    def __init__(self, size: int, std: float, learnt: bool) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.full((size,), math.log(std)), requires_grad=learnt)

    def numpy(self) -> NDArray[np.float32]:
        """(D,); a view where the device is the CPU."""
        return self.value.detach().cpu().numpy()


class PolicyNetwork(TrainableNetwork):
    """An actor that gives logits or means and a critic that gives values.

    Imitation trains the actor; practice trains both.

    Args:
        hidden: sizes of the hidden layers, actor and critic alike.
        networks: two of them, or one whose last output is the value.
        std: where actions are vectors, how the deviations come about: fixed, learnt, or learnt as a
            function of the state.
        initial_std: the deviation at the start, in units of half the range of the bounds.

    Attributes:
        critic: its last output is the value; the actor itself where they are one network.
        log_std: of every state alike; None where the state decides, or actions are not vectors.
        joint: actor and critic are one network.
    """

    critic: Mlp | PairwiseCritic
    log_std: LogStd | None = None
    joint: bool = False

    def __init__(
        self,
        given: Schema,
        hidden: Sequence[int],
        activation: Activation,
        seed: int,
        observation: Sequence[str] | None = None,
        scale_inputs: ScaleInputs = True,
        device: str = "cpu",
        networks: Networks = "separate",
        std: Std = "learnt",
        initial_std: float = 1.0,
    ) -> None:
        super().__init__(given, observation, scale_inputs, device)
        generator = torch.Generator().manual_seed(seed)
        inputs, n = len(self.schema.observation.fields), given.action.n
        outputs = n
        if given.action.kind == "box":
            self.head = GaussianHead(state_dependent=std == "by_state")
            if std == "by_state":
                outputs = 2 * n
            else:
                self.log_std = LogStd(n, initial_std, std == "learnt").to(self.device)
        self.joint = networks == "joint"
        if self.joint:
            actor: Mlp = JointMlp([inputs, *hidden, outputs + 1], activation, generator)
            self.critic = actor
        else:
            actor = Mlp([inputs, *hidden, outputs], activation, 0.01, generator)
            self.critic = Mlp([inputs, *hidden, 1], activation, 1.0, generator)
        if outputs > n:
            with torch.no_grad():
                actor.last_layer.bias[n:outputs] = math.log(initial_std)
        self.actor = actor.to(self.device)
        self.critic.to(self.device)

    @property
    def modules(self) -> dict[str, nn.Module]:
        """Actor, critic where it is another network, deviations where they are no outputs."""
        found: dict[str, nn.Module] = {"actor": self.actor}
        if not self.joint:
            found["critic"] = self.critic
        if self.log_std is not None:
            found["log_std"] = self.log_std
        return found

    def parameter_groups(self) -> list[list[nn.Parameter]]:
        """Those of the actor, with deviations that are learnt, and the critic's if they are two."""
        groups = [list(self.actor.parameters())]
        if not self.joint:
            groups.append(list(self.critic.parameters()))
        if self.log_std is not None and self.log_std.value.requires_grad:
            groups[0].append(self.log_std.value)
        return groups

    def logits(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Unmasked logits (B, A) of read observations (B, F), outside autograd."""
        return self.outputs(x)

    def values(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """The critic's output (B,) for read observations (B, F), outside autograd."""
        with torch.inference_mode():
            return self.critic.values(self.tensor(x)).cpu().numpy()[:, 0]

    def soften(self, temperature: float) -> None:
        """Divide the actor's logits by a temperature: its best choices stay, its draws try more."""
        if temperature != 1.0:
            with torch.no_grad():
                for layer in self.actor.output_layers():  # type: ignore[operator]
                    layer.weight /= temperature
                    layer.bias /= temperature

    def params(self, outputs: torch.Tensor, log_std: torch.Tensor | None = None) -> torch.Tensor:
        """What the actor's outputs (B, K) say of actions: with the deviations of every state.

        Args:
            log_std: (D,), those to take instead of the network's own.
        """
        if self.log_std is None:
            return outputs
        own = self.log_std.value if log_std is None else log_std
        return torch.cat([outputs, own.expand_as(outputs)], 1)

    def action_params(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """The same for read observations (B, F), outside autograd."""
        with torch.inference_mode():
            return self.params(self.actor(self.tensor(x))).cpu().numpy()

    def actor_arrays(self) -> NumpyNetwork:
        """The actor as the policy floor knows it, with the deviations where it has them not."""
        plain = super().actor_arrays()
        if self.log_std is None:
            return plain
        log_std = self.log_std.numpy().copy()
        return NetworkArrays(plain.spec, {**plain.weights, "head.log_std": log_std})


class PairwiseNetwork(PolicyNetwork):
    """The same with an actor that scores pairs; see `networks.pairwise`.

    Args:
        given: shows drivers, a board and their pairs.
        spec: of actor and critic. head: what the policy makes of the logits.
        fields: kinds of fields to read, as in `kinds_of_fields`; None for all.

    Raises:
        InputError: observations without pairs, or actions that are not those of a board.
    """

    def __init__(
        self,
        given: Schema,
        spec: PairwiseSpec,
        seed: int,
        fields: Sequence[str] | None = None,
        device: str = "cpu",
        head: CategoricalHead | MatchingHead | None = None,
    ) -> None:
        groups = board_groups(given, fields)
        TrainableNetwork.__init__(self, given, groups.names, False, device, "published")
        generator = torch.Generator().manual_seed(seed)
        self.head = head or CategoricalHead()
        self.actor = PairwiseActor(spec, groups, generator).to(self.device)
        self.critic = PairwiseCritic(spec, groups, generator).to(self.device)


def board_groups(given: Schema, fields: Sequence[str] | None) -> Groups:
    """The groups that a network of pairs reads of a schema.

    Args:
        fields: kinds of fields, such as ``time``, ``driver_east``, ``place_door``, ``pair_slack``.

    Raises:
        InputError: no pairs, a kind that is not shown, or actions that are not those of a board.
    """
    groups = Groups.of(given.observation.names, "the pairwise network")
    if given.action.kind != "discrete" or given.action.n != groups.actions:
        raise InputError(
            f"the pairwise network chooses among {groups.actions} actions here (wait, pairs, "
            f"refusals); those of {given.env_id} are {given.action.words}"
        )
    return groups if fields is None else groups.selected(fields)

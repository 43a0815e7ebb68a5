"""Networks made of any `torch.nn.Module`: what training, saving and playing need of one.

Its policy is kept as an ONNX graph, scaling included: no pickle, and no code of one's own is
needed to play, serve or export it; its weights are kept in checkpoints by their names.
"""

import copy
import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from compagnon.errors import InputError, describe
from compagnon.policy.manifest import GaussianHead, Head, OnnxSpec
from compagnon.policy.onnx_network import GRAPH
from compagnon.policy.schema import Schema
from compagnon.rl.networks.actor_critic import ActorCritic, Squash
from compagnon.rl.networks.registry import Std, find_network
from compagnon.rl.networks.scaler import RunningScaler
from compagnon.rl.networks.spec import NetworkArrays
from compagnon.rl.networks.trainable import LogStd, PolicyNetwork, ScaleInputs, TrainableNetwork

OPSET = 18
_UNSTEADY = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm)


class Scaled(nn.Module):
    """A module behind the scaler of its inputs, as a graph has them.

    Args:
        scaler: of the inputs; None where they are read as they are.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, body: nn.Module, scaler: RunningScaler | None) -> None:
        super().__init__()
        self.body, self.clip = body, 0.0 if scaler is None else scaler.clip
        if scaler is not None:
            self.register_buffer("mean", torch.from_numpy(scaler.mean32.copy()))
            self.register_buffer("std", torch.from_numpy(scaler.std32.copy()))

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        """(N, F) -> (N, K)."""
        if self.clip:
            obs = ((obs - self.mean) / self.std).clamp(-self.clip, self.clip)
        return self.body(obs)  # type: ignore[no-any-return]


class OwnModule(nn.Module):
    """Somebody's module, with a factor and a shift of ours behind it: 1 and 0 at first.

    What changes a last layer (the scale of values, a clone's temperature) changes that one.
    """

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.last_layer = nn.Linear(1, 1)
        with torch.no_grad():
            self.last_layer.weight.fill_(1.0)
            self.last_layer.bias.zero_()
        # Shared by all outputs; beside the body's own last layer there is nothing for it to learn.
        self.last_layer.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inputs) -> (B, outputs)."""
        found = self.body(x)
        return found * self.last_layer.weight[0, 0] + self.last_layer.bias[0]  # type: ignore[no-any-return]

    def values(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inputs) -> (B, 1)."""
        return self(x)  # type: ignore[no-any-return]

    def output_layers(self) -> list[nn.Linear]:
        """The layers that give the outputs."""
        return [self.last_layer]


class SideBySide(nn.Module):
    """Somebody's module as a critic: it reads a state and an action side by side.

    Args:
        body: (B, inputs + actions) -> (B, 1).
    """

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """States (B, F) and actions (B, D) -> values (B,)."""
        return self.body(torch.cat([x, action], dim=1))[:, 0]  # type: ignore[no-any-return]


class OwnCritic(nn.Module):
    """Somebody's module that was made to be a critic.

    Args:
        body: states (B, inputs) and actions (B, actions) -> (B, 1).
    """

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """States (B, F) and actions (B, D) -> values (B,)."""
        return self.body(x, action)[:, 0]  # type: ignore[no-any-return]


def make_module(
    kind: str, options: Mapping[str, Any] | None, inputs: int, outputs: int, seed: int
) -> OwnModule:
    """The module that a recipe names, made with a seed of its own, and tried.

    Raises:
        InputError: its factory fails, gives no module, or one that does not fit.
    """
    who = f"network.kind {kind!r}"
    made_for = f"{inputs} inputs and {outputs} outputs"
    body = _make(who, kind, options, (inputs, outputs), made_for, seed)
    _require_shape(who, body, (inputs,), outputs)
    return OwnModule(body)


def make_critic(
    kind: str,
    options: Mapping[str, Any] | None,
    inputs: int,
    actions: int,
    seed: int,
    apart: bool = False,
) -> SideBySide | OwnCritic:
    """The same as a critic of states and actions.

    Args:
        apart: its factory is called with the numbers of inputs and actions, and what it makes is
            called with states and actions; else both stand side by side, as one input.

    Raises:
        InputError: see `make_module`.
    """
    if apart:
        who, made_for = f"algorithm.critic_network {kind!r}", f"{inputs} inputs, {actions} actions"
        body = _make(who, kind, options, (inputs, actions), made_for, seed)
        _require_shape(who, body, (inputs, actions), 1)
        _require_action_read(who, body, inputs, actions)
        return OwnCritic(body)
    who = f"network.kind {kind!r} as a critic of {inputs} inputs and {actions} actions side by side"
    size = inputs + actions
    body = _make(who, kind, options, (size, 1), f"{size} inputs and 1 output", seed)
    _require_shape(who, body, (size,), 1)
    return SideBySide(body)


def _make(
    who: str,
    kind: str,
    options: Mapping[str, Any] | None,
    sizes: tuple[int, int],
    made_for: str,
    seed: int,
) -> nn.Module:
    factory = find_network(kind, who.partition(" ")[0])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            body = factory(*sizes, **(options or {}))
        except Exception as error:  # somebody's code: anything may be wrong with it
            raise InputError(
                f"{who}: its factory failed for {made_for} ({describe(error)})"
            ) from None
    if not isinstance(body, nn.Module):
        raise InputError(
            f"{who}: its factory gave {type(body).__name__}, and should give a torch.nn.Module"
        )
    for part in body.modules():
        if isinstance(part, _UNSTEADY):
            raise InputError(
                f"{who}: it holds {type(part).__name__}, with which a state gives "
                "other outputs in training than in play; LayerNorm does not"
            )
    return body


def _require_shape(who: str, body: nn.Module, read: Sequence[int], outputs: int) -> None:
    """Refuse a module that does not make (3, outputs) of 3 states, or states and actions."""
    try:
        with torch.no_grad():
            shape = tuple(body(*(torch.zeros(3, size) for size in read)).shape)
    except Exception as error:
        raise InputError(f"{who}: it fails on 3 states ({describe(error)})") from None
    if shape != (3, outputs):
        given = " and ".join(f"(3, {size})" for size in read)
        raise InputError(f"{who}: of {given} it makes {shape}; (3, {outputs}) is needed")


def _require_action_read(who: str, body: nn.Module, inputs: int, actions: int) -> None:
    """Refuse a critic that no actor could climb."""
    action = torch.zeros(3, actions, requires_grad=True)
    value = body(torch.zeros(3, inputs), action).sum()
    if not value.requires_grad or torch.autograd.grad(value, action, allow_unused=True)[0] is None:
        raise InputError(f"{who}: its value does not depend on the action")


def as_graph(actor: nn.Module, scaler: RunningScaler | None, inputs: int) -> NetworkArrays:
    """An actor and the scaler of its inputs as an ONNX graph, which a policy keeps as its weights.

    Raises:
        InputError: torch cannot write the module as a graph; says why.
    """
    whole = Scaled(copy.deepcopy(actor), scaler).cpu().eval()
    file, free = io.BytesIO(), {0: "rows"}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter by tracing needs no further package
            torch.onnx.export(
                whole, (torch.zeros(2, inputs),), file, input_names=["obs"],  # type: ignore[arg-type]
                output_names=["outputs"], dynamic_axes={"obs": free, "outputs": free},
                dynamo=False, opset_version=OPSET,
            )  # fmt: skip
    except Exception as error:
        raise InputError(
            f"the network cannot be kept as a policy: torch.onnx.export says {describe(error)}"
        ) from None
    spec = OnnxSpec(input="obs", output="outputs", gives="numbers")
    return NetworkArrays(spec, {GRAPH: np.frombuffer(file.getvalue(), np.uint8)})


class ModulePolicyNetwork(PolicyNetwork):
    """An actor and a critic of one's own; see `PolicyNetwork`.

    Args:
        kind, options: the factory, and what it is called with beside the sizes.
    """

    def __init__(
        self,
        given: Schema,
        kind: str,
        options: Mapping[str, Any] | None,
        seed: int,
        observation: Sequence[str] | None = None,
        scale_inputs: ScaleInputs = True,
        device: str = "cpu",
        std: Std = "learnt",
        initial_std: float = 1.0,
    ) -> None:
        TrainableNetwork.__init__(self, given, observation, scale_inputs, device)
        inputs, outputs = len(self.schema.observation.fields), given.action.n
        if given.action.kind == "box":
            if std == "by_state":
                raise InputError(
                    "algorithm.std 'by_state' is for perceptrons; a network of one's own has "
                    "deviations that are learnt or fixed"
                )
            self.head = GaussianHead(state_dependent=False)
            self.log_std = LogStd(outputs, initial_std, std == "learnt").to(self.device)
        self.actor = make_module(kind, options, inputs, outputs, seed).to(self.device)
        critic = make_module(kind, options, inputs, 1, seed + 1)
        self.critic = critic.to(self.device)  # type: ignore[assignment]  # it has what these have

    def actor_arrays(self) -> NetworkArrays:
        """The actor as an ONNX graph, with the deviations beside it."""
        graph = as_graph(self.actor, self.scaler, len(self.schema.observation.fields))
        if self.log_std is None:
            return graph
        return NetworkArrays(
            graph.spec, {**graph.weights, "head.log_std": self.log_std.numpy().copy()}
        )


class ModuleValueNetwork(TrainableNetwork):
    """The values of actions by a network of one's own; see `ModulePolicyNetwork`."""

    def __init__(
        self,
        given: Schema,
        kind: str,
        options: Mapping[str, Any] | None,
        seed: int,
        head: Head,
        observation: Sequence[str] | None = None,
        scale_inputs: ScaleInputs = True,
        device: str = "cpu",
    ) -> None:
        super().__init__(given, observation, scale_inputs, device)
        self.head = head
        inputs = len(self.schema.observation.fields)
        self.actor = make_module(kind, options, inputs, given.action.n, seed).to(self.device)

    def actor_arrays(self) -> NetworkArrays:
        """The network as an ONNX graph."""
        return as_graph(self.actor, self.scaler, len(self.schema.observation.fields))


class ModuleActorCritic(ActorCritic):
    """DDPG's actor and critics of one's own; see `ActorCritic`.

    Args:
        kind, options: the factory, and what it is called with beside the sizes. Critics are made
            by it too, and read a state and an action side by side.
        critic_kind, critic_options: another factory, of critics that read the two apart.
        twin: two critics rather than one.
    """

    def __init__(
        self,
        given: Schema,
        kind: str,
        options: Mapping[str, Any] | None,
        seed: int,
        critic_kind: str | None = None,
        critic_options: Mapping[str, Any] | None = None,
        squash: Squash = "sigmoid",
        twin: bool = False,
        observation: Sequence[str] | None = None,
        scale_inputs: ScaleInputs = True,
        device: str = "cpu",
    ) -> None:
        TrainableNetwork.__init__(self, given, observation, scale_inputs, device)
        self._choose_by(given, squash)
        inputs, n = len(self.schema.observation.fields), given.action.n
        self.actor = make_module(kind, options, inputs, n, seed).to(self.device)
        apart = critic_kind is not None
        named, called_with = (critic_kind or kind), (critic_options if apart else options)
        self.critics = nn.ModuleList(
            make_critic(named, called_with, inputs, n, seed + 1 + number, apart)
            for number in range(2 if twin else 1)
        ).to(self.device)

    def actor_arrays(self) -> NetworkArrays:
        """The actor as an ONNX graph."""
        return as_graph(self.actor, self.scaler, len(self.schema.observation.fields))

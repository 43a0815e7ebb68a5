"""The networks of DDPG: an actor that chooses, and critics that value a state with an action."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from compagnon.errors import InputError
from compagnon.policy.manifest import CategoricalHead, DeterministicHead
from compagnon.policy.schema import Schema
from compagnon.rl.networks.mlp import Activation, Mlp, NormedMlp, make_mlp
from compagnon.rl.networks.registry import Norm
from compagnon.rl.networks.trainable import ScaleInputs, TrainableNetwork

Squash = Literal["sigmoid", "tanh"]


class Critic(nn.Module):
    """Q(s, a): one stream reads the state, one the action, and further layers read both.

    A stream without layers hands its input on as it is; with none at all this is a perceptron over
    state and action side by side.

    Args:
        inputs: columns of a state. actions: columns of an action.
        state_hidden, action_hidden, hidden: widths of the two streams, and of what joins them.
    """

    def __init__(
        self,
        inputs: int,
        actions: int,
        state_hidden: Sequence[int],
        action_hidden: Sequence[int],
        hidden: Sequence[int],
        activation: Activation,
        generator: torch.Generator,
        norm: Norm = "none",
    ) -> None:
        super().__init__()

        def stream(size: int, widths: Sequence[int]) -> Mlp | NormedMlp | None:
            if not widths:
                return None
            return make_mlp([size, *widths], activation, 1.0, generator, norm, activate_output=True)

        self.state = stream(inputs, state_hidden)
        self.action = stream(actions, action_hidden)
        both = [inputs, *state_hidden][-1] + [actions, *action_hidden][-1]
        self.joined = make_mlp([both, *hidden, 1], activation, 1.0, generator, norm)

    def forward(self, x: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """States (B, F) and actions (B, D) -> values (B,)."""
        state = x if self.state is None else self.state(x)
        action = action if self.action is None else self.action(action)
        return self.joined(torch.cat([state, action], dim=1))[:, 0]  # type: ignore[no-any-return]


def list_of(critics: nn.ModuleList) -> list[Critic]:
    """Those of a `ModuleList` that are perceptrons of ours."""
    return [critic for critic in critics if isinstance(critic, Critic)]


class ActorCritic(TrainableNetwork):
    """An actor, and one critic or two.

    For vectors of actions the actor's outputs, squashed, are the action in units of the half-range
    of its bounds, and critics read actions in these units. For discrete actions they are logits,
    and critics read probabilities.

    Args:
        hidden: widths of the actor's hidden layers.
        state_hidden, action_hidden, critic_hidden: see `Critic`.
        norm: before each hidden activation, of actor and critics alike.
        twin: two critics (arXiv 1802.09477) rather than one.

    Attributes:
        critics: one or two modules, of states (B, F) and actions (B, D) to values (B,).

    Raises:
        InputError: a number of an action that has no bounds.
    """

    critics: nn.ModuleList

    def __init__(
        self,
        given: Schema,
        hidden: Sequence[int],
        activation: Activation,
        seed: int,
        state_hidden: Sequence[int] = (16, 32),
        action_hidden: Sequence[int] = (16, 32),
        critic_hidden: Sequence[int] = (64, 64),
        norm: Norm = "none",
        squash: Squash = "sigmoid",
        twin: bool = False,
        observation: Sequence[str] | None = None,
        scale_inputs: ScaleInputs = True,
        device: str = "cpu",
    ) -> None:
        super().__init__(given, observation, scale_inputs, device)
        self._choose_by(given, squash)
        generator = torch.Generator().manual_seed(seed)
        inputs, actions = len(self.schema.observation.fields), given.action.n
        self.actor = make_mlp([inputs, *hidden, actions], activation, 0.01, generator, norm)
        self.critics = nn.ModuleList(
            Critic(
                inputs, actions, state_hidden, action_hidden, critic_hidden, activation, generator,
                norm,
            )
            for _ in range(2 if twin else 1)
        )  # fmt: skip
        self.actor.to(self.device).eval()
        self.critics.to(self.device).eval()

    def _choose_by(self, given: Schema, squash: Squash) -> None:
        """The head that makes actions of the actor's outputs.

        Raises:
            InputError: a number of an action that has no bounds.
        """
        endless = None if given.action.kind == "discrete" else given.action.without_bounds()
        if endless is not None:
            low, high = given.action.low[endless], given.action.high[endless]
            raise InputError(
                f"{given.env_id}: number {endless} of an action goes from {low:g} to {high:g}; "
                "ddpg plays the whole of a range and needs both ends of it: give the environment's "
                "action space both bounds (gymnasium.wrappers.RescaleAction scales one that has "
                "them), or use ppo, which needs none"
            )
        self.discrete = given.action.kind == "discrete"
        self.head = CategoricalHead() if self.discrete else DeterministicHead(squash=squash)
        self._slope = 0.5 if squash == "sigmoid" else 1.0  # 2 sigmoid(x) - 1 = tanh(x / 2)

    def head_forward(self, outputs: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """What the actor's outputs (B, D) choose, as critics read it; (B, D).

        Args:
            mask: (B, A) of discrete actions: what is masked has probability exactly 0. A state
                that leaves nothing possible is an end, which nothing is read from.
        """
        if not self.discrete:
            return torch.tanh(outputs * self._slope)
        assert mask is not None
        open_rows = mask | ~mask.any(dim=1, keepdim=True)
        return torch.softmax(outputs.masked_fill(~open_rows, -torch.inf), dim=1)

    def head_backward(self, gradient: torch.Tensor, said: torch.Tensor) -> torch.Tensor:
        """The gradient in the actor's outputs, from that in what it chooses; both (B, D)."""
        if not self.discrete:
            return gradient * (1 - said * said) * self._slope
        return said * (gradient - (said * gradient).sum(dim=1, keepdim=True))

    @property
    def modules(self) -> dict[str, nn.Module]:
        """Actor and critics."""
        return {"actor": self.actor, "critics": self.critics}

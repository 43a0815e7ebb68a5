"""The distributions that actions are drawn from, by what the network says of each state.

`params` are what a network gives for B states: logits (B, A), or means and logarithms of deviations
side by side (B, 2D). One of your own has the methods of `ActionDistribution`; a recipe names it as
``module:function``, or by the name that `register_distribution` gave it.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.distributions import Categorical, Normal, kl_divergence

from compagnon.errors import InputError, describe
from compagnon.policy.manifest import Head
from compagnon.policy.schema import ActionSchema, Schema
from compagnon.rl.fast import gaussian, masked


class ActionDistribution(Protocol):
    """How actions are drawn, and how likely they are.

    Attributes:
        head: what a policy on disk makes of `params`, if it is not the usual one of the actions.
    """

    @property
    def head(self) -> Head | None:
        """See above."""
        ...

    def draw(
        self,
        params: NDArray[np.float32],
        action_mask: NDArray[np.bool_] | None,
        rng: np.random.Generator,
        actions: NDArray[Any],
        log_probs: NDArray[np.float32],
    ) -> NDArray[Any]:
        """Draw actions as they are kept, with their log-probabilities, and return the env's.

        Args:
            params: (N, K). actions: (N,) or (N, D), written. log_probs: (N,), written.
        """
        ...

    def log_prob(
        self, params: torch.Tensor, actions: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """(B,), of actions as they were kept; `mask` (B, A) has no columns for vectors."""
        ...

    def entropy(self, params: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(B,), in nats."""
        ...

    def kl(self, before: torch.Tensor, params: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """KL(before || params), (B,), in nats."""
        ...


class MaskedCategorical:
    """One of A actions, among those that the mask allows: the others have probability 0."""

    head = None

    def draw(
        self,
        params: NDArray[np.float32],
        action_mask: NDArray[np.bool_] | None,
        rng: np.random.Generator,
        actions: NDArray[Any],
        log_probs: NDArray[np.float32],
    ) -> NDArray[Any]:
        """See `ActionDistribution.draw`."""
        assert action_mask is not None
        masked.sample_actions(params, action_mask, rng.random(len(params)), actions, log_probs)
        return actions

    def log_prob(
        self, params: torch.Tensor, actions: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """See `ActionDistribution.log_prob`."""
        return self._of(params, mask).log_prob(actions)  # type: ignore[no-any-return,no-untyped-call]

    def entropy(self, params: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """See `ActionDistribution.entropy`."""
        return self._of(params, mask).entropy()  # type: ignore[no-any-return,no-untyped-call]

    def kl(self, before: torch.Tensor, params: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """See `ActionDistribution.kl`."""
        return kl_divergence(self._of(before, mask), self._of(params, mask))

    def _of(self, logits: torch.Tensor, mask: torch.Tensor) -> Categorical:
        # the lowest number rather than minus infinity, whose product with 0 is no number
        lowest = torch.finfo(logits.dtype).min
        logits = logits.masked_fill(~mask, lowest)
        return Categorical(logits=logits, validate_args=False)  # `Trainer` says what is no number


class DiagonalGaussian:
    """A vector, drawn from normal distributions and clipped by the environment's bounds.

    What is kept, and its density, is of the vector before it is clipped; see `fast.gaussian`.
    """

    head = None

    def __init__(self, action: ActionSchema) -> None:
        self._action = action

    def draw(
        self,
        params: NDArray[np.float32],
        action_mask: NDArray[np.bool_] | None,  # noqa: ARG002
        rng: np.random.Generator,
        actions: NDArray[Any],
        log_probs: NDArray[np.float32],
    ) -> NDArray[Any]:
        """See `ActionDistribution.draw`; the actions kept are not clipped, the env's are."""
        noise = rng.standard_normal(actions.shape).astype(np.float32)
        gaussian.sample_actions(params, np.zeros(0, np.float32), noise, actions, log_probs)
        return self._action.from_units(actions)

    def log_prob(
        self,
        params: torch.Tensor,
        actions: torch.Tensor,
        mask: torch.Tensor,  # noqa: ARG002
    ) -> torch.Tensor:
        """See `ActionDistribution.log_prob`."""
        return self._of(params).log_prob(actions).sum(1)  # type: ignore[no-any-return,no-untyped-call]

    def entropy(self, params: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        """See `ActionDistribution.entropy`."""
        return self._of(params).entropy().sum(1)  # type: ignore[no-any-return,no-untyped-call]

    def kl(
        self,
        before: torch.Tensor,
        params: torch.Tensor,
        mask: torch.Tensor,  # noqa: ARG002
    ) -> torch.Tensor:
        """See `ActionDistribution.kl`."""
        return kl_divergence(self._of(before), self._of(params)).sum(1)

    def _of(self, params: torch.Tensor) -> Normal:
        mean, log_std = params.chunk(2, dim=1)
        return Normal(mean, log_std.exp(), validate_args=False)


DistributionFactory = Callable[[Schema], ActionDistribution]
_registered: dict[str, DistributionFactory] = {}


def register_distribution(name: str, factory: DistributionFactory) -> None:
    """Let recipes name a distribution of this program; it is made with the environment's schema."""
    _registered[name] = factory


def distribution_for(schema: Schema, name: str | None = None) -> ActionDistribution:
    """The distribution of a name; without one, that which is usual for the actions.

    Args:
        name: as it was registered, or ``module:function`` of what makes one.

    Raises:
        InputError: nobody brings it.
    """
    action = schema.action
    if name is None:
        return MaskedCategorical() if action.kind == "discrete" else DiagonalGaussian(action)
    if name in _registered:
        return _registered[name](schema)
    module, _, function = name.partition(":")
    try:
        made: ActionDistribution = getattr(import_module(module), function)(schema)
    except Exception as error:  # somebody's module: anything may be wrong with it
        known = "".join(f"{one!r}, " for one in sorted(_registered))
        raise InputError(
            f"algorithm.distribution: should be {known}or module:function, got {name!r} "
            f"({describe(error)})"
        ) from None
    return made

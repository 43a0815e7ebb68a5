"""What training asks of any network, and what the policy floor is handed of it."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from compagnon.policy.manifest import NetworkSpec


class NumpyNetwork(Protocol):
    """A network as the policy floor knows it.

    Attributes:
        spec: what it is. weights: by the names of `compagnon.policy.graphs.shapes`.
    """

    @property
    def spec(self) -> NetworkSpec:
        """What it is."""
        ...

    @property
    def weights(self) -> dict[str, NDArray[np.float32]]:
        """By the names of `compagnon.policy.graphs.shapes`."""
        ...


@dataclass(frozen=True)
class NetworkArrays:
    """A network that is described and copied to numpy; see `NumpyNetwork`."""

    spec: NetworkSpec
    weights: dict[str, NDArray[np.float32]]


class ActorModule(Protocol):
    """What every actor can do, besides being a module."""

    def to_arrays(self) -> NumpyNetwork:
        """Itself, as a copy in numpy."""
        ...


class ValueModule(Protocol):
    """What every critic has, besides being a module."""

    @property
    def last_layer(self) -> nn.Linear:
        """The layer whose last output is the value."""
        ...

    def values(self, x: Any) -> Any:
        """(B, inputs) -> the values (B, 1)."""
        ...

"""Keeps the critic's targets near unit scale while its predictions stay the same (PopArt)."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from compagnon.rl.networks.spec import ValueModule

_RATE = 0.05


class ValueScale:
    """Moving mean and deviation of returns; the last layer is corrected when they move.

    Source: van Hasselt et al. 2016, arXiv 1602.07714, section 2 ("preserving outputs precisely").
    """

    def __init__(self) -> None:
        self.mean = 0.0
        self.second_moment = 1.0
        self.started = False

    @property
    def std(self) -> float:
        """Standard deviation of returns, never near 0."""
        return float(max(self.second_moment - self.mean**2, 1e-8) ** 0.5)

    def to_value(self, scaled: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the critic says, in rewards."""
        return scaled * self.std + self.mean

    def to_scaled(self, value: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rewards as the critic says them."""
        return (value - self.mean) / self.std

    def update(self, returns: NDArray[np.float64], critic: ValueModule) -> None:
        """Take returns (M,) into account, and change `critic` so that no value it says changes.

        Args:
            critic: its last output is the value; others, if it has them, are left alone.
        """
        old_mean, old_std = self.mean, self.std
        rate = _RATE if self.started else 1.0
        self.started = True
        self.mean += rate * (float(returns.mean()) - self.mean)
        self.second_moment += rate * (float((returns**2).mean()) - self.second_moment)
        last = critic.last_layer
        with torch.no_grad():
            last.weight[-1:].mul_(old_std / self.std)
            last.bias[-1:].mul_(old_std).add_(old_mean - self.mean).div_(self.std)

    def state_dict(self) -> dict[str, Any]:
        """The statistics."""
        return {
            "mean": self.mean,
            "second_moment": self.second_moment,
            "started": self.started,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.mean = float(state["mean"])
        self.second_moment = float(state["second_moment"])
        self.started = bool(state["started"])

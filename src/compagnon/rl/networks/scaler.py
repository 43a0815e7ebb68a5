"""Running means and deviations: of what networks read, and of the values that critics give."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from compagnon.envs import Field
from compagnon.rl.networks.spec import ValueModule

_TINY = 1e-6
_RATE = 0.05  # of values' statistics
_NO_RANGE = 1e9  # some environments write the largest float where they mean no bound


class RunningScaler:
    """Standardises observations; merges batches by Chan, Golub and LeVeque's update (1983).

    A column that never varies is divided by 1: it becomes 0, not noise.

    Attributes:
        frozen: when True, `update` changes nothing (a policy that is fine-tuned must keep reading
            its inputs as it learnt to).
    """

    def __init__(self, size: int, clip: float = 10.0) -> None:
        self.clip = clip
        self.frozen = False
        self.count = 0
        self.mean: NDArray[np.float64] = np.zeros(size)
        self._m2: NDArray[np.float64] = np.zeros(size)
        self._refresh()

    def update(self, obs: NDArray[np.float32]) -> None:
        """Take a batch, (B, F), into account."""
        if self.frozen or len(obs) == 0:
            return
        batch_mean = obs.mean(axis=0, dtype=np.float64)
        batch_m2 = ((obs - batch_mean) ** 2).sum(axis=0, dtype=np.float64)
        total = self.count + len(obs)
        delta = batch_mean - self.mean
        self._m2 += batch_m2 + delta**2 * self.count * len(obs) / total
        self.mean = self.mean + delta * len(obs) / total
        self.count = total
        self._refresh()

    @property
    def std(self) -> NDArray[np.float64]:
        """Standard deviation of each column, 1 where it never varied; (F,)."""
        if self.count < 2:
            return np.ones_like(self.mean)
        std = np.sqrt(self._m2 / self.count)
        return np.where(std > _TINY, std, 1.0)

    def _refresh(self) -> None:
        self.mean32 = self.mean.astype(np.float32)
        self.std32 = self.std.astype(np.float32)

    def __call__(self, obs: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, F) -> standardised and clipped (B, F), float32."""
        scaled = (obs - self.mean32) / self.std32
        return np.clip(scaled, -self.clip, self.clip, out=scaled)

    @classmethod
    def of_ranges(cls, fields: Sequence[Field], clip: float = 10.0) -> "RunningScaler":
        """A frozen scaler that maps each field's range to [-1, 1].

        It stays what it is, which suits a replay buffer: what is read again means what it meant.
        A field without a finite range is left as it is.
        """
        scaler = cls(len(fields), clip)
        scaler.frozen = True
        scaler.count = 2  # as if both ends had been seen
        low, high = np.array([(field.low, field.high) for field in fields]).T
        known = np.isfinite(low) & np.isfinite(high) & (high > low)
        known &= (high - low) < _NO_RANGE
        low, high = np.where(known, low, -1.0), np.where(known, high, 1.0)
        scaler.mean = (low + high) / 2
        scaler._m2 = scaler.count * ((high - low) / 2) ** 2
        scaler._refresh()
        return scaler

    def state_dict(self) -> dict[str, Any]:
        """Everything the scaler knows."""
        return {"count": self.count, "mean": self.mean, "m2": self._m2, "frozen": self.frozen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.count = int(state["count"])
        self.mean = np.array(state["mean"], np.float64)
        self._m2 = np.array(state["m2"], np.float64)
        self.frozen = bool(state["frozen"])
        self._refresh()


class ValueScale:
    """Moving mean and deviation of returns; the last layer is corrected when they move (PopArt).

    The critic's targets stay near unit scale, and its predictions what they are. Source: van
    Hasselt et al. 2016, arXiv 1602.07714, section 2 ("preserving outputs precisely").
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

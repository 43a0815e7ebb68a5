"""What is added to an action so that others are tried, and a boundary that keeps it off the bounds.

Everything here has one row for each env and one column for each component of
the action, and draws from the generator that it is given.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Noise(Protocol):
    """A random process of N envs and D components."""

    def next(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Its next values, (N, D)."""
        ...

    def drift(self, by: NDArray[np.float64]) -> None:
        """Move the process, as far as it remembers, by (N, D)."""
        ...

    def reset(self, ended: NDArray[np.bool_]) -> None:
        """Begin anew in the envs, (N,), whose episode ended."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What the next values depend on, but the generator."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        ...


class GaussianNoise:
    """Independent draws of N(0, std^2)."""

    def __init__(self, num_envs: int, size: int, std: float) -> None:
        self.shape, self.std = (num_envs, size), std

    def next(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Its next values, (N, D)."""
        return self.std * rng.standard_normal(self.shape)

    def drift(self, by: NDArray[np.float64]) -> None:
        """Nothing: no draw knows of the one before."""

    def reset(self, ended: NDArray[np.bool_]) -> None:
        """Nothing: no draw knows of the one before."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing."""


class OrnsteinUhlenbeck:
    """``x <- x - theta x dt + std sqrt(dt) N(0, 1)``, from 0 in each episode.

    Uhlenbeck and Ornstein 1930, "On the theory of the Brownian motion", in steps of Euler and
    Maruyama. Its values keep their sign for about ``1 / (theta dt)`` steps, and settle at the
    deviation that `stationary_std` tells.

    Attributes:
        x: (N, D), the values as they are now.
    """

    def __init__(
        self, num_envs: int, size: int, std: float = 0.2, theta: float = 0.15, dt: float = 0.01
    ) -> None:
        self.std, self.theta, self.dt = std, theta, dt
        self.x = np.zeros((num_envs, size))

    @property
    def stationary_std(self) -> float:
        """The deviation of x after many steps; near ``std / sqrt(2 theta)`` where dt is small."""
        pull = self.theta * self.dt
        return float(self.std * np.sqrt(self.dt / (pull * (2 - pull))))

    def next(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Its next values, (N, D)."""
        self.x *= 1 - self.theta * self.dt
        self.x += self.std * self.dt**0.5 * rng.standard_normal(self.x.shape)
        return self.x.copy()

    def drift(self, by: NDArray[np.float64]) -> None:
        """Move x by (N, D)."""
        self.x += by

    def reset(self, ended: NDArray[np.bool_]) -> None:
        """x = 0 in the envs, (N,), whose episode ended."""
        self.x[ended] = 0.0

    def state_dict(self) -> dict[str, Any]:
        """x."""
        return {"x": self.x.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.x[:] = state["x"]


def boundary(
    x: NDArray[np.float64], low: NDArray[np.float64] | float, high: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    """``((x - low) / (high - low) pi - pi / 2) ** 6``: flat within the bounds, steep at them."""
    return np.asarray(((x - low) / (high - low) * np.pi - np.pi / 2) ** 6)


def boundary_slope(
    x: NDArray[np.float64], low: NDArray[np.float64] | float, high: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    """The derivative of `boundary` in x."""
    scale = np.pi / (high - low)
    return np.asarray(6 * scale * ((x - low) * scale - np.pi / 2) ** 5)


class NoisyActions:
    """Adds noise to actions, and keeps them within [-1, 1].

    Clipping alone makes an action stick to a bound for as long as the noise is on a long excursion
    ("saturation"). With `repulsion` both the action and the noise first drift down the slope of
    `boundary`: the action comes off the bound, and the noise back from where it has no effect.

    Args:
        repulsion: how much of the slope a step drifts by; 0 leaves the clip alone.
    """

    def __init__(
        self, noise: Noise, repulsion: float, low: float = -1.0, high: float = 1.0
    ) -> None:
        self.noise, self.repulsion = noise, repulsion
        self.low, self.high = low, high

    def __call__(
        self, actions: NDArray[np.float32], rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Actions (N, D) -> actions to try, (N, D) float32 within the bounds."""
        noisy = actions + self.noise.next(rng)
        if self.repulsion > 0:
            drift = -self.repulsion * boundary_slope(noisy, self.low, self.high)
            # Far outside a whole step of the slope would throw the action to the other side.
            furthest = np.abs(noisy - (self.low + self.high) / 2)
            drift = np.clip(drift, -furthest, furthest)
            noisy += drift
            self.noise.drift(drift)
        return np.clip(noisy, self.low, self.high).astype(np.float32)

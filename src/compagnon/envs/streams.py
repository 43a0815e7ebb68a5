"""Counter-based random numbers: a draw is a pure function of (episode seed, stream, index).

Nothing is consumed, so what one policy does can never shift what another one meets, and no
generator state has to be saved. The mixer is SplitMix64's finaliser (Steele, Lea and Flood 2014,
"Fast splittable pseudorandom number generators").
"""

import numpy as np

from compagnon.envs.kernels import cached_njit

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_TO_UNIT = 1.0 / 9007199254740992.0  # 2^-53


@cached_njit(inline="always")
def mix(value: np.uint64) -> np.uint64:
    """SplitMix64's output function: a bijection of 64-bit integers."""
    value = np.uint64(value + _GOLDEN)
    value = np.uint64((value ^ (value >> np.uint64(30))) * _MIX_1)
    value = np.uint64((value ^ (value >> np.uint64(27))) * _MIX_2)
    return np.uint64(value ^ (value >> np.uint64(31)))


@cached_njit(inline="always")
def uniform(seed: np.uint64, stream: int, index: int) -> float:
    """Draw number `index` of `stream` under `seed`, uniform on [0, 1) with 53 bits."""
    key = mix(np.uint64(seed) ^ mix(np.uint64(stream)))
    return np.float64(mix(key ^ np.uint64(index)) >> np.uint64(11)) * _TO_UNIT


@cached_njit
def episode_seed(env_seed: np.uint64, episode: int) -> np.uint64:
    """Seed of the episode number `episode` (0 first) of an environment reset with `env_seed`."""
    return mix(mix(np.uint64(env_seed)) ^ np.uint64(episode))


@cached_njit(inline="always")
def poisson(mean: float, u: float) -> int:
    """The Poisson(mean) quantile of `u` in [0, 1), by inversion (means below about 700)."""
    k = 0
    p = np.exp(-mean)
    cumulative = p
    while u >= cumulative and p > 0.0:
        k += 1
        p *= mean / k
        cumulative += p
    return k


@cached_njit(inline="always")
def geometric(mean: float, u: float) -> int:
    """The geometric quantile of `u` in [0, 1), on 1, 2, 3, ... with the given mean (at least 1)."""
    if mean <= 1.0:
        return 1
    return 1 + int(np.log(1.0 - u) / np.log(1.0 - 1.0 / mean))


@cached_njit(inline="always")
def normal(u: float, v: float) -> float:
    """A standard normal draw from two uniform ones on [0, 1) (Box and Muller 1958).

    At most 8.6 in size, which is what 53 bits of `u` can give.
    """
    return np.sqrt(-2.0 * np.log(1.0 - u)) * np.cos(2.0 * np.pi * v)

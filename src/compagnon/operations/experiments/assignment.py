"""The arm of a unit follows from the experiment's salt and the unit's name alone.

So every process, today's and the one that replays the log next year, computes the same arm, and
nobody has to keep a table of who was given what. The hash is SHA-256 over names that each have
their length before them, so that no two lists of names run together to the same text.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

_STICKY: Final = b"compagnon/experiment/sticky/1"
_SWITCHBACK: Final = b"compagnon/experiment/switchback/1"


def sticky_arm(salt: str, key: str, shares: Sequence[float] = (0.5, 0.5)) -> int:
    """The arm of a key, for as long as the experiment lasts.

    Args:
        shares: of the arms, each above 0, with sum 1; a plan has checked them.
    """
    return int(sticky_arms(salt, [key], shares)[0])


def sticky_arms(
    salt: str, keys: Sequence[str], shares: Sequence[float] = (0.5, 0.5)
) -> NDArray[np.int64]:
    """The arms, (U,), of many keys: one by one what `sticky_arm` gives."""
    start = _hash_of(_STICKY, salt)
    points = np.array([_uniform(start, key.encode()) for key in keys], np.float64)
    # The last arm has no upper end, so that rounding in the sum leaves no key without an arm.
    return np.searchsorted(np.cumsum(shares)[:-1], points, side="right").astype(np.int64)


def block_numbers(at: ArrayLike, starts_at: float, length: float) -> NDArray[np.int64]:
    """The block in which each moment lies: 0 begins at the start, and each at its end's moment.

    Args:
        at, starts_at: UNIX time, s. length: of a block, s.
    """
    since = np.asarray(at, np.float64) - starts_at
    return np.floor_divide(since, length).astype(np.int64)


def in_burn_in(at: ArrayLike, starts_at: float, length: float, burn_in: float) -> NDArray[np.bool_]:
    """Which moments lie so near their block's begin that the block before still shows in them.

    Args:
        at, starts_at: UNIX time, s. length, burn_in: of a block and of its first part, s.
    """
    since = np.asarray(at, np.float64) - starts_at
    return np.asarray(np.mod(since, length) < burn_in, np.bool_)


def pair_numbers(blocks: ArrayLike, lag: int = 1) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Blocks of a zone in pairs that lie `lag` blocks apart.

    With lag 1, block 0 is paired with 1 and 2 with 3; with blocks of 6 h and lag 4, each block is
    paired with the same hours of the next day.

    Returns:
        the pair of each block, and whether it is the pair's first (0) or second (1).
    """
    place: NDArray[np.int64]
    group, place = np.divmod(np.asarray(blocks, np.int64), 2 * lag)
    return group * lag + place % lag, place // lag


def switchback_arm(salt: str, zone: str, block: int, lag: int = 1) -> int:
    """The arm, 0 or 1, of a block of time in a zone; of the two blocks of a pair, each has one."""
    return int(switchback_arms(salt, [zone], [block], lag)[0])


def switchback_arms(
    salt: str, zones: Sequence[str], blocks: ArrayLike, lag: int = 1
) -> NDArray[np.int64]:
    """The arms, (U,), of many units: one by one what `switchback_arm` gives.

    Each pair of a zone has one coin, which says whether its first block is of arm 0 or 1. Coins of
    zones, pairs and salts are independent.

    Args:
        zones: (U,) of each unit. blocks: (U,) its number. lag: see `pair_numbers`.
    """
    start = _hash_of(_SWITCHBACK, salt)
    pairs, seconds = pair_numbers(blocks, lag)
    coins = [
        _uniform(start, int(pair).to_bytes(8, "big", signed=True), zone.encode()) < 0.5
        for zone, pair in zip(zones, pairs, strict=True)
    ]
    return np.array(coins, np.int64).reshape(len(pairs)) ^ seconds


def _hash_of(*names: bytes | str) -> Any:
    found = hashlib.sha256()
    for name in names:
        text = name if isinstance(name, bytes) else name.encode()
        found.update(len(text).to_bytes(4, "big") + text)
    return found


def _uniform(start: Any, *names: bytes) -> float:
    """A number in [0, 1) with 53 random bits; all names but the last have a fixed length."""
    found = start.copy()
    for name in names:
        found.update(name)
    return float((int.from_bytes(found.digest()[:8], "big") >> 11) * 2.0**-53)

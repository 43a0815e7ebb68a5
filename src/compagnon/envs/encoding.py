"""Any observation that Gymnasium's spaces describe, as one vector of named numbers.

Numbers stay what they are; a choice out of several becomes one number a choice, 1 for the one that
holds and 0 for the others, as `gymnasium.spaces.flatten` does. Names say where a number stands in
the observation: ``stock``, ``position[0]``, ``robot.arm[1]``, ``shelf=2``.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from compagnon.envs.field import Field
from compagnon.errors import InputError

MASK_KEY: Final = "action_mask"
MOST_FIELDS: Final = 4096
_ROOT: Final = "obs"  # what an observation without a name of its own is called

Space = spaces.Space[Any]


class BadObservationError(ValueError):
    """An observation is not what its space says; the message names the part."""


@dataclass(frozen=True)
class _Leaf:
    """One part of an observation: where it stands, what it is called, the numbers it becomes."""

    path: tuple[Any, ...]
    name: str
    space: Space
    fields: tuple[Field, ...]
    write: Callable[[Any], NDArray[Any]]


class Encoder:
    """Turns observations of one space into vectors (F,) float32, always new arrays.

    A Dict's key ``action_mask`` is what is possible, not an input: `mask` gives it.

    Args:
        space: Box, Discrete, MultiBinary, MultiDiscrete, or Dict and Tuple of them.

    Attributes:
        fields: the F numbers.
        has_mask: there is such a key.

    Raises:
        InputError: another space, or more numbers than `MOST_FIELDS`.
    """

    def __init__(self, space: Space) -> None:
        self.has_mask = isinstance(space, spaces.Dict) and MASK_KEY in space.spaces
        self._leaves = list(_leaves(space, (), "", self.has_mask))
        self.fields = tuple(field for leaf in self._leaves for field in leaf.fields)
        if not self.fields:
            raise InputError("the observation holds no numbers")
        if len(self.fields) > MOST_FIELDS:
            raise InputError(
                f"the observation holds {len(self.fields):,} numbers; at most {MOST_FIELDS:,} are "
                "read (a picture needs features made of it first)"
            )
        names = [field.name for field in self.fields]
        twice = (
            {name for name in names if names.count(name) > 1}
            if len(set(names)) < len(names)
            else set()
        )
        if twice:
            raise InputError(f"two numbers of the observation are called {sorted(twice)[0]!r}")

    def __call__(self, obs: Any) -> NDArray[np.float32]:
        """The vector of one observation.

        Raises:
            BadObservationError: it is not of the space.
        """
        if len(self._leaves) == 1:
            leaf = self._leaves[0]
            # A new array: the environment may go on writing into its own.
            return np.array(leaf.write(_at(obs, leaf)), np.float32)
        return np.concatenate([leaf.write(_at(obs, leaf)) for leaf in self._leaves]).astype(
            np.float32
        )

    def mask(self, obs: Any) -> Any:
        """What a Dict's ``action_mask`` says.

        Raises:
            BadObservationError: the observation has none.
        """
        try:
            return obs[MASK_KEY]
        except (KeyError, TypeError, IndexError):
            raise BadObservationError(f"{MASK_KEY} is missing from the observation") from None


def box_of(fields: tuple[Field, ...]) -> spaces.Box:
    """The space of the vectors."""
    low = np.array([field.low for field in fields], np.float32)
    high = np.array([field.high for field in fields], np.float32)
    return spaces.Box(low, high, dtype=np.float32)


def _at(obs: Any, leaf: _Leaf) -> Any:
    for key in leaf.path:
        try:
            obs = obs[key]
        except (KeyError, TypeError, IndexError):
            raise BadObservationError(f"{leaf.name} is missing from the observation") from None
    return obs


def _leaves(space: Space, path: tuple[Any, ...], name: str, masked: bool) -> Iterator[_Leaf]:
    if isinstance(space, spaces.Dict):
        for key, part in space.spaces.items():
            if not (masked and not path and key == MASK_KEY):
                yield from _leaves(part, (*path, key), f"{name}.{key}" if name else str(key), False)
    elif isinstance(space, spaces.Tuple):
        for index, part in enumerate(space.spaces):
            yield from _leaves(part, (*path, index), f"{name or _ROOT}[{index}]", False)
    else:
        yield _leaf(space, path, name)


def _leaf(space: Space, path: tuple[Any, ...], name: str) -> _Leaf:
    called = name or _ROOT
    if isinstance(space, spaces.Discrete):
        choices = _choices(called, int(space.start), int(space.n))
        return _Leaf(path, called, space, choices, _one_hot([space.n], [space.start], (), called))
    if isinstance(space, spaces.MultiDiscrete):
        nvec, start = space.nvec.ravel().tolist(), np.ravel(space.start).tolist()
        parts = _places(called, space.nvec.shape, always=True)
        choices = tuple(
            field
            for part, low, n in zip(parts, start, nvec, strict=True)
            for field in _choices(part, low, n)
        )
        return _Leaf(path, called, space, choices, _one_hot(nvec, start, space.shape, called))
    if isinstance(space, spaces.MultiBinary):
        fields = tuple(
            Field(part, "", 0.0, 1.0, 1.0, f"whether {part} is on")
            for part in _places(called, space.shape, always=True)
        )
        return _Leaf(path, called, space, fields, _numbers(space.shape, called))
    if isinstance(space, spaces.Box):
        return _Leaf(path, called, space, _of_box(space, name), _numbers(space.shape, called))
    raise InputError(
        f"{called} is {space}; Box, Discrete, MultiBinary, MultiDiscrete, and Dict and Tuple of "
        "them are read"
    )


def _of_box(space: spaces.Box, name: str) -> tuple[Field, ...]:
    low, high = space.low.astype(float).ravel(), space.high.astype(float).ravel()
    if not name and len(space.shape) == 1:
        names = [f"{_ROOT}_{k}" for k in range(len(low))]
        meanings = [f"observation number {k}" for k in range(len(low))]
    else:
        names = _places(name or _ROOT, space.shape)
        meanings = [f"the number {part} of the observation" for part in names]
    return tuple(
        Field(part, "", float(low[k]), float(high[k]), 1.0, meanings[k])
        for k, part in enumerate(names)
    )


def _places(name: str, shape: tuple[int, ...], always: bool = False) -> list[str]:
    """``stock`` for one number, ``position[0]`` or ``grid[0,1]`` for several."""
    if shape == () or (shape == (1,) and not always):
        return [name]
    return [f"{name}[{','.join(map(str, index))}]" for index in np.ndindex(*shape)]


def _choices(name: str, start: int, n: int) -> tuple[Field, ...]:
    return tuple(
        Field(f"{name}={value}", "", 0.0, 1.0, 1.0, f"1 where {name} is {value}, else 0")
        for value in range(start, start + n)
    )


def _numbers(shape: tuple[int, ...], name: str) -> Callable[[Any], NDArray[Any]]:
    def write(value: Any) -> NDArray[Any]:
        try:
            array = np.asarray(value, np.float32)
        except (TypeError, ValueError):
            raise BadObservationError(f"{name} is {value!r}, which is no numbers") from None
        if array.shape != shape and (array.size != 1 or shape not in ((), (1,))):
            raise BadObservationError(f"{name} has shape {array.shape}; its space says {shape}")
        return array.ravel()

    return write


def _one_hot(
    counts: list[Any], starts: list[Any], shape: tuple[int, ...], name: str
) -> Callable[[Any], NDArray[Any]]:
    sizes, lowest = np.array(counts, np.int64), np.array(starts, np.int64)
    begins = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    total = int(sizes.sum())

    def write(value: Any) -> NDArray[Any]:
        given = np.asarray(value)
        if given.dtype.kind not in "iub" or (given.shape != shape and given.size != len(sizes)):
            raise BadObservationError(
                f"{name} is {value!r}; {len(sizes)} whole numbers are expected"
            )
        chosen = given.ravel().astype(np.int64) - lowest
        if (chosen < 0).any() or (chosen >= sizes).any():
            bad = int(np.argmax((chosen < 0) | (chosen >= sizes)))
            last = lowest[bad] + sizes[bad] - 1
            raise BadObservationError(
                f"{name} is {value!r}; it should be from {lowest[bad]} to {last}"
            )
        hot = np.zeros(total, np.float32)
        hot[begins + chosen] = 1.0
        return hot

    return write

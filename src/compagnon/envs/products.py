"""Actions with several parts, numbered from 0: what a policy chooses, and what the parts are.

A policy here chooses one of n actions, with an exact probability each. Parts that are chosen
together are numbered like the digits of a number, the last part fastest, so that masks of whole
combinations, propensities and the service hold for them as for any other actions.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from compagnon.errors import InputError

MOST_ACTIONS: Final = 4096


class BadMaskError(ValueError):
    """A mask is not one of these actions."""


@dataclass(frozen=True)
class ActionProduct:
    """The combinations of parts.

    Attributes:
        factors: how many choices each part has.
        starts: the first choice of each, 0 as a rule.
        single: there is one part, and it is a number rather than an array of one.
    """

    factors: tuple[int, ...]
    starts: tuple[int, ...]
    single: bool = False

    @property
    def n(self) -> int:
        """How many combinations there are."""
        return math.prod(self.factors)

    @property
    def plain(self) -> bool:
        """The number of an action is the action itself."""
        return self.single and self.starts == (0,)

    def parts(self, action: int) -> tuple[int, ...]:
        """What each part of action number `action` is."""
        digits = np.unravel_index(int(action), self.factors)
        return tuple(int(d) + start for d, start in zip(digits, self.starts, strict=True))

    def mask(self, given: Any) -> NDArray[np.bool_]:
        """Which combinations are possible, (n,).

        Args:
            given: one truth value a combination, as an array of shape (n,) or of the shape of
                `factors`; or a part by itself, as a tuple of arrays (Gymnasium's way) or as one
                array of all of them (sb3-contrib's). What fits both is read as sb3-contrib's.

        Raises:
            BadMaskError: it has another size.
        """
        if isinstance(given, tuple | list) and len(given) and np.ndim(given[0]):
            return self._of_parts([np.asarray(part) for part in given])
        mask = np.asarray(given)
        if mask.dtype == object or mask.dtype.kind not in "biuf":
            raise BadMaskError(f"the action mask is {given!r}, which is no array of truth values")
        if len(self.factors) > 1 and mask.shape == (sum(self.factors),):
            return self._of_parts(np.split(mask, np.cumsum(self.factors)[:-1]))
        if mask.shape not in ((self.n,), self.factors):
            wanted = f"{self.n}"
            if len(self.factors) > 1:
                wanted += f" (one a combination) or {sum(self.factors)} (one a choice of each part)"
            raise BadMaskError(f"the action mask has shape {mask.shape}; it should have {wanted}")
        return mask.ravel().astype(np.bool_)

    def _of_parts(self, parts: list[NDArray[Any]]) -> NDArray[np.bool_]:
        shapes = tuple(part.shape for part in parts)
        if shapes != tuple((n,) for n in self.factors):
            raise BadMaskError(
                f"the parts of the action mask have shapes {shapes}; they should have "
                f"{', '.join(map(str, self.factors))} truth values"
            )
        mask = np.ones(1, np.bool_)
        for part in parts:
            mask = np.logical_and.outer(mask, part.astype(np.bool_)).ravel()
        return mask


def product_of(space: spaces.Space[Any]) -> ActionProduct | None:
    """How the actions of a space are numbered; None where they are vectors of numbers.

    Raises:
        InputError: there are more combinations than `MOST_ACTIONS`.
    """
    if isinstance(space, spaces.Discrete):
        return ActionProduct((int(space.n),), (int(space.start),), single=True)
    if isinstance(space, spaces.MultiDiscrete):
        found = ActionProduct(
            tuple(space.nvec.ravel().tolist()), tuple(np.ravel(space.start).tolist())
        )
    elif isinstance(space, spaces.MultiBinary):
        bits = math.prod(space.shape)
        found = ActionProduct((2,) * bits, (0,) * bits)
    else:
        return None
    if found.n > MOST_ACTIONS:
        raise InputError(
            f"the actions {space} have {found.n:,} combinations; at most {MOST_ACTIONS:,} are "
            "served: let one step choose one part after the other, or leave choices out"
        )
    return found

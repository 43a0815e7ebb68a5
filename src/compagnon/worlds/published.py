"""What others reported of an imitation, to stand beside ours."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedImitation:
    """What others reported of the same set-up.

    Attributes:
        losses: of each epoch, one tuple an iteration.
        returns: of the student after each iteration. expert: of the expert.
    """

    losses: tuple[tuple[float, ...], ...]
    returns: tuple[float, ...]
    expert: float

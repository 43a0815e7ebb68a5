"""How far a run is, and what its evaluations say of its clones and of its best policy."""

import math
from dataclasses import dataclass


@dataclass
class Progress:
    """How far a run is; saved with it.

    Attributes:
        clone_return, lowest_after_clone: of the practice that fell furthest below the clone that it
            began with, that clone's evaluation and the lowest one afterwards. Where imitation and
            practice take turns there are several.
        newest_clone, lowest_now: the same of the practice that goes on now.
    """

    seconds: float = 0.0
    best_return: float = -math.inf
    best_iteration: int = -1
    clone_return: float | None = None
    lowest_after_clone: float | None = None
    newest_clone: float | None = None
    lowest_now: float | None = None

    def new_clone(self, mean: float) -> None:
        """Imitation has ended, for now, with an evaluation of `mean`."""
        self.newest_clone, self.lowest_now = mean, None
        if self.lowest_after_clone is None:
            self.clone_return = mean

    def practised(self, mean: float) -> None:
        """An evaluation during practice; before any imitation has ended it says nothing here."""
        if self.newest_clone is None:
            return
        self.lowest_now = mean if self.lowest_now is None else min(self.lowest_now, mean)
        fall = self.newest_clone - self.lowest_now
        before = self.clone_return, self.lowest_after_clone
        if before[0] is None or before[1] is None or fall > before[0] - before[1]:
            self.clone_return, self.lowest_after_clone = self.newest_clone, self.lowest_now

    def guard(self) -> str:
        """How low practice ever fell beside the clone, in words; nothing without either."""
        clone, lowest = self.clone_return, self.lowest_after_clone
        if clone is None or lowest is None:
            return ""
        if clone > 0:
            return f"lowest evaluation during practice: {lowest / clone:.1%} of the clone's"
        # of a return below 0 a share says nothing
        return (
            f"lowest evaluation during practice: {lowest:,.6g}, {lowest - clone:+,.6g} beside the "
            "clone's"
        )

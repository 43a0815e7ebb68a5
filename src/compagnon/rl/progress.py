"""How far a run is, how it ended, and what its evaluations say of its clones and its practice."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from compagnon.rl.recipe import BudgetSpec


@dataclass
class RunProgress:
    """How far a run is; saved with it.

    Attributes:
        clone_return, lowest_after_clone: of the practice that fell furthest below the clone that it
            began with, that clone's evaluation and the lowest one afterwards. Where imitation and
            practice take turns there are several.
        newest_clone, lowest_now: the same of the practice that goes on now.
        notices: what a person should know of the run, each said once.
    """

    seconds: float = 0.0
    best_return: float = -math.inf
    best_iteration: int = -1
    clone_return: float | None = None
    lowest_after_clone: float | None = None
    newest_clone: float | None = None
    lowest_now: float | None = None
    notices: list[str] = field(default_factory=list)

    def new_clone(self, mean: float) -> None:
        """Imitation has ended, for now, with an evaluation of `mean`."""
        self.newest_clone, self.lowest_now = mean, None
        if self.lowest_after_clone is None:
            self.clone_return = mean

    def trained(self, mean: float) -> None:
        """An evaluation during practice; before any imitation has ended it says nothing here."""
        if self.newest_clone is None:
            return
        self.lowest_now = mean if self.lowest_now is None else min(self.lowest_now, mean)
        fall = self.newest_clone - self.lowest_now
        before = self.clone_return, self.lowest_after_clone
        if before[0] is None or before[1] is None or fall > before[0] - before[1]:
            self.clone_return, self.lowest_after_clone = self.newest_clone, self.lowest_now

    def notice(self, words: str) -> None:
        """Something that a person should know, once for each kind of it."""
        kind = words.partition(" in ")[0]
        if not any(said.startswith(kind) for said in self.notices):
            self.notices.append(words)

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


State = Literal["running", "finished", "cut", "interrupted", "stopped"]


@dataclass(frozen=True)
class RunOutcome:
    """How far a run came, and why it stands there.

    Attributes:
        state: ``finished`` where its budget in work (iterations, steps, episodes) is spent; ``cut``
            where its minutes ended it before; ``interrupted`` where somebody did; ``stopped``
            where a callback did; ``running`` in a run that goes on, or was killed.
        total: iterations that the budget allows, as far as it says so in iterations or steps.
        reason: why a callback ended it. episodes: training episodes that ended.
    """

    state: State
    progress: RunProgress
    iterations: int
    env_steps: int
    total: int | None
    budget: BudgetSpec
    reason: str = ""
    episodes: int = 0

    @property
    def finished(self) -> bool:
        """Its budget in work is spent: another machine would have come to the same."""
        return self.state == "finished"

    @property
    def words(self) -> str:
        """Why it is not finished; nothing where it is."""
        if self.state == "finished":
            return ""
        done = f"after {self.iterations:,} iterations"
        if self.total is not None:
            done = f"after {self.iterations:,} of {self.total:,} iterations"
        if self.state == "stopped":
            return f"stopped {done}: {self.reason}"
        if self.state != "cut":
            return f"{self.state} {done}: not finished"
        words = f"cut {done} by its {_time(self.budget.minutes)}: not finished"
        if self.total is None:
            return f"{words}. How far they go depends on the machine; schedules stay at their start"
        share = self.iterations / self.total
        return (
            f"{words}. How far they go depends on the machine; what is scheduled over the "
            f"budget, such as a falling step size, had come {share:.0%} of its way"
        )

    def as_json(self) -> dict[str, Any]:
        """What ``outcome.json`` of a run holds."""
        progress, budget = self.progress, self.budget.model_dump(exclude_none=True)
        return {
            "state": self.state,
            "words": self.words,
            "iterations": self.iterations,
            "total_iterations": self.total,
            "env_steps": self.env_steps,
            "episodes": self.episodes,
            "seconds": round(progress.seconds, 3),
            "budget": budget,
            "best_iteration": progress.best_iteration,
            "guard": progress.guard(),
            "notices": progress.notices,
        }


def _time(minutes: float | None) -> str:
    """A bound as a person gives it: in seconds below a minute."""
    if minutes is None or minutes >= 1:
        return f"{minutes or 0:g} minutes"
    return f"{60 * minutes:g} seconds"

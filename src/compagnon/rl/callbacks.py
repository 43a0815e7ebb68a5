"""What training tells whoever watches it after each iteration, and how they may end it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from compagnon.errors import InputError

EVALUATION = "eval/return"


@dataclass
class IterationInfo:
    """One iteration of a run.

    Attributes:
        iteration: its number, from 1. total: of how many, where the budget says so.
        env_steps: environment steps so far. seconds: of wall clock so far.
        phase: the algorithm that worked; one that is made of two says which of them.
        metrics: its figures by name; ``eval/return`` and others of ``eval/`` where it was judged.
        notices: what a person should know of the run and has not been told yet.
        imitating: the iteration imitated somebody, rather than practised.
    """

    iteration: int
    total: int | None
    env_steps: int
    seconds: float
    phase: str
    metrics: dict[str, float] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    imitating: bool = False

    @property
    def evaluation(self) -> float | None:
        """The mean return of this iteration's evaluation; None where none was due."""
        return self.metrics.get(EVALUATION)


Callback = Callable[[IterationInfo], bool | None]
"""Called after each iteration; the run ends where it returns False or raises `StopLearning`."""


class StopLearning(Exception):  # noqa: N818 (no error, as StopIteration is none)
    """Raised in a callback: learning ends after this iteration, and all that is learnt is kept.

    Args:
        reason: what the run says of how it ended.
    """

    def __init__(self, reason: str = "a callback ended it") -> None:
        self.reason = reason
        super().__init__(reason)


class StopOnPlateau:
    """Ends learning when its evaluations get no better.

    It counts evaluations, not iterations: how often a run is judged is its setting
    ``evaluation.every``. The count begins anew where imitation gives way to practice.

    Args:
        patience: so many evaluations in a row without a better one end the run.
        min_delta: by how much an evaluation must pass the best one before it to count as better.
        metric: what is watched, a metric that is better the higher it is.

    Raises:
        InputError: a patience below 1, or a `min_delta` below 0.
    """

    def __init__(self, patience: int = 5, min_delta: float = 0.0, metric: str = EVALUATION) -> None:
        if patience < 1:
            raise InputError(f"StopOnPlateau: patience={patience}: at least 1")
        if not min_delta >= 0:
            raise InputError(f"StopOnPlateau: min_delta={min_delta}: 0 or more")
        self.patience, self.min_delta, self.metric = patience, min_delta, metric
        self._begin("")

    def _begin(self, phase: str) -> None:
        self.best, self.since, self._phase = -float("inf"), 0, phase

    def __call__(self, info: IterationInfo) -> None:
        """Look at one iteration.

        Raises:
            StopLearning: its evaluation was the last one that patience allows.
        """
        if info.phase != self._phase:
            self._begin(info.phase)
        value = info.metrics.get(self.metric)
        if value is None:
            return
        if value > self.best + self.min_delta:
            self.best, self.since = value, 0
            return
        self.since += 1
        if self.since >= self.patience:
            by = f" by more than {self.min_delta:g}" if self.min_delta else ""
            raise StopLearning(
                f"{self.metric} was not better{by} than {self.best:,.6g} in {self.since} "
                f"evaluation{'s' if self.since > 1 else ''}"
            )


def tell_all(callbacks: Iterable[Callback], info: IterationInfo) -> None:
    """Call every callback, those behind one that ends the run as well.

    Raises:
        StopLearning: one of them ended it; the first that did says why.
    """
    reasons = []
    for callback in callbacks:
        try:
            if callback(info) is False:
                raise StopLearning
        except StopLearning as stop:
            reasons.append(stop.reason)
    if reasons:
        raise StopLearning(reasons[0])

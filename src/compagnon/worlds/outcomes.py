"""What comes of decisions in production, in a world's own terms: rewards, and a true simulator."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol


class LoggedDecision(NamedTuple):
    """A decision as it was taken, with what was observed of it later.

    Attributes:
        obs: the policy's fields by name, in physical units.
        action: what was done; a number of an action, or a vector.
        time: when, seconds since 1970.
        outcomes: what was observed, by the name of the metric.
    """

    obs: Mapping[str, float]
    action: int | tuple[float, ...]
    time: float
    outcomes: Mapping[str, float]


class OutcomeRule(Protocol):
    """Makes rewards of what was observed, so that logged decisions become transitions."""

    def reward(self, decision: LoggedDecision, following: LoggedDecision | None) -> float | None:
        """What a decision was worth until the one that followed it; None while it is not known."""
        ...


class Calibrator(Protocol):
    """Sets the simulator by what was logged of the real process."""

    def calibrate(self, decisions: Sequence[LoggedDecision]) -> Mapping[str, Any]:
        """Options of the environment with which it is most like what was logged."""
        ...

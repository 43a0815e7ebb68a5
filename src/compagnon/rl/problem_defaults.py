"""What a recipe leaves open, chosen by what is known of its problem before anything is learnt.

No one default fits sixty thousand steps of a small task and a hundred million of a compiled one:
what is 4 updates for the one is 400 for the other. So whatever a recipe says counts, and what it
leaves open follows from the budget in steps, the longest episode, and whether the envs step
together in one compiled kernel. A run's own recipe names every setting: nothing changes when it is
resumed. `benchmarks/defaults.py` shows what these are worth.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

Chosen = dict[str, Any]

_UNKNOWN_STEPS: Final = 1_000_000  # where the budget is in episodes or minutes
EVALUATIONS: Final = 5  # of a run, about, where the recipe does not say


@dataclass(frozen=True, slots=True)
class ProblemFacts:
    """What is known.

    Attributes:
        env_steps: the budget in environment steps; None where it is given otherwise.
        scheduled: the budget says where it ends, in iterations or steps, so that a rate may fall.
        episode_steps: steps after which an episode is cut; None where nobody says.
        compiled: envs step together, so that hundreds cost little more than one.
    """

    env_steps: int | None
    scheduled: bool
    episode_steps: int | None
    compiled: bool

    @property
    def steps(self) -> int:
        """The budget, or a large one where it is not known in steps."""
        return self.env_steps or _UNKNOWN_STEPS

    @property
    def gamma(self) -> float:
        """A discount that sees a fifth of the longest episode: 0.99 to 0.999."""
        horizon = min(max((self.episode_steps or 0) / 5, 100), 1_000)
        return round(1 - 1 / horizon, 4)


def power_below(number: int) -> int:
    """The largest power of two that is not above a number; 1 at the least."""
    return 1 << math.floor(math.log2(max(1, number)))


def fill(given: dict[str, Any], chosen: Chosen) -> None:
    """Put what was chosen where nothing was given."""
    for key, value in chosen.items():
        given.setdefault(key, value)

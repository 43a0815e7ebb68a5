"""What evaluation knows of particular environments, in one place: the words and what is business.

Everything else in this package works on any environment; one that is not described here is
audited and compared by its reward terms and its action numbers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from compagnon.worlds.dispatch import DISPATCH
from compagnon.worlds.workshop import WORKSHOP
from compagnon.worlds.workshop import rules as R


@dataclass(frozen=True)
class Domain:
    """How to speak of an environment.

    Attributes:
        episode: what people call an episode.
        profit: the KPI that says what the business earns; an environment need not have it.
        profit_terms: the reward terms that are part of it; the others only shape behaviour.
        lost: KPIs of units that were made or bought for nothing, with words for them.
        served: KPIs of the share of demand that was met.
        words: reward terms and KPIs as people call them; the others are called by their names.
        families: names of the action families; empty where actions have none.
        family_of: actions (any shape) -> index into `families`.
        idle: the family that does nothing, or -1.
        clock: steps' elapsed time is in minutes since a Monday, 00:00.
    """

    episode: str = "episode"
    profit: str | None = "profit"
    profit_terms: tuple[str, ...] = ()
    lost: Mapping[str, str] = field(default_factory=dict)
    served: tuple[str, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    families: tuple[str, ...] = ()
    family_of: Callable[[NDArray[np.int64]], NDArray[np.int64]] = lambda actions: actions
    idle: int = -1
    clock: bool = False

    @property
    def each(self) -> str:
        """``a week``, ``an episode``."""
        return f"{'an' if self.episode[0] in 'aeiou' else 'a'} {self.episode}"

    def count(self, episodes: int) -> str:
        """``1 week``, ``1,000 weeks``."""
        return f"{episodes:,} {self.episode}{'' if episodes == 1 else 's'}"

    def label(self, name: str) -> str:
        """A reward term or KPI in words."""
        return self.words.get(name, name.replace("_", " "))


def _workshop_family(actions: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(np.where(actions >= R.WAIT, 0, 1 + actions // R.BATCHES), np.int64)


_WORKSHOP = Domain(
    episode="week",
    profit="profit",
    profit_terms=R.REWARD_TERMS[: R.PROFIT_TERMS],
    lost={"overflow": "lost to a full store", "theft": "stolen"},
    served=("served_share_p1", "served_share_p2"),
    words={
        "sales_p1": "P1 sales",
        "sales_p2": "P2 sales",
        "raw_cost": "raw material",
        "backlog_cost": "backlog penalty",
        "launch_bonus": "launch bonuses",
        "wait_cost": "waiting cost",
        "invalid_cost": "impossible launches",
        "served_share_p1": "P1 served",
        "served_share_p2": "P2 served",
        "overflow": "units lost to a full store",
        "theft": "units stolen",
        "mean_backlog_p1": "mean backlog P1",
        "mean_backlog_p2": "mean backlog P2",
        "final_backlog_p1": "final backlog P1",
        "final_backlog_p2": "final backlog P2",
        "demand_p1": "demand P1",
        "demand_p2": "demand P2",
        "m1_utilisation": "M1 at work",
        "m2_utilisation": "M2 at work",
    },
    families=("wait", "P1", "step 1", "step 2", "order"),
    family_of=_workshop_family,
    idle=0,
    clock=True,
)

_DISPATCH = Domain(
    episode="day",
    served=("served_share",),
    words={
        "rejected": "rides refused or missed",
        "late": "minutes late",
        "wait": "waiting beyond the promise",
        "ride": "minutes on board beyond the direct ride",
        "km": "kilometres",
    },
)

_DOMAINS = {WORKSHOP: _WORKSHOP, DISPATCH: _DISPATCH}


def domain_of(env_id: str) -> Domain:
    """What is known of an environment; the plain `Domain()` where nothing is."""
    return _DOMAINS.get(env_id, Domain())

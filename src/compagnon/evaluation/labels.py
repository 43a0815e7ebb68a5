"""How to speak of an environment: the words of its world, its figures, and what of it is money.

Everything else in this package works on any environment; one whose world says nothing is audited
and compared by its reward terms and its action numbers.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from compagnon.plugins import world_of


@dataclass(frozen=True)
class KpiLabel:
    """A figure of a world: its KPI, what people call it, and which way is good."""

    kpi: str
    label: str
    better: Literal["less", "more", ""]
    form: str = ",.1f"


@dataclass(frozen=True)
class WorldLabels:
    """How to speak of an environment.

    Attributes:
        episode: what people call an episode.
        profit: the KPI that says what the business earns; an environment need not have it.
        profit_terms: the reward terms that are part of it; the others only shape behaviour.
        lost: KPIs of units that were made or bought for nothing, with words for them.
        served: KPIs of the share of demand that was met.
        english: reward terms and KPIs as people call them; the others are called by their names.
        french: the same in French, for the same names.
        units: of reward terms and KPIs, where they have one: ``km``, ``units``, ``money``.
        card: what is looked at of every policy: heading -> figures.
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
    english: Mapping[str, str] = field(default_factory=dict)
    french: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    card: Mapping[str, tuple[KpiLabel, ...]] = field(default_factory=dict)
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
        return self.english.get(name, name.replace("_", " "))

    def with_unit(self, name: str) -> str:
        """The label, and the unit where its words do not say it: ``mean backlog P1 (units)``."""
        label, unit = self.label(name), self.units.get(name)
        return label if unit is None or unit in label.split() else f"{label} ({unit})"

    def as_json(self, names: Iterable[str]) -> dict[str, dict[str, Any]]:
        """For pages of other people: what each figure is called in both languages, and its unit.

        None where there is no French, or no unit.
        """
        return {
            name: {
                "en": self.label(name),
                "fr": self.french.get(name),
                "unit": self.units.get(name),
            }
            for name in names
        }


def labels_of(env_id: str) -> WorldLabels:
    """How to speak of an environment; plainly where its world says nothing of it."""
    world = world_of(env_id)
    found: WorldLabels = WorldLabels() if world is None else world.labels()
    return found

"""What the fields of drivers, places and pairs are called, and the actions they make."""

from collections.abc import Sequence
from typing import Final

from compagnon.policy.groups import PairNames
from compagnon.worlds.dispatch import DISPATCH

PAIR_NAMES: Final = PairNames(
    driver="driver{}_", place="place{}_", pair="pair{}_{}_",
    feasible="feasible", cost="added_cost", present="present", shown="shown",
    refusals=True, shown_by=DISPATCH,
)  # fmt: skip


def action_labels(names: Sequence[str]) -> list[str]:
    """What each action means to a policy that sees these fields, place by place."""
    drivers, places = counts(names)
    labels = ["wait"]
    labels += [
        f"driver {d} takes the booking at place {j}" for d in range(drivers) for j in range(places)
    ]
    return labels + [f"decline the booking at place {j}" for j in range(places)]


def counts(names: Sequence[str]) -> tuple[int, int]:
    """How many drivers and places on the board the fields are of."""
    shown = frozenset(names)
    drivers = places = 0
    while f"driver{drivers}_present" in shown:
        drivers += 1
    while f"place{places}_shown" in shown:
        places += 1
    return drivers, places

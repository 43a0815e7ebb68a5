"""What the fields of drivers, places and pairs are called, for networks that score pairs."""

from typing import Final

from compagnon.policy.groups import PairNames
from compagnon.worlds.dispatch import DISPATCH

PAIR_NAMES: Final = PairNames(
    driver="driver{}_", place="place{}_", pair="pair{}_{}_",
    feasible="feasible", cost="added_cost", present="present", shown="shown",
    refusals=True, shown_by=DISPATCH,
)  # fmt: skip

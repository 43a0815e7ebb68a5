"""What the fields of drivers, places and pairs are called, for networks that score pairs."""

from typing import Final

from compagnon.policy.groups import PairNames
from compagnon.worlds.dispatch_poc import DISPATCH_POC

PAIR_NAMES: Final = PairNames(
    driver="driver_{}_", place="booking_{}_", pair="pair_{}_{}_",
    feasible="feasible", cost="way", present="available", shown="priority",
    refusals=False, shown_by=f"{DISPATCH_POC} with observation='trips'",
)  # fmt: skip

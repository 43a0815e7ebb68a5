"""What the fields of drivers, places and pairs are called, and the actions they make."""

from collections.abc import Sequence
from typing import Final

from compagnon.policy.groups import PairNames
from compagnon.worlds.dispatch_poc import DISPATCH_POC

PAIR_NAMES: Final = PairNames(
    driver="driver_{}_", place="booking_{}_", pair="pair_{}_{}_",
    feasible="feasible", cost="way", present="available", shown="priority",
    refusals=False, shown_by=f"{DISPATCH_POC} with observation='trips'",
)  # fmt: skip


def action_labels(names: Sequence[str]) -> list[str]:
    """What each action means to a policy that sees these fields."""
    drivers, bookings = counts(names)
    pairs = [(d, j) for d in range(drivers) for j in range(bookings)]
    return ["wait", *(f"driver {d} takes booking {j}" for d, j in pairs)]


def counts(names: Sequence[str]) -> tuple[int, int]:
    """How many drivers and bookings the fields are of."""
    shown = frozenset(names)
    drivers = bookings = 0
    while f"driver_{drivers}_lat" in shown:
        drivers += 1
    while f"booking_{bookings}_lat" in shown:
        bookings += 1
    return drivers, bookings

"""Reads observations that come in groups: globals, drivers, places on a board, pairs of the two."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from compagnon.errors import InputError

_ONE: Final = re.compile(r"(driver|place)(\d+)_(.+)")
_TWO: Final = re.compile(r"pair(\d+)_(\d+)_(.+)")
FEASIBLE: Final = "feasible"  # of a pair: the driver can take the booking
COST: Final = "added_cost"  # of a pair: what that costs
PRESENT: Final = "present"  # of a driver: there is one
SHOWN: Final = "shown"  # of a place: it is taken


@dataclass(frozen=True, slots=True)
class Groups:
    """What the fields of an observation belong to, whatever their number and order.

    Field ``driver3_east`` is `east` of driver 3, ``place0_door`` is `door` of place 0, and
    ``pair3_0_slack`` is `slack` of the two; every other name is a global field.

    Attributes:
        drivers, places: how many there are.
        world, driver, place, pair: names of the fields of each group, without their numbers, in
            the order of their first appearance.
    """

    drivers: int
    places: int
    world: tuple[str, ...]
    driver: tuple[str, ...]
    place: tuple[str, ...]
    pair: tuple[str, ...]

    @classmethod
    def of(cls, names: Sequence[str], who: str) -> "Groups":
        """The groups of field names.

        Raises:
            InputError: there are no pairs, or a field that every network of pairs needs is missing.
        """
        world: list[str] = []
        kinds: dict[str, dict[str, None]] = {"driver": {}, "place": {}, "pair": {}}
        count = {"driver": 0, "place": 0}
        for name in names:
            if two := _TWO.fullmatch(name):
                kinds["pair"][two[3]] = None
            elif one := _ONE.fullmatch(name):
                kinds[one[1]][one[3]] = None
                count[one[1]] = max(count[one[1]], 1 + int(one[2]))
            else:
                world.append(name)
        for kind, field in (
            ("pair", FEASIBLE), ("pair", COST), ("driver", PRESENT), ("place", SHOWN),
        ):  # fmt: skip
            if field not in kinds[kind]:
                raise InputError(
                    f"{who} scores pairs of drivers and bookings and needs {field!r} of each "
                    f"{kind} (compagnon/Dispatch-v0 shows it); these observations do not show it"
                )
        return cls(
            count["driver"], count["place"], tuple(world),
            tuple(kinds["driver"]), tuple(kinds["place"]), tuple(kinds["pair"]),
        )  # fmt: skip

    def resized(self, drivers: int, places: int) -> "Groups":
        """The same fields of another number of drivers and places."""
        return Groups(drivers, places, self.world, self.driver, self.place, self.pair)

    def selected(self, kinds: Sequence[str]) -> "Groups":
        """Only some kinds of fields: ``time``, ``driver_east``, ``place_door``, ``pair_slack``.

        Raises:
            InputError: a kind that there is not.
        """
        known = {
            **{field: ("world", field) for field in self.world},
            **{f"driver_{field}": ("driver", field) for field in self.driver},
            **{f"place_{field}": ("place", field) for field in self.place},
            **{f"pair_{field}": ("pair", field) for field in self.pair},
        }
        unknown = [kind for kind in kinds if kind not in known]
        if unknown:
            raise InputError(
                f"no field is of the kind {unknown[0]!r}; there are {', '.join(known)}"
            )
        chosen = [known[kind] for kind in kinds]
        world, driver, place, pair = (
            tuple(field for group, field in chosen if group == wanted)
            for wanted in ("world", "driver", "place", "pair")
        )
        only = Groups(self.drivers, self.places, world, driver, place, pair)
        return Groups.of(only.names, "the pairwise network")  # with what it cannot do without

    @property
    def names(self) -> tuple[str, ...]:
        """Every field, group by group; of pairs the places run fastest."""
        drivers, places = range(self.drivers), range(self.places)
        return (
            *self.world,
            *(f"driver{d}_{field}" for d in drivers for field in self.driver),
            *(f"place{j}_{field}" for j in places for field in self.place),
            *(f"pair{d}_{j}_{field}" for d in drivers for j in places for field in self.pair),
        )

    @property
    def actions(self) -> int:
        """Wait, one assignment a pair, one refusal a place."""
        return 1 + self.drivers * self.places + self.places

    @property
    def starts(self) -> tuple[int, int, int, int]:
        """The columns at which drivers, places and pairs begin, and the number of columns."""
        drivers = len(self.world)
        places = drivers + self.drivers * len(self.driver)
        pairs = places + self.places * len(self.place)
        return drivers, places, pairs, pairs + self.drivers * self.places * len(self.pair)

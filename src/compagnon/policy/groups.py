"""Reads observations that come in groups: globals, drivers, places on a board, pairs of the two."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from compagnon.errors import InputError
from compagnon.plugins import brought_worlds


@dataclass(frozen=True, slots=True)
class PairNames:
    """How a world names the fields of drivers, places and pairs.

    Attributes:
        driver, place, pair: what stands before a field's own name, with ``{}`` for the numbers.
        feasible: of a pair, that the driver can take the booking. cost: of a pair, what that costs.
        present: of a driver, above 0 where there is one. shown: of a place, where it is taken.
        refusals: bookings can be refused, so there is an action for each place.
        shown_by: the environment, and perhaps the options, that shows these fields.
    """

    driver: str
    place: str
    pair: str
    feasible: str
    cost: str
    present: str
    shown: str
    refusals: bool
    shown_by: str

    def pattern(self, group: str) -> re.Pattern[str]:
        """What finds the numbers and the name in a field of a group."""
        prefix: str = getattr(self, group)
        return re.compile(re.escape(prefix).replace(re.escape("{}"), r"(\d+)") + "(.+)")


def known_pair_names() -> list[PairNames]:
    """What the worlds that are installed call the fields of drivers, places and pairs."""
    found = (world.pair_names() for world, _ in brought_worlds())
    return [names for names in found if names is not None]


@dataclass(frozen=True, slots=True)
class Groups:
    """What the fields of an observation belong to, whatever their number and order.

    Field ``driver3_east`` is `east` of driver 3, ``place0_door`` is `door` of place 0, and
    ``pair3_0_slack`` is `slack` of the two; every other name is a global field. Another world may
    say ``driver_3_lat``, ``booking_0_window`` and ``pair_3_0_spare``.

    Attributes:
        drivers, places: how many there are.
        world, driver, place, pair: names of the fields of each group, without their numbers, in
            the order of their first appearance.
        words: how the world names them.
    """

    drivers: int
    places: int
    world: tuple[str, ...]
    driver: tuple[str, ...]
    place: tuple[str, ...]
    pair: tuple[str, ...]
    words: PairNames

    @classmethod
    def of(cls, names: Sequence[str], who: str) -> "Groups":
        """The groups of field names.

        Raises:
            InputError: there are no pairs, or a field that every network of pairs needs is missing.
        """
        known = known_pair_names()
        seen = (one for one in known if any(map(one.pattern("pair").fullmatch, names)))
        words = next(seen, known[0])
        patterns = {group: words.pattern(group) for group in ("driver", "place", "pair")}
        world: list[str] = []
        kinds: dict[str, dict[str, None]] = {group: {} for group in patterns}
        count = dict.fromkeys(patterns, 0)
        for name in names:
            found = ((group, pattern.fullmatch(name)) for group, pattern in patterns.items())
            group, match = next((pair for pair in found if pair[1]), ("", None))
            if match is None:
                world.append(name)
            else:
                kinds[group][match[match.re.groups]] = None
                count[group] = max(count[group], 1 + int(match[1]))
        for kind, field in (
            ("pair", words.feasible), ("pair", words.cost),
            ("driver", words.present), ("place", words.shown),
        ):  # fmt: skip
            if field not in kinds[kind]:
                shown_by = ", and ".join(one.shown_by for one in known)
                raise InputError(
                    f"{who} scores pairs of drivers and bookings and needs {field!r} of each "
                    f"{kind}; these observations do not show it (those of {shown_by} do)"
                )
        return cls(
            count["driver"], count["place"], tuple(world),
            tuple(kinds["driver"]), tuple(kinds["place"]), tuple(kinds["pair"]), words,
        )  # fmt: skip

    def resized(self, drivers: int, places: int) -> "Groups":
        """The same fields of another number of drivers and places."""
        return replace(self, drivers=drivers, places=places)

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
        only = replace(self, world=world, driver=driver, place=place, pair=pair)
        return Groups.of(only.names, "the pairwise network")  # with what it cannot do without

    @property
    def names(self) -> tuple[str, ...]:
        """Every field, group by group; of pairs the places run fastest."""
        drivers, places, words = range(self.drivers), range(self.places), self.words
        return (
            *self.world,
            *(words.driver.format(d) + field for d in drivers for field in self.driver),
            *(words.place.format(j) + field for j in places for field in self.place),
            *(
                words.pair.format(d, j) + field
                for d in drivers
                for j in places
                for field in self.pair
            ),
        )

    @property
    def actions(self) -> int:
        """Wait, one assignment a pair, and one refusal a place where bookings can be refused."""
        return 1 + self.drivers * self.places + (self.places if self.words.refusals else 0)

    @property
    def feasible_at(self) -> int:
        """Which field of a pair says that it is feasible."""
        return self.pair.index(self.words.feasible)

    @property
    def cost_at(self) -> int:
        """Which field of a pair says what it costs."""
        return self.pair.index(self.words.cost)

    @property
    def present_at(self) -> int:
        """Which field of a driver is above 0 where there is one."""
        return self.driver.index(self.words.present)

    @property
    def shown_at(self) -> int:
        """Which field of a place is above 0 where it is taken."""
        return self.place.index(self.words.shown)

    @property
    def starts(self) -> tuple[int, int, int, int]:
        """The columns at which drivers, places and pairs begin, and the number of columns."""
        drivers = len(self.world)
        places = drivers + self.drivers * len(self.driver)
        pairs = places + self.places * len(self.place)
        return drivers, places, pairs, pairs + self.drivers * self.places * len(self.pair)

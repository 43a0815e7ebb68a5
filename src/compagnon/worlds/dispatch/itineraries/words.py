"""What calendars and manifests say, in English and in French; tables keep one language."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from compagnon.worlds.dispatch.instance_parts import SEAT_TYPES
from compagnon.worlds.dispatch.itineraries import played

Language = Literal["en", "fr"]


@dataclass(frozen=True)
class Words:
    """The words of one language.

    Attributes:
        stops: by the kind of a stop, what is done there.
        seats: by the type of a seat, one and several.
        weekdays: from Monday on.
        months: from January on.
        numbers: of the days of a month, from the first on.
        form: how a day is put together from `weekday`, `day`, `month` and `year`.
        span: between the begin and the end of a shift.
        rides: one, and several.
        left: before the rides that nobody rides.
        page: the other words of the manifest's page, by the names that its template has for them.
    """

    language: Language
    stops: dict[str, str]
    seats: dict[str, tuple[str, str]]
    weekdays: tuple[str, ...]
    months: tuple[str, ...]
    numbers: tuple[str, ...]
    form: str
    span: str
    rides: tuple[str, str]
    page: dict[str, str]

    def day(self, day: date) -> str:
        """A day with its weekday and month in letters."""
        return self.form.format(
            weekday=self.weekdays[day.weekday()], day=self.numbers[day.day - 1],
            month=self.months[day.month - 1], year=day.year,
        )  # fmt: skip

    def load(self, load: Sequence[int]) -> str:
        """Seats by type, such as `2 ambulatory + wheelchair`."""
        return " + ".join(
            self.seats[kind][0] if count == 1 else f"{count} {self.seats[kind][1]}"
            for kind, count in zip(SEAT_TYPES, load, strict=True)
            if count
        )

    def count(self, rides: int) -> str:
        """So many rides."""
        return f"{rides} {self.rides[rides > 1 or (rides == 0 and self.language == 'en')]}"


_ENGLISH: Final = Words(
    language="en",
    stops={
        played.PICKUP: "Pick up", played.DROPOFF: "Drop off", played.NOBODY: "Nobody there",
        played.BREAK: "Break", played.REPAIR: "Waits for another vehicle",
        played.START: "Shift begins", played.END: "Shift ends",
    },
    seats={kind: (kind, kind) for kind in SEAT_TYPES},
    weekdays=("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    months=(
        "January", "February", "March", "April", "May", "June", "July", "August", "September",
        "October", "November", "December",
    ),
    numbers=tuple(f"{day:02d}" for day in range(1, 32)),
    form="{weekday}, {day} {month} {year}",
    span="{} to {}",
    rides=("ride", "rides"),
    page={
        "title": "Manifest", "time": "Time", "what": "What", "booking": "Booking",
        "place": "Place", "seats": "Seats", "done": "Done", "begin": "Kilometres at begin",
        "end": "Kilometres at end", "signature": "Signature", "left": "Not ridden: {}.",
        "planned": "Planned by {}. Ids and places alone; nothing of a person.",
    },
)  # fmt: skip
_FRENCH: Final = Words(
    language="fr",
    stops={
        played.PICKUP: "Prise en charge", played.DROPOFF: "Dépose",
        played.NOBODY: "Personne sur place", played.BREAK: "Pause",
        played.REPAIR: "Attend un autre véhicule",
        played.START: "Début de service", played.END: "Fin de service",
    },
    seats={
        "ambulatory": ("assis", "assis"), "wheelchair": ("fauteuil", "fauteuils"),
        "stretcher": ("allongé", "allongés"), "companion": ("accompagnant", "accompagnants"),
    },
    weekdays=("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"),
    months=(
        "janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre",
        "octobre", "novembre", "décembre",
    ),
    numbers=("1er", *map(str, range(2, 32))),
    form="{weekday} {day} {month} {year}",
    span="{} à {}",
    rides=("course", "courses"),
    page={
        "title": "Feuille de route", "time": "Heure", "what": "Étape", "booking": "Course",
        "place": "Lieu", "seats": "Places", "done": "Fait", "begin": "Kilomètres au départ",
        "end": "Kilomètres au retour", "signature": "Signature", "left": "Non effectuées : {}.",
        "planned": "Planifié par {}. Identifiants et lieux seuls, rien d'une personne.",
    },
)  # fmt: skip
WORDS: Final[dict[Language, Words]] = {"en": _ENGLISH, "fr": _FRENCH}

"""A manifest to print: a page a driver, with room to sign."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from compagnon.worlds.dispatch.itineraries.clock import Calendar
from compagnon.worlds.dispatch.itineraries.names import Names
from compagnon.worlds.dispatch.itineraries.played import Itinerary, PlayedDay
from compagnon.worlds.dispatch.itineraries.words import WORDS, Language, Words


def to_html(one: PlayedDay, names: Names, calendar: Calendar, language: Language = "en") -> str:
    """The page; every text from outside is escaped."""
    words = WORDS[language]
    left = ", ".join(names.booking(one.day, b) for b in one.left)
    templates = Environment(
        loader=PackageLoader("compagnon.worlds.dispatch.itineraries", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return templates.get_template("manifest.html").render(
        language=language,
        words=words.page,
        day=words.day(calendar.day),
        zone=str(calendar.zone) if calendar.zone else "",
        planned=words.page["planned"].format(one.policy),
        drivers=[_driver(one, itinerary, names, calendar, words) for itinerary in one.itineraries],
        left=words.page["left"].format(left) if left else "",
    )


def _driver(
    one: PlayedDay, itinerary: Itinerary, names: Names, calendar: Calendar, words: Words
) -> dict[str, Any]:
    day, stops = one.day, itinerary.stops
    return {
        "name": names.driver(day, itinerary.driver),
        "vehicle": words.load([int(n) for n in day.drivers.seats[itinerary.driver]]),
        "shift": words.span.format(*map(calendar.clock, (stops[0].begins, stops[-1].ends))),
        "rides": words.count(itinerary.rides),
        "stops": [
            {
                "kind": stop.kind,
                "what": words.stops[stop.kind],
                "time": calendar.clock(stop.begins),
                "booking": names.booking(day, stop.booking) if stop.booking >= 0 else "",
                "place": names.place(day, stop.place),
                "seats": words.load(stop.load),
            }
            for stop in stops
        ],
    }

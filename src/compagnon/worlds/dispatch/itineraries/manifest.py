"""A manifest to print: a page a driver, with room to sign."""

from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from compagnon.worlds.dispatch.itineraries import played
from compagnon.worlds.dispatch.itineraries.clock import Calendar
from compagnon.worlds.dispatch.itineraries.names import Names
from compagnon.worlds.dispatch.itineraries.played import Itinerary, PlayedDay, seats_text

_SAID: Final = {
    played.PICKUP: "Pick up", played.DROPOFF: "Drop off", played.NOBODY: "Nobody there",
    played.BREAK: "Break", played.START: "Shift begins", played.END: "Shift ends",
}  # fmt: skip


def to_html(one: PlayedDay, names: Names, calendar: Calendar) -> str:
    """The page; every text from outside is escaped."""
    templates = Environment(
        loader=PackageLoader("compagnon.worlds.dispatch.itineraries", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return templates.get_template("manifest.html").render(
        day=f"{calendar.day:%A, %d %B %Y}",
        zone=str(calendar.zone) if calendar.zone else "",
        policy=one.policy,
        drivers=[_driver(one, itinerary, names, calendar) for itinerary in one.itineraries],
        left=[names.booking(one.day, b) for b in one.left],
    )


def _driver(
    one: PlayedDay, itinerary: Itinerary, names: Names, calendar: Calendar
) -> dict[str, Any]:
    day, stops = one.day, itinerary.stops
    return {
        "name": names.driver(day, itinerary.driver),
        "vehicle": seats_text([int(n) for n in day.drivers.seats[itinerary.driver]]),
        "shift": f"{calendar.clock(stops[0].begins)} to {calendar.clock(stops[-1].ends)}",
        "rides": itinerary.rides,
        "stops": [
            {
                "kind": stop.kind,
                "what": _SAID[stop.kind],
                "time": calendar.clock(stop.begins),
                "booking": names.booking(day, stop.booking) if stop.booking >= 0 else "",
                "place": names.place(day, stop.place),
                "seats": seats_text(stop.load),
            }
            for stop in stops
        ],
    }

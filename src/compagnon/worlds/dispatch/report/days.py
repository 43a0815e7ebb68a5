"""A page about saved days of dispatch: when people ride, how far, in which windows, with whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

import numpy as np
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from compagnon.reporting import svg
from compagnon.reporting.report import Figure
from compagnon.worlds.dispatch.importing.parsers import distance_km
from compagnon.worlds.dispatch.instance import Instance
from compagnon.worlds.dispatch.instance_parts import SEAT_TYPES

_HOURS = 24
_WINDOW_EDGES = (0, 15, 30, 45, 60, 90, 120, 240, np.inf)
_NOTICE_EDGES = (0, 30, 60, 120, 180, 240, 480, np.inf)


@dataclass(frozen=True)
class DaysSummary:
    """The figures of some days; every array is over all rides of all days.

    Attributes:
        days: how many; `rides_per_day` and `drivers_per_day` have one entry a day.
        hour: (rides,), hour of the day at which the ride is wanted, 0 to 23.
        pickup_width, dropoff_width: minutes, of the windows that are closed at both ends.
        km: road kilometres from door to door.
        notice: minutes from the call to the begin of the window, of rides not known in advance.
        returns, no_shows, cancelled, in_advance: shares of the rides.
        seats: (4,), mean seats asked for a day, by type.
        on_duty: (24,), mean number of drivers on shift by hour.
    """

    days: int
    rides_per_day: NDArray[np.float64]
    drivers_per_day: NDArray[np.float64]
    hour: NDArray[np.int64]
    pickup_width: NDArray[np.float64]
    dropoff_width: NDArray[np.float64]
    km: NDArray[np.float64]
    notice: NDArray[np.float64]
    returns: float
    no_shows: float
    cancelled: float
    in_advance: float
    seats: NDArray[np.float64]
    on_duty: NDArray[np.float64]

    def lines(self) -> list[tuple[str, str]]:
        """The figures in words."""
        low, high = self.rides_per_day.min(), self.rides_per_day.max()
        return [
            ("days", f"{self.days:,}"),
            ("rides", f"{int(self.rides_per_day.sum()):,}"),
            (
                "rides a day, mean (range)",
                f"{self.rides_per_day.mean():.1f} ({low:.0f}-{high:.0f})",
            ),
            ("drivers a day, mean", f"{self.drivers_per_day.mean():.1f}"),
            ("door to door, median km", f"{np.median(self.km):.1f}"),
            ("pickup windows, median minutes", _median(self.pickup_width)),
            ("drop-off windows, median minutes", _median(self.dropoff_width)),
            ("known in advance", f"{self.in_advance:.1%}"),
            ("linked returns", f"{self.returns:.1%}"),
            ("no-shows", f"{self.no_shows:.1%}"),
            ("cancelled", f"{self.cancelled:.1%}"),
        ]


def summarise(days: Sequence[Instance]) -> DaysSummary:
    """Gather the figures of one day or more."""
    rides = [day.bookings for day in days]
    wanted = np.concatenate([_wanted(day) for day in days])
    announce = np.concatenate([b.announce for b in rides])
    late = announce > 0
    widths = [np.concatenate([b.pickup_to - b.pickup_from for b in rides])]
    widths.append(np.concatenate([b.dropoff_to - b.dropoff_from for b in rides]))
    count = max(1, len(wanted))
    hours = np.arange(0.0, 60.0 * _HOURS, 60.0, dtype=np.float64)
    return DaysSummary(
        days=len(days),
        rides_per_day=np.array([len(b) for b in rides], np.float64),
        drivers_per_day=np.array([len(day.drivers) for day in days], np.float64),
        hour=(np.floor(wanted / 60.0) % _HOURS).astype(np.int64),
        pickup_width=widths[0][np.isfinite(widths[0])],
        dropoff_width=widths[1][np.isfinite(widths[1])],
        km=np.concatenate([_direct_km(day) for day in days]),
        notice=np.maximum(0.0, wanted[late] - announce[late]),
        returns=sum(float((b.linked_to >= 0).sum()) for b in rides) / count,
        no_shows=sum(float(b.no_show.sum()) for b in rides) / count,
        cancelled=sum(float(np.isfinite(b.cancel).sum()) for b in rides) / count,
        in_advance=1.0 - float(late.sum()) / count,
        seats=np.sum([b.load.sum(axis=0) for b in rides], axis=0) / len(days),
        on_duty=np.mean([_on_duty(day, hours) for day in days], axis=0),
    )


def render_page(source: str, summary: DaysSummary) -> str:
    """The page as HTML; it needs nothing else to be read."""
    templates = Environment(
        loader=ChoiceLoader(
            [
                PackageLoader("compagnon.worlds.dispatch.report", "templates"),
                PackageLoader("compagnon.reporting", "templates"),  # the style of every page
            ]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return templates.get_template("days.html").render(
        title=f"Days of dispatch: {source}", lines=summary.lines(), figures=_figures(summary)
    )


def _figures(summary: DaysSummary) -> list[Figure]:
    hours = [str(hour) for hour in range(_HOURS)]
    demand = np.bincount(summary.hour, minlength=_HOURS) / summary.days
    days = np.arange(1, summary.days + 1)
    order = svg.Series("rides", days, summary.rides_per_day)
    made = [
        ("Rides wanted by hour of the day, mean of the days",
         svg.column_chart(hours, demand, "Rides wanted by hour", ".1f")),
        ("Drivers on shift by hour of the day, mean of the days",
         svg.column_chart(hours, summary.on_duty, "Drivers on shift by hour", ".1f")),
        ("Pickup windows that are closed at both ends, by minutes",
         _bars(summary.pickup_width, _WINDOW_EDGES, "Widths of pickup windows")),
        ("Drop-off windows that are closed at both ends, by minutes",
         _bars(summary.dropoff_width, _WINDOW_EDGES, "Widths of drop-off windows")),
        ("Distance from door to door, by road km",
         _bars(summary.km, _km_edges(summary.km), "Distances")),
        ("Minutes from the call to the window, of rides not known in advance",
         _bars(summary.notice, _NOTICE_EDGES, "Notice")),
        ("Seats asked for a day, by type",
         svg.column_chart([escape(kind) for kind in SEAT_TYPES], summary.seats, "Seats", ".1f")),
    ]  # fmt: skip
    if summary.days > 1:
        made.append(("Rides by day, in the order of the files",
                     svg.line_chart([order], "Rides by day", "day", "rides")))  # fmt: skip
    return [Figure(Markup(picture), caption) for caption, picture in made]


def _bars(values: NDArray[np.float64], edges: Sequence[float], title: str) -> str:
    counts = np.histogram(values, bins=np.array(edges))[0]
    labels = [f"{a:g}+" if np.isinf(b) else f"{a:g}-{b:g}" for a, b in pairwise(edges)]
    return svg.column_chart(labels, counts / max(1, len(values)), title, ".0%")


def _km_edges(km: NDArray[np.float64]) -> list[float]:
    """Eleven steps of whole kilometres, the last open, that hold 95 % of the rides before it."""
    most = float(np.percentile(km, 95)) if len(km) else 1.0
    step = max(1.0, float(np.ceil(most / 10.0)))
    return [step * k for k in range(11)] + [float("inf")]


def _wanted(day: Instance) -> NDArray[np.float64]:
    """Minute of each ride: its pickup window's begin, or else whatever window there is."""
    b = day.bookings
    wanted = b.pickup_from.copy()
    for other in (b.dropoff_from, b.pickup_to, b.dropoff_to):
        wanted = np.where(np.isfinite(wanted), wanted, other)
    return wanted


def _direct_km(day: Instance) -> NDArray[np.float64]:
    b, travel = day.bookings, day.travel
    if travel.kind == "matrix":
        return np.asarray(travel.km[b.pickup, b.dropoff], np.float64)
    from_, to = travel.coordinates[b.pickup], travel.coordinates[b.dropoff]
    if travel.kind == "plane":
        return np.asarray(travel.detour * np.hypot(*(from_ - to).T), np.float64)
    pairs = zip(from_.tolist(), to.tolist(), strict=True)
    return travel.detour * np.array([distance_km((p[0], p[1]), (q[0], q[1])) for p, q in pairs])


def _on_duty(day: Instance, hours: NDArray[np.float64]) -> NDArray[np.float64]:
    """Drivers on shift in each hour; a shift past midnight counts in the hours after it."""
    d = day.drivers
    total = np.zeros(_HOURS)
    for begin in (hours, hours + 1440.0):
        share = np.minimum(d.shift_end[:, None], begin + 60.0) - np.maximum(
            d.shift_start[:, None], begin
        )
        total += np.clip(share, 0.0, 60.0).sum(axis=0) / 60.0
    return total


def _median(values: NDArray[np.float64]) -> str:
    return f"{np.median(values):.0f}" if len(values) else "-"

"""A map of the day: drivers with their rides, open bookings with what is left, late pick-ups."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.envs.drawing import (
    BLUE,
    CARD,
    FAINT,
    HEADER,
    HEADER_SOFT,
    INK,
    RED,
    SOFT,
    TRACK,
    Pen,
    Point,
)
from compagnon.worlds.dispatch_poc import constants
from compagnon.worlds.dispatch_poc.snapshot import Place, PocSnapshot

WIDTH: Final = 960
HEIGHT: Final = 540
_GREEN: Final = "#3f9d6a"
_AMBER: Final = "#e0a030"
_GREY: Final = "#a7b0ba"
_ROUTE: Final = "#b9d3ea"
_SIDE: Final = 408.0
_LEFT: Final = 46.0
_TOP: Final = 82.0
_PANEL: Final = 500.0
_LISTED: Final = 9
_SOON: Final = 15.0  # minutes


def to_image(day: PocSnapshot) -> NDArray[np.uint8]:
    """Draw one moment, uint8 of shape (540, 960, 3)."""
    pen = Pen(WIDTH, HEIGHT)
    _draw_header(pen, day)
    _draw_map(pen, day)
    _draw_figures(pen, day)
    _draw_board(pen, day)
    return pen.picture()


def _at(place: Place) -> Point:
    lat, lon = place
    return (
        _LEFT + _SIDE * (lon / constants.REACH + 1) / 2,
        _TOP + _SIDE * (1 - lat / constants.REACH) / 2,
    )


def _draw_header(pen: Pen, day: PocSnapshot) -> None:
    pen.box((0, 0, WIDTH, 56), HEADER)
    pen.text(20, 28, day.clock, 24, "#ffffff")
    pen.text(96, 30, f"traffic {day.traffic:.1f}", 13, HEADER_SOFT)
    shown = f"{day.kpis['reward_per_step']:+,.1f}"
    pen.text(WIDTH - 20, 28, shown, 24, "#ffffff", "rm")
    pen.text(WIDTH - 32 - pen.length(shown, 24), 30, "reward a step", 13, HEADER_SOFT, "rm")


def _colour(minutes_left: float, reachable: bool) -> str:
    if not reachable:
        return _GREY
    return _GREEN if minutes_left > _SOON else _AMBER


def _draw_map(pen: Pen, day: PocSnapshot) -> None:
    pen.box((16, 68, 484, HEIGHT - 14), CARD, 8)
    for step in range(5):
        share = _SIDE * step / 4
        pen.line([(_LEFT + share, _TOP), (_LEFT + share, _TOP + _SIDE)], FAINT)
        pen.line([(_LEFT, _TOP + share), (_LEFT + _SIDE, _TOP + share)], FAINT)
    for pickup in day.pickups:
        late = pickup.minutes_late > 0
        pen.line([_at(pickup.start), _at(pickup.pickup)], RED if late else BLUE, 1.5)
        pen.line([_at(pickup.pickup), _at(pickup.to)], _ROUTE, 1.5)
        pen.dot(_at(pickup.pickup), 3, RED if late else BLUE)
    for number, (place, load) in enumerate(day.drivers):
        x, y = _at(place)
        pen.dot((x, y), 9, HEADER if load < constants.MAX_LOAD else _GREY)
        pen.text(x, y, str(number), 10, "#ffffff", "mm")
        for ride in range(load):
            pen.dot((x - 7 + 7 * ride, y + 13), 2.5, INK)
    for booking in day.bookings:
        x, y = _at(booking.place)
        reach = 5 + booking.priority
        colour = _colour(booking.minutes_left, booking.reachable)
        pen.box((x - reach, y - reach, x + reach, y + reach), colour, 4)
        pen.text(x, y, f"{booking.minutes_left:.0f}", 10, "#ffffff", "mm")
    key = ((HEADER, "driver, rides below"), (_GREEN, "booking, minutes left"),
           (_AMBER, "15 min or less"), (_GREY, "out of reach"))  # fmt: skip
    x = _LEFT
    for colour, words in key:
        pen.dot((x, HEIGHT - 26), 4, colour)
        pen.text(x + 8, HEIGHT - 26, words, 10, SOFT)
        x += 26 + pen.length(words, 10)


def _draw_figures(pen: Pen, day: PocSnapshot) -> None:
    pen.box((_PANEL, 68, WIDTH - 16, 250), CARD, 8)
    pen.text(_PANEL + 16, 88, "The day so far", 14)
    kpis = day.kpis
    figures = (
        ("completion", f"{kpis['completion']:.0%}"),
        ("assigned", f"{kpis['assignments']:.0f}"),
        ("cancelled", f"{kpis['cancellations']:.0f}"),
        ("late pick-ups", f"{kpis['late_share']:.0%}"),
        ("mean distance", f"{kpis['mean_distance']:.1f} km"),
        ("satisfaction", f"{kpis['satisfaction']:.2f} of 5"),
    )
    for number, (name, value) in enumerate(figures):
        x, y = _PANEL + 16 + 222 * (number % 2), 122 + 42 * (number // 2)
        late = name == "late pick-ups" and kpis["late_share"] > 0
        pen.text(x, y, name, 13, SOFT)
        pen.text(x + 196, y, value, 16, RED if late else INK, "rm")


def _draw_board(pen: Pen, day: PocSnapshot) -> None:
    pen.box((_PANEL, 262, WIDTH - 16, HEIGHT - 14), CARD, 8)
    title = f"Open bookings: {len(day.bookings)}"
    pen.text(_PANEL + 16, 282, title, 14)
    urgent = sorted(day.bookings, key=lambda booking: booking.minutes_left)
    for number, booking in enumerate(urgent[:_LISTED]):
        y = 308 + 23 * number
        pen.text(_PANEL + 16, y, f"priority {booking.priority}", 12, SOFT)
        left, right = _PANEL + 100, WIDTH - 130.0
        pen.box((left, y - 4, right, y + 4), TRACK, 4)
        share = min(1.0, max(0.0, booking.minutes_left) / 60)
        colour = _colour(booking.minutes_left, booking.reachable)
        pen.box((left, y - 4, left + (right - left) * share, y + 4), colour, 4)
        words = f"{booking.minutes_left:.0f} min" if booking.reachable else "out of reach"
        pen.text(WIDTH - 32, y, words, 12, INK if booking.reachable else SOFT, "rm")
    if len(urgent) > _LISTED:
        pen.text(_PANEL + 16, HEIGHT - 22, f"and {len(urgent) - _LISTED} more", 11, SOFT)

"""A map of the running day: drivers, their routes, bookings by what became of them, lateness."""

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
from compagnon.worlds.dispatch import plans, running_days, tables

WIDTH: Final = 1080
HEIGHT: Final = 720
_MAP: Final = (16.0, 72.0, 752.0, 704.0)
_ORANGE: Final = "#e08a1e"
_GREEN: Final = "#3c9a5f"
_ROUTES: Final = (
    "#2f7fc1", "#8e5bb5", "#3c9a5f", "#c98a1b", "#c2557a", "#4a8f98", "#7a8b2f", "#9a6a4f",
)  # fmt: skip
_LISTED: Final = 14  # drivers in the panel


def to_image(worlds: running_days.RunningDays, row: int = 0) -> NDArray[np.uint8]:
    """Draw one running day, uint8 of shape (720, 1080, 3).

    Args:
        worlds: the arrays of N days.
        row: which of them.
    """
    w = running_days.RunningDays(*(array[row] for array in worlds))
    pen = Pen(WIDTH, HEIGHT)
    _draw_header(pen, w)
    pen.box(_MAP, CARD, 8)
    place = _projection(w)
    _draw_routes(pen, w, place)
    _draw_bookings(pen, w, place)
    _draw_drivers(pen, w, place)
    _draw_panel(pen, w)
    return pen.picture()


def route_colour(driver: int) -> str:
    """The colour of a driver and of his route."""
    return _ROUTES[driver % len(_ROUTES)]


def _clock(minute: float) -> str:
    whole = int(minute)
    return f"{whole // 60 % 24:02d}:{whole % 60:02d}"


def _draw_header(pen: Pen, w: running_days.RunningDays) -> None:
    pen.box((0, 0, WIDTH, 56), HEADER)
    pen.text(20, 28, _clock(w.money[running_days.NOW]), 24, "#ffffff")
    x = 120.0
    for status in (
        running_days.OPEN,
        running_days.PLANNED,
        running_days.ABOARD,
        running_days.SERVED,
        running_days.REJECTED,
        running_days.CANCELLED,
        running_days.NO_SHOW,
        running_days.TAXI,
    ):
        shown = f"{int(w.counts[status])}"
        pen.text(x, 28, shown, 20, "#ffffff")
        x += pen.length(shown, 20) + 6
        name = running_days.STATUS_NAMES[status].replace("_", " ")
        pen.text(x, 30, name, 13, HEADER_SOFT)
        x += pen.length(name, 13) + 22
    cost = f"{w.money[: running_days.PARTS].sum():,.0f}"
    pen.text(WIDTH - 20, 28, cost, 24, "#ffffff", "rm")
    pen.text(WIDTH - 30 - pen.length(cost, 24), 30, "cost", 13, HEADER_SOFT, "rm")


class _Projection:
    """From km east and north to pixels, the same scale both ways, north upwards."""

    def __init__(self, points: NDArray[np.float64]) -> None:
        low, high = points.min(axis=0), points.max(axis=0)
        self._middle = (low + high) / 2
        width, height = _MAP[2] - _MAP[0] - 48, _MAP[3] - _MAP[1] - 48
        span = np.maximum(high - low, 1e-6)
        self._scale = float(min(width / span[0], height / span[1]))

    def __call__(self, point: NDArray[np.float64]) -> Point:
        east, north = (point - self._middle) * self._scale
        return (_MAP[0] + _MAP[2]) / 2 + float(east), (_MAP[1] + _MAP[3]) / 2 - float(north)


def _projection(w: running_days.RunningDays) -> _Projection:
    n, m, drivers = int(w.size[tables.BOOKINGS]), len(w.status), int(w.size[tables.DRIVERS])
    return _Projection(w.near[np.r_[0 : 2 * n, 2 * m : 2 * m + 2 * drivers]])


def _where(w: running_days.RunningDays, d: int) -> NDArray[np.float64]:
    """Where driver `d` is now: at a place, or on the straight line to the next."""
    at = w.near[w.state[d, plans.AT]]
    node = int(w.codes[d, 0, plans.NODE])
    if w.state[d, plans.PHASE] != plans.DRIVES or node == plans.BREAK:
        return at
    left, arrives = w.times[d, plans.LEFT], w.stops[d, 0, plans.START]
    share = (w.money[running_days.NOW] - left) / max(arrives - left, 1e-9)
    return np.asarray(at + min(1.0, max(0.0, share)) * (w.near[node] - at))


def _draw_routes(pen: Pen, w: running_days.RunningDays, place: _Projection) -> None:
    for d in range(int(w.size[tables.DRIVERS])):
        stops = [
            k
            for k in range(int(w.state[d, plans.COUNT]) - 1)  # the way home is not drawn
            if w.codes[d, k, plans.NODE] != plans.BREAK
        ]
        points = [place(w.near[w.codes[d, k, plans.NODE]]) for k in stops]
        if points:
            pen.line([place(_where(w, d)), *points], route_colour(d), 1.5)
        for k, point in zip(stops, points, strict=True):
            if w.codes[d, k, plans.PICKED_AT] == plans.DEAD:  # passed, and nobody is there
                continue
            late = w.stops[d, k, plans.START] > _promised(w, int(w.codes[d, k, plans.NODE])) + 1e-6
            pen.dot(point, 4 if late else 2.5, RED if late else route_colour(d))


def _promised(w: running_days.RunningDays, node: int) -> float:
    """When the window of a stop ends, before any delay moved the limit."""
    if not 0 <= node < 2 * len(w.status):
        return float("inf")
    return float(w.bookings[node // 2, tables.PICKUP_TO if node % 2 == 0 else tables.DROPOFF_TO])


def _draw_bookings(pen: Pen, w: running_days.RunningDays, place: _Projection) -> None:
    for b in range(int(w.size[tables.BOOKINGS])):
        status = w.status[b]
        if status == running_days.OPEN:
            start, end = place(w.near[2 * b]), place(w.near[2 * b + 1])
            pen.line([start, end], FAINT, 1)
            pen.dot(start, 5, _ORANGE)
        elif status == running_days.REJECTED:
            x, y = place(w.near[2 * b])
            pen.line([(x - 4, y - 4), (x + 4, y + 4)], RED, 2)
            pen.line([(x - 4, y + 4), (x + 4, y - 4)], RED, 2)
        elif status == running_days.SERVED:
            late = (
                w.rides[b, running_days.LATE_PICKUP] + w.rides[b, running_days.LATE_DROPOFF] > 1.0
            )
            pen.dot(place(w.near[2 * b + 1]), 2, RED if late else _GREEN)


def _draw_drivers(pen: Pen, w: running_days.RunningDays, place: _Projection) -> None:
    for d in range(int(w.size[tables.DRIVERS])):
        at = place(_where(w, d))
        pen.dot(at, 9, CARD)
        pen.dot(at, 7.5, FAINT if w.state[d, plans.PHASE] == plans.OFF else route_colour(d))
        pen.text(at[0], at[1], str(d), 9, "#ffffff", "mm")


def _draw_panel(pen: Pen, w: running_days.RunningDays) -> None:
    left, top, right = 768.0, 72.0, WIDTH - 16.0
    pen.box((left, top, right, HEIGHT - 16), CARD, 8)
    pen.text(left + 16, top + 22, "drivers", 14, INK)
    pen.text(right - 16, top + 22, "plan", 13, SOFT, "rm")
    drivers = int(w.size[tables.DRIVERS])
    for d in range(min(drivers, _LISTED)):
        y = top + 54 + 30 * d
        pen.dot((left + 26, y), 8, route_colour(d))
        pen.text(left + 26, y, str(d), 9, "#ffffff", "mm")
        pen.text(left + 44, y, _doing(w, d), 12, INK)
        aboard = int(w.state[d, plans.ABOARD : plans.ABOARD + 4].sum())
        _draw_seats(
            pen, left + 150, y, aboard, int(w.drivers[d, tables.SEAT : tables.SEAT + 4].sum())
        )
        stops = max(0, int(w.state[d, plans.COUNT]) - 1)
        pen.text(right - 16, y, f"{stops} stops", 12, SOFT, "rm")
    if drivers > _LISTED:
        pen.text(left + 16, top + 54 + 30 * _LISTED, f"and {drivers - _LISTED} more", 12, SOFT)
    y = HEIGHT - 130.0
    for colour, meaning in (
        (_ORANGE, "open booking, at its pickup"),
        (_GREEN, "served, at its drop-off"),
        (RED, "late, or (cross) rejected"),
        (BLUE, "stop of a plan, in its driver's colour"),
    ):
        pen.dot((left + 26, y), 5, colour)
        pen.text(left + 44, y, meaning, 12, SOFT)
        y += 26


def _draw_seats(pen: Pen, x: float, y: float, aboard: int, seats: int) -> None:
    for seat in range(min(seats, 8)):
        fill = INK if seat < aboard else TRACK
        pen.box((x + 11 * seat, y - 5, x + 11 * seat + 8, y + 5), fill, 2)


def _doing(w: running_days.RunningDays, d: int) -> str:
    phase, m = int(w.state[d, plans.PHASE]), len(w.status)
    if phase == plans.OFF:
        return "home"
    if w.money[running_days.NOW] < w.drivers[d, tables.SHIFT_START]:
        return f"from {_clock(w.drivers[d, tables.SHIFT_START])}"
    if phase == plans.DRIVES:
        node = int(w.codes[d, 0, plans.NODE])
        return "goes home" if node >= 2 * m else f"drives, {_clock(w.stops[d, 0, plans.START])}"
    if phase == plans.BUSY:
        broke = w.times[d, plans.BROKE_AT]
        if broke > 0.0 and w.times[d, plans.FREE] == broke + w.drivers[d, tables.REPAIR_MINUTES]:
            return f"broken down, {_clock(w.times[d, plans.FREE])}"
        return "on a break" if w.state[d, plans.SERVING] == plans.BREAK else "at a door"
    return "waits"

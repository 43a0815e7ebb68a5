"""A picture of where the ball has been: its position against time, or its path in the box."""

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
from compagnon.worlds.ball.kernel import BOX
from compagnon.worlds.ball.trajectory import Trajectory

WIDTH: Final = 720
HEIGHT: Final = 480
MAX_AXES: Final = 12  # of which the panel shows the positions
_LONG: Final = 1_000  # a whole episode of more steps is drawn as far as it has come
_RECENT: Final = 50
_PATH: Final = "#b9d3ea"
_TICKS: Final = (-10, -5, 0, 5, 10)


def to_image(trajectory: Trajectory) -> NDArray[np.uint8]:
    """Draw one episode so far, uint8 of shape (480, 720, 3).

    In one dimension the position stands against time; in more, the path in the first two, and
    beside it the position along each axis (the first 12).
    """
    pen = Pen(WIDTH, HEIGHT)
    _draw_header(pen, trajectory)
    if trajectory.positions.shape[1] == 1:
        _draw_time(pen, trajectory)
    else:
        _draw_path(pen, trajectory)
        _draw_axes(pen, trajectory.positions[-1])
    return pen.picture()


def _draw_header(pen: Pen, trajectory: Trajectory) -> None:
    pen.box((0, 0, WIDTH, 56), HEADER)
    title = f"step {trajectory.steps[-1]:,}"
    pen.text(20, 28, title, 24, "#ffffff")
    x = 20 + pen.length(title, 24) + 10
    pen.text(x, 30, f"of {trajectory.max_steps:,}", 13, HEADER_SOFT)
    if (np.abs(trajectory.positions[-1]) > BOX).any():
        pen.box((320, 16, 400, 40), RED, 12)
        pen.text(360, 28, "OUT", 12, "#ffffff", "mm")
    shown = f"{trajectory.episode_return:,.0f}"
    pen.text(WIDTH - 20, 28, shown, 24, "#ffffff", "rm")
    pen.text(WIDTH - 32 - pen.length(shown, 24), 30, "return", 13, HEADER_SOFT, "rm")


def _draw_time(pen: Pen, trajectory: Trajectory) -> None:
    pen.box((16, 68, WIDTH - 16, HEIGHT - 16), CARD, 8)
    left, right, top, bottom = 64.0, WIDTH - 36.0, 108.0, 412.0
    last = trajectory.max_steps
    if last > _LONG:
        last = max(_LONG, int(trajectory.steps[-1]))
    pen.text(64, 86, "position", 13, SOFT)

    def at(step: float, position: float) -> Point:
        # A ball that is out is drawn just outside the box, however far it flew.
        shown = min(1.08 * BOX, max(-1.08 * BOX, position))
        return (
            left + (right - left) * step / last,
            bottom - (bottom - top) * (shown / BOX + 1) / 2,
        )

    for tick in _TICKS:
        wall = abs(tick) == BOX
        y = at(0, tick)[1]
        pen.line([(left, y), (right, y)], RED if wall else FAINT, 1.5 if wall else 1)
        pen.text(left - 10, y, str(tick), 12, SOFT, "rm")
    for quarter in range(5):
        step = last * quarter // 4
        pen.text(at(step, 0)[0], bottom + 34, f"{step:,}", 12, SOFT, "mm")
    points = [
        at(step, position)
        for step, position in zip(
            trajectory.steps.tolist(), trajectory.positions[:, 0].tolist(), strict=True
        )
    ]
    if len(points) > 1:
        pen.line(points, BLUE, 1.5)
    pen.dot(points[-1], 5, INK)


def _draw_path(pen: Pen, trajectory: Trajectory) -> None:
    pen.box((16, 68, 424, HEIGHT - 16), CARD, 8)
    left, top, side = 50.0, 92.0, 340.0

    def at(x: float, y: float) -> Point:
        limit = 1.06 * BOX
        x, y = (min(limit, max(-limit, value)) for value in (x, y))
        return (left + side * (x / BOX + 1) / 2, top + side * (1 - y / BOX) / 2)

    for tick in _TICKS[1:-1]:
        pen.line([at(tick, -BOX), at(tick, BOX)], FAINT)
        pen.line([at(-BOX, tick), at(BOX, tick)], FAINT)
    corners = [(-BOX, -BOX), (BOX, -BOX), (BOX, BOX), (-BOX, BOX), (-BOX, -BOX)]
    pen.line([at(*corner) for corner in corners], RED, 1.5)
    for tick in (-10, 0, 10):
        pen.text(at(tick, 0)[0], top + side + 20, str(tick), 12, SOFT, "mm")
        pen.text(left - 8, at(0, tick)[1], str(tick), 12, SOFT, "rm")
    points = [at(x, y) for x, y in trajectory.positions[:, :2].tolist()]
    if len(points) > 1:
        pen.line(points, _PATH, 1)
        pen.line(points[-_RECENT:], BLUE, 1.5)
    pen.dot(points[0], 3, SOFT)
    pen.dot(points[-1], 6, INK)


def _draw_axes(pen: Pen, position: NDArray[np.float64]) -> None:
    pen.box((436, 68, WIDTH - 16, HEIGHT - 16), CARD, 8)
    shown = min(len(position), MAX_AXES)
    title = "Position along each axis"
    pen.text(452, 90, title if shown == len(position) else f"{title}, first {shown}", 14)
    left, right = 484.0, 636.0
    for axis, value in enumerate(position[:shown].tolist()):
        y = 122 + axis * 29
        out = abs(value) > BOX
        pen.text(470, y, str(axis), 12, SOFT, "rm")
        pen.box((left, y - 4, right, y + 4), TRACK, 4)
        pen.line([((left + right) / 2, y - 6), ((left + right) / 2, y + 6)], FAINT)
        x = left + (right - left) * (min(BOX, max(-BOX, value)) / BOX + 1) / 2
        pen.dot((x, y), 6, RED if out else BLUE)
        pen.text(688, y, f"{value:+.2f}", 13, RED if out else INK, "rm")

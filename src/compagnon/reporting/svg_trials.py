"""Charts of a search: how its trials went one after another, and what settings they had."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import isfinite, log10
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from compagnon.reporting.svg import _WIDTH, _Axis, _grid_x, _legend, _line, _path, _svg, _text

_TOP, _BOTTOM = 46, 300


@dataclass(frozen=True)
class Dot:
    """One trial of `history_chart`: its number, its value, and whether it came to its end."""

    number: int
    value: float
    ended: bool
    label: str = ""


@dataclass(frozen=True)
class Dimension:
    """One upright axis of `parallel_chart`.

    Attributes:
        values: one a trial, NaN where it has none; for choices, the place among them.
        choices: names of the places; None for numbers.
        log: numbers on a logarithmic axis.
    """

    name: str
    values: ArrayLike
    choices: Sequence[str] | None = None
    log: bool = False


def history_chart(dots: Sequence[Dot], level: float | None, title: str, y_label: str) -> str:
    """Trials in their order: full dots came to their end, hollow ones were pruned; best so far.

    Args:
        level: a horizontal line to compare with; None for none.
    """
    known = [dot for dot in dots if isfinite(dot.value)]
    values = [dot.value for dot in known] + ([] if level is None else [level])
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    pad = 0.06 * (high - low)
    names = ["came to its end", "pruned: last evaluation", "best so far"]
    legend, _ = _legend(names + ([] if level is None else ["the default with fresh seeds"]), 70)
    x = _Axis(-0.5, max((dot.number for dot in dots), default=0) + 0.5, 70, _WIDTH - 40)
    y = _Axis(low - pad, high + pad, _BOTTOM, _TOP, ticks=5)
    body = legend + _grid_x(x, _TOP, _BOTTOM, "trial", _BOTTOM + 44, lines=False)
    for tick in y.ticks:
        body.append(_line(70, y(tick), _WIDTH - 40, y(tick), "g"))
        body.append(_text(62, y(tick) + 4, y.label(tick), "s", "end"))
    body.append(_text(0, 36, y_label, "s"))
    if level is not None:
        body.append(
            f'<path d="M70 {y(level)}H{_WIDTH - 40}" stroke="var(--c3)" stroke-width="2" '
            'stroke-dasharray="6 4"/>'
        )
    body.append(_best_so_far(known, x, y))
    for dot in known:
        fill = "var(--c0)" if dot.ended else "var(--paper)"
        edge = "var(--c0)" if dot.ended else "var(--c1)"
        body.append(
            f'<circle cx="{x(dot.number)}" cy="{y(dot.value)}" r="4.5" fill="{fill}" '
            f'stroke="{edge}" stroke-width="1.5"><title>{escape(dot.label)}</title></circle>'
        )
    ended = [dot.value for dot in known if dot.ended]
    described = f"{len(dots)} trials, {len(ended)} came to their end" + (
        f", the best at {max(ended):,.4g}" if ended else ""
    )
    return _svg(_BOTTOM + 44, title, described, body)


def _best_so_far(dots: Sequence[Dot], x: _Axis, y: _Axis) -> str:
    steps: list[tuple[float, float]] = []
    best = -np.inf
    for dot in sorted(dots, key=lambda dot: dot.number):
        if dot.ended and dot.value > best:
            if steps:
                steps.append((float(dot.number), best))
            best = dot.value
            steps.append((float(dot.number), best))
    if steps:
        steps.append((float(max(dot.number for dot in dots)), best))
    path = _path(np.array(steps), x, y) if steps else ""
    return f'<path d="{path}" fill="none" stroke="var(--c2)" stroke-width="2"/>'


def parallel_chart(dimensions: Sequence[Dimension], title: str, best: int | None = None) -> str:
    """A line a trial through one axis a setting: the bluer, the higher on the last axis.

    Args:
        dimensions: the last one is what is to be high.
        best: the row to draw on top, bold.
    """
    places = np.linspace(70, _WIDTH - 70, max(len(dimensions), 2))
    heights, body = [], []
    for i, (place, one) in enumerate(zip(places, dimensions, strict=False)):
        y, scaled = _upright(one)
        heights.append(np.array([y(value) if isfinite(value) else np.nan for value in scaled]))
        body.append(_line(float(place), _TOP, float(place), _BOTTOM, "z"))
        # Names stand in two rows: next to each other they would overlap.
        body.append(_text(float(place), 14 + 16 * (i % 2), one.name, "b", "middle"))
        body += _marks(float(place), one, y)
    rows = np.stack(heights, axis=1) if heights else np.zeros((0, 0))
    goal = np.asarray(dimensions[-1].values, np.float64) if dimensions else np.zeros(0)
    lines = []
    for row in np.argsort(np.where(np.isfinite(goal), goal, -np.inf), kind="stable"):
        if not np.isfinite(rows[row]).all():
            continue
        lines.append(_thread(rows[row], places, float((goal <= goal[row]).mean()), row == best))
    if best is not None and np.isfinite(rows[best]).all():
        lines.append(_thread(rows[best], places, 1.0, True))
    described = f"{len(lines)} trials over {', '.join(one.name for one in dimensions)}"
    return _svg(_BOTTOM + 24, title, described, lines + body)


def _upright(one: Dimension) -> tuple[_Axis, list[float]]:
    values = [float(value) for value in np.asarray(one.values, np.float64)]
    if one.choices is not None:
        return _Axis(-0.3, len(one.choices) - 0.7, _BOTTOM, _TOP), values
    scaled = [log10(value) if one.log and isfinite(value) else value for value in values]
    known = [value for value in scaled if isfinite(value)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    return _Axis(low, high, _BOTTOM, _TOP, ticks=4), scaled


def _marks(place: float, one: Dimension, y: _Axis) -> list[str]:
    """The axis' labels: its choices, or its two ends and the middle."""
    if one.choices is not None:
        marks = [(float(i), name) for i, name in enumerate(one.choices)]
    else:
        ends = (y.low, (y.low + y.high) / 2, y.high)
        marks = [(end, f"{10**end if one.log else end:.3g}") for end in ends]
    return [
        f'<text x="{place + 5:.1f}" y="{y(at) + 4}" style="font-size:10.5px;paint-order:stroke" '
        f'stroke="var(--paper)" stroke-width="3">{escape(name)}</text>'
        for at, name in marks
    ]


def _thread(heights: ArrayLike, places: ArrayLike, rank: float, bold: bool | np.bool_) -> str:
    points = zip(np.asarray(places), np.asarray(heights), strict=False)
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    colour: Literal["var(--c0)", "var(--c1)"] = "var(--c1)" if bold else "var(--c0)"
    width, opacity = (3.0, 1.0) if bold else (1.4, 0.1 + 0.6 * rank**2)
    return (
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}" '
        f'opacity="{opacity:.2f}"/>'
    )

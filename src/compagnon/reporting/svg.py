"""Small charts as SVG strings that need no script: legible in print, in light and in dark.

Every chart carries a title and a description for screen readers. Colours are those of Okabe and
Ito (2008), which people with colour blindness can tell apart, and no meaning rests on colour alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, isfinite, log10

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Variables so that a page can overrule them; the defaults follow the reader's preference.
_STYLE = """
.cg{--c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#cc79a7;--c4:#e69f00;--c5:#56b4e9;--c6:#7a7a7a;
--ink:#1c2430;--soft:#5b6573;--line:#d9dee5;--paper:#fff;
font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
max-width:100%;height:auto}
@media(prefers-color-scheme:dark){.cg{--c0:#4ea6dc;--c1:#f0803c;--c2:#2fc39a;--c3:#dd9cc0;
--c4:#f0b93f;--c5:#8fd0f4;--c6:#a3a3a3;--ink:#e8ecf1;--soft:#a3adba;--line:#36404d;--paper:#151a21}}
.cg text{fill:var(--ink)}.cg .s{fill:var(--soft)}.cg .b{font-weight:600}
.cg .g{stroke:var(--line);stroke-width:1}.cg .z{stroke:var(--soft);stroke-width:1}
""".replace("\n", "")
COLOURS = 7
_WIDTH = 860
_LETTER = 6.6  # mean width of a letter at 12 px, generous


@dataclass(frozen=True)
class Interval:
    """One row of `interval_plot`; an interval that is not finite is drawn as a dot alone."""

    name: str
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Series:
    """One line of `line_chart`, (x, y) points in order, with an optional band around it."""

    name: str
    x: ArrayLike
    y: ArrayLike
    low: ArrayLike | None = None
    high: ArrayLike | None = None


class _Axis:
    """Maps values to pixels, and knows where its ticks stand."""

    def __init__(self, low: float, high: float, start: float, end: float, ticks: int = 8) -> None:
        if not (isfinite(low) and isfinite(high)):
            low, high = 0.0, 1.0
        if high - low < 1e-9 * max(1.0, abs(low)):
            pad = abs(low) * 0.1 or 1.0
            low, high = low - pad, high + pad
        self.low, self.high, self.start, self.end = low, high, start, end
        rough = (high - low) / ticks
        power = 10.0 ** floor(log10(rough))
        self.unit = power * next(m for m in (1, 2, 5, 10) if rough <= m * power * 1.0001)
        first = ceil(low / self.unit - 1e-9)
        self.ticks = [n * self.unit for n in range(first, floor(high / self.unit + 1e-9) + 1)]

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 2)

    def label(self, value: float) -> str:
        digits = max(0, -floor(log10(self.unit)))
        return f"{value:z,.{digits}f}".replace("-", "\N{MINUS SIGN}")


def interval_plot(rows: Sequence[Interval], title: str, x_label: str, zero: bool = False) -> str:
    """A dot and its 95 % interval for each row, on one axis.

    Args:
        zero: draw the axis through 0, for differences.
    """
    left = _margin([row.name for row in rows])
    ends = [v for row in rows for v in (row.low, row.mean, row.high) if isfinite(v)]
    ends += [0.0] if zero else []
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    pad = 0.06 * (high - low)
    form = f",.{_digits(high - low)}f"
    x = _Axis(low - pad, high + pad, left, _WIDTH - 110)
    height = 30 * len(rows) + 52
    body = _grid_x(x, 8, height - 44, x_label, height)
    if zero:
        body.append(_line(x(0), 8, x(0), height - 44, "z"))
    for i, row in enumerate(rows):
        y = 26 + 30 * i
        body.append(_text(left - 12, y + 4, row.name, anchor="end"))
        if isfinite(row.low) and isfinite(row.high):
            body.append(
                f'<path d="M{x(row.low)} {y}H{x(row.high)}M{x(row.low)} {y - 5}v10'
                f'M{x(row.high)} {y - 5}v10" stroke="var(--c0)" stroke-width="2" fill="none"/>'
            )
        body.append(f'<circle cx="{x(row.mean)}" cy="{y}" r="5" fill="var(--c0)"/>')
        label = f"{row.mean:{'+' if zero else ''}z{form}}".replace("-", "\N{MINUS SIGN}")
        body.append(_text(_WIDTH - 96, y + 4, label, "b"))
    described = "; ".join(
        f"{r.name} {r.mean:{form}}"
        + (f" [{r.low:{form}}, {r.high:{form}}]" if isfinite(r.low) and isfinite(r.high) else "")
        for r in rows
    )
    return _svg(height, title, described, body)


def _digits(span: float) -> int:
    """Decimals that tell apart what an axis of this length does: 0 from 10 on, 1 from 1 on."""
    return min(6, max(0, 1 - floor(log10(span)))) if span > 0 else 0


def term_bars(
    policies: Sequence[str],
    terms: Sequence[str],
    values: ArrayLike,
    title: str,
    x_label: str,
) -> str:
    """For each policy, its terms stacked from 0 to both sides, and a mark at their sum.

    Args:
        values: (policies, terms).
    """
    table = np.asarray(values, np.float64)
    shown = [j for j in range(len(terms)) if np.abs(table[:, j]).max(initial=0.0) > 1e-9]
    left = _margin(policies)
    ups, downs = np.clip(table, 0, None).sum(axis=1), np.clip(table, None, 0).sum(axis=1)
    x = _Axis(float(min(0.0, downs.min(initial=0))), float(ups.max(initial=0)), left, _WIDTH - 110)
    legend, legend_height = _legend([terms[j] for j in shown], left)
    top = legend_height + 10
    height = top + 36 * len(policies) + 46
    body = legend + _grid_x(x, top, height - 44, x_label, height)
    for i, policy in enumerate(policies):
        y = top + 8 + 36 * i
        body.append(_text(left - 12, y + 15, policy, anchor="end"))
        up = down = 0.0
        for colour, j in enumerate(shown):
            value = float(table[i, j])
            start = up if value >= 0 else down
            a, b = sorted((x(start), x(start + value)))
            if value >= 0:
                up += value
            else:
                down += value
            tip = f"<title>{escape(terms[j])}: {value:+,.0f}</title>"
            body.append(
                f'<rect x="{a}" y="{y}" width="{max(b - a - 0.8, 0):.2f}" height="22" '
                f'fill="var(--c{colour % COLOURS})">{tip}</rect>'
            )
        total = float(table[i].sum())
        body.append(
            f'<path d="M{x(total)} {y - 4}v30" stroke="var(--paper)" stroke-width="5"/>'
            f'<path d="M{x(total)} {y - 4}v30" stroke="var(--ink)" stroke-width="2.5"/>'
        )
        sum_label = f"{total:z,.0f}".replace("-", "\N{MINUS SIGN}")
        body.append(_text(_WIDTH - 96, y + 15, sum_label, "b"))
    body.append(_line(x(0), top, x(0), height - 44, "z"))
    described = "; ".join(
        f"{policy}: " + ", ".join(f"{terms[j]} {table[i, j]:+,.0f}" for j in shown)
        for i, policy in enumerate(policies)
    )
    return _svg(height, title, described, body)


def line_chart(series: Sequence[Series], title: str, x_label: str, y_label: str) -> str:
    """Curves over a common x, with bands where given; points that are not finite are left out."""
    drawn = [(one, _points(one.x, one.y)) for one in series]
    bands = [
        (_points(one.x, one.low), _points(one.x, one.high))
        if one.low is not None and one.high is not None
        else None
        for one in series
    ]
    every = [points for _, points in drawn] + [p for band in bands if band for p in band]
    xs = np.concatenate([p[:, 0] for p in every]) if every else np.zeros(0)
    ys = np.concatenate([p[:, 1] for p in every]) if every else np.zeros(0)
    legend, legend_height = _legend([one.name for one in series], 70)
    top, height = legend_height + 24, legend_height + 300
    pad = 0.05 * float(np.ptp(ys)) if len(ys) else 0.0
    x = _Axis(*_range(xs), 70, _WIDTH - 40)
    y = _Axis(_range(ys)[0] - pad, _range(ys)[1] + pad, height - 44, top, ticks=5)
    body = legend + _grid_x(x, top, height - 44, x_label, height, lines=False)
    for tick in y.ticks:
        body.append(_line(70, y(tick), _WIDTH - 40, y(tick), "g"))
        body.append(_text(62, y(tick) + 4, y.label(tick), "s", "end"))
    body.append(_text(0, legend_height + 12, y_label, "s"))
    for i, ((one, points), band) in enumerate(zip(drawn, bands, strict=True)):
        colour = f"var(--c{i % COLOURS})"
        if band is not None:
            outline = np.concatenate([band[1], band[0][::-1]])
            body.append(f'<path d="{_path(outline, x, y)}Z" fill="{colour}" opacity=".18"/>')
        dash = ' stroke-dasharray="6 4"' if (i // COLOURS) % 2 else ""
        body.append(
            f'<path d="{_path(points, x, y)}" fill="none" stroke="{colour}" stroke-width="2"'
            f' stroke-linejoin="round"{dash}><title>{escape(one.name)}</title></path>'
        )
    described = "; ".join(
        f"{one.name}: {len(p)} points" + (f", last {p[-1, 1]:,.4g}" if len(p) else "")
        for one, p in drawn
    )
    return _svg(height, title, described, body)


def heat_table(
    rows: Sequence[str],
    columns: Sequence[str],
    values: ArrayLike,
    title: str,
    form: str = ",.0f",
    row_label: str = "",
    column_label: str = "",
    diagonal: bool = False,
) -> str:
    """A table whose cells are the darker, the larger their value (on a square-root scale).

    Args:
        values: (rows, columns), none below 0.
        form: how to write a value.
        diagonal: the diagonal means agreement: it gets an outline and no shade.
    """
    table = np.asarray(values, np.float64)
    left, top = max(_margin(rows), 90), 48
    wide = min(110.0, (_WIDTH - left - 10) / max(len(columns), 1))
    height = top + 32 * len(rows) + 12
    off = np.ones(table.shape, np.bool_)
    if diagonal:
        np.fill_diagonal(off, False)
    most = float(table[off].max(initial=0.0)) or 1.0
    body = [
        _text(left - 12, 40, row_label, "s", "end"),
        _text(left + wide * len(columns) / 2, 14, column_label, "s", "middle"),
    ]
    for j, column in enumerate(columns):
        body.append(_text(left + wide * (j + 0.5), 40, column, "b", "middle"))
    for i, row in enumerate(rows):
        y = top + 32 * i
        body.append(_text(left - 12, y + 20, row, "b", "end"))
        for j in range(len(columns)):
            shade = 0.75 * (table[i, j] / most) ** 0.5 if off[i, j] else 0.0
            edge = ' stroke="var(--soft)"' if not off[i, j] else ""
            body.append(
                f'<rect x="{left + wide * j + 1.5:.1f}" y="{y + 1.5}" width="{wide - 3:.1f}" '
                f'height="29" rx="3" fill="var(--c4)" fill-opacity="{shade:.3f}"{edge}/>'
            )
            quiet = "s" if table[i, j] == 0 else ""
            middle = left + wide * (j + 0.5)
            body.append(_text(middle, y + 20, f"{table[i, j]:{form}}", quiet, "middle"))
    described = "; ".join(
        f"{row}: " + ", ".join(f"{c} {table[i, j]:{form}}" for j, c in enumerate(columns))
        for i, row in enumerate(rows)
    )
    return _svg(height, title, described, body)


def column_chart(labels: Sequence[str], values: ArrayLike, title: str, form: str = ".1%") -> str:
    """One column a label, from 0 up, each with its value."""
    heights = np.asarray(values, np.float64)
    y = _Axis(0.0, float(heights.max(initial=0.0)) or 1.0, 138, 24)
    wide = (_WIDTH - 20) / max(len(labels), 1)
    body = [_line(10, 138, _WIDTH - 10, 138, "z")]
    small = ' style="font-size:10px"' if len(labels) > 12 else ""
    for i, (label, value) in enumerate(zip(labels, heights, strict=True)):
        middle = round(10 + wide * (i + 0.5), 2)
        top = y(float(value))
        body.append(
            f'<rect x="{middle - wide * 0.36:.1f}" y="{top}" width="{wide * 0.72:.1f}" '
            f'height="{138 - top:.2f}" rx="1.5" fill="var(--c0)"/>'
            f'<text x="{middle}" y="{top - 5:.1f}" text-anchor="middle"{small}>{value:{form}}'
            f'</text><text class="s" x="{middle}" y="155" text-anchor="middle">'
            f"{escape(label)}</text>"
        )
    described = "; ".join(f"{a} {b:{form}}" for a, b in zip(labels, heights, strict=True))
    return _svg(164, title, described, body)


def histogram(values: ArrayLike, title: str, x_label: str, bins: int = 24) -> str:
    """How often each value comes, with lines at 0 and at the mean: for paired differences."""
    array = np.asarray(values, np.float64)
    array = array[np.isfinite(array)]
    low, high = _range(np.append(array, 0.0))
    if high == low:
        low, high = -1.0, 1.0
    counts, edges = np.histogram(array, bins=bins, range=(low, high))
    height = 210
    x = _Axis(low, high, 20, _WIDTH - 40)
    y = _Axis(0.0, float(counts.max(initial=1)), height - 44, 30)
    body = _grid_x(x, 30, height - 44, x_label, height, lines=False)
    for count, a, b in zip(counts, edges[:-1], edges[1:], strict=True):
        if count:
            # Wins and losses differ in colour; which side of the line they are on says it too.
            colour = "var(--c2)" if a + b > 0 else "var(--c1)"
            top = y(float(count))
            body.append(
                f'<rect x="{x(float(a)) + 0.5:.2f}" y="{top}" '
                f'width="{max(x(float(b)) - x(float(a)) - 1, 1):.2f}" '
                f'height="{height - 44 - top:.2f}" fill="{colour}">'
                f"<title>{a:,.0f} to {b:,.0f}: {count}</title></rect>"
            )
    body.append(_line(x(0), 22, x(0), height - 44, "z"))
    if len(array):
        mean = float(array.mean())
        body.append(
            f'<path d="M{x(mean)} 22V{height - 44}" stroke="var(--ink)" stroke-width="2" '
            'stroke-dasharray="4 3"/>'
        )
        anchor = "end" if x(mean) > _WIDTH - 150 else "start"
        side = -6 if anchor == "end" else 6
        label = f"mean {mean:+z,.0f}".replace("-", "\N{MINUS SIGN}")
        body.append(_text(x(mean) + side, 18, label, "b", anchor))
    above = float((array > 0).mean()) if len(array) else 0.0
    return _svg(height, title, f"{len(array)} values, {above:.0%} of them above 0", body)


def _svg(height: float, title: str, description: str, body: list[str]) -> str:
    return (
        f'<svg class="cg" xmlns="http://www.w3.org/2000/svg" role="img" width="{_WIDTH}" '
        f'height="{height:.0f}" viewBox="0 0 {_WIDTH} {height:.0f}"><title>{escape(title)}</title>'
        f"<desc>{escape(description)}</desc><style>{_STYLE}</style>{''.join(body)}</svg>"
    )


def _text(x: float, y: float, text: str, style: str = "", anchor: str = "start") -> str:
    kind = f' class="{style}"' if style else ""
    side = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{kind}{side}>{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" class="{style}"/>'


def _grid_x(
    x: _Axis, top: float, bottom: float, label: str, height: float, lines: bool = True
) -> list[str]:
    body = []
    for tick in x.ticks:
        body.append(_line(x(tick), top if lines else bottom, x(tick), bottom + 4, "g"))
        body.append(_text(x(tick), bottom + 18, x.label(tick), "s", "middle"))
    body.append(_text((x.start + x.end) / 2, height - 6, label, "s", "middle"))
    return body


def _legend(names: Sequence[str], left: float) -> tuple[list[str], float]:
    """Swatches with names, in as many rows as they need, and how high that is."""
    body, x, y = [], left, 14.0
    for i, name in enumerate(names):
        width = 34 + _LETTER * len(name)
        if x + width > _WIDTH and x > left:
            x, y = left, y + 20
        body.append(
            f'<rect x="{x:.1f}" y="{y - 10}" width="12" height="12" rx="2" '
            f'fill="var(--c{i % COLOURS})"/>'
        )
        body.append(_text(x + 18, y, name))
        x += width
    return body, y + 6


def _margin(names: Sequence[str]) -> float:
    return min(24 + _LETTER * max((len(name) for name in names), default=0), 0.45 * _WIDTH)


def _range(values: NDArray[np.float64]) -> tuple[float, float]:
    return (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)


def _points(x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
    points = np.stack([np.asarray(x, np.float64), np.asarray(y, np.float64)], axis=1)
    return points[np.isfinite(points).all(axis=1)]


def _path(points: NDArray[np.float64], x: _Axis, y: _Axis) -> str:
    return "M" + "L".join(f"{x(float(a))} {y(float(b))}" for a, b in points) if len(points) else ""

from xml.etree import ElementTree

import numpy as np
import pytest

from compagnon.reporting import svg

NAN = float("nan")
X = np.arange(5)


def charts(name: str = "expert:v2") -> dict[str, str]:
    rows = [svg.Interval(name, 13_000, 12_900, 13_100), svg.Interval("one week", -6_000, NAN, NAN)]
    curves = [
        svg.Series(name, X, X**2, X**2 - 1, X**2 + 1),
        svg.Series("gap", X, [1, NAN, 3, 4, 5]),
    ]
    return {
        "intervals": svg.interval_plot(rows, "Means", "reward", zero=True),
        "terms": svg.term_bars([name, "b"], ["sales", "cost"], [[5, -2], [3, -4]], "T", "x"),
        "lines": svg.line_chart(curves, "Learning", "steps", "reward"),
        "heat": svg.heat_table([name, "b"], ["a", "b"], [[9, 1], [0, 4]], "H", diagonal=True),
        "columns": svg.column_chart([name, "b"], [0.1, 0.0], "C"),
        "histogram": svg.histogram([-3.0, 1.0, 2.0], "Differences", "reward"),
    }


@pytest.mark.parametrize("kind", charts())
def test_every_chart_is_well_formed_and_described(kind: str) -> None:
    root = ElementTree.fromstring(charts()[kind])
    names = [child.tag.rpartition("}")[2] for child in root]
    assert names[:2] == ["title", "desc"]
    assert root.get("role") == "img"
    assert root[0].text
    assert root[1].text
    assert "nan" not in charts()[kind].lower()


@pytest.mark.parametrize("kind", charts())
def test_names_are_escaped(kind: str) -> None:
    image = charts('<script>alert("1")</script> & co')[kind]
    assert "<script" not in image
    ElementTree.fromstring(image)


def test_bars_are_as_long_as_their_values() -> None:
    root = ElementTree.fromstring(charts()["terms"])
    rects = [r for r in root if r.tag.endswith("rect") and len(r)]
    widths = [float(r.get("width", 0)) + 0.8 for r in rects]
    assert [r[0].text for r in rects] == ["sales: +5", "cost: -2", "sales: +3", "cost: -4"]
    unit = widths[0] / 5
    assert widths == pytest.approx([5 * unit, 2 * unit, 3 * unit, 4 * unit], abs=0.05)


def test_a_dot_stands_within_its_interval() -> None:
    root = ElementTree.fromstring(charts()["intervals"])
    dots = [float(c.get("cx", 0)) for c in root if c.tag.endswith("circle")]
    assert len(dots) == 2
    assert dots[1] < dots[0]
    whiskers = [p.get("d", "") for p in root if p.tag.endswith("path")]
    assert len(whiskers) == 1  # the row without an interval has a dot alone
    low, high = (float(v) for v in whiskers[0][1:].split("M")[0].replace("H", " ").split()[::2])
    assert low < dots[0] < high


def test_labels_tell_apart_what_the_axis_does() -> None:
    near = [svg.Interval("a", 32.19, 31.84, 32.55), svg.Interval("b", 32.35, 31.97, 32.73)]
    chart = svg.interval_plot(near, "served", "rides")
    assert ">32.19<" in chart
    assert "b 32.35 [31.97, 32.73]" in chart
    far = [svg.Interval("a", 10_974, 10_898, 11_044), svg.Interval("b", 12_014, 11_957, 12_072)]
    assert ">10,974<" in svg.interval_plot(far, "profit", "profit")
    alone = svg.interval_plot([svg.Interval("a", 500, 500, 500)], "return", "return")
    assert ">500<" in alone


def test_light_and_dark_are_the_readers_choice() -> None:
    for image in charts().values():
        assert "prefers-color-scheme:dark" in image


def test_nothing_to_draw_is_still_a_chart() -> None:
    for image in (
        svg.interval_plot([], "none", "x"),
        svg.line_chart([], "none", "x", "y"),
        svg.histogram([], "none", "x"),
        svg.histogram([0.0, 0.0], "flat", "x"),
        svg.column_chart([], [], "none"),
        svg.line_chart([svg.Series("one", [1], [2])], "one point", "x", "y"),
    ):
        ElementTree.fromstring(image)

"""The charts of a search are sound SVG and show what they were given."""

import re
from xml.etree import ElementTree

import numpy as np

from compagnon.reporting.svg_trials import Dimension, Dot, history_chart, parallel_chart

SVG = "{http://www.w3.org/2000/svg}"


def test_history_shows_each_trial_and_the_best_so_far():
    dots = [Dot(0, 1.0, True, "a < b"), Dot(1, 3.0, True), Dot(2, 2.0, False), Dot(4, 4.0, True)]
    tree = ElementTree.fromstring(history_chart(dots, 2.5, "history", "return"))
    circles = tree.findall(f".//{SVG}circle")
    assert len(circles) == 4
    assert [one.get("fill") for one in circles].count("var(--paper)") == 1
    (line,) = [one for one in tree.iter(f"{SVG}path") if one.get("stroke") == "var(--c2)"]
    steps = re.findall(r"[\d.]+ [\d.]+", line.get("d"))
    assert len(steps) == 6  # up at 1 and at 4, and on to the last
    heights = [float(step.split()[1]) for step in steps]
    assert heights == sorted(heights, reverse=True)
    assert "4 trials, 3 came to their end, the best at 4" in tree.find(f"{SVG}desc").text


def test_a_value_that_is_no_number_is_left_out_and_nothing_is_drawn_of_nothing():
    tree = ElementTree.fromstring(history_chart([Dot(0, np.nan, True)], None, "h", "y"))
    assert tree.findall(f".//{SVG}circle") == []
    ElementTree.fromstring(history_chart([], None, "h", "y"))
    ElementTree.fromstring(parallel_chart([Dimension("return", [])], "p"))


def test_parallel_coordinates_have_a_line_a_trial_and_the_best_on_top():
    chart = parallel_chart(
        [
            Dimension("rate", [1e-4, 1e-2, 1e-3], log=True),
            Dimension("hidden", [0, 1, np.nan], ["[8]", "[16]"]),
            Dimension("return", [1.0, 2.0, 3.0]),
        ],
        "parallel",
        best=1,
    )
    tree = ElementTree.fromstring(chart)
    paths = list(tree.iter(f"{SVG}path"))
    assert len(paths) == 3  # the trial without a place on every axis is left out; the best, twice
    assert paths[-1].get("stroke") == "var(--c1)"
    texts = [text.text for text in tree.iter(f"{SVG}text")]
    for said in ("rate", "hidden", "return", "[8]", "[16]", "0.0001", "0.01", "0.001"):
        assert said in texts
    low, high = (float(re.findall(r" ([\d.]+)", path.get("d"))[0]) for path in paths[:2])
    assert (low, high) == (300.0, 46.0)  # the lowest rate at the foot, the highest at the top

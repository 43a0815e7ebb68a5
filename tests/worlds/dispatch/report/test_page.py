"""The dispatch part of a report: figures that add up, a bound nobody beats, a map that moves."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.evaluation.evaluate import Evaluation, evaluate
from compagnon.evaluation.statistics import Estimate
from compagnon.policy import Schema, load_policy
from compagnon.reporting.report import render_report
from compagnon.worlds import find_world
from compagnon.worlds.dispatch import DISPATCH, plans, running_days
from compagnon.worlds.dispatch.report.page import _difference, _tone, report_part
from compagnon.worlds.dispatch.report.replay import record, to_html, where
from compagnon.worlds.dispatch.report.scorecard import CARD, cheapest_days, scorecard
from compagnon.worlds.dispatch.vector import DispatchVectorEnv
from compagnon.worlds.workshop import WORKSHOP
from tests.worlds.dispatch.worlds import plane_day

NAMES = ["expert:dispatch-regret:3", "expert:dispatch-nearest"]
CLINIC = {"preset": "clinic-day"}
# The small day of the clairvoyant's own tests: the two drivers stand at the two doors.
PLACES = [(0, 0), (5, 0), (40, 0), (45, 0)]
TIME = {"pickup_from": 60.0, "pickup_to": 80.0}
RIDES = [{"pickup": 0, "dropoff": 1, **TIME}, {"pickup": 2, "dropoff": 3, **TIME}]
DRIVERS = [{"start": 2, "end": 2}, {"start": 0, "end": 0}]


@pytest.fixture(scope="module")
def found() -> Evaluation:
    return evaluate(NAMES, DISPATCH, CLINIC, episodes=6)


def policies(env_args: dict[str, object], names: list[str] = NAMES) -> list[object]:
    schema = Schema.of(BatchEnv(DISPATCH, env_args, 1))
    return [load_policy(name, schema) for name in names]


def test_parts_add_up_and_differences_are_paired(found: Evaluation) -> None:
    card = scorecard(found)
    total, *parts = card["Cost of the day"]
    for k, score in enumerate(found.scores):
        assert sum(line.values[k].mean for line in parts) == pytest.approx(total.values[k].mean)
        assert total.values[k].mean == pytest.approx(-score.mean)
    assert total.differences[0].mean == pytest.approx(-found.paired[0].mean)
    low, high = total.differences[0].ci95
    assert (low, high) == pytest.approx((-found.paired[0].ci95[1], -found.paired[0].ci95[0]))


def test_the_card_has_every_figure_of_the_world_and_none_that_sums_them_up() -> None:
    shown = [figure.kpi for figures in CARD.values() for figure in figures]
    assert len(shown) == len(set(shown))
    assert set(DispatchVectorEnv.kpi_names) - {"decisions"} == set(shown)


def test_another_environment_has_no_card() -> None:
    week = evaluate(["random"], WORKSHOP, {}, episodes=1)
    assert find_world(week.env).report_part(week) is None
    with pytest.raises(InputError, match=WORKSHOP):
        scorecard(week)


def test_good_and_bad_are_marked_only_where_it_is_sure() -> None:
    sure, unsure = Estimate(-3.0, (-5.0, -1.0)), Estimate(-3.0, (-7.0, 1.0))
    assert _tone(sure, "less") == "good"
    assert _tone(sure, "more") == "bad"
    assert _tone(unsure, "less") == _tone(sure, "") == ""
    assert _tone(Estimate(1.0, (float("nan"), float("nan"))), "less") == ""
    assert _difference(Estimate(0.0, (0.0, 0.0)), ".1f") == "the same"


def test_the_page_needs_nothing_else_and_holds_the_figures(found: Evaluation) -> None:
    part = report_part(found, policies(CLINIC), times=False)
    page = render_report("Dispatch", found, part=part)
    assert not re.search(r'(src|href)="|url\(|@import|https?://(?!www\.w3\.org)', page)
    for line in scorecard(found)["Cost of the day"]:
        assert f"{line.values[0].mean:,.1f}" in page
    assert "no clairvoyant bound" in page
    assert page.count('<g class="driver"') == 2 * 4
    assert report_part(found) is not None
    assert '<div class="replay">' not in str(report_part(found))


# -- the map ------------------------------------------------------------------------------------


def test_a_recording_shows_the_day_as_it_went(found: Evaluation) -> None:
    recorded = record(policies(CLINIC)[0], CLINIC, found.seed)
    frames, kpis = recorded.frames, found.scores[0].results.kpis
    minutes = [frame.minute for frame in frames]
    assert (np.diff(minutes) > 0).all()
    served = [frame.served for frame in frames]
    assert served[0] == 0
    assert (np.diff(served) >= 0).all()
    assert (np.diff([frame.cost for frame in frames]) >= -1e-9).all()
    assert abs(served[-1] - kpis["served"][0]) <= 1  # somebody who is not there is found out later
    assert frames[-1].cost == pytest.approx(kpis["cost"][0])
    assert set(frames[0].places) <= {"l", "o", "p"}
    for frame in frames:
        assert frame.places.count("s") + frame.places.count("L") == frame.served
        assert frame.places.count("r") == frame.lost
        assert frame.drivers.shape == (4, 2)
        assert len(frame.routes) == 4
    moved = np.abs(frames[-1].drivers - frames[0].drivers).max()
    assert max(np.abs(f.drivers - frames[0].drivers).max() for f in frames) > max(5.0, moved / 2)


def test_where_a_driver_is_by_hand() -> None:
    world = BatchEnv(DISPATCH, CLINIC, 1)
    world.reset([0])
    w = running_days.RunningDays(*(array[0].copy() for array in world.vec.world))
    w.near[0], w.near[1] = (0.0, 0.0), (10.0, 20.0)
    w.state[0, plans.AT], w.state[0, plans.PHASE], w.state[0, plans.COUNT] = 0, plans.DRIVES, 2
    w.codes[0, 0, plans.NODE] = 1
    w.times[0, plans.LEFT], w.stops[0, 0, plans.START] = 600.0, 640.0
    np.testing.assert_allclose(where(w, 0, 610.0), (2.5, 5.0))
    np.testing.assert_allclose(where(w, 0, 700.0), (10.0, 20.0))  # no further than the door
    np.testing.assert_allclose(where(w, 0, 590.0), (0.0, 0.0))
    # At a door until 630, then a way of 20 minutes to be there at 660, and 5 minutes at that door.
    w.state[0, plans.PHASE], w.times[0, plans.FREE] = plans.BUSY, 630.0
    w.stops[0, 0, [plans.START, plans.LEG, plans.SERVICE]] = 660.0, 20.0, 5.0
    w.codes[0, 1, plans.NODE], w.near[2] = 2, (10.0, 30.0)
    w.stops[0, 1, [plans.START, plans.LEG]] = 675.0, 10.0
    for minute, place in (
        (610, (0, 0)), (639, (0, 0)), (650, (5, 10)), (664, (10, 20)), (670, (10, 25)),
        (999, (10, 30)),
    ):  # fmt: skip
        np.testing.assert_allclose(where(w, 0, minute), place)


def test_a_name_cannot_break_out_of_the_page() -> None:
    recorded = record(policies(CLINIC)[1], CLINIC, 5)
    evil = type(recorded)("</script><script>alert(1)", *list(vars(recorded).values())[1:])
    html = str(to_html([evil], "<b>"))
    assert "<script>alert" not in html
    assert "<b>" not in html
    data = re.search(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)
    assert data is not None
    days = json.loads(data[1])
    assert len(days[0]["t"]) == len(recorded.frames) == len(days[0]["d"])


# -- the bound ----------------------------------------------------------------------------------


def test_nobody_is_cheaper_than_the_bound(tmp_path: Path) -> None:
    plane_day(RIDES, DRIVERS, PLACES).save(tmp_path / "day.json")
    days = {"days": str(tmp_path)}
    cheapest = cheapest_days(days, [0])
    # Each driver takes the ride at his door: 5 km there and 5 km back, twice, at 0.5 a km.
    assert cheapest is not None
    np.testing.assert_allclose(cheapest, [10.0])
    small = evaluate(NAMES, DISPATCH, days, episodes=1)
    for score in small.scores:
        assert score.results.kpis["cost"][0] >= cheapest[0] - 1e-9
    page = str(report_part(small))
    assert "Regret to the clairvoyant bound" in page
    assert "costs 10.0 a day" in page


def test_large_and_generated_days_have_no_bound(tmp_path: Path) -> None:
    assert cheapest_days(CLINIC, [0]) is None
    plane_day([dict(RIDES[0]) for _ in range(7)], DRIVERS, PLACES).save(tmp_path / "day.json")
    assert cheapest_days({"days": str(tmp_path)}, [0]) is None

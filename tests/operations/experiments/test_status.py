"""The status is one sentence with the next action, and says each thing only when it is so."""

import numpy as np
import pytest

from compagnon.errors import InputError
from compagnon.operations.experiments import Metric, Verdict, status_of, take_look
from tests.operations.experiments.plans import a_plan, at, some_units

WAVE = np.sin(np.arange(200.0))
SAME = some_units(10 + WAVE, 10 + WAVE[::-1])
BETTER = some_units(10 + WAVE, 11 + WAVE[::-1])
LATE = some_units(10 + WAVE, 11 + WAVE[::-1], late=(0.2, 0.35))
PLAN = a_plan()


def looked(number, units, plan=PLAN):
    return [take_look(plan, number, units, at(number))]


def test_too_early():
    found = status_of(PLAN, SAME, at(9), looked(9, SAME))
    assert (found.verdict, found.sentence) == (
        Verdict.TOO_EARLY, "too early: 9 of 14 looks, 5 days left",
    )  # fmt: skip
    hours = status_of(PLAN, SAME, at(13.5), looked(13, SAME))
    assert hours.sentence == "too early: 13 of 14 looks, 12 hours left"
    last = status_of(PLAN, SAME, at(14) - 60, looked(13, SAME))
    assert last.sentence.endswith("1 hour left")


def test_not_started():
    found = status_of(PLAN, some_units([], []), at(-3))
    assert (found.verdict, found.sentence) == (
        Verdict.NOT_STARTED, "not started: begins in 3 days",
    )  # fmt: skip


def test_a_look_is_due():
    found = status_of(PLAN, SAME, at(10), looked(9, SAME))
    assert (found.verdict, found.look) == (Verdict.LOOK_DUE, 10)
    assert found.sentence == "look 10 of 14 is due: take it"


def test_ship():
    found = status_of(PLAN, BETTER, at(8), looked(8, BETTER))
    assert (found.verdict, found.arm) == (Verdict.SHIP, "B")
    assert found.sentence == "ship: +10.0 % (7.9 to 12.1)"
    # A gain that no look has seen ships nothing, however large.
    assert status_of(PLAN, BETTER, at(8), looked(8, SAME)).verdict == Verdict.TOO_EARLY


def test_keep():
    found = status_of(PLAN, SAME, at(14), looked(14, SAME))
    assert found.verdict == Verdict.KEEP
    assert found.sentence.startswith("keep A: no gain shown in 14 looks: +0.0 % (")
    plan = a_plan(primary=Metric(name="profit", direction="down", margin=0.2))
    worse = status_of(plan, SAME, at(8), looked(8, BETTER, plan))
    assert worse.sentence == "keep A: profit worse: +10.0 % (7.9 to 12.1)"
    nothing = some_units([1.0], [2.0])
    empty = status_of(PLAN, nothing, at(14), looked(14, nothing))
    assert empty.sentence == "keep A: no units to compare by the last look"


def test_roll_back_at_any_time_and_before_a_gain():
    found = status_of(PLAN, LATE, at(3.3), looked(3, SAME))
    assert (found.verdict, found.arm) == (Verdict.ROLL_BACK, "B")
    assert found.sentence == "roll back now: late pick-ups worse than the margin"
    assert found.harm is not None
    assert found.harm.low > 0.1
    assert status_of(PLAN, LATE, at(8), looked(8, BETTER)).verdict == Verdict.ROLL_BACK


@pytest.mark.parametrize("share", [0.2, 0.25, 0.29])
def test_harm_within_the_margin_is_no_harm(share):
    within = some_units(10 + WAVE, 10 + WAVE[::-1], late=(0.2, share))
    assert status_of(PLAN, within, at(3.3), looked(3, SAME)).verdict == Verdict.TOO_EARLY


def test_a_loss_of_the_primary_metric_rolls_back_too():
    loss = some_units(10 + WAVE, 9 + WAVE[::-1])
    found = status_of(PLAN, loss, at(3.3), looked(3, SAME))
    assert found.sentence == "roll back now: profit worse than with A"


def test_a_small_arm_that_has_seen_no_rare_event_is_not_called_harmful():
    rare = Metric(name="late", direction="up")  # more of it is better, and there is little of it
    plan = a_plan(shares=(0.9, 0.1), guardrails=(rare,))
    units = some_units(np.tile(WAVE, 5)[:900], WAVE[:100])
    units.values["late"][:] = [k % 50 == 0 for k in range(900)] + [False] * 100
    _, high = units.difference("late").interval(3.5)
    assert high < 0  # which Welch's error alone would take for harm
    assert status_of(plan, units, at(0.5)).verdict == Verdict.TOO_EARLY


def test_several_arms_are_named():
    plan = a_plan(arms=("A", "B", "C"))
    units = some_units(10 + WAVE, np.concatenate([10 + WAVE, 12 + WAVE]))
    units.arms[400:] = 2
    assert status_of(plan, units, at(8), looked(8, units, plan)).sentence.startswith("ship C: +20")
    units.values["profit"][200:400] -= 3
    assert status_of(plan, units, at(8)).sentence == "roll back B now: profit worse than with A"


def test_unhealthy_comes_first():
    # As many as it takes: 52.1 % of 20,000.
    wave = np.sin(np.arange(20_000.0))
    units = some_units(wave[:9_580], 5 + wave[:10_420], late=(0.2, 0.9))
    found = status_of(PLAN, units, at(8), looked(8, BETTER))
    assert found.verdict == Verdict.UNHEALTHY
    assert found.sentence == "unhealthy: 52.1 % of units in arm B, expected 50"
    assert found.sample_ratio_p_value < 0.001


def test_units_that_do_not_count_yet_are_counted_for_health():
    wave = np.sin(np.arange(20_000.0))
    units = some_units(wave[:9_580], wave[:10_420], states=np.full(20_000, 2))
    assert status_of(PLAN, units, at(8)).verdict == Verdict.UNHEALTHY


def test_looks_of_another_plan_are_refused():
    with pytest.raises(InputError, match="another plan"):
        status_of(a_plan(salt="other"), SAME, at(9), looked(9, SAME))

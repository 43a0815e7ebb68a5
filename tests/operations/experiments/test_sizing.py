"""What traffic can tell apart: by hand, back and forth, and more of it tells more."""

import math

import numpy as np
import pytest

from compagnon.errors import InputError
from compagnon.operations.experiments import days_needed, minimum_detectable_effect
from tests.operations.experiments.plans import a_plan, a_switchback

PAST = np.tile([9.0, 11.0], 1_000)  # mean 10; with n - 1 the variance is 2000 / 1999
PAIRED = np.tile([0.0, 1.0, 0.0, 3.0], 28)  # differences 1 and 3: mean 2
PAIRS = np.repeat(np.arange(56), 2)


def test_keys_by_hand():
    # 100 keys a day; those of 13 days are complete by day 14: 650 an arm.
    found = minimum_detectable_effect(a_plan(looks=1), PAST, 20.0)
    error = math.sqrt(2000 / 1999 * (1 / 650 + 1 / 650))
    assert found.observations == 1_300
    assert found.fixed == pytest.approx(2.8016 * error, rel=2e-3)
    assert found.effect == pytest.approx(found.fixed, rel=1e-4)
    assert found.relative == pytest.approx(found.effect / 10)
    assert found.sentence == "in 14 days this traffic can tell 1.6 % apart"


def test_looks_cost_little():
    found = minimum_detectable_effect(a_plan(), PAST, 20.0)
    assert 1.01 < found.effect / found.fixed < 1.03


def test_pairs_by_hand():
    # 56 pairs in 14 days of the past, 28 of a zone by day 14; a zone's 28 are half the two zones'.
    found = minimum_detectable_effect(a_switchback(looks=1), PAIRED, 14.0, PAIRS)
    assert found.observations == 56
    error = math.sqrt(56 / 55 / 56)
    assert found.effect == pytest.approx(2.8016 * error * 2.004 / 1.960, rel=2e-3)


@pytest.mark.parametrize(
    ("plan", "values", "days", "pairs"),
    [(a_plan(), PAST, 20.0, None), (a_switchback(), PAIRED, 14.0, PAIRS)],
    ids=["sticky", "switchback"],
)
def test_the_days_needed_for_what_14_days_can_tell_are_14(plan, values, days, pairs):
    effect = minimum_detectable_effect(plan, values, days, pairs).effect
    assert days_needed(plan, values, days, effect, pairs) == pytest.approx(14.0, abs=0.1)
    assert days_needed(plan, values, days, -effect, pairs) == pytest.approx(14.0, abs=0.1)
    half = days_needed(plan, values, days, effect / 2, pairs)
    assert 48 < half < 60


def test_an_unequal_split_and_more_arms_tell_less():
    even = minimum_detectable_effect(a_plan(), PAST, 20.0).effect
    tenth = minimum_detectable_effect(a_plan(shares=(0.9, 0.1)), PAST, 20.0).effect
    assert tenth / even == pytest.approx(math.sqrt((1 / 0.9 + 1 / 0.1) / 4), rel=1e-3)
    assert minimum_detectable_effect(a_plan(arms=("A", "B", "C")), PAST, 20.0).effect > 1.2 * even
    assert minimum_detectable_effect(a_plan(), PAST, 20.0, power=0.9).effect > 1.1 * even


@pytest.mark.parametrize(
    ("values", "days", "words"),
    [
        ([1.0, 2.0, 3.0], 1.0, "give 4 or more"),
        ([1.0, math.nan, 3.0, 4.0], 1.0, "finite"),
        ([1.0, 2.0, 3.0, 4.0], 0.0, "past_days 0"),
        ([1.0, 2.0, 3.0, 4.0], 1_000.0, "0.1 units are expected"),
    ],
)
def test_a_past_that_says_nothing_is_refused(values, days, words):
    with pytest.raises(InputError, match=words):
        minimum_detectable_effect(a_plan(), values, days)


def test_a_switchback_wants_pairs_and_an_effect_is_not_0():
    with pytest.raises(InputError, match="give the pair of each past unit"):
        minimum_detectable_effect(a_switchback(), PAIRED, 14.0)
    with pytest.raises(InputError, match="other than 0"):
        days_needed(a_plan(), PAST, 20.0, 0.0)
    with pytest.raises(InputError, match="ten years"):
        days_needed(a_plan(), PAST, 20.0, 1e-6)

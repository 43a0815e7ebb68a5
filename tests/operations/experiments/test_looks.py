"""Looks: each at its time, once, with its own bound; every other one is refused."""

import math

import numpy as np
import pytest

from compagnon.errors import InputError
from compagnon.operations.experiments import Effect, Metric, read_look, take_look
from compagnon.operations.experiments.looks import look_bounds, spent_by
from tests.operations.experiments.plans import a_plan, a_switchback, at, some_units

WAVE = np.sin(np.arange(200.0))
SAME = some_units(10 + WAVE, 10 + WAVE[::-1])
BETTER = some_units(10 + WAVE, 11 + WAVE[::-1])
WORSE = some_units(10 + WAVE, 9 + WAVE[::-1])


def test_bounds_are_those_of_the_information_that_can_be_there():
    bounds = look_bounds(a_plan())
    assert bounds[0] == math.inf  # no key's window is over
    assert bounds[-1] == pytest.approx(2.102, abs=0.001)  # of 13 looks that can see something
    assert bounds[1] == pytest.approx(bounds[-1] * math.sqrt(13))
    paired = look_bounds(a_switchback())
    assert paired[1] == paired[2]  # the third sees the same pairs as the second
    assert paired[-1] == pytest.approx(2.063, abs=0.001)  # of 7


def test_a_look_decides():
    plan = a_plan()
    assert take_look(plan, 8, SAME, at(8)).decision == "go on"
    better = take_look(plan, 8, BETTER, at(8))
    assert (better.decision, better.arm) == ("ship", "B")
    assert take_look(plan, 8, WORSE, at(8)).decision == "keep"
    assert take_look(plan, 14, SAME, at(14)).decision == "keep"
    (effect,) = better.effects
    low, high = BETTER.difference("profit").interval(effect.z)
    assert (effect.low, effect.high) == (low, high)
    assert effect.words == "+10.0 % (7.9 to 12.1)"


def test_less_is_better_where_the_plan_says_so():
    plan = a_plan(primary=Metric(name="profit", direction="down"))
    assert take_look(plan, 8, WORSE, at(8)).decision == "ship"
    assert take_look(plan, 8, BETTER, at(8)).decision == "keep"


def test_a_margin_lets_no_worse_ship():
    plan = a_plan(primary=Metric(name="profit", direction="up", margin=0.9))
    assert take_look(plan, 8, SAME, at(8)).decision == "ship"
    assert take_look(plan, 8, WORSE, at(8)).decision == "go on"


def test_the_first_look_says_nothing_before_a_unit_can_be_ready():
    look = take_look(a_plan(), 1, BETTER, at(1))
    assert look.decision == "go on"
    assert (look.effects[0].low, look.effects[0].relative) == (-math.inf, None)
    assert look.effects[0].words == "+1 (interval unknown)"


def test_of_several_arms_the_best_ships():
    plan = a_plan(arms=("A", "B", "C"))
    units = some_units(10 + WAVE, np.concatenate([11 + WAVE, 12 + WAVE]))
    units.arms[400:] = 2
    look = take_look(plan, 8, units, at(8))
    assert (look.decision, look.arm) == ("ship", "C")
    assert look.effect("B").difference == pytest.approx(1.0, abs=0.01)
    assert look.effect("D") is None


def test_the_same_data_say_the_same_and_other_data_are_refused():
    plan = a_plan()
    first = take_look(plan, 8, SAME, at(8))
    assert take_look(plan, 8, SAME, at(8.5), [first]) is first
    with pytest.raises(InputError, match=r"look 8 was taken at .* with other data"):
        take_look(plan, 8, BETTER, at(8.5), [first])


def test_bounds_follow_the_units_that_came():
    plan = a_plan()
    first = take_look(plan, 8, some_units(WAVE, WAVE[::-1]), at(8))
    # A look that sees no more units has the bound of the one before, and no new chance.
    again = take_look(plan, 9, SAME, at(9), [first])
    assert again.effects[0].z == first.effects[0].z
    wave = np.sin(np.arange(225.0))
    few = take_look(plan, 9, some_units(wave, wave[::-1]), at(9), [first])
    wave = np.sin(np.arange(800.0))
    many = take_look(plan, 9, some_units(wave, wave[::-1]), at(9), [first])
    # Few new units mostly repeat what was seen: to be wrong as often, their bound lies nearer.
    assert few.effects[0].z < first.effects[0].z
    assert few.effects[0].z < many.effects[0].z
    # Looks that saw nothing new are no steps of the walk.
    later = take_look(plan, 10, some_units(wave, wave[::-1]), at(10), [first, again])
    assert later.effects[0].z == pytest.approx(
        take_look(plan, 10, some_units(wave, wave[::-1]), at(10), [first]).effects[0].z
    )
    assert spent_by(plan)[0] == 0.0
    assert spent_by(plan)[-1] == pytest.approx(0.05)


@pytest.mark.parametrize("number", [0, -1, 15, 28])
def test_a_look_that_the_plan_does_not_have_is_refused(number):
    with pytest.raises(InputError, match=f"look {number}: the plan has 14 looks"):
        take_look(a_plan(), number, SAME, at(30))


def test_a_look_out_of_its_time_is_refused():
    with pytest.raises(InputError, match="look 9 is planned for 2026-03-11T00:00:00"):
        take_look(a_plan(), 9, SAME, at(8.9))
    with pytest.raises(InputError, match="look 8 was missed; look 9 is due"):
        take_look(a_plan(), 8, SAME, at(9.1))
    assert take_look(a_plan(), 14, SAME, at(100)).number == 14


def test_after_a_decision_there_is_nothing_to_look_at():
    first = take_look(a_plan(), 8, BETTER, at(8))
    with pytest.raises(InputError, match=r"look 8 decided \(ship\)"):
        take_look(a_plan(), 9, SAME, at(9), [first])


def test_looks_of_another_plan_are_refused():
    first = take_look(a_plan(), 8, SAME, at(8))
    with pytest.raises(InputError, match="taken under another plan"):
        take_look(a_plan(alpha=0.1), 9, SAME, at(9), [first])


@pytest.mark.parametrize("number", [1, 8])
def test_a_look_reads_what_it_writes(number):
    look = take_look(a_plan(), number, BETTER, at(number))
    assert read_look(look.to_json()) == look
    with pytest.raises(InputError, match="look: "):
        read_look("{}")


def test_no_units_no_effect():
    look = take_look(a_plan(), 14, some_units([1.0], [2.0]), at(14))
    assert (look.effects, look.decision) == ((), "keep")


def test_words_without_a_share():
    effect = Effect("B", "profit", -0.51234, -1.0, 0.25, None, 2.0, 10, (5, 5), 0)
    assert effect.words == "-0.512 (-1 to 0.25)"

"""Outcomes: once each, late ones flagged, young decisions left out and never counted as zero."""

import math

import pytest

from compagnon.errors import InputError
from compagnon.store import outcomes
from compagnon.store.outcomes import LATEST, OutcomeSummary, UnknownDecision, WrongTime
from tests.store.rows import row

HOUR = 3600.0
START = 1_700_000_000.0


@pytest.fixture
def filled(store):
    """Ten decisions, an hour apart, of two arms; profit matures after two hours."""
    store.append(
        [row(i, time=START + i * HOUR, arm=("a", "b")[i % 2], experiment="x") for i in range(10)]
    )
    outcomes.define(store, "profit", 2 * HOUR)
    return store


def test_the_same_outcome_again_changes_nothing(filled):
    name = row(1).id
    first = outcomes.put(filled, name, "profit", 0.1 + 0.2, START + HOUR)
    assert first.status == "created"
    assert outcomes.put(filled, name, "profit", 0.1 + 0.2, START + 9 * HOUR) == (
        "same",
        first.outcome,
    )
    other = outcomes.put(filled, name, "profit", 0.3, START + HOUR)
    assert other == ("conflict", first.outcome)
    assert outcomes.of_decision(filled, name) == [first.outcome]
    assert outcomes.of_decision(filled, row(2).id) == []


def test_lateness_is_told_by_the_window_of_the_metric(filled):
    name = row(0).id
    assert not outcomes.put(filled, name, "profit", 1, START + 2 * HOUR).outcome.late
    assert outcomes.put(filled, row(1).id, "profit", 1, START + 3 * HOUR + 1).outcome.late
    undefined = outcomes.put(filled, name, "delay", 1, START + outcomes.MATURES_AFTER + 1)
    assert undefined.outcome.late


def test_young_decisions_are_left_out_and_missing_ones_are_not_zero(filled):
    now = START + 8 * HOUR  # decisions 0 to 6 are mature
    for number, value, after in ((0, 4.0, 1), (2, 6.0, 2), (4, 99.0, 3), (1, 5.0, 1), (8, 50.0, 0)):
        outcomes.put(filled, row(number).id, "profit", value, START + (number + after) * HOUR)
    assert outcomes.summarise(filled, "profit", now, "x") == [
        # a: 0, 2, 4, 6 are mature; 4's outcome was late, 6 has none, 8 is young.
        OutcomeSummary("a", 4, 1, 2, 1, 1, 5.0),
        OutcomeSummary("b", 3, 2, 1, 0, 2, 5.0),
    ]
    later = outcomes.summarise(filled, "profit", START + 20 * HOUR)
    assert later[0] == OutcomeSummary("a", 5, 0, 3, 1, 1, 20.0)
    early = outcomes.summarise(filled, "profit", START)
    assert early[0] == OutcomeSummary("a", 0, 5, 0, 0, 0, None)
    assert outcomes.summarise(filled, "profit", now, "another") == []


def test_many_are_recorded_together_or_not_at_all(filled):
    given = [(row(i).id, "profit", float(i)) for i in range(3)]
    with pytest.raises(UnknownDecision, match="nobody"):
        outcomes.put_many(filled, [*given, ("nobody", "profit", 1.0)], START)
    assert outcomes.of_decision(filled, row(0).id) == []
    assert [p.status for p in outcomes.put_many(filled, given, START)] == ["created"] * 3
    twice = [(row(5).id, "profit", 1.0), (row(5).id, "profit", 2.0)]
    assert [p.status for p in outcomes.put_many(filled, twice, START)] == ["created", "conflict"]


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("profit", math.nan, "finite"),
        ("profit", math.inf, "finite"),
        ("", 1.0, "characters"),
        ("x" * 201, 1.0, "characters"),
        ("a\x00b", 1.0, "characters"),
    ],
)
def test_what_is_no_outcome_is_refused(filled, name, value, word):
    with pytest.raises(InputError, match=word):
        outcomes.put(filled, row(0).id, name, value)


def test_a_window_stays_once_outcomes_were_judged_by_it(filled):
    assert outcomes.define(filled, "profit", HOUR) == HOUR
    outcomes.put(filled, row(0).id, "profit", 1.0, START)
    assert outcomes.define(filled, "profit", HOUR) == HOUR
    with pytest.raises(InputError, match="1 outcomes that were judged by a window of 3600 s"):
        outcomes.define(filled, "profit", 2 * HOUR)
    for wrong in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(InputError, match="above 0"):
            outcomes.define(filled, "delay", wrong)
    with pytest.raises(InputError, match="there are: profit"):
        outcomes.summarise(filled, "profits")


@pytest.mark.parametrize("time", [-1.0, 1e308, LATEST * 1.001, math.nan, math.inf])
def test_a_time_at_which_nothing_can_have_come_is_refused(filled, time):
    with pytest.raises(WrongTime, match="seconds since 1970"):
        outcomes.put(filled, row(1).id, "profit", 1.0, time)
    assert outcomes.of_decision(filled, row(1).id) == []
    assert outcomes.put(filled, row(1).id, "profit", 1.0, LATEST).outcome.late

"""Decisions out of the log: mature ones alone, in the arm that the plan gives, nothing as zero."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compagnon.errors import InputError
from compagnon.operations.experiments.from_log import assigned, decisions_of
from compagnon.store import outcomes, overrides
from tests.operations.experiments.plans import START, a_switchback, at
from tests.operations.experiments.simulated import HOUR, a_stored_plan, define
from tests.store.rows import row

SHOP = "shop"


def decided(plan, number, time, key, **changes):
    """A decision as the service logs it."""
    found = plan.assign(key, time)
    told = {"experiment": plan.name, "arm": found and found.arm, "unit": found and found.unit}
    return row(number, time=time, key=key, **told | changes)


def say(store, number, name, value, after):
    outcomes.put(store, row(number).id, name, value, at(number / 24) + after * HOUR)


@pytest.fixture
def plan():
    return a_stored_plan()


@pytest.fixture
def filled(store, plan):
    """Ten decisions of an experiment, an hour apart; outcomes come within two hours."""
    define(store)
    store.append([decided(plan, k, at(k / 24), f"customer {k}") for k in range(10)])
    return store


def test_it_has_what_the_log_has(filled, plan):
    say(filled, 0, "profit", 4.0, 1)
    say(filled, 0, "late", 0.0, 1)
    say(filled, 1, "profit", -2.5, 2)
    found = decisions_of(filled, plan, SHOP, at(10)).decisions
    assert found.subjects == [f"customer {k}" for k in range(10)]
    np.testing.assert_array_equal(found.at, at(0) + HOUR * np.arange(10))
    assert found.matured.all()
    assert set(found.values) == {"profit", "late"}
    np.testing.assert_array_equal(found.values["profit"][:3], [4.0, -2.5, np.nan])
    np.testing.assert_array_equal(found.values["late"][:2], [0.0, np.nan])


def test_what_is_young_is_neither_mature_nor_zero(filled, plan):
    for k in range(10):
        say(filled, k, "profit", 7.0, 0.1)
    # At the sixth hour those of the hours 0 to 4 have had two hours; 5 and 6 have not.
    found = decisions_of(filled, plan, SHOP, at(6 / 24)).decisions
    assert found.matured.tolist() == [True] * 5 + [False] * 2
    assert found.values["profit"].tolist()[:5] == [7.0] * 5
    assert np.isnan(found.values["profit"][5:]).all()
    assert np.isnan(found.values["late"]).all()


def test_the_slowest_metric_says_what_is_mature(store, plan):
    outcomes.define(store, "profit", HOUR)
    outcomes.define(store, "late", 5 * HOUR)
    store.append([decided(plan, 0, at(0), "customer 0")])
    assert not decisions_of(store, plan, SHOP, at(4.9 / 24)).decisions.matured.any()
    assert decisions_of(store, plan, SHOP, at(5 / 24)).decisions.matured.all()


def test_what_came_too_late_is_missing(filled, plan):
    say(filled, 0, "profit", 4.0, 2)
    say(filled, 1, "profit", 4.0, 2.01)
    found = decisions_of(filled, plan, SHOP, at(10)).decisions
    np.testing.assert_array_equal(found.values["profit"][:2], [4.0, np.nan])


def test_what_people_overrode_is_left_out_and_what_the_control_made_counts(filled, plan):
    arms = [plan.assign(f"customer {k}", at(0)).arm for k in range(40)]
    overrides.put(filled, row(3).id, "overridden", action=0, reason="ill")
    overrides.put(filled, row(4).id, "accepted")
    overrides.put(filled, row(5).id, "locked")
    more = [decided(plan, k, at(k / 24), f"customer {k}", mode="fallback") for k in range(20, 23)]
    filled.append(more)
    found = decisions_of(filled, plan, SHOP, at(10))
    kept = [*(k for k in range(10) if k != 3), 20, 21, 22]
    assert found.decisions.subjects == [f"customer {k}" for k in kept]
    assert found.overridden == tuple(int(arms[3] == arm) for arm in "AB")
    assert found.fallback == tuple(arms[20:23].count(arm) for arm in "AB")
    assert sum(found.fallback) == 3


def test_others_are_none_of_its_decisions(filled, plan):
    filled.append(
        [
            decided(plan, 50, at(1), "customer 0", experiment="another", arm="C"),
            decided(plan, 51, at(1), "customer 0", experiment=None, arm=None, unit=None),
            decided(plan, 52, at(1), "customer 0", application="depot", arm="C"),
        ]
    )
    assert len(decisions_of(filled, plan, SHOP, at(10)).decisions.subjects) == 10


def test_many_pages_are_one(store, plan):
    define(store)
    times = at(0) + np.arange(2345.0)
    store.append([decided(plan, k, float(times[k]), f"customer {k}") for k in range(2345)])
    outcomes.put_many(store, [(row(k).id, "profit", k / 2) for k in range(0, 2345, 7)], at(0.05))
    seen = []
    found = decisions_of(store, plan, SHOP, at(10), seen.append).decisions
    assert found.subjects == [f"customer {k}" for k in range(2345)]
    np.testing.assert_array_equal(found.values["profit"][::7], np.arange(0, 2345, 7) / 2)
    assert int(np.isfinite(found.values["profit"]).sum()) == 335
    assert seen == [1000, 2000, 2345]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"arm": "other"}, r"2 of 12 decisions of experiment pooling .* first is decision-000030 "),
        ({"arm": None}, "2 of 12 .*arm None"),
        ({"arm": "C"}, "2 of 12 .*arm 'C'"),
        ({"unit": "customer 1"}, "2 of 12 .*unit 'customer 1'"),
        ({"unit": None}, "2 of 12 .*unit None"),
        ({"key": None}, "2 of 12 "),
        ({"key": "somebody"}, "2 of 12 .*the plan gives 'somebody'"),
        ({"time": at(-1)}, "2 of 12 .*the plan gives None and None"),
        ({"time": at(14.01)}, "2 of 12 .*the plan gives None and None"),
    ],
)
def test_decisions_that_are_not_as_the_plan_assigns_are_a_fault(filled, plan, changes, words):
    for number in (30, 31):
        right = decided(plan, number, at(0.2), "customer 99")
        if changes.get("arm") == "other":
            changes = {"arm": "B" if right.arm == "A" else "A"}
        filled.append([right._replace(**changes)])
    with pytest.raises(InputError, match=words) as refused:
        decisions_of(filled, plan, SHOP, at(20))
    assert "\n" not in str(refused.value)
    # One that was replaced is checked as well.
    overrides.put(filled, row(30).id, "overridden", action=0, reason="ill")
    with pytest.raises(InputError, match="2 of 12"):
        decisions_of(filled, plan, SHOP, at(20))


def test_a_decision_logged_just_after_its_block_s_end_belongs_to_that_block(store):
    plan = a_switchback(name="pooling", guardrails=())
    define(store)
    edge = at(0.25)  # the first block's end
    early = plan.assign("north", edge - 1)
    told = {"arm": early.arm, "unit": early.unit}
    store.append([decided(plan, 0, edge + 2, "north", **told)])
    found = decisions_of(store, plan, SHOP, at(10)).decisions
    assert plan.assign("north", float(found.at[0]))[:2] == early[:2]
    # It is mature when its own time says so, not that of its block.
    young = decisions_of(store, plan, SHOP, edge + 2 * HOUR + 1).decisions
    assert not young.matured.any()
    assert decisions_of(store, plan, SHOP, edge + 2 * HOUR + 2).decisions.matured.all()
    last = plan.assign("north", at(14) - 1)
    store.append([decided(plan, 1, at(14) + 1, "north", arm=last.arm, unit=last.unit)])
    found = decisions_of(store, plan, SHOP, at(20)).decisions
    assert plan.assign("north", float(found.at[1])) == last
    # A minute later it is no delay any more.
    store.append([decided(plan, 2, edge + 60, "north", **told)])
    with pytest.raises(InputError, match=r"1 of 3 decisions .*000002 .unit 'north#0'"):
        decisions_of(store, plan, SHOP, at(20))


def test_a_metric_that_nobody_defined_is_refused(store, plan):
    with pytest.raises(InputError, match="no outcome 'profit' has come"):
        decisions_of(store, plan, SHOP, at(1))


@given(
    st.sampled_from(["sticky", "switchback"]),
    st.lists(st.tuples(st.text(max_size=5), st.floats(-2, 16)), max_size=30),
)
def test_many_are_assigned_as_one_by_one(kind, given):
    plan = a_stored_plan() if kind == "sticky" else a_switchback(name="pooling")
    keys = [key for key, _ in given]
    times = START.timestamp() + 86_400 * np.array([day for _, day in given], np.float64)
    wanted = [plan.assign(key, time) for key, time in zip(keys, times.tolist(), strict=True)]
    assert assigned(plan, keys, times) == [
        (None, None) if one is None else one[:2] for one in wanted
    ]

"""Units: one figure each, from their own decisions alone, and none that may not count yet."""

import math

import numpy as np
import pytest

from compagnon.errors import InputError
from compagnon.operations.experiments import Decisions, Metric, UnitState, units_of
from compagnon.operations.experiments.units import unit_values
from tests.operations.experiments.plans import a_plan, a_switchback, at

HOUR = 1 / 24


def decisions(rows, **changes):
    """From (subject, day, profit, matured)."""
    subjects, days, profit, matured = zip(*rows, strict=True)
    given = {
        "subjects": subjects,
        "at": np.array([at(day) for day in days]),
        "matured": np.array(matured),
        "values": {"profit": np.array(profit, float), "late": np.zeros(len(rows))},
    }
    return Decisions(**given | changes)


def by_name(units):
    return dict(
        zip(units.names, zip(units.states, units.values["profit"], strict=True), strict=True)
    )


ROWS = [
    ("ann", 0.0, 1.0, True),
    ("ann", 0.5, 3.0, True),
    ("ann", 1.0, 100.0, True),  # its window is over
    ("bob", 0.2, 5.0, False),
    ("cat", 1.5, 7.0, True),
    ("dan", -0.1, 9.0, True),  # before the start
    ("eve", 2.1, 9.0, True),  # after now
    ("fay", 0.1, math.nan, True),
]


def test_keys_by_hand():
    units = units_of(a_plan(), decisions(ROWS), at(2))
    found = by_name(units)
    assert found["ann"] == (UnitState.READY, 2.0)
    assert found["bob"][0] == UnitState.IMMATURE
    assert found["cat"][0] == UnitState.INCOMPLETE
    assert set(found) == {"ann", "bob", "cat", "fay"}
    assert units.left_out("profit") == {
        "incomplete": 1, "immature": 1, "unknown": 1, "without a partner": 0,
    }  # fmt: skip
    assert (units.pairs == -1).all()
    plan = a_plan()
    arms = [plan.arms[arm] for arm in units.arms]
    assert arms == [plan.assign(name, at(0)).arm for name in units.names]
    assert sum(units.counts(2)) == 4


def test_a_sum_is_of_all_or_unknown():
    rows = [*ROWS, ("gus", 0.3, 4.0, True), ("gus", 0.4, math.nan, True)]
    plan = a_plan(primary=Metric(name="profit", direction="up", aggregate="sum"))
    summed = by_name(units_of(plan, decisions(rows), at(2)))
    assert summed["ann"] == (UnitState.READY, 4.0)
    assert math.isnan(summed["gus"][1])
    assert by_name(units_of(a_plan(), decisions(rows), at(2)))["gus"][1] == 4.0


def test_a_window_that_the_end_cuts_off_never_counts():
    rows = [("ann", 12.9, 1.0, True), ("bob", 13.1, 1.0, True)]
    found = by_name(units_of(a_plan(), decisions(rows), at(30)))
    assert found["ann"][0] == UnitState.READY
    assert found["bob"][0] == UnitState.INCOMPLETE


def a_day_and_the_next(zone, profit):
    """Decisions in the middle of each of the eight blocks of two days."""
    return [(zone, (6 * block + 3) * HOUR, profit + block, True) for block in range(8)]


def test_blocks_by_hand():
    rows = [
        *a_day_and_the_next("north", 10),
        ("north", 0.5 * HOUR, 1e9, True),  # burn-in
        ("north", 2.0 * HOUR, 20.0, True),
    ]
    plan = a_switchback()
    units = units_of(plan, decisions(rows), at(2))
    found = by_name(units)
    assert found["north#0"] == (UnitState.READY, 15.0)
    assert found["north#7"] == (UnitState.READY, 17.0)
    assert len(units.names) == 8
    for name, arm in zip(units.names, units.arms, strict=True):
        block = int(name.partition("#")[2])
        assert plan.arms[arm] == plan.assign("north", at(block / 4)).arm
    gap = units.difference("profit")
    # The next day's block is worth 4 more; block 0 is 15 where it would have been 10.
    assert sorted(abs(gap.treated - gap.control)) == [1.0, 4.0, 4.0, 4.0]
    assert gap.paired


def test_pairs_of_zones_are_kept_apart_and_half_pairs_left_out():
    rows = [
        *a_day_and_the_next("north", 10),
        *a_day_and_the_next("south", 1_000),
        *a_day_and_the_next("west", 50)[:6],  # two pairs, and two blocks without a partner
    ]
    units = units_of(a_switchback(), decisions(rows), at(2))
    gap = units.difference("profit")
    assert gap.units == (10, 10)
    assert (np.abs(gap.treated - gap.control) == 4).all()
    assert units.left_out("profit")["without a partner"] == 2
    # Before a block is over it does not count, nor does its partner.
    early = units_of(a_switchback(), decisions(rows), at(1.9))
    assert early.difference("profit").units == (8, 8)
    assert early.left_out("profit")["incomplete"] == 2


def test_the_order_of_the_log_changes_nothing():
    rows = [*a_day_and_the_next("north", 10), *a_day_and_the_next("south", 3)]
    one = units_of(a_switchback(), decisions(rows), at(2))
    other = units_of(a_switchback(), decisions(rows[::-1]), at(2))
    assert one.sha256() == other.sha256()
    rng = np.random.default_rng(0)
    many = [(f"key {k % 5}", 0.1, x, True) for k, x in enumerate(rng.normal(0, 1e3, 500))]
    shuffled = [many[k] for k in rng.permutation(len(many))]
    hashes = {units_of(a_plan(), decisions(one), at(2)).sha256() for one in (many, shuffled)}
    assert len(hashes) == 1
    changed = [*rows[:-1], ("south", rows[-1][1], 0.5, True)]
    assert units_of(a_switchback(), decisions(changed), at(2)).sha256() != one.sha256()
    waiting = [*rows[:-1], (*rows[-1][:3], False)]
    assert units_of(a_switchback(), decisions(waiting), at(2)).sha256() != one.sha256()


def test_ten_decisions_of_a_key_are_one_observation():
    rows = [(f"key {k}", 0.1, k, True) for k in range(40)]
    once = units_of(a_plan(), decisions(rows), at(2)).difference("profit")
    often = units_of(a_plan(), decisions(rows * 10), at(2)).difference("profit")
    assert often.interval() == pytest.approx(once.interval())
    assert often.units == once.units


def test_nothing_logged_is_no_unit():
    empty = Decisions(
        [], np.zeros(0), np.zeros(0, bool), {k: np.zeros(0) for k in ("profit", "late")}
    )
    for plan in (a_plan(), a_switchback()):
        units = units_of(plan, empty, at(2))
        assert units.names == ()
        assert not units.difference("profit").known


def test_what_is_missing_is_named():
    with pytest.raises(InputError, match="metric 'late' is missing; there are profit"):
        units_of(a_plan(), decisions(ROWS, values={"profit": np.zeros(len(ROWS))}), at(2))
    with pytest.raises(InputError, match="matured: 1 rows, and subjects has 8"):
        decisions(ROWS, matured=np.array([True]))
    with pytest.raises(InputError, match="no metric 'speed'"):
        units_of(a_plan(), decisions(ROWS), at(2)).difference("speed")


def test_unit_values_by_hand():
    values, unit = [1.0, 2.0, math.nan, 5.0], np.array([0, 0, 1, 2])
    mean = unit_values(values, unit, 4, Metric(name="x", direction="up"))
    np.testing.assert_array_equal(mean, [1.5, math.nan, 5.0, math.nan])

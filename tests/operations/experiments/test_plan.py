"""A plan: any change is another hash, it reads what it writes, and what cannot work is refused."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compagnon.errors import InputError
from compagnon.operations.experiments.plan import (
    Metric,
    Sticky,
    Switchback,
    parse_plan,
    read_plan,
)
from tests.operations.experiments.plans import START, a_plan, a_switchback, at

CHANGES = [
    {"name": "later"},
    {"arms": ("B", "A")},
    {"arms": ("A", "B", "C")},
    {"unit": Sticky(window_hours=12)},
    {"unit": Switchback(block_hours=6)},
    {"unit": Switchback(block_hours=6, burn_in_hours=1)},
    {"unit": Switchback(block_hours=6, pair_lag=4)},
    {"starts_at": START + timedelta(seconds=1)},
    {"days": 28.0},
    {"primary": Metric(name="profit", direction="down")},
    {"primary": Metric(name="profit", direction="up", margin=0.1)},
    {"primary": Metric(name="profit", direction="up", aggregate="sum")},
    {"primary": Metric(name="profit", direction="up", label="gain")},
    {"guardrails": ()},
    {"looks": 7},
    {"looks": (7.0, 14.0)},
    {"shares": (0.9, 0.1)},
    {"maturity_hours": 3.0},
    {"alpha": 0.01},
    {"expected_units": 999},
    {"salt": "other"},
]


def test_every_change_is_another_hash():
    hashes = [a_plan(**change).sha256() for change in [{}, *CHANGES]]
    assert len(set(hashes)) == len(hashes)


def test_the_same_plan_in_other_words_has_the_same_hash():
    paris = timezone(timedelta(hours=1))
    same = a_plan(
        days=14,
        looks=tuple(float(day) for day in range(1, 15)),
        shares=[0.5, 0.5],
        arms=["A", "B"],
        starts_at=datetime(2026, 3, 2, 1, tzinfo=paris),
        unit=Sticky(window_hours=24.0),
    )
    assert same.sha256() == a_plan().sha256()
    assert same == a_plan()


@pytest.mark.parametrize("change", [{}, *CHANGES])
def test_it_reads_what_it_writes(change):
    plan = a_plan(**change)
    again = read_plan(plan.to_json())
    assert again == plan
    assert again.sha256() == plan.sha256()


def test_its_json_is_canonical():
    text = a_plan().to_json()
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    assert '"looks":[1.0,2.0,' in text
    assert '"starts_at":"2026-03-02T00:00:00+00:00"' in text


REFUSED = [
    ({"unit": Sticky(window_hours=400)}, "a key's window takes 400 h, longer than the exper"),
    ({"unit": Switchback(block_hours=170)}, "a pair of blocks takes 340 h, longer than"),
    ({"arms": ("A",)}, "arms: 1 given; an experiment compares 2 or more"),
    ({"arms": ("A", "A")}, "each a name of its own"),
    ({"looks": (7.0, 15.0)}, "looks: day 15 is outside of the experiment's time"),
    ({"looks": (0.0, 14.0)}, "looks: day 0 is outside"),
    ({"looks": (7.0, 7.0)}, "each should be later"),
    ({"looks": ()}, "give 1 to 400"),
    ({"looks": 401}, "give 1 to 400"),
    ({"looks": (0.5,)}, "no unit is complete and matured by the last, day 0.5"),
    ({"guardrails": (Metric(name="profit", direction="down"),)}, "contrary direction 'down'"),
    ({"guardrails": (Metric(name="profit", direction="up"),)}, "guarded anyway"),
    ({"guardrails": (Metric(name="x", direction="up"),) * 2}, "x stands there twice"),
    ({"shares": (0.5, 0.6)}, "their sum is 1.1"),
    ({"shares": (0.0, 1.0)}, "each be above 0"),
    ({"shares": (0.2, 0.3, 0.5)}, "3 for 2 arms"),
    ({"unit": Switchback(block_hours=6), "shares": (0.9, 0.1)}, "a switchback gives each of two"),
    ({"unit": Switchback(block_hours=6), "arms": ("A", "B", "C")}, "a switchback gives each"),
    ({"starts_at": datetime(2026, 3, 2)}, "add its time zone"),
    ({"starts_at": datetime(9999, 12, 31, tzinfo=UTC)}, "give a year from 2000 to 2200"),
    ({"days": 4_000}, "days 4000: give at most 3650"),
    ({"alpha": 0.0}, "alpha 0: give a probability"),
    ({"days": float("nan")}, "days nan"),
    ({"salt": ""}, "salt: is empty"),
    ({"maturity_hours": -1.0}, "maturity_hours -1"),
    ({"expected_units": 1.5}, "expected_units 1.5: give a whole number"),
]


@pytest.mark.parametrize(("change", "words"), REFUSED)
def test_what_cannot_work_is_refused_in_one_sentence(change, words):
    with pytest.raises(InputError) as refused:
        a_plan(**change)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("burn_in", [6, 7, -1])
def test_a_burn_in_as_long_as_a_block_is_refused(burn_in):
    with pytest.raises(InputError, match="less than a block of 6 h"):
        Switchback(block_hours=6, burn_in_hours=burn_in)
    assert Switchback(block_hours=6, burn_in_hours=5).burn_in_hours == 5.0


def test_parts_of_a_plan_are_checked_too():
    with pytest.raises(InputError, match="pair_lag 0"):
        Switchback(block_hours=6, pair_lag=0)
    with pytest.raises(InputError, match="window_hours 0"):
        Sticky(window_hours=0)
    for wrong in ({"direction": "sideways"}, {"margin": -1.0}, {"aggregate": "max"}, {"name": ""}):
        with pytest.raises(InputError):
            Metric(**{"name": "x", "direction": "up"} | wrong)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"wings": 2}, "plan.toml: the key wings is unknown"),
        ({"unit": {"kind": "sticky"}}, "the key unit.window_hours is missing"),
        ({"unit": {"kind": "wheel"}}, "unit: "),
        ({"days": "x"}, "days: Input should be a valid number"),
        ({"unit": {"kind": "switchback", "block_hours": 2, "burn_in_hours": 2}}, "less than a bl"),
        ({"arms": ["A"]}, "arms: 1 given"),
    ],
)
def test_a_file_that_is_wrong_says_where(change, words):
    tree = json.loads(a_plan().to_json()) | change
    with pytest.raises(InputError) as refused:
        parse_plan(tree, "plan.toml")
    assert words in str(refused.value)
    with pytest.raises(InputError, match="not JSON"):
        read_plan("{")


def test_a_decision_finds_its_arm():
    plan = a_plan()
    assigned = plan.assign("customer 7", at(3))
    assert assigned == plan.assign("customer 7", at(13.9))
    assert assigned is not None
    assert (assigned.unit, assigned.counts) == ("customer 7", True)
    assert plan.assign("customer 7", at(-0.01)) is None
    assert plan.assign("customer 7", at(14)) is None


@given(st.integers(0, 55), st.floats(0, 5.99))
def test_a_zone_keeps_its_arm_for_a_block(block, hours):
    plan = a_switchback()
    begin = plan.assign("north", at(block / 4))
    here = plan.assign("north", at((6 * block + hours) / 24))
    assert begin is not None
    assert here is not None
    assert here.unit == begin.unit == f"north#{block}"
    assert here.arm == begin.arm
    assert here.counts == (hours >= 1.0 or abs(hours - 1) < 1e-6)
    partner = plan.assign("north", at((block + (4 if block % 8 < 4 else -4)) / 4))
    assert partner is not None
    assert partner.arm != begin.arm


def test_information_is_counted_in_units_that_can_be_ready():
    # A key's window is a day: after two days those of the first day are known, one day of 13.
    assert a_plan().fractions == pytest.approx([k / 13 for k in range(14)])
    late = a_plan(maturity_hours=24, looks=14)
    assert late.look_days[0] == 2.0
    assert late.look_days[-1] == 15.0
    assert late.fractions == pytest.approx([k / 13 for k in range(14)])
    # Of pairs that lie a day apart, those of every second day are whole.
    pairs = [0, 4, 4, 8, 8, 12, 12, 16, 16, 20, 20, 24, 24, 28]
    assert a_switchback().fractions == pytest.approx([pair / 28 for pair in pairs])


def test_looks_pass_by():
    plan = a_plan(looks=(2.0, 7.0, 14.0))
    assert [plan.looks_passed(at(day)) for day in (-1, 1.9, 2, 7.5, 30)] == [0, 0, 1, 2, 3]
    assert plan.look_at(2) == datetime(2026, 3, 9, tzinfo=UTC)


def test_a_plan_does_not_change():
    plan = a_plan()
    with pytest.raises(AttributeError):
        plan.days = 20  # type: ignore[misc]
    assert replace(plan, salt="other").sha256() != plan.sha256()
    assert a_plan(arms=("A", "B", "C")).alpha_each == 0.025

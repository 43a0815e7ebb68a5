"""What can be told apart, from a log or a slice: the past in the units of the plan."""

import numpy as np
import pytest

from compagnon.errors import InputError
from compagnon.operations import slices
from compagnon.operations.experiments import minimum_detectable_effect, past
from compagnon.store import outcomes, overrides
from compagnon.store.tables import decisions
from tests.operations.experiments.plans import a_switchback, at
from tests.operations.experiments.simulated import HOUR, a_stored_plan, define, play
from tests.store.rows import row


def sized(store, plan, day=0.0):
    return past.detectable(plan, past.past_of_log(store, plan, "shop", at(day)))


def test_sticky_units_of_the_past(store):
    """20 days of 30 keys a day, each with one decision; those of the last half day are open."""
    plan = a_stored_plan()
    play(store, plan, days=0, before=20)
    found = past.past_of_log(store, plan, "shop", at(-0.5))
    until = at(-0.5) - 2 * HOUR
    assert found.until == until
    assert (found.decisions.at <= until).all()
    complete = found.decisions.at + 12 * HOUR <= until
    # The past is cut into whole hours that end at `until`: nothing before them counts.
    days = (until - found.decisions.at.min()) // HOUR / 24
    inside = complete & (found.decisions.at >= until - 86_400 * days)
    wanted = minimum_detectable_effect(
        plan, found.decisions.values["profit"][inside], days - 12 / 24
    )
    assert past.detectable(plan, found) == wanted
    assert wanted.sentence.startswith("in 14 days this traffic can tell ")
    assert 0.5 < wanted.effect < 3


def test_blocks_of_the_past_lie_at_the_hours_of_the_plan(store):
    plan = a_switchback(name="pooling", guardrails=())
    define(store)
    rng = np.random.default_rng(0)
    times = at(0) - HOUR * np.arange(1, 24 * 9)
    store.append([row(k, time=t, key="north", arm=None) for k, t in enumerate(times.tolist())])
    # In hours 0 to 6 of each day the profit is another one; pairs take that out.
    night = (times - at(-100)) % 86_400 < 6 * HOUR
    values = 20 + 100 * night + rng.normal(0, 1, len(times))
    came = [
        outcomes.Given(row(k).id, "profit", float(values[k]), float(times[k]))
        for k in range(len(times))
    ]
    outcomes.put_each(store, came)
    found = sized(store, plan, 2 / 24)
    assert found.observations == 28  # of 4 pairs in two days, 14 days
    assert found.effect < 1.0  # the spread within pairs, not that of the hours
    late = sized(store, plan, -0.3)  # what is left of the last pairs is left out
    assert late.observations == 28


def test_the_past_is_nobody_s_experiment_and_nothing_replaced(store):
    plan = a_stored_plan()
    play(store, plan, days=3, before=2, keys=10)
    with store.write() as connection:
        connection.execute(
            decisions.update().where(decisions.c.id == row(1).id).values(mode="fallback")
        )
    overrides.put(store, row(2).id, "overridden", action=4, reason="ill")
    found = past.past_of_log(store, plan, "shop", at(5)).decisions
    assert found.subjects == [f"customer {k}" for k in range(20) if k not in (1, 2)]
    content = slices.collect(store, ["profit"], application="shop", now=at(9))
    sliced = past.past_of_slice(content, plan).decisions
    assert sliced.subjects == [f"customer {k}" for k in range(20) if k not in (1, 2)]


def test_a_slice_says_the_same_as_the_log(store):
    plan = a_stored_plan()
    play(store, plan, days=0, before=20)
    content = slices.collect(store, ["late", "profit"], application="shop", now=at(0))
    assert past.detectable(plan, past.past_of_slice(content, plan)) == sized(store, plan)


def test_only_the_last_weeks_count(store):
    plan = a_stored_plan()
    play(store, plan, days=0, before=40, keys=5)
    found = past.past_of_log(store, plan, "shop", at(0))
    assert len(found.decisions.subjects) == 28 * 5


@pytest.mark.parametrize(
    ("fill", "words"),
    [
        (lambda s, plan: define(s), "past: 0 mature decisions with a key .* fill 12 h at least"),
        (
            lambda s, plan: play(s, plan, days=0, before=0.4),
            "past: 10 mature .* fill 12 h at least",
        ),
        (lambda s, plan: play(s, plan, days=0, before=3, keys=1), "3 units or pairs; give 4"),
        (lambda s, plan: None, "no outcome 'profit' has come"),
    ],
)
def test_a_past_that_says_nothing_is_one_sentence(store, fill, words):
    plan = a_stored_plan()
    fill(store, plan)
    with pytest.raises(InputError, match=words) as refused:
        sized(store, plan)
    assert "\n" not in str(refused.value)


def test_a_slice_without_the_metric_is_refused(store):
    plan = a_stored_plan()
    play(store, plan, days=0, before=2)
    content = slices.collect(store, ["late"], application="shop", now=at(0))
    with pytest.raises(InputError, match="no outcome 'profit', the plan's primary metric; it has"):
        past.past_of_slice(content, plan)

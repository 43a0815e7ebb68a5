"""A slice holds what is mature, whole episodes alone, and nothing that came too late as a value."""

import numpy as np
import pytest

from compagnon.errors import InputError
from compagnon.operations.slices import collect
from compagnon.store import outcomes, overrides
from tests.store.rows import row

HOUR = 3600.0
START = 1_700_000_000.0


@pytest.fixture
def filled(store):
    """Ten decisions, an hour apart, in episodes of two; profit matures after two hours."""
    store.append(
        [
            row(k, time=START + k * HOUR, episode=f"day-{k // 2}", arm="ab"[k // 2 % 2], unit="u")
            for k in range(10)
        ]
    )
    outcomes.define(store, "profit", 2 * HOUR)
    outcomes.define(store, "late", HOUR)
    return store


def say(store, number, name, value, after):
    outcomes.put(store, row(number).id, name, value, START + (number + after) * HOUR)


def test_what_is_young_is_left_out_with_its_episode(filled):
    found = collect(filled, ["profit"], application="shop", now=START + 9 * HOUR)
    # 0 to 6 are mature, of which 6 goes on in 7.
    assert found.id == tuple(row(k).id for k in range(6))
    assert found.manifest["left_out"] == {"immature": 3, "of_cut_episodes": 1}
    assert found.manifest["until"] == START + 7 * HOUR
    whole = collect(filled, ["profit"], application="shop", now=START + 99 * HOUR)
    assert len(whole) == 10
    assert whole.manifest["left_out"] == {"immature": 0, "of_cut_episodes": 0}


def test_episodes_that_the_window_cuts_are_left_out_on_both_sides(filled):
    window = {"since": START + HOUR, "until": START + 5 * HOUR, "now": START + 99 * HOUR}
    found = collect(filled, ["profit"], application="shop", **window)
    assert found.id == (row(2).id, row(3).id)
    assert found.manifest["left_out"] == {"immature": 0, "of_cut_episodes": 2}


def test_a_missing_outcome_is_missing_and_a_late_one_is_flagged(filled):
    say(filled, 0, "profit", 4.0, 1)
    say(filled, 1, "profit", 5.0, 3)
    say(filled, 0, "late", 0.0, 0.5)
    found = collect(filled, ["late", "profit"], application="shop", now=START + 99 * HOUR)
    assert found.outcome_names == ("late", "profit")
    np.testing.assert_array_equal(found.outcomes[:2], [[0.0, 4.0], [np.nan, np.nan]])
    assert np.isnan(found.outcomes[2:]).all()
    assert found.late[1].tolist() == [False, True]
    assert found.late.sum() == 1


def test_it_has_what_the_log_has(filled):
    overrides.put(filled, row(3).id, "overridden", action=0, reason="ill")
    found = collect(filled, ["profit"], application="shop", now=START + 99 * HOUR)
    k = 3
    assert found.human == ("", "", "", "overridden", *[""] * 6)
    assert (found.key[k], found.episode[k], found.unit[k]) == (row(k).key, "day-1", "u")
    assert (found.arm[k], found.mode[k], found.experiment[k]) == ("b", "sampled", "")
    assert found.features[k].tolist() == list(range(3, 15))
    assert found.mask[k].tolist() == [True, True, False, True, True]
    assert found.probabilities[k].tolist() == [0.25, 0.25, 0.0, 0.25, 0.25]
    assert (found.action[k], found.propensity[k]) == (row(k).action, 0.25)
    assert found.time[k] == START + 3 * HOUR
    assert found.manifest["schema_sha256"] == "b" * 64


def test_many_pages_are_one_slice(store):
    store.append([row(k, time=START + k, episode=None) for k in range(2345)])
    outcomes.define(store, "profit", HOUR)
    outcomes.put_many(store, [(row(k).id, "profit", k / 2) for k in range(0, 2345, 7)], START + 9)
    found = collect(store, ["profit"], application="shop", now=START + 9999)
    assert found.id == tuple(row(k).id for k in range(2345))
    wanted = np.full(2345, np.nan)
    wanted[::7] = np.arange(0, 2345, 7) / 2
    np.testing.assert_array_equal(found.outcomes[:, 0], wanted)


@pytest.mark.parametrize(
    ("names", "options", "words"),
    [
        (["happiness"], {}, "no outcome 'happiness' has come, .* late, profit.*outcomes define"),
        ([], {}, "name at least one"),
        (["profit"], {"now": START + HOUR}, "are too young: profit may come for 2 h"),
        (["profit"], {"application": "nobody"}, "no decision of application 'nobody'"),
        (["profit"], {"since": START + 999 * HOUR}, "no decision of application 'shop'"),
    ],
)
def test_what_cannot_be_collected_is_one_sentence(filled, names, options, words):
    options = {"application": "shop", "now": START + 9999 * HOUR} | options
    with pytest.raises(InputError, match=words):
        collect(filled, names, **options)


def test_decisions_of_two_schemas_or_of_vectors_are_refused(filled):
    late = START + 20 * HOUR
    filled.append([row(20, time=late, schema_sha256="c" * 64)])
    options = {"application": "shop", "now": START + 9999 * HOUR}
    with pytest.raises(InputError, match=r"of 2 schemas \(bbbbbbbbbbbb, cccccccccccc\)"):
        collect(filled, ["profit"], **options)
    vector = np.zeros(2, "<f4").tobytes()
    filled.append([row(21, time=late + 9 * HOUR, action=None, action_vector=vector, mask=None)])
    with pytest.raises(InputError, match="the actions are vectors"):
        collect(filled, ["profit"], since=late + HOUR, **options)

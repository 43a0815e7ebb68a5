"""Draws of decisions: exact, the same for ever, never outside the mask, and fair."""

import hmac
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import chisquare

from compagnon.errors import InputError
from compagnon.policy.sampling import decision_seed, draw, draw_many, explored, uniform


@st.composite
def distributions(draw_: st.DrawFn):
    """Some probabilities and a mask that leaves at least one positive action."""
    n = draw_(st.integers(1, 12))
    weights = draw_(arrays.arrays(np.float32, n, elements=st.floats(0, 1, width=32)))
    mask = draw_(arrays.arrays(np.bool_, n))
    sure = draw_(st.integers(0, n - 1))
    mask[sure], weights[sure] = True, max(weights[sure], np.float32(1e-3))
    return weights, mask


def test_the_seed_is_the_hash_of_both_names():
    # Fixed for ever, since old logs are replayed: printf '\0\0\0\010workshopd-1' | sha256sum,
    # the first 16 digits halved.
    assert decision_seed("d-1", "workshop") == 3059342107251250327
    assert decision_seed("", "") == 8043341849765910509
    assert uniform(0) == 0.8833108082136426
    # SplitMix64's published first output for seed 0.
    assert uniform(0) == (0xE220A8397B1DCDAF >> 11) / 2**53


def test_with_a_secret_the_seed_is_its_keyed_hash():
    # printf '\\0\\0\\0\\010workshopd-1' | openssl dgst -sha256 -hmac KEY, as above; RFC 4231's
    # second case checks the keyed hash itself.
    digest = hmac.digest(b"Jefe", b"what do ya want for nothing?", "sha256").hex()
    assert digest.startswith("5bdcc146bf60754e6a042426089575c7")
    assert decision_seed("d-1", "workshop", b"k" * 32) == 1798938363648660543
    assert decision_seed("d-1", "workshop", b"l" * 32) != 1798938363648660543


def test_names_that_run_together_have_seeds_of_their_own():
    pairs = [("ab", "c"), ("b", "ca"), ("", "cab"), ("cab", ""), ("a", "bc"), ("é", "c")]
    assert len({decision_seed(*pair) for pair in pairs}) == len(pairs)


@given(st.text(max_size=40), st.text(max_size=40))
def test_seeds_fit_a_signed_64_bit_column(decision_id, application):
    assert 0 <= decision_seed(decision_id, application) < 2**63


def test_exploration_by_hand():
    p = explored(np.array([0.5, 0.25, 0.25], np.float32), np.array([True, True, False]), 0.3)
    # 0.3 / 2 + 0.7 * (2/3, 1/3)
    np.testing.assert_allclose(p, [0.15 + 1.4 / 3, 0.15 + 0.7 / 3, 0.0], rtol=1e-15)
    assert p.dtype == np.float64


@given(distributions(), st.floats(0, 1))
def test_exploration_stays_inside_the_mask_and_sums_to_one(case, epsilon):
    weights, mask = case
    p = explored(weights, mask, epsilon)
    assert np.all(p[~mask] == 0)
    assert np.all(p[mask] >= epsilon / mask.sum() * (1 - 1e-15))
    assert abs(float(sum(map(Fraction, p.tolist()))) - 1) < 1e-14


@given(distributions(), st.integers(0, 2**63 - 1), st.sampled_from([0.0, 0.05, 1.0]))
def test_what_is_masked_or_impossible_is_never_drawn(case, seed, epsilon):
    weights, mask = case
    p = explored(weights, mask, epsilon)
    action = draw(p, seed)
    assert mask[action]
    assert p[action] > 0
    assert draw(p, seed) == action


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.integers(1, 20), st.integers(1, 9))
def test_a_batch_is_drawn_row_by_row(seed, rows, actions):
    rng = np.random.default_rng(seed)
    mask = rng.random((rows, actions)) < 0.6
    mask[:, 0] = True
    weights = rng.random((rows, actions)).astype(np.float32) + np.float32(1e-3)
    seeds = rng.integers(2**63 - 1, size=rows)
    together = explored(weights, mask, 0.1)
    for row in range(rows):
        alone = explored(weights[row], mask[row], 0.1)
        assert alone.tobytes() == together[row].tobytes()
        assert draw(alone, int(seeds[row])) == draw_many(together, seeds)[row]


@given(st.floats(1e-6, 4.0))
def test_the_largest_draw_still_falls_on_an_action(total):
    # The argument of `draw`: (1 - 2^-53) * total never rounds up to total.
    assert (1 - 2.0**-53) * total < total


def test_draws_are_fair():
    p = explored(
        np.array([0.6, 0.1, 0.0, 0.25, 0.05], np.float32), np.array([1, 1, 1, 1, 0], bool), 0.05
    )
    n = 40_000
    actions = [draw(p, decision_seed(f"decision-{i}", "workshop")) for i in range(n)]
    counts = np.bincount(actions, minlength=5)
    assert counts[4] == 0
    assert chisquare(counts[:4], n * p[:4] / p[:4].sum()).pvalue > 0.001
    # And a wrong distribution is noticed: the one without exploration.
    greedy = np.array([0.6, 0.1, 1e-9, 0.25])
    assert chisquare(counts[:4], n * greedy / greedy.sum()).pvalue < 1e-9


def test_two_decisions_draw_independently():
    u = np.array([uniform(decision_seed(f"{i}", "a")) for i in range(20_000)])
    table = np.histogram2d(u[:-1:2], u[1::2], bins=5)[0]
    assert chisquare(table.ravel()).pvalue > 0.001


@pytest.mark.parametrize(
    ("weights", "mask", "epsilon", "word"),
    [
        ([0.5, 0.5], [False, False], 0.1, "no action is possible"),
        ([0.0, 1.0], [True, False], 0.1, "not all 0"),
        ([np.nan, 1.0], [True, True], 0.1, "finite"),
        ([np.inf, 1.0], [True, True], 0.1, "finite"),
        ([-0.5, 1.5], [True, True], 0.1, "finite"),
        ([0.5, 0.5], [True, True], 1.5, "from 0 to 1"),
        ([0.5, 0.5], [True, True], float("nan"), "from 0 to 1"),
    ],
)
def test_what_is_no_distribution_is_refused(weights, mask, epsilon, word):
    with pytest.raises(InputError, match=word):
        explored(np.array(weights), np.array(mask), epsilon)

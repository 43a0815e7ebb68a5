"""The arm of a unit is the same everywhere, balanced, and independent from salt to salt."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compagnon.operations.experiments.assignment import (
    block_numbers,
    in_burn_in,
    pair_numbers,
    sticky_arm,
    sticky_arms,
    switchback_arm,
    switchback_arms,
)

KEYS = [f"customer {k}" for k in range(20_000)]
STICKY = [0, 0, 0, 1, 1, 0, 1, 1, 1, 1, 0, 1]
SWITCHBACK = [1, 0, 0, 1, 1, 0, 1, 0, 0, 1, 1, 0]
MANY = 4.5  # deviations that chance does not reach: once in 150,000


def test_the_arms_are_these_for_ever():
    # Written down once: another hash would move every customer of an experiment that is under way.
    assert sticky_arms("spring", [f"k{n}" for n in range(12)]).tolist() == STICKY
    assert switchback_arms("spring", ["north"] * 12, range(12)).tolist() == SWITCHBACK


def test_another_process_finds_the_same_arms():
    code = (
        "from compagnon.operations.experiments.assignment import *\n"
        "print(sticky_arms('s', ['é', 'b', 'c' * 99], (0.2, 0.3, 0.5)).tolist(),"
        " switchback_arms('s', ['é', 'b'], [3, 1], 2).tolist())"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    here = sticky_arms("s", ["é", "b", "c" * 99], (0.2, 0.3, 0.5)).tolist()
    assert said.strip() == f"{here} {switchback_arms('s', ['é', 'b'], [3, 1], 2).tolist()}"


@given(st.text(min_size=1), st.lists(st.text(), max_size=20))
def test_many_keys_are_keys_one_by_one(salt, keys):
    shares = (0.2, 0.3, 0.5)
    assert sticky_arms(salt, keys, shares).tolist() == [sticky_arm(salt, k, shares) for k in keys]


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.1), (0.2, 0.3, 0.5)])
def test_each_arm_gets_its_share(shares):
    counts = np.bincount(sticky_arms("spring", KEYS, shares), minlength=len(shares))
    expected = len(KEYS) * np.array(shares)
    assert (np.abs(counts - expected) < MANY * np.sqrt(expected * (1 - np.array(shares)))).all()


def test_salts_are_independent():
    one, other = (sticky_arms(salt, KEYS) for salt in ("spring", "summer"))
    assert abs(np.corrcoef(one, other)[0, 1]) < MANY / np.sqrt(len(KEYS))
    assert (one == sticky_arms("spring", KEYS)).all()


def test_salt_and_key_do_not_run_together():
    keys = [f"{k}" for k in range(2_000)]
    one, other = sticky_arms("a1", keys), sticky_arms("a", [f"1{key}" for key in keys])
    assert 800 < (one == other).sum() < 1_200


@given(st.text(min_size=1), st.text(), st.integers(0, 10**6), st.integers(1, 30))
def test_of_the_two_blocks_of_a_pair_each_arm_has_one(salt, zone, group, lag):
    blocks = np.arange(group * 2 * lag, (group + 1) * 2 * lag)
    arms = switchback_arms(salt, [zone] * len(blocks), blocks, lag)
    pairs, seconds = pair_numbers(blocks, lag)
    assert (arms[:lag] + arms[lag:] == 1).all()
    assert (pairs[:lag] == pairs[lag:]).all()
    assert seconds.tolist() == [0] * lag + [1] * lag
    assert arms.tolist() == [switchback_arm(salt, zone, int(block), lag) for block in blocks]


def test_pairs_worked_out_by_hand():
    pairs, seconds = pair_numbers(range(10), lag=2)
    assert pairs.tolist() == [0, 1, 0, 1, 2, 3, 2, 3, 4, 5]
    assert seconds.tolist() == [0, 0, 1, 1, 0, 0, 1, 1, 0, 0]


def test_coins_of_pairs_zones_and_salts_are_independent():
    pairs = 5_000
    firsts = 2 * np.arange(pairs)
    coins = {
        (salt, zone): switchback_arms(salt, [zone] * pairs, firsts)
        for salt in ("s", "t")
        for zone in ("north", "south")
    }
    for coin in coins.values():
        assert abs(coin.mean() - 0.5) < MANY * 0.5 / np.sqrt(pairs)
        assert abs(np.corrcoef(coin[1:], coin[:-1])[0, 1]) < MANY / np.sqrt(pairs)
    table = np.corrcoef(np.stack(list(coins.values())))
    assert (np.abs(table[~np.eye(4, dtype=bool)]) < MANY / np.sqrt(pairs)).all()


def test_blocks_begin_at_the_start_and_each_burns_in():
    moments = [99.0, 100.0, 109.9, 110.0, 119.9, 120.0]
    assert block_numbers(moments, 100.0, 10.0).tolist() == [-1, 0, 0, 1, 1, 2]
    burning = in_burn_in([100.0, 101.9, 102.0, 110.5, 115.0], 100.0, 10.0, 2.0)
    assert burning.tolist() == [True, True, False, True, False]
    assert not in_burn_in([100.0, 110.0], 100.0, 10.0, 0.0).any()

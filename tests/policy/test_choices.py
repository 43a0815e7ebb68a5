"""No policy, greedy or sampled, ever chooses what the mask forbids."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.policy import Policy, Schema, StochasticPolicy, load_policy
from compagnon.policy.basic import sample_rows
from compagnon.worlds.workshop import WORKSHOP
from tests.policy.networks import network, schema_of

ACTIONS = 201
FULL = schema_of()
NAMES = [
    "random",
    "constant:0",
    "constant:200",
    "expert:workshop-v2",
    "expert:workshop-base-stock",
    "expert:workshop-base-stock:tight",
    "expert:workshop-over-producer",
]
POLICIES: list[Policy] = [
    *(load_policy(name, FULL) for name in NAMES),
    network(FULL),
    network(FULL, scale=100.0),
]
each_policy = pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)


def physical_obs(rng: np.random.Generator, rows: int) -> np.ndarray:
    low = np.array([field.low for field in FULL.observation.fields])
    high = np.array([field.high for field in FULL.observation.fields])
    return np.floor(rng.uniform(low, high + 1, (rows, len(low)))).astype(np.float32)


@each_policy
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.floats(0.001, 1.0), st.booleans())
def test_masks_hold_for_any_mask_and_any_state(policy, seed, density, sampled):
    rng = np.random.default_rng(seed)
    obs = physical_obs(rng, 8)
    mask = rng.random((8, ACTIONS)) < density
    mask[np.arange(8), rng.integers(ACTIONS, size=8)] = True
    actions = policy.act(obs, mask, rng if sampled else None)
    assert actions.shape == (8,)
    assert actions.dtype == np.int64
    assert mask[np.arange(8), actions].all()


@each_policy
def test_masks_hold_in_play(policy):
    env = BatchEnv(WORKSHOP, {"demand": "tight"}, 3)
    env.reset([5, 6, 7])
    rng = np.random.default_rng(0)
    for minute in range(1_500):
        actions = policy.act(env.obs, env.action_mask, rng if minute % 2 else None)
        assert env.action_mask[np.arange(3), actions].all()
        env.step(actions)


@each_policy
def test_probabilities_are_those_of_the_actions(policy):
    if not isinstance(policy, StochasticPolicy):
        pytest.skip("it does not say how likely its actions are")
    rng = np.random.default_rng(3)
    obs = physical_obs(rng, 5)
    mask = rng.random((5, ACTIONS)) < 0.3
    mask[:, 200] = True
    probabilities = policy.probabilities(obs, mask)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    assert (probabilities[~mask] == 0).all()
    if policy.name != "random":
        np.testing.assert_array_equal(probabilities.argmax(axis=1), policy.act(obs, mask))


@each_policy
def test_the_same_input_gives_the_same_answer(policy):
    obs = physical_obs(np.random.default_rng(4), 6)
    np.testing.assert_array_equal(policy.act(obs), policy.act(obs.copy()))


@each_policy
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_number_that_is_none_is_refused(policy, bad):
    obs = physical_obs(np.random.default_rng(5), 4)
    obs[2, 7] = bad
    for mask in (None, np.ones((4, ACTIONS), np.bool_)):
        with pytest.raises(InputError, match="row 2, column 7"):
            policy.act(obs, mask)


@each_policy
def test_a_mask_that_allows_nothing_is_refused(policy):
    obs = physical_obs(np.random.default_rng(6), 4)
    mask = np.ones((4, ACTIONS), np.bool_)
    mask[1] = False
    with pytest.raises(InputError, match="row 1 allows no action"):
        policy.act(obs, mask)
    with pytest.raises(InputError, match="row 1 allows no action"):
        policy.act(obs, mask, np.random.default_rng(0))


def test_sample_rows_draws_what_it_is_told():
    wanted = np.array([0.0, 0.1, 0.0, 0.25, 0.05, 0.6, 0.0])
    draws = 20_000
    counts = np.bincount(
        sample_rows(np.tile(wanted, (draws, 1)), np.random.default_rng(7)), minlength=len(wanted)
    )
    possible = wanted > 0
    assert counts[~possible].sum() == 0
    assert stats.chisquare(counts[possible], draws * wanted[possible]).pvalue > 0.001


class Extreme:
    """A generator whose draws are the ends of its range."""

    def __init__(self, value: float) -> None:
        self.value = value

    def random(self, size: int) -> np.ndarray:
        return np.full(size, self.value)


@pytest.mark.parametrize("value", [0.0, np.nextafter(1.0, 0.0)])
def test_sample_rows_at_the_ends_of_the_range(value):
    probabilities = np.random.default_rng(8).dirichlet(np.full(10, 0.1), 500)
    probabilities[:, [0, 4, 9]] = 0.0
    drawn = sample_rows(probabilities, Extreme(value))
    assert (probabilities[np.arange(500), drawn] > 0).all()


def test_a_sampled_network_follows_its_probabilities():
    policy = network(FULL)
    obs = np.repeat(physical_obs(np.random.default_rng(9), 1), 20_000, axis=0)
    mask = np.zeros((20_000, ACTIONS), np.bool_)
    mask[:, 195:] = True
    expected = policy.probabilities(obs[:1], mask[:1])[0, 195:]
    counts = np.bincount(policy.act(obs, mask, np.random.default_rng(10)) - 195, minlength=6)
    assert stats.chisquare(counts, 20_000 * expected).pvalue > 0.001


@pytest.mark.parametrize("action", ["201", "x", "", "-1", "²"])
def test_a_constant_must_be_an_action(action):
    with pytest.raises(InputError, match="constant"):
        load_policy(f"constant:{action}", FULL)


def test_vectors_are_no_place_for_discrete_policies():
    schema: Schema = schema_of("Pendulum-v1")
    with pytest.raises(InputError, match="discrete actions only"):
        load_policy("constant:0", schema)
    with pytest.raises(InputError, match="plays compagnon/Workshop-v0 only"):
        load_policy("expert:workshop-v2", schema)


def test_an_unknown_expert_is_told_which_there_are():
    with pytest.raises(InputError, match=r"'workshop-v3'; there are .*workshop-base-stock, "):
        load_policy("expert:workshop-v3", FULL)

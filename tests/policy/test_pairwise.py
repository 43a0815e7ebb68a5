"""The pairwise network does not care who stands where, nor how many there are."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.policy import Schema, load_artefact, load_policy, save_policy
from compagnon.policy.graphs import graph_of
from compagnon.policy.groups import Groups
from compagnon.policy.manifest import MatchingHead
from compagnon.policy.matched import best_matched
from compagnon.policy.pairwise import NEVER, read_board, relations
from compagnon.worlds.dispatch import DISPATCH
from tests.policy.boards import Cut, pairwise_policy, parts, schema
from tests.policy.networks import network, schema_of
from tests.policy.test_artefact import edit_manifest, edit_weights

SIZES = st.tuples(st.integers(1, 5), st.integers(1, 5))


@settings(max_examples=40, deadline=None)
@given(size=SIZES, seed=st.integers(0, 2**32 - 1), activation=st.sampled_from(["relu", "tanh"]))
def test_another_order_of_drivers_and_bookings_is_another_order_of_logits(size, seed, activation):
    rng = np.random.default_rng(seed)
    policy = pairwise_policy(activation=activation).bind(schema(*size))
    board = Cut(*size, 3, rng)
    drivers, places = rng.permutation(size[0]), rng.permutation(size[1])
    wait, pairs, reject = parts(policy.outputs(board.flat()), *size)
    moved = parts(policy.outputs(board.reordered(drivers, places).flat()), *size)
    np.testing.assert_allclose(moved[0], wait, atol=2e-5)
    np.testing.assert_allclose(moved[1], pairs[:, drivers][:, :, places], atol=2e-5)
    np.testing.assert_allclose(moved[2], reject[:, places], atol=2e-5)


@settings(max_examples=40, deadline=None)
@given(size=SIZES, more=st.tuples(st.integers(0, 3), st.integers(0, 3)), seed=st.integers(0, 999))
def test_rows_that_are_not_there_change_nothing(size, more, seed):
    drivers, places = size
    board = Cut(drivers, places, 3, np.random.default_rng(seed))
    policy = pairwise_policy(activation="tanh")
    wider = (drivers + more[0], places + more[1])
    wait, pairs, reject = parts(policy.bind(schema(*size)).outputs(board.flat()), *size)
    outputs = policy.bind(schema(*wider)).outputs(board.padded(*more).flat())
    padded = parts(outputs, *wider)
    np.testing.assert_allclose(padded[0], wait, atol=2e-5)
    np.testing.assert_allclose(padded[1][:, :drivers, :places], pairs, atol=2e-5)
    np.testing.assert_allclose(padded[2][:, :places], reject, atol=2e-5)
    assert (padded[1][:, drivers:] == 0).all()


def test_every_row_that_is_there_does_change_something():
    board = Cut(3, 4, 1, np.random.default_rng(0))
    policy = pairwise_policy(activation="tanh").bind(schema(3, 4))  # relu may not pass a change on
    before = policy.outputs(board.flat())
    for part in (board.driver[:, 2], board.place[:, 3], board.pair[:, 0, 0]):
        kept = part.copy()
        part[:, 1:] += 3.0
        board.pair[:, 0, 0, board.groups.pair.index("feasible")] = 1.0
        assert not np.allclose(policy.outputs(board.flat()), before)
        part[:] = kept


def test_relations_worked_by_hand():
    cost = np.array([[[1.0, 4.0], [2.0, NEVER]]], np.float32)
    of_driver, of_place, of_pair = relations(cost)
    # The drivers' cheapest bookings, and how much dearer the next one is.
    np.testing.assert_allclose(of_driver[0, :, :2], [[1, 3], [2, 3]])
    # The bookings' cheapest drivers, and the regret of the second and the third, who is not there.
    np.testing.assert_allclose(of_place[0, :, :3], [[1, 1, 4], [4, 1, 1]])
    # More than the booking's cheapest; less than the best other driver; the same of bookings.
    np.testing.assert_allclose(of_pair[0, 0, 0, :4], [0, 1, 0, 3])
    np.testing.assert_allclose(of_pair[0, 1, 0, :4], [1, -1, 0, 3])
    np.testing.assert_allclose(of_pair[0, 0, 1, :4], [0, 1, 3, -3])
    np.testing.assert_allclose(of_pair[0, 0, 1, 7], -3 / 3.1, rtol=1e-6)


def test_the_same_numbers_from_another_scaling_order_and_size(tmp_path):
    save_policy(pairwise_policy(3, 4), tmp_path / "p")
    board = Cut(2, 5, 4, np.random.default_rng(3))
    here = schema(2, 5)
    wanted = load_policy(str(tmp_path / "p"), here)
    assert wanted.schema.action.n == 1 + 2 * 5 + 5
    published = schema(2, 5, "published")
    divisors = np.array([field.divisor for field in published.observation.fields], np.float32)
    np.testing.assert_allclose(
        load_policy(str(tmp_path / "p"), published).outputs(board.flat() / divisors),
        wanted.outputs(board.flat()),
        atol=2e-5,
    )
    save_policy(wanted, tmp_path / "resized")  # a policy of that size is one like any other
    again = load_policy(str(tmp_path / "resized"), schema(3, 4)).bind(here)
    np.testing.assert_array_equal(again.outputs(board.flat()), wanted.outputs(board.flat()))


def test_what_does_not_fit_is_refused_with_its_name(tmp_path):
    policy = pairwise_policy(3, 4)
    with pytest.raises(InputError, match="pairs of drivers and bookings"):
        policy.bind(schema_of("CartPole-v1"))
    other = schema(3, 4)
    mixed = Schema(other.env_id, other.observation, schema(2, 4).action)
    with pytest.raises(InputError, match="discrete"):
        policy.bind(mixed)
    save_policy(policy, tmp_path / "p")
    edit_weights(tmp_path / "p", lambda w: w.update({"actor.pair.1.bias": np.zeros(3, np.float32)}))
    with pytest.raises(InputError, match=r"actor.pair.1.bias should have shape \(6,\)"):
        load_artefact(tmp_path / "p")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m["network"].update(embedding=6), "actor.driver.0.weight should have shape"),
        (lambda m: m["network"].update(hidden=[]), "network"),
        (lambda m: m.update(scaler={"kind": "standardise"}), "scaler null"),
        (lambda m: m["network"].update(kind="triplewise"), "network"),
    ],
)
def test_an_artefact_that_was_changed_is_refused(tmp_path, change, words):
    save_policy(pairwise_policy(), tmp_path / "p")
    edit_manifest(tmp_path / "p", change)
    with pytest.raises(InputError, match=words):
        load_artefact(tmp_path / "p")


def test_a_perceptron_has_no_pairs_to_match(tmp_path):
    save_policy(network(schema_of("CartPole-v1")), tmp_path / "p")
    edit_manifest(tmp_path / "p", lambda m: m.update(head={"kind": "masked_matching"}))
    with pytest.raises(InputError, match="needs a network of kind 'pairwise'"):
        load_artefact(tmp_path / "p")
    assert json.loads((tmp_path / "p" / "policy.json").read_text())["network"]["kind"] == "mlp"


def test_kinds_of_fields_can_be_chosen():
    groups = Groups.of(schema(2, 3).observation.names, "a test")
    needed = ["driver_present", "place_shown", "pair_feasible", "pair_added_cost"]
    chosen = groups.selected(["time", *needed, "driver_east"])
    assert chosen.names[:3] == ("time", "driver0_present", "driver0_east")
    assert (chosen.drivers, chosen.places) == (2, 3)
    with pytest.raises(InputError, match="driver_west"):
        groups.selected([*needed, "driver_west"])
    with pytest.raises(InputError, match="'added_cost' of each pair"):
        groups.selected(needed[:3])


# -- matching -----------------------------------------------------------------------------------


def best_by_trying(logits, mask, places):
    """The most that a batch of pairs is worth, by trying every one."""
    worth = np.where(mask[1:-places], logits[1:-places] - logits[0], 0).reshape(-1, places)
    drivers = len(worth)
    picks = [range(-1, places)] * drivers
    batches = [
        b
        for b in itertools.product(*picks)
        if len({p for p in b if p >= 0}) == sum(p >= 0 for p in b)
    ]
    totals = [sum(max(worth[d, p], 0) for d, p in enumerate(b) if p >= 0) for b in batches]
    return batches[int(np.argmax(totals))], worth


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), drivers=st.integers(1, 3), places=st.integers(1, 3))
def test_it_takes_the_best_pair_of_the_best_batch(seed, drivers, places):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(1, 1 + drivers * places + places)).astype(np.float32)
    mask = rng.random(logits.shape) < 0.7
    mask[:, 0] = True
    logits[:, -places:] -= 10  # refusals are tested below
    chosen = int(best_matched(logits, mask, places)[0])
    batch, worth = best_by_trying(logits[0], mask[0], places)
    gains = {1 + d * places + p: worth[d, p] for d, p in enumerate(batch) if p >= 0}
    gains = {action: gain for action, gain in gains.items() if gain > 0}
    assert chosen == (max(gains, key=gains.get) if gains else 0)


def test_a_matching_is_not_the_greedy_choice():
    logits = np.array([[0.0, 5.0, 4.5, 4.9, 1.0, -9.0, -9.0]], np.float32)
    mask = np.ones((1, 7), np.bool_)
    # Greedy takes (0, 0) for 5 and leaves 1; the best batch is (0, 1) and (1, 0), worth 9.4.
    assert logits.argmax() == 1
    assert best_matched(logits, mask, 2)[0] == 3
    mask[0, 3] = False
    assert best_matched(logits, mask, 2)[0] == 1
    logits[0, 5] = 7.0  # a refusal that is worth more than any pair
    assert best_matched(logits, mask, 2)[0] == 5


def test_a_policy_that_matches_draws_as_its_softmax_says():
    policy = pairwise_policy(3, 4, MatchingHead()).bind(schema(3, 4))
    plain = pairwise_policy(3, 4).bind(schema(3, 4))
    obs = Cut(3, 4, 50, np.random.default_rng(0)).flat()
    mask = np.ones((50, 17), np.bool_)
    mask[:, [0, *range(13, 17)]] = False  # something must be taken, and nothing refused
    drawn = policy.act(obs, mask, np.random.default_rng(1))
    np.testing.assert_array_equal(drawn, plain.act(obs, mask, np.random.default_rng(1)))
    matched = policy.act(obs, mask)
    assert (matched != plain.act(obs, mask)).any()
    np.testing.assert_array_equal(matched, best_matched(plain.outputs(obs), mask, 4))


def test_prices_are_compared_and_not_costs_alone():
    policy = pairwise_policy(2, 2).bind(schema(2, 2))
    for name, weight in policy.weights.items():
        weight[:] = 0.0
        if name == "actor.price.1.bias":
            weight[:] = 0.5
    groups = Groups.of(schema(2, 2).observation.names, "a test")
    graph = graph_of(policy.manifest, policy.weights)
    board = Cut(2, 2, 1, np.random.default_rng(0))
    board.pair[0, :, :, groups.pair.index("feasible")] = [[1, 1], [1, 0]]
    board.pair[0, :, :, groups.pair.index("added_cost")] = [[20, 80], [40, 0]]  # 1, 4 and 2 scaled
    scaled = policy.projection(board.flat())
    compared = graph._compared(read_board(scaled, groups, 5.0))
    np.testing.assert_allclose(compared.driver[0, :, -4:-2], [[1.5, 3.0], [2.5, 2.5]], rtol=1e-6)
    np.testing.assert_allclose(compared.place[0, :, -6:-4], [[1.5, 1.0], [4.5, 0.5]], rtol=1e-6)


def test_a_policy_of_a_small_fleet_plays_a_large_one():
    env = BatchEnv(DISPATCH, {"preset": "metro"}, 2)
    env.reset([0, 1])
    policy = pairwise_policy(3, 4).bind(Schema.of(env))
    assert policy.schema.action.n == 1 + 50 * 24 + 24
    for _ in range(5):
        action = policy.act(env.obs, env.action_mask)
        assert env.action_mask[[0, 1], action].all()
        env.step(action)

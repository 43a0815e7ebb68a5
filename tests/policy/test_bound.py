"""A policy that a person holds takes one observation or many, and says what is wrong with them."""

import numpy as np
import pytest

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.policy import Schema, load_artefact, load_policy
from compagnon.policy.bound import BoundPolicy, bind_policy, load_own
from tests.rl.small import ACTIONS, BANDIT, CONTEXTS, ECHO, network_for

MASK = np.array([True, True, False, True, False, True])


@pytest.fixture(scope="module")
def schema() -> Schema:
    return Schema.of(BatchEnv(BANDIT, {}, 1))


@pytest.fixture(scope="module")
def trained() -> BoundPolicy:
    network = network_for(BANDIT, seed=3)
    return BoundPolicy(network.as_policy("trained"), Schema.of(BatchEnv(BANDIT, {}, 1)))


def follow(obs, action_mask):
    return obs.argmax(axis=1)


class Follower:
    name = "follower"

    def act(self, obs, action_mask):
        return follow(obs, action_mask)


# -- one and many ---------------------------------------------------------------------------------


def test_one_observation_gives_one_action_and_many_give_many(trained):
    contexts = np.eye(CONTEXTS, dtype=np.float32)
    masks = np.tile(MASK, (CONTEXTS, 1))
    many = trained.act(contexts, masks)
    assert many.shape == (CONTEXTS,)
    singles = [trained.act(row, MASK) for row in contexts]
    assert all(type(action) is int for action in singles)
    assert singles == many.tolist()
    assert trained.act(contexts[0].tolist(), MASK.tolist()) == singles[0]
    assert MASK[singles].all()
    likely = trained.probabilities(contexts, masks)
    np.testing.assert_allclose(likely.sum(axis=1), 1)
    np.testing.assert_allclose(trained.probabilities(contexts[1], MASK), likely[1], rtol=1e-6)
    assert not likely[:, ~MASK].any()
    drawn = [trained.act(contexts[0], MASK, np.random.default_rng(k)) for k in range(60)]
    assert len(set(drawn)) > 1
    assert MASK[drawn].all()


def test_vectors_are_vectors():
    network = network_for(ECHO)
    policy = BoundPolicy(network.as_policy("echo"), network.schema)
    assert policy.act(np.zeros(2)).shape == (2,)
    assert policy.act(np.zeros((3, 2))).shape == (3, 2)
    np.testing.assert_array_equal(policy.act(np.zeros(2)), policy.act(np.zeros((1, 2)))[0])
    with pytest.raises(InputError, match="does not say how likely"):
        policy.probabilities(np.zeros(2))


@pytest.mark.parametrize(
    ("obs", "mask", "words"),
    [
        (np.zeros(3), MASK, r"have shape \(3,\); they should have \(4,\) or \(N, 4\)"),
        (np.zeros((2, 3)), MASK, r"have shape \(2, 3\)"),
        (np.zeros((1, 2, 4)), MASK, r"have shape \(1, 2, 4\)"),
        ({"stock": 3}, MASK, "observations should be numbers, 4 a row"),
        (np.full(4, np.nan), MASK, "row 0, column 0 is nan"),
        (np.zeros(4), None, r"give action_mask, which stands in info\['action_mask'\]"),
        (np.zeros(4), MASK[:5], r"has shape \(5,\); it should have 6 truth values"),
        (np.zeros((2, 4)), MASK, "it should have 2 rows of 6 truth values"),
        (np.zeros(4), np.zeros(6, bool), "allows no action"),
    ],
)
def test_what_is_wrong_with_the_arrays_is_said(trained, obs, mask, words):
    with pytest.raises(InputError, match=words):
        trained.act(obs, mask)


def test_where_everything_is_possible_no_mask_is_needed():
    schema = Schema.of(BatchEnv("CartPole-v1", {}, 1))
    policy = bind_policy("constant:1", schema)
    assert policy.act(np.zeros(4)) == 1
    assert policy.act(np.zeros(4), [True, False]) == 0


# -- every form -----------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [follow, Follower, Follower(), lambda obs, mask: follow(obs, 0)])
def test_rules_come_as_functions_classes_and_objects(given, schema):
    policy = bind_policy(given, schema)
    assert policy.act(np.eye(CONTEXTS), np.ones((CONTEXTS, ACTIONS), bool)).tolist() == [0, 1, 2, 3]
    assert bind_policy(policy, schema).act(np.eye(CONTEXTS)[2], np.ones(ACTIONS, bool)) == 2


def test_they_are_called_by_their_own_names(schema):
    assert bind_policy(follow, schema).name == "follow"
    assert bind_policy(Follower(), schema).name == "follower"
    assert bind_policy("random", schema).name == "random"
    assert bind_policy(lambda obs, mask: follow(obs, 0), schema, "mine").name == "mine"


def test_names_and_objects_are_the_same_policy(schema, trained):
    rows, masks = np.eye(CONTEXTS, dtype=np.float32), np.tile(MASK, (CONTEXTS, 1))
    by_name = bind_policy("random", schema)
    np.testing.assert_array_equal(
        by_name.act(rows, masks), load_policy("random", schema).act(rows, masks)
    )
    again = bind_policy(trained.policy, schema)
    np.testing.assert_array_equal(again.act(rows, masks), trained.act(rows, masks))


def test_what_is_no_policy_is_refused(schema):
    class Model:  # as those of Stable-Baselines3 look
        policy = None

        def predict(self, obs):
            return 0

    with pytest.raises(InputError, match=r"int has no method act\(obs, action_mask\)"):
        bind_policy(3, schema)
    with pytest.raises(InputError, match=r"becomes a policy by from_sb3\(model\)"):
        bind_policy(Model(), schema)
    with pytest.raises(InputError, match=r"follow: act.* one action a row"):
        bind_policy(lambda obs, mask: 0, schema, "follow").act(np.zeros(4), MASK)
    for name in ("python:Rule", "file:decisions.csv"):
        with pytest.raises(InputError, match=r"give it again there|and not played"):
            bind_policy(name, schema)


# -- on disk --------------------------------------------------------------------------------------


def test_a_trained_policy_is_saved_and_read_again(trained, tmp_path):
    folder = trained.save(tmp_path / "deep" / "policy")
    rows, masks = np.eye(CONTEXTS, dtype=np.float32), np.tile(MASK, (CONTEXTS, 1))
    read = load_own(str(folder))
    np.testing.assert_array_equal(read.act(rows, masks), trained.act(rows, masks))
    assert read.fields == trained.fields
    assert read.name == str(folder)
    trained.save(folder)  # a policy may be written over
    assert load_artefact(folder).manifest.name == "trained"


def test_nothing_else_is_written_over(trained, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "orders.csv").write_text("kept")
    with pytest.raises(InputError, match="holds something else than a policy"):
        trained.save(tmp_path / "data")
    with pytest.raises(InputError, match="is a file"):
        trained.save(tmp_path / "data" / "orders.csv")
    assert (tmp_path / "data" / "orders.csv").read_text() == "kept"


def test_a_rule_has_nothing_to_save(schema, tmp_path):
    with pytest.raises(InputError, match="follow is not a trained policy"):
        bind_policy(follow, schema).save(tmp_path / "rule")
    assert not (tmp_path / "rule").exists()


@pytest.mark.parametrize("name", ["random", "constant:0", "expert:workshop-v2"])
def test_a_rule_needs_an_environment(name):
    with pytest.raises(InputError, match="name the environment"):
        load_own(name)

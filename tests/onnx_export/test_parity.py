"""A graph that says what torch says passes; one that does not, in whatever way, is refused."""

import numpy as np
import pytest
from onnx import helper, numpy_helper

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.onnx_export.parity import check_parity
from compagnon.onnx_export.states import States, adversarial_states, real_states
from compagnon.policy import Schema
from compagnon.policy.network import network_policy
from compagnon.policy.onnx_file import open_session
from tests.policy.exports import masks, model_of
from tests.policy.networks import network, schema_of
from tests.policy.test_heads import BOX, DISCRETE, EVERY_HEAD, HEADS, obs_of


def states_of(schema, rows=200):
    mask = masks(rows, schema.action.n) if schema is DISCRETE else None
    real = States(obs_of(rows), mask)
    return real, adversarial_states(schema, real, 400, 1)


def parity_of(policy, model, real=None):
    usual, odd = states_of(policy.schema)
    session = open_session(model.SerializeToString(), "it")
    return check_parity(policy.manifest, policy.weights, session, real or usual, odd)


@EVERY_HEAD
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_true_graph_passes(schema, head, activation):
    policy = network(schema, (16, 8), head=head, activation=activation)
    found = parity_of(policy, model_of(policy))
    for kind, rows in (("real", 200), ("adversarial", 400)):
        assert found[kind]["states"] == rows
        same = sum(found[kind][name] for name in ("same_action", "near_ties", "overflowing"))
        assert same == rows
        assert found[kind]["outputs"] < 1e-5


def test_without_a_scaler_huge_observations_overflow_in_both_alike():
    bare = network(DISCRETE, (16,), activation="relu")
    policy = network_policy(bare.manifest.model_copy(update={"scaler": None}), bare.weights)
    found = parity_of(policy, model_of(policy))
    assert found["adversarial"]["overflowing"] > 10
    assert found["real"]["overflowing"] == 0


def edit(model, name, change):
    for tensor in model.graph.initializer:
        if tensor.name == name:
            changed = np.asarray(change(numpy_helper.to_array(tensor)), np.float32)
            tensor.CopyFrom(numpy_helper.from_array(changed, name))


def node(model, name):
    return next(one for one in model.graph.node if one.name == name)


def a_weight_off(model):
    edit(model, "actor.0.weight", lambda w: w * np.float32(1.0005))


def another_clip(model):
    edit(model, "scaler.high", lambda _: 9.0)


def no_mask(model):
    node(model, "best").input[0] = "outputs"


def unmasked_softmax(model):
    node(model, "softmax").input[0] = "outputs"


def leaking_softmax(model):
    node(model, "probabilities").input[2] = "leak"
    model.graph.initializer.append(numpy_helper.from_array(np.float32(1e-20), "leak"))


def worst_action(model):
    node(model, "best").op_type = "ArgMin"


def probabilities_that_are_no_numbers(model):
    model.graph.node.remove(node(model, "softmax"))
    at = list(model.graph.node).index(node(model, "probabilities"))
    model.graph.node.insert(at, helper.make_node("Log", ["never_1"], ["softmax"], name="softmax"))
    model.graph.initializer.append(
        numpy_helper.from_array(np.full((1, 5), -1, np.float32), "never_1")
    )


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (a_weight_off, "the same outputs"),
        (another_clip, "the same outputs"),
        (no_mask, "the same action"),
        (worst_action, "the same action"),
        (unmasked_softmax, "the same probabilities"),
        (leaking_softmax, "nothing of a masked action"),
        (probabilities_that_are_no_numbers, "the same probabilities"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_false_graph_is_refused(change, what):
    policy = network(DISCRETE, (16,), 3.0)
    model = model_of(policy)
    change(model)
    with pytest.raises(InputError, match=f"what torch gives: {what}.*the first is"):
        parity_of(policy, model)


def wrong_bound(model):
    edit(model, "high", lambda high: high * 0.9)


def wrong_squash(model):
    edit(model, "one_half", lambda _: 0.51)


def wrong_std(model):
    edit(model, "one_std", lambda std: std * 1.01)


@pytest.mark.parametrize(
    ("head", "change", "what"),
    [
        ("sigmoid", wrong_bound, "the same action"),
        ("sigmoid", wrong_squash, "the same action"),
        ("gaussian", wrong_std, "the same deviations"),
    ],
)
def test_a_false_vector_is_refused(head, change, what):
    policy = network(BOX, (16,), head=HEADS[head][1])
    model = model_of(policy)
    change(model)
    with pytest.raises(InputError, match=what):
        parity_of(policy, model)


def of_two_alike(second):
    """A policy of values that says 1 of two actions, and a graph that says `second` of one."""
    policy = network(DISCRETE, (16,), head=HEADS["values"][1])
    policy.weights["actor.1.weight"][:2] = 0.0
    policy.weights["actor.1.bias"][:2] = 1.0
    other = network_policy(policy.manifest, dict(policy.weights))
    other.weights["actor.1.bias"] = policy.weights["actor.1.bias"].copy()
    other.weights["actor.1.bias"][1] = second
    mask = np.zeros((200, 5), np.bool_)
    mask[:, :2] = True
    return parity_of(policy, model_of(other), States(obs_of(200), mask))["real"]


def test_what_rounding_tells_apart_goes_to_the_first_everywhere():
    found = of_two_alike(1.0 + 2e-6)
    assert (found["near_ties"], found["same_action"]) == (0, 200)


def test_at_the_bound_of_a_tie_it_may_go_either_way_and_is_counted():
    found = of_two_alike(1.0 + 1.5e-5)
    assert (found["near_ties"], found["same_action"]) == (200, 0)


# -- the states ------------------------------------------------------------------------------------


def test_adversarial_states_are_what_they_say():
    real = States(obs_of(100), masks(100, 5))
    odd = adversarial_states(DISCRETE, real, 800, 3)
    assert odd.obs.shape == (800, 4)
    assert odd.obs.dtype == np.float32
    assert np.isfinite(odd.obs).all()
    size = np.abs(odd.obs)
    assert size.max() == np.finfo(np.float32).max
    assert ((size > 0) & (size < np.finfo(np.float32).tiny)).any()
    assert (np.isin(odd.obs, [-1, 1]).all(axis=1)).sum() >= 100  # corners of the fields
    open_actions = odd.mask.sum(axis=1)
    assert open_actions.min() == 1
    assert (open_actions == 1).sum() >= 150
    assert open_actions.max() == 5


def test_real_states_come_from_play_and_follow_from_their_seed():
    policy = network(schema_of("CartPole-v1"), (8,))
    one, same, other = (real_states(policy, "CartPole-v1", {}, 500, s) for s in (1, 1, 2))
    assert len(one) == 500
    np.testing.assert_array_equal(one.obs, same.obs)
    assert (one.obs != other.obs).any()
    assert one.mask.all()
    assert len(np.unique(one.obs, axis=0)) > 450
    assert np.abs(one.obs[:, 2]).max() < 0.42  # further than that no episode goes


def test_real_states_hold_the_policy_s_own_fields():
    schema = schema_of("CartPole-v1")
    own = schema.observation.select(["obs_3", "obs_2"])
    policy = network(Schema(schema.env_id, own, schema.action), (8,))
    found = real_states(policy, "CartPole-v1", {}, 32, 7)
    env = BatchEnv("CartPole-v1", {}, 32)
    env.reset(list(range(7, 39)))
    np.testing.assert_array_equal(found.obs, env.obs[:, [3, 2]])


def test_where_bounds_are_missing_the_policy_itself_is_drawn_from(tmp_path):
    policy = network(schema_of("Pendulum-v1"), (8,), head=HEADS["gaussian"][1])
    assert real_states(policy, "Pendulum-v1", {}, 64, 0).mask is None

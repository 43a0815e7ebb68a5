"""INT8 keeps the inputs, the outputs and the mask; it is judged by decisions and returns."""

import numpy as np
import pytest

from compagnon.evaluation.evaluate import PairedDifference
from compagnon.onnx_export.judge import Judgement, agree, in_words, judge
from compagnon.onnx_export.quantise import quantise
from compagnon.onnx_export.states import States, real_states
from compagnon.policy.onnx_file import open_session
from compagnon.policy.onnx_policy import OnnxPolicy
from tests.policy.exports import masks, model_of
from tests.policy.networks import network, schema_of
from tests.policy.test_heads import BOX, DISCRETE, HEADS, obs_of

METHODS = pytest.mark.parametrize("method", ["static", "dynamic"])


def opened(policy, model, precision="fp32"):
    session = open_session(model.SerializeToString(), "it")
    return OnnxPolicy(policy.manifest, session, "", precision)


def calibration():
    return States(obs_of(500, seed=8), masks(500, 5))


@METHODS
@pytest.mark.parametrize("head", ["categorical", "values", "sigmoid", "gaussian"])
def test_int8_decides_nearly_alike_and_never_what_is_masked(method, head):
    schema = HEADS[head][0]
    policy = network(schema, (64, 64), 0.3, HEADS[head][1])
    model = model_of(policy)
    states = calibration() if schema is DISCRETE else States(obs_of(500, seed=8), None)
    made = quantise(model, policy.manifest, method, states)
    assert model.SerializeToString() == model_of(policy).SerializeToString()  # not touched
    int8, fp32 = opened(policy, made, "int8"), opened(policy, model)
    assert len(made.SerializeToString()) < 0.7 * len(model.SerializeToString())
    rows = 400
    fresh = States(obs_of(rows, seed=3), masks(rows, 5) if schema is DISCRETE else None)
    agreement, moved = agree(fp32, int8, fresh)
    # Vectors of a network drawn at random move by more than a hundredth of the range in places.
    assert agreement > (0.9 if schema is DISCRETE else 0.2)
    assert moved < 0.03
    assert not np.array_equal(int8.outputs(fresh.obs), fp32.outputs(fresh.obs))
    if fresh.mask is not None:
        answer = int8.answer(fresh.obs, fresh.mask)
        assert (answer.probabilities[~fresh.mask] == 0).all()
        assert fresh.mask[np.arange(rows), answer.action].all()


@METHODS
def test_the_file_says_how_it_was_made_and_is_the_same_each_time(method):
    policy = network(DISCRETE, (16, 16))
    made = [quantise(model_of(policy), policy.manifest, method, calibration()) for _ in range(2)]
    assert made[0].SerializeToString() == made[1].SerializeToString()
    facts = {prop.key: prop.value for prop in made[0].metadata_props}
    assert facts["compagnon.int8"] == method
    assert facts["compagnon.schema_sha256"] == DISCRETE.sha256()
    kinds = [node.op_type for node in made[0].graph.node]
    wanted = {"static": "QuantizeLinear", "dynamic": "MatMulInteger"}[method]
    assert wanted in kinds
    # The product that reads observations is left in FP32: one of the three.
    assert kinds.count("Gemm" if method == "static" else "MatMulInteger") == (
        3 if method == "static" else 2
    )


@METHODS
def test_a_network_without_hidden_layers_can_be_int8_too(method):
    policy = network(DISCRETE, ())
    made = quantise(model_of(policy), policy.manifest, method, calibration())
    agreement, _ = agree(opened(policy, model_of(policy)), opened(policy, made), calibration())
    assert agreement > 0.8


def test_agreement_by_hand():
    """Two policies over two actions that differ in the rows where x0 is above 0."""
    policy = network(DISCRETE, (16,))
    same = opened(policy, model_of(policy))
    states = calibration()
    assert agree(same, same, states) == (1.0, 0.0)
    other = network(DISCRETE, (16,), 5.0)
    other = opened(other, model_of(other))
    agreement, moved = agree(same, other, states)
    wanted = (same.act(states.obs, states.mask) == other.act(states.obs, states.mask)).mean()
    assert agreement == wanted < 1
    p, q = (one.probabilities(states.obs, states.mask) for one in (same, other))
    assert moved == pytest.approx(np.abs(p - q).sum(axis=1).mean() / 2, rel=1e-5)


def test_vectors_agree_within_a_hundredth_of_the_range():
    head = HEADS["sigmoid"][1]
    policy, other = (network(BOX, (16,), scale, head) for scale in (0.01, 0.011))
    one, two = opened(policy, model_of(policy)), opened(other, model_of(other))
    states = States(obs_of(), None)
    share = np.abs(one.act(states.obs) - two.act(states.obs)) / np.array([4, 6, 20])
    agreement, moved = agree(one, two, states)
    assert agreement == (share <= 0.01).all(axis=1).mean()
    assert moved == pytest.approx(share.mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("mean", "ci95", "words"),
    [
        (0.0, (0.0, 0.0), "plays every episode to the same return"),
        (-5.0, (-8.0, -2.0), "but loses 5 an episode (5.00% of FP32's): keep FP32"),
        (1.0, (-2.0, 4.0), "loses nothing that shows; more than 2 an episode (2.00% of FP32's)"),
        (3.0, (1.0, 5.0), "earns 3 an episode (3.00% of FP32's) more"),
        (1e-3, (-2e-3, 4e-3), "more than 0.002 an episode (under 0.01% of FP32's) is ruled out"),
        (1.0, (float("nan"), float("nan")), "too little to say"),
    ],
)
def test_the_verdict_in_words(mean, ci95, words):
    pair = PairedDifference("int8", "fp32", mean, ci95, 0.5)
    said = in_words("in 98.7% of real states", pair, 100.0, (4000, 1000))
    assert said.startswith("INT8 is 4.0 times smaller than FP32, decides alike in 98.7%")
    assert words in said


def test_a_larger_int8_file_is_not_called_smaller():
    pair = PairedDifference("int8", "fp32", 0.0, (0.0, 0.0), 0.5)
    assert "INT8 is 2.0 times larger than FP32" in in_words("always", pair, 1.0, (1000, 2000))


def test_judged_on_the_same_episodes():
    policy = network(schema_of("CartPole-v1"), (8,))
    fp32 = opened(policy, model_of(policy)).bind(policy.schema)
    states = real_states(policy, "CartPole-v1", {}, 64, 0)
    found = judge(fp32, fp32, states, "CartPole-v1", {}, 5, 1, (10, 5))
    assert isinstance(found, Judgement)
    assert (found.agreement, found.moved, found.difference) == (1.0, 0.0, 0.0)
    assert (found.low, found.high, found.episodes) == (0.0, 0.0, 5)
    assert found.fp32_return > 5
    worse = network(schema_of("CartPole-v1"), (8,), scale=-1.0)
    other = opened(worse, model_of(worse)).bind(policy.schema)
    found = judge(fp32, other, states, "CartPole-v1", {}, 5, 1, (10, 5))
    assert found.agreement < 1
    assert found.difference != 0
    assert judge(fp32, fp32, states, "CartPole-v1", {}, 1, 1, (10, 5)).as_json()["low"] is None

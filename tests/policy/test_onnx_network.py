"""Anybody's ONNX policy becomes one of ours: it decides as its graph does, and is served so."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import compagnon as cp
from compagnon.errors import InputError
from compagnon.policy import NetworkPolicy, load_artefact
from compagnon.policy.onnx_file import open_session
from tests.onnx_export.test_graph import TRAINED, shaken
from tests.policy.exports import masks, model_of
from tests.policy.test_heads import BOX, DISCRETE, obs_of
from tests.rl.small import ACTIONS, BANDIT, CONTEXTS, ECHO

FREE = "N"


def graph_of(
    nodes: list[Any],
    weights: dict[str, np.ndarray],
    inputs: int,
    output: tuple[str, int, list[Any]],
    opset: int = 17,
    rows: Any = FREE,
) -> bytes:
    """A model of one input ``x`` (N, inputs) and one output."""
    made = helper.make_graph(
        nodes,
        "somebody's",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, inputs])],
        [helper.make_tensor_value_info(*output)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def perceptron(inputs: int, outputs: int, seed: int = 0, tail: str = "", **more: Any) -> bytes:
    """Two layers with an activation that none of ours has; `tail` is put behind them."""
    rng = np.random.default_rng(seed)
    weights = {
        "w0": rng.normal(size=(inputs, 8)).astype(np.float32),
        "w1": rng.normal(size=(8, outputs)).astype(np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["a"]),
        helper.make_node("Elu", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "w1"], ["outputs" if not tail else "c"]),
    ]
    shape: list[Any] = [FREE, outputs]
    kind = TensorProto.FLOAT
    if tail == "ArgMax":
        nodes.append(helper.make_node("ArgMax", ["c"], ["outputs"], axis=1, keepdims=0))
        shape, kind = [FREE], TensorProto.INT64
    return graph_of(nodes, weights, inputs, ("outputs", kind, shape), **more)


def written(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "theirs.onnx"
    path.write_bytes(data)
    return path


def rows_and_masks(fields: int = CONTEXTS, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    mask = rng.random((300, ACTIONS)) < 0.5
    mask[np.arange(300), rng.integers(ACTIONS, size=300)] = True
    return rng.normal(size=(300, fields)).astype(np.float32), mask


def asked(data: bytes, obs: np.ndarray) -> np.ndarray:
    """What the graph says by itself."""
    return np.asarray(open_session(data, "a test").run(None, {"x": obs})[0])


# -- every kind of output -------------------------------------------------------------------------


@pytest.mark.parametrize("gives", ["logits", "values"])
@pytest.mark.parametrize("seed", range(2))
def test_logits_and_values_are_read_under_the_mask(gives, seed, tmp_path):
    data = perceptron(CONTEXTS, ACTIONS, seed)
    policy = cp.from_onnx(written(tmp_path, data), BANDIT, gives=gives)
    obs, mask = rows_and_masks(seed=seed)
    outputs = asked(data, obs)
    best = np.where(mask, outputs, -np.inf).argmax(axis=1)
    np.testing.assert_array_equal(policy.act(obs, mask), best)
    likely = policy.probabilities(obs, mask)
    if gives == "values":
        np.testing.assert_array_equal(likely, np.eye(ACTIONS)[best])
    else:
        exp = np.where(mask, np.exp(outputs - outputs.max(axis=1, keepdims=True)), 0)
        np.testing.assert_allclose(likely, exp / exp.sum(axis=1, keepdims=True), atol=1e-6)
    assert policy.name == "theirs"


def test_an_action_is_the_action(tmp_path):
    data = perceptron(4, 2, tail="ArgMax")
    policy = cp.from_onnx(written(tmp_path, data), "CartPole-v1", name="mine")
    obs = rows_and_masks()[0]
    chosen = asked(data, obs)
    assert len(set(chosen.tolist())) == 2
    np.testing.assert_array_equal(policy.act(obs), chosen)
    assert policy.act(obs[0]) == chosen[0]
    assert policy.name == "mine"


def test_vectors_are_in_the_action_s_own_units_and_cut_at_its_bounds(tmp_path):
    data = perceptron(2, 2)
    policy = cp.from_onnx(written(tmp_path, data), ECHO)
    obs = rows_and_masks(2)[0]
    action = policy.schema.action
    wanted = np.clip(asked(data, obs), action.low, action.high)
    assert (wanted == np.array(action.low)).any()
    assert (wanted > np.array(action.low)).any()
    np.testing.assert_allclose(policy.act(obs), wanted, rtol=1e-6, atol=1e-6)


def test_what_torch_exports_is_read(tmp_path):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 2))
    path = tmp_path / "torch.onnx"
    torch.onnx.export(
        module, (torch.zeros(2, 4),), str(path), input_names=["x"], dynamo=False,
        dynamic_axes={"x": {0: "N"}},
    )  # fmt: skip
    policy = cp.from_onnx(path, cp.schema_of("CartPole-v1"))
    obs = rows_and_masks()[0]
    with torch.no_grad():
        wanted = module(torch.from_numpy(obs)).argmax(dim=1).numpy()
    np.testing.assert_array_equal(policy.act(obs), wanted)


# -- what it is for -------------------------------------------------------------------------------


@pytest.mark.parametrize("opset", [13, 17, 18])
@pytest.mark.parametrize("gives", ["logits", "values"])
def test_it_is_evaluated_saved_and_exported(opset, gives, tmp_path):
    data = perceptron(CONTEXTS, ACTIONS, opset=opset)
    policy = cp.from_onnx(written(tmp_path, data), BANDIT, gives=gives)
    obs, mask = rows_and_masks()
    found = cp.evaluate([policy, "random"], episodes=20)
    assert found.env == BANDIT
    saved = policy.save(tmp_path / "saved")
    np.testing.assert_array_equal(cp.load_policy(saved).act(obs, mask), policy.act(obs, mask))
    made = cp.export(policy, tmp_path / "served", states=128)
    assert made.record.parity["real"]["states"] == 128
    exported = cp.load_policy(f"onnx:{tmp_path / 'served'}")
    np.testing.assert_array_equal(exported.act(obs, mask), policy.act(obs, mask))
    np.testing.assert_allclose(
        exported.probabilities(obs, mask), policy.probabilities(obs, mask), atol=1e-6
    )


@pytest.mark.parametrize("env", ["CartPole-v1", ECHO])
def test_actions_alone_are_exported_too(env, tmp_path):
    data = perceptron(4, 2, tail="ArgMax") if env != ECHO else perceptron(2, 2)
    policy = cp.from_onnx(written(tmp_path, data), env)
    cp.export(policy, tmp_path / "served", states=128)
    obs = rows_and_masks(len(policy.fields))[0]
    exported = cp.load_policy(f"onnx:{tmp_path / 'served'}")
    np.testing.assert_allclose(exported.act(obs), policy.act(obs), rtol=1e-5, atol=1e-5)


def test_int8_is_made_and_judged(tmp_path):
    policy = cp.from_onnx(written(tmp_path, perceptron(CONTEXTS, ACTIONS)), BANDIT)
    made = cp.export(policy, tmp_path / "served", int8=True, states=128, episodes=4)
    assert made.record.files["int8"].judged["verdict"]


def test_a_saved_graph_that_was_changed_is_refused(tmp_path):
    policy = cp.from_onnx(written(tmp_path, perceptron(CONTEXTS, ACTIONS)), BANDIT)
    folder = policy.save(tmp_path / "saved")
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    with pytest.raises(InputError, match="it was changed or damaged"):
        load_artefact(folder)


# -- what is refused ------------------------------------------------------------------------------


def external() -> bytes:
    """A graph whose numbers stand in another file."""
    model = onnx.load_from_string(perceptron(CONTEXTS, ACTIONS))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("data", "env", "settings", "words"),
    [
        (lambda: b"no graph", BANDIT, {}, "is not an ONNX file"),
        (external, BANDIT, {}, "keeps numbers in another file"),
        (lambda: perceptron(3, ACTIONS), BANDIT, {}, "it reads 3 numbers; .* shows 4"),
        (lambda: perceptron(4, 5), BANDIT, {}, r"has shape \(3, 5\); for discrete, 6 actions"),
        (lambda: perceptron(4, 6, rows=1), BANDIT, {}, "reads 1 observations at a time"),
        (lambda: perceptron(4, 6), BANDIT, {"output": "y"}, r"no output 'y' \(there are outputs\)"),
        (lambda: perceptron(4, 6, tail="ArgMax"), BANDIT, {}, "gives the action alone, and"),
        (lambda: perceptron(4, 2, tail="ArgMax"), "CartPole-v1", {"gives": "logits"}, "whole num"),
        (lambda: perceptron(2, 2), ECHO, {"gives": "values"}, "given as actions, not as values"),
    ],
)
def test_a_graph_that_does_not_fit_is_refused(data, env, settings, words, tmp_path):
    with pytest.raises(InputError, match=words):
        cp.from_onnx(written(tmp_path, data()), env, **settings)


def test_a_graph_of_two_inputs_is_refused(tmp_path):
    made = helper.make_graph(
        [helper.make_node("Add", ["x", "y"], ["outputs"])],
        "two",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [FREE, 4]) for n in ("x", "y")],
        [helper.make_tensor_value_info("outputs", TensorProto.FLOAT, [FREE, 4])],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(InputError, match=r"it should read one tensor, float \(N, 4\); it reads x"):
        cp.from_onnx(written(tmp_path, model.SerializeToString()), BANDIT)


def test_outputs_that_are_no_numbers_are_refused(tmp_path):
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Log", ["a"], ["outputs"]),
    ]
    data = graph_of(
        nodes, {"w": np.ones((4, 6), np.float32)}, 4, ("outputs", TensorProto.FLOAT, [FREE, 6])
    )
    policy = cp.from_onnx(written(tmp_path, data), BANDIT)
    with pytest.raises(InputError, match="outputs of row 0 are not finite"):
        policy.act(-np.ones(4), np.ones(6, bool))


# -- what `export` wrote --------------------------------------------------------------------------


def exported(policy: NetworkPolicy, tmp_path: Path, **facts: str) -> Path:
    """A policy's file, with other facts in it than it would have; "" takes one away."""
    model = model_of(policy)
    known = {one.key: one.value for one in model.metadata_props} | facts
    del model.metadata_props[:]
    helper.set_model_props(model, {key: value for key, value in known.items() if value})
    return written(tmp_path, model.SerializeToString())


@pytest.mark.parametrize("kind", TRAINED)
def test_an_export_of_ours_is_the_policy_that_it_was(kind, tmp_path):
    net = shaken(TRAINED[kind]())
    policy = net.as_policy("trained")
    whole = BOX if net.schema.action.kind == "box" else DISCRETE
    back = cp.from_onnx(exported(policy, tmp_path), whole)
    assert back.name == "trained"
    assert back.policy.manifest.head == policy.manifest.head
    obs = obs_of(200)
    given = obs[:, [whole.observation.names.index(name) for name in net.schema.observation.names]]
    again = cp.load_policy(back.save(tmp_path / "saved"))
    for found, x in ((back.policy, obs), (again.policy, given)):
        np.testing.assert_allclose(found.outputs(x), policy.outputs(obs), rtol=1e-4, atol=1e-5)
        if whole is DISCRETE:
            mask = masks(200, 5)
            np.testing.assert_array_equal(found.act(x, mask), policy.act(obs, mask))
            likely = policy.probabilities(obs, mask)
            np.testing.assert_allclose(found.probabilities(x, mask), likely, atol=1e-5)
        elif policy.manifest.head.kind == "gaussian":
            stds = policy.means_and_stds(obs)[1]
            np.testing.assert_allclose(found.means_and_stds(x)[1], stds, rtol=1e-4)
            drawn = [
                each.act(y, None, np.random.default_rng(0))
                for each, y in ((found, x), (policy, obs))
            ]
            np.testing.assert_allclose(*drawn, rtol=1e-3, atol=1e-4)
    # What is exported from it anew computes the same, and asks for no mask that it has no use for.
    anew = model_of(again.policy)
    session = open_session(anew.SerializeToString(), "anew")
    feed = {"obs": given}
    if whole is DISCRETE:
        feed["action_mask"] = masks(200, 5)
    outputs, action = session.run(["outputs", "action"], feed)
    np.testing.assert_allclose(outputs, policy.outputs(obs), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        action, policy.act(obs, feed.get("action_mask")), rtol=1e-3, atol=1e-4
    )


def test_an_export_that_does_not_fit_is_refused(tmp_path):
    policy = shaken(TRAINED["ppo"]()).as_policy("trained")
    with pytest.raises(InputError, match="it reads the field x9, which"):
        cp.from_onnx(exported(policy, tmp_path, **{"compagnon.fields": "x0,x1,x9,x3"}), DISCRETE)
    with pytest.raises(InputError, match="its head 'masked_categorical' does not give such"):
        cp.from_onnx(exported(policy, tmp_path), BOX)
    with pytest.raises(InputError, match=r"compagnon\.head in its metadata is no head"):
        cp.from_onnx(exported(policy, tmp_path, **{"compagnon.head": '{"kind": "x"}'}), DISCRETE)
    other = replace(DISCRETE, action=replace(DISCRETE.action, n=7))
    with pytest.raises(InputError, match=r"shape|cannot be run"):
        cp.from_onnx(exported(policy, tmp_path), other)


def test_an_older_export_is_asked_what_its_outputs_mean(tmp_path):
    old = {"compagnon.head": ""}
    values = shaken(TRAINED["dqn"]()).as_policy("trained")
    with pytest.raises(InputError, match="say gives='logits', or gives='values' of a policy of"):
        cp.from_onnx(exported(values, tmp_path, **old), DISCRETE)
    back = cp.from_onnx(exported(values, tmp_path, **old), DISCRETE, gives="values")
    assert back.policy.manifest.head == values.manifest.head
    vectors = shaken(TRAINED["ddpg"]()).as_policy("trained")
    found = cp.from_onnx(exported(vectors, tmp_path, **old), BOX)
    obs = obs_of(50)
    np.testing.assert_allclose(found.act(obs), vectors.act(obs), rtol=1e-4, atol=1e-5)


def test_a_mask_that_is_not_of_ours_is_no_input(tmp_path):
    """What another graph does with it nobody knows."""
    policy = shaken(TRAINED["ppo"]()).as_policy("trained")
    theirs = exported(policy, tmp_path, **{"compagnon.schema_sha256": ""})
    with pytest.raises(InputError, match=r"one tensor, float .* it reads obs .*, action_mask"):
        cp.from_onnx(theirs, DISCRETE)

"""An exported policy plays as the one it was exported from, and nothing else is ever loaded."""

import json
import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from compagnon.errors import InputError
from compagnon.policy import OnnxPolicy, StochasticPolicy, load_onnx, load_policy, save_policy
from compagnon.policy.exported import ONNX_FILES, RECORD_FILE
from compagnon.policy.loading import recorded_env
from compagnon.policy.manifest import CategoricalHead
from compagnon.policy.onnx_file import open_session, refuse_external_data
from tests.policy.exports import masks, model_of, write_export, write_onnx
from tests.policy.networks import network, schema_of
from tests.policy.test_heads import DISCRETE, EVERY_HEAD, HEADS, obs_of

ONNX = ONNX_FILES["fp32"]


def session_of(policy):
    return open_session(model_of(policy).SerializeToString(), "it")


def as_onnx(policy) -> OnnxPolicy:
    return OnnxPolicy(policy.manifest, session_of(policy), "")


@pytest.fixture(scope="module")
def choice():
    return network(DISCRETE, (16,))


@pytest.fixture
def exported(tmp_path, choice):
    write_export(choice, tmp_path / "p")
    return tmp_path / "p"


# -- it plays as numpy does ------------------------------------------------------------------------


@EVERY_HEAD
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_every_head_plays_as_in_numpy(schema, head, activation, layer_norm):
    policy = network(schema, (16, 8), head=head, activation=activation, layer_norm=layer_norm)
    made, obs = as_onnx(policy), obs_of()
    mask = masks(len(obs), schema.action.n) if schema is DISCRETE else None
    np.testing.assert_allclose(made.outputs(obs), policy.outputs(obs), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(made.act(obs, mask), policy.act(obs, mask), rtol=1e-5, atol=1e-5)
    drawn, wanted = (p.act(obs, mask, np.random.default_rng(3)) for p in (made, policy))
    np.testing.assert_allclose(drawn, wanted, rtol=1e-4, atol=1e-4)
    assert drawn.dtype == wanted.dtype
    if mask is not None:
        assert isinstance(made, StochasticPolicy)
        given = made.probabilities(obs, mask)
        np.testing.assert_allclose(given, policy.probabilities(obs, mask), atol=1e-6)


def test_by_hand():
    """One layer, identity weights: the softmax of (1, 2, 3) without its last action."""
    schema = replace(DISCRETE, action=replace(DISCRETE.action, n=4))
    bare = network(schema, ())
    weights = {
        "actor.0.weight": np.eye(4, dtype=np.float32),
        "actor.0.bias": np.zeros(4, np.float32),
    }
    policy = replace(
        bare, manifest=bare.manifest.model_copy(update={"scaler": None}), weights=weights
    )
    made = as_onnx(policy)
    obs = np.array([[1, 2, 3, 50]], np.float32)
    mask = np.array([[True, True, True, False]])
    e = np.exp([1.0, 2.0, 3.0])
    np.testing.assert_allclose(made.probabilities(obs, mask)[0], [*e / e.sum(), 0], rtol=1e-6)
    assert made.act(obs, mask).tolist() == [2]
    assert made.act(obs).tolist() == [3]
    ties = np.array([[7, 7, 7, 7]], np.float32)
    assert made.act(ties, np.array([[False, True, True, True]])).tolist() == [1]


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_a_masked_action_is_impossible(seed, rows):
    rng = np.random.default_rng(seed)
    policy = _CHOICES[seed % 2]
    obs = (10.0 ** rng.uniform(-3, 6) * rng.normal(size=(rows, 4))).astype(np.float32)
    mask = masks(rows, 5, seed)
    answer = policy.answer(obs, mask)
    assert mask[np.arange(rows), answer.action].all()
    assert (answer.probabilities[~mask] == 0).all()
    probabilities = policy.probabilities(obs, mask)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    drawn = policy.act(obs, mask, rng)
    assert mask[np.arange(rows), drawn].all()


_CHOICES = [as_onnx(network(DISCRETE, (16,), 3.0, HEADS[k][1])) for k in ("categorical", "values")]


@pytest.mark.parametrize("head", ["categorical", "values"])
def test_an_empty_mask_is_refused_and_the_graph_itself_gives_no_action(head):
    policy = network(DISCRETE, (16,), head=HEADS[head][1])
    made, obs = as_onnx(policy), obs_of(3)
    mask = np.ones((3, 5), np.bool_)
    mask[1] = False
    for ask in (made.act, made.probabilities):
        with pytest.raises(InputError, match="mask of row 1 allows no action"):
            ask(obs, mask)
    action, given = made.session.run(["action", "probabilities"], {"obs": obs, "action_mask": mask})
    assert action[1] == -1
    assert (given[1] == 0).all()
    assert (action[[0, 2]] >= 0).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_observation_that_is_no_number_is_refused(choice, bad):
    obs = obs_of(4)
    obs[2, 1] = bad
    with pytest.raises(InputError, match="row 2, column 1"):
        as_onnx(choice).act(obs)


def test_outputs_that_overflow_are_refused():
    policy = network(DISCRETE, (8,), 1e38, activation="relu")
    with pytest.raises(InputError, match="outputs of row"):
        as_onnx(policy).act(obs_of(8))


def test_arrays_of_another_shape_are_refused(choice):
    made = as_onnx(choice)
    with pytest.raises(InputError, match=r"observations should have shape \(2, 4\)"):
        made.act(np.zeros((2, 3), np.float32))
    with pytest.raises(InputError, match=r"action mask should have shape \(2, 5\)"):
        made.act(np.zeros((2, 4), np.float32), np.ones((2, 4), np.bool_))


def test_a_batch_says_what_its_rows_say_alone(choice):
    made, obs, mask = as_onnx(choice), obs_of(100), masks(100, 5)
    together = made.answer(obs, mask)
    for row in range(0, 100, 9):
        alone = made.answer(obs[row : row + 1], mask[row : row + 1])
        np.testing.assert_allclose(alone.outputs[0], together.outputs[row], rtol=1e-5, atol=1e-6)
        assert alone.action[0] == together.action[row]
    assert made.act(obs[:0], mask[:0]).shape == (0,)


def test_vectors_have_no_list_of_probabilities():
    schema, head = HEADS["gaussian"]
    with pytest.raises(InputError, match="no list of probabilities"):
        as_onnx(network(schema, (8,), head=head)).probabilities(obs_of(2))


# -- from disk -------------------------------------------------------------------------------------


def test_loaded_by_name_it_is_bound_to_the_environment(tmp_path):
    schema = schema_of("CartPole-v1")
    policy = write_export(network(schema), tmp_path / "best")
    obs = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    for path in (tmp_path / "best", tmp_path):  # the artefact, and the run whose best it is
        made = load_policy(f"onnx:{path}", schema)
        assert made.name == f"onnx:{path}"
        np.testing.assert_array_equal(made.act(obs), policy.act(obs))
        assert recorded_env(f"onnx:{path}") == ("CartPole-v1", {})
    assert isinstance(made, OnnxPolicy)
    assert made.sha256 == json.loads((tmp_path / "best" / RECORD_FILE).read_text())["files"][
        "fp32"
    ]["sha256"]  # fmt: skip


def test_fields_are_found_by_name(exported, choice):
    names = DISCRETE.observation.names
    shuffled = replace(DISCRETE, observation=DISCRETE.observation.select(names[::-1]))
    obs = obs_of(10)
    made = load_onnx(exported).bind(shuffled)
    np.testing.assert_array_equal(made.act(obs[:, ::-1]), choice.act(obs))


def test_another_environment_is_refused(exported):
    with pytest.raises(InputError, match="cannot act in CartPole-v1"):
        load_policy(f"onnx:{exported}", schema_of("CartPole-v1"))


@pytest.mark.parametrize(
    ("precision", "words"), [("fp32", "compagnon export"), ("int8", "--int8`")]
)
def test_what_was_not_exported_says_the_command(tmp_path, choice, precision, words):
    save_policy(choice, tmp_path / "p")
    with pytest.raises(InputError, match=words):
        load_onnx(tmp_path / "p", precision)


def test_a_folder_without_a_policy(tmp_path):
    with pytest.raises(InputError, match=r"has no policy\.json"):
        load_onnx(tmp_path)
    with pytest.raises(InputError, match="no such path"):
        load_policy(f"onnx:{tmp_path}/nothing", DISCRETE)


def test_a_tampered_file_is_refused(exported):
    data = bytearray((exported / ONNX).read_bytes())
    data[len(data) // 2] ^= 1
    (exported / ONNX).write_bytes(data)
    with pytest.raises(InputError, match=r"policy\.onnx is not the file that export\.json"):
        load_onnx(exported)


def test_an_export_of_other_weights_is_refused(exported, choice):
    other = replace(choice, weights={name: 2 * array for name, array in choice.weights.items()})
    record, data = (exported / RECORD_FILE).read_bytes(), (exported / ONNX).read_bytes()
    save_policy(other, exported)
    (exported / RECORD_FILE).write_bytes(record)
    (exported / ONNX).write_bytes(data)
    with pytest.raises(InputError, match=r"belongs to other weights.*export again"):
        load_onnx(exported)
    write_onnx(exported, data)  # somebody writes a record that fits: the graph itself knows
    with pytest.raises(InputError, match="exported from another policy"):
        load_onnx(exported)


def test_a_damaged_record_is_refused(exported):
    (exported / RECORD_FILE).write_text('{"format": 9}')
    with pytest.raises(InputError, match=r"export\.json: "):
        load_onnx(exported)


@pytest.mark.parametrize("data", [b"", b"not a model", b"\x3a\xff\xff\xff\xff\x7f", b"\x08" * 90])
def test_bytes_that_are_no_model(exported, data):
    write_onnx(exported, data)
    with pytest.raises(InputError, match=r"policy\.onnx"):
        load_onnx(exported)


def test_a_graph_with_other_inputs_is_refused(tmp_path, choice):
    saved = write_export(choice, tmp_path / "p")
    other = model_of(saved)
    other.graph.input[0].name = "state"
    for node in other.graph.node:
        node.input[:] = ["state" if name == "obs" else name for name in node.input]
    write_onnx(tmp_path / "p", other.SerializeToString())
    with pytest.raises(InputError, match="this policy's graph reads"):
        load_onnx(tmp_path / "p")


def external(tensor: TensorProto) -> None:
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/hostname")
    tensor.ClearField("raw_data")


def in_initializer(model):
    external(model.graph.initializer[0])


def in_attribute(model):
    value = numpy_helper.from_array(np.zeros(3, np.float32))
    external(value)
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=value))


def in_subgraph(model):
    value = numpy_helper.from_array(np.zeros(3, np.float32), "w")
    external(value)
    body = helper.make_graph([], "body", [], [], [value])
    model.graph.node.append(helper.make_node("If", ["c"], ["d"], then_branch=body))


def in_function(model):
    value = numpy_helper.from_array(np.zeros(3, np.float32))
    external(value)
    node = helper.make_node("Constant", [], ["c"], value=value)
    model.functions.append(helper.make_function("own", "f", [], ["c"], [node], []))


def location_alone(model):
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL


@pytest.mark.parametrize(
    "change", [in_initializer, in_attribute, in_subgraph, in_function, location_alone]
)
def test_numbers_in_another_file_are_refused(exported, choice, change):
    model = onnx.load(exported / ONNX)
    refuse_external_data(model.SerializeToString(), "the model as it was")
    change(model)
    write_onnx(exported, model.SerializeToString())
    with pytest.raises(InputError, match="external data"):
        load_onnx(exported)


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_without_harm(data):
    try:
        refuse_external_data(data, "these bytes")
    except InputError as error:
        assert str(error).startswith("these bytes")  # noqa: PT017


# -- what a server has -----------------------------------------------------------------------------

BLOCKED = ("torch", "onnx", "matplotlib", "tensorboard", "pandas", "sympy", "optuna")


def test_it_plays_where_torch_and_onnx_are_not_installed(exported):
    code = f"""
    import sys

    class Blocked:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in {BLOCKED!r}:
                raise ImportError(name)

    sys.meta_path.insert(0, Blocked())
    import numpy as np
    from pathlib import Path
    from compagnon.policy.onnx_policy import load_onnx
    policy = load_onnx(Path({str(exported)!r}))
    print(policy.act(np.zeros((2, 4), np.float32)).tolist())
    assert not set({BLOCKED!r}) & set(sys.modules)
    assert "compagnon.rl" not in sys.modules
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    wanted = load_onnx(exported).act(np.zeros((2, 4), np.float32)).tolist()
    assert done.stdout.strip() == str(wanted)


def test_without_onnxruntime_it_says_how_to_get_it(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"pip install 'compagnon\[serve\]'"):
        load_onnx(exported)


def test_the_heads_of_this_file_are_all_there_are():
    assert {type(head).__name__ for _, head in HEADS.values()} == {
        "CategoricalHead",
        "ValuesHead",
        "GaussianHead",
        "DeterministicHead",
    }
    assert isinstance(HEADS["categorical"][1], CategoricalHead)

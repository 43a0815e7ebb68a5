"""Any tree of state comes back as it was, and damage on disk is noticed and survived."""

import datetime
import math
import shutil

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from compagnon.errors import InputError
from compagnon.rl.checkpoint import (
    load_newest_checkpoint,
    load_state,
    save_checkpoint,
    save_state,
)

DTYPES = [np.bool_, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64]
DTYPES += [np.uint64, np.float16, np.float32, np.float64]
ARRAYS = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(
        dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
    )
)
TENSORS = ARRAYS.filter(lambda array: array.dtype != np.float16).map(torch.from_numpy)
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(2**100, 2**130)
    | st.floats()
    | st.text(max_size=8)
)
KEYS = st.text(max_size=5) | st.integers() | st.tuples(st.integers(), st.text(max_size=3))
TREES = st.recursive(
    PLAIN | ARRAYS | TENSORS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=8,
)
IN_ONE_FOLDER = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def assert_same(a, b):
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        assert [type(key) for key in a] == [type(key) for key in b]
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            assert_same(one, other)
    elif isinstance(a, np.ndarray | torch.Tensor):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    elif isinstance(a, float) and math.isnan(a):
        assert math.isnan(b)
    else:
        assert a == b


@given(TREES)
@IN_ONE_FOLDER
def test_any_tree_comes_back_as_it_was(tmp_path, tree):
    save_state(tmp_path / "state", tree)
    assert_same(load_state(tmp_path / "state"), tree)


def test_a_generator_s_state_and_an_optimiser_s_come_back(tmp_path):
    rng = np.random.default_rng(5)
    module = torch.nn.Linear(3, 2)
    optimiser = torch.optim.Adam(module.parameters(), fused=True)
    module(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    tree = {"rng": rng.bit_generator.state, "optimiser": optimiser.state_dict()}
    save_state(tmp_path / "state", tree)
    assert_same(load_state(tmp_path / "state"), tree)


def test_views_and_read_only_arrays_are_saved(tmp_path, recwarn):
    array = np.arange(24.0).reshape(4, 6)
    frozen = np.arange(3)
    frozen.flags.writeable = False
    tree = [array[::2, ::-1], array.T, frozen, torch.arange(6).reshape(2, 3).T]
    save_state(tmp_path / "state", tree)
    assert_same(load_state(tmp_path / "state"), tree)
    assert not recwarn.list


def test_what_is_loaded_may_be_written_to(tmp_path):
    save_state(tmp_path / "state", {"a": np.zeros(3)})
    loaded = load_state(tmp_path / "state")["a"]
    loaded += 1
    np.testing.assert_array_equal(loaded, 1)


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, b"bytes", 1j, datetime.date(2020, 1, 1), np.array([object()]), print],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_place_is_refused_and_leaves_nothing(tmp_path, value):
    with pytest.raises(TypeError):
        save_state(tmp_path / "state", {"fine": np.zeros(2), "bad": [value]})
    assert list(tmp_path.iterdir()) == []


def test_no_file_is_a_pickle(tmp_path):
    save_state(tmp_path / "state", {"a": np.zeros(3), "b": torch.ones(2), "c": ("x", 1)})
    for file in (tmp_path / "state").iterdir():
        data = file.read_bytes()
        assert data[:1] != b"\x80"  # the first byte of every pickle since protocol 2
        assert not data.startswith(b"PK")  # torch.save writes a zip of pickles


def test_a_failed_save_leaves_the_one_before(tmp_path):
    save_state(tmp_path / "state", 1)
    with pytest.raises(TypeError):
        save_state(tmp_path / "state", object())
    assert load_state(tmp_path / "state") == 1


# -- on disk ------------------------------------------------------------------------------------


def test_the_newest_two_are_kept(tmp_path):
    assert load_newest_checkpoint(tmp_path) is None
    assert load_newest_checkpoint(tmp_path / "nowhere") is None
    for iteration in (1, 2, 10, 30):
        save_checkpoint(tmp_path, iteration, {"iteration": iteration})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000010", "00000030"]
    assert load_newest_checkpoint(tmp_path) == {"iteration": 30}


def truncate(path):
    path.write_bytes(path.read_bytes()[:-3])


def empty(path):
    path.write_bytes(b"")


def remove(path):
    path.unlink()


def garble(path):
    path.write_bytes(b"\xff" * 40)


@pytest.mark.parametrize("file", ["state.json", "tensors.safetensors", "sha256"])
@pytest.mark.parametrize("harm", [truncate, empty, remove, garble])
def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(tmp_path, file, harm):
    for iteration in (1, 2):
        save_checkpoint(tmp_path, iteration, {"iteration": iteration, "x": np.ones(3)})
    harm(tmp_path / "00000002" / file)
    assert load_newest_checkpoint(tmp_path)["iteration"] == 1
    harm(tmp_path / "00000001" / file)
    with pytest.raises(InputError, match=r"checkpoint .*00000001 cannot be read"):
        load_newest_checkpoint(tmp_path)


@given(st.sampled_from(["state.json", "tensors.safetensors", "sha256"]), st.data())
@IN_ONE_FOLDER
def test_one_changed_byte_is_noticed(tmp_path, file, data):
    path = tmp_path / "state"
    shutil.rmtree(path, ignore_errors=True)
    save_state(path, {"x": np.arange(5), "y": [1, 2.5, "z"]})
    written = bytearray((path / file).read_bytes())
    place = data.draw(st.integers(0, len(written) - 1))
    written[place] ^= data.draw(st.integers(1, 255))
    (path / file).write_bytes(written)
    with pytest.raises(InputError, match="cannot be read"):
        load_state(path)


def test_a_half_written_checkpoint_is_not_seen(tmp_path):
    save_checkpoint(tmp_path, 1, "whole")
    shutil.copytree(tmp_path / "00000001", tmp_path / ".00000002.abc")
    (tmp_path / "notes.txt").write_text("mine")
    assert load_newest_checkpoint(tmp_path) == "whole"

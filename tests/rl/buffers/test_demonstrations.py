"""Recorded decisions are read as they stand, and what is wrong with one is said with its place."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.policy import Schema
from compagnon.policy.schema import ActionSchema, ObservationSchema
from compagnon.rl.buffers.demonstrations import Demonstrations
from compagnon.rl.dagger import Dagger
from compagnon.rl.dagger_settings import DaggerSettings
from tests.rl.small import ACTIONS, BANDIT, CONTEXTS, network_for

BASE = Schema.of(BatchEnv(BANDIT, {}, 1))
FIELDS = BASE.observation.names  # obs[0] to obs[3] or the like


def named(*names: str, actions: int = 4) -> Schema:
    """A schema with these fields and so many actions."""
    template = BASE.observation.fields[0]
    fields = tuple(type(template)(name, "", 0, 1, 1, "") for name in names)
    return Schema("a shop", ObservationSchema(fields), ActionSchema("discrete", actions))


SHOP = named("stock", "day")


def csv_of(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "decisions.csv"
    path.write_text(text)
    return path


def npz_of(tmp_path: Path, **arrays: object) -> Path:
    path = tmp_path / "decisions.npz"
    np.savez(path, **arrays)
    return path


# -- what is read ---------------------------------------------------------------------------------


def test_columns_are_found_by_name_in_any_order(tmp_path):
    text = "who,day,action,stock\nAnn,1,2,0.5\nBen,3,0,7\n\nCid,2,3,1e2\n"
    read = Demonstrations.load(csv_of(tmp_path, text)).of(SHOP)
    np.testing.assert_array_equal(read.obs, np.array([[0.5, 1], [7, 3], [100, 2]], np.float32))
    assert read.obs.dtype == np.float32
    assert read.actions.tolist() == [2, 0, 3]
    assert read.action_mask.all()
    assert read.action_mask.shape == (3, 4)
    assert read.episode.tolist() == [0, 0, 0]


def test_masks_are_numbers_or_columns(tmp_path):
    listed = "stock,day,action,mask_ids\n1,1,2,0 2\n2,1,3,3;1\n3,1,0,0|1|2|3\n"
    columns = (
        "stock,day,action,mask_1,mask_0,mask_2,mask_3\n"
        "1,1,2,0,1,1,no\n2,1,3,True,false,,yes\n3,1,0,1,1,1,1\n"
    )
    wanted = [[1, 0, 1, 0], [0, 1, 0, 1], [1, 1, 1, 1]]
    for text in (listed, columns):
        read = Demonstrations.load(csv_of(tmp_path, text)).of(SHOP)
        assert read.action_mask.astype(int).tolist() == wanted


def test_episodes_are_numbered_as_they_come(tmp_path):
    rows = "".join(f"1,1,0,{name}\n" for name in ("May 4", "May 4", "May 3", "May 4", "May 5"))
    read = Demonstrations.load(csv_of(tmp_path, "stock,day,action,episode\n" + rows)).of(SHOP)
    assert read.episode.tolist() == [0, 0, 1, 0, 2]


def test_a_spreadsheet_of_elsewhere_is_read(tmp_path):
    text = "\ufeffstock;day;action\r\n1,5;2;3\r\n"
    read = Demonstrations.load(csv_of(tmp_path, text)).of(SHOP)
    assert read.obs.tolist() == [[1.5, 2.0]]


def test_an_npz_holds_the_same(tmp_path):
    path = npz_of(
        tmp_path,
        observations=[[1.0, 0.5], [3.0, 7.0], [2.0, 9.0]],
        actions=[[2], [0], [1]],
        action_masks=np.array([[0, 0, 1, 1], [1, 0, 0, 0], [1, 1, 1, 1]]),
        terminals=[0, 1, 0],
        fields=["day", "stock"],
    )
    read = Demonstrations.load(path).of(SHOP)
    assert read.obs.tolist() == [[0.5, 1.0], [7.0, 3.0], [9.0, 2.0]]
    assert read.actions.tolist() == [2, 0, 1]
    assert read.action_mask[0].tolist() == [False, False, True, True]
    assert read.episode.tolist() == [0, 0, 1]
    unnamed = npz_of(tmp_path, obs=[[1.0, 2.0]], acts=[3])  # as others call them
    assert Demonstrations.load(unnamed).of(SHOP).obs.tolist() == [[1.0, 2.0]]


@given(
    st.lists(
        st.tuples(
            st.floats(-1e6, 1e6, width=32), st.floats(-1e6, 1e6, width=32), st.integers(0, 3),
            st.integers(0, 5),
        ),
        min_size=1,
        max_size=20,
    )
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_csv_and_arrays_are_the_same_decisions(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("rows")
    stock, day, action, episode = (np.array(column) for column in zip(*rows, strict=True))
    text = "stock,day,action,episode\n" + "".join(f"{a!r},{b!r},{c},{d}\n" for a, b, c, d in rows)
    from_file = Demonstrations.load(csv_of(folder, text)).of(SHOP)
    arrays = Demonstrations(np.stack([stock, day], axis=1), action, episodes=episode).of(SHOP)
    for one, other in zip(from_file, arrays, strict=True):
        np.testing.assert_array_equal(one, other)


# -- what is wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "first line should name the columns"),
        ("stock,day,acton\n1,1,1\n", "one of them 'action'.*is 'acton' the one"),
        ("stock,stock,action\n1,1,1\n", "two columns are called 'stock'"),
        ("stock,day,action\n", "no decision below its first line"),
        ("stock,action\n1,1\n", "no column 'day', which a shop shows"),
        ("stok,day,action\n1,1,1\n", "no column 'stock'.*is 'stok' the one"),
        ("stock,day,action\n1,1,1\n2,2\n", "decisions.csv, row 3: 2 cells, for 3 columns"),
        ("stock,day,action\n1,1,1\nx,2,2\n", "row 3, column stock: 'x' is not a finite number"),
        ("stock,day,action\n1,1,1\n\n1,nan,2\n", "row 4, column day: 'nan' is not a finite"),
        ("stock,day,action\n1,1e400,1\n", "row 2, column day"),
        ("stock,day,action\n1,1e39,1\n", "row 2, column day: inf"),
        ("stock,day,action\n1,1,wait\n", "row 2, column action: 'wait' is not a whole number"),
        ("stock,day,action\n1,1,1.5\n", "row 2, column action: 1.5 is not a whole number"),
        ("stock,day,action\n1,1,nan\n", "row 2, column action: nan is not a whole number"),
        ("stock,day,action\n1,1,1\n1,1,4\n", "row 3, column action: 4; there are 0 to 3"),
        ("stock,day,action\n1,1,-1\n", "row 2, column action: -1; there are 0 to 3"),
        ("stock,day,action,mask_ids\n1,1,1,0 2\n", "1 was taken, which the mask of that row"),
        ("stock,day,action,mask_ids\n1,1,1,1 x\n", "row 2, column mask_ids: '1 x' should be"),
        ("stock,day,action,mask_ids\n1,1,1,1 9\n", r"column mask_ids: \[1, 9\] are not all of 0"),
        ("stock,day,action,mask_ids\n1,1,1,\n", "row 2, column mask: nothing is possible"),
        ("stock,day,action,mask_0,mask_2\n1,1,1,1,1\n", "no column mask_1, but later ones"),
        ("stock,day,action,mask_0,mask_1\n1,1,1,1,1\n", "have 2 truth values, for 4 actions"),
        ("stock,day,action,mask_0,mask_ids\n1,1,1,1,1\n", "not both"),
        ("stock,day,action,mask_0\n1,1,1,perhaps\n", "column mask_0: 'perhaps' is neither 1"),
    ],
)
def test_the_place_of_what_is_wrong_is_named(text, words, tmp_path):
    path = csv_of(tmp_path, text)
    with pytest.raises(InputError, match=words) as refused:
        Demonstrations.load(path).of(SHOP)
    assert str(refused.value).startswith(str(path))


def test_a_column_that_nobody_needs_may_hold_anything(tmp_path):
    read = Demonstrations.load(csv_of(tmp_path, "note,stock,day,action\nhm,1,1,1\n,2,2,2\n"))
    assert read.of(SHOP).actions.tolist() == [1, 2]
    with pytest.raises(InputError, match="row 2, column note: 'hm'"):
        read.of(named("note"))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"observations": [[1.0, 2.0]]}, "no array 'actions'"),
        ({"observations": [1.0], "actions": [1]}, r"shape \(1,\); they should have \(N, F\)"),
        ({"observations": np.zeros((0, 2)), "actions": []}, "one decision at least"),
        ({"observations": [[1.0, 2.0]], "actions": [1, 2]}, r"for 1 observations"),
        ({"observations": [[1.0]], "actions": [1]}, "1 columns without names"),
        ({"observations": [["a", "b"]], "actions": [1]}, "observations should be numbers"),
        ({"observations": [[1.0, np.inf]], "actions": [1]}, "row 0, column day: inf"),
        ({"observations": [[1.0, 2.0]], "actions": ["x"]}, "actions should be whole numbers"),
        ({"observations": [[1.0, 2.0]], "actions": [1], "fields": ["stock"]}, "1 names for 2"),
        (
            {"observations": [[1.0, 2.0]], "actions": [1], "action_masks": [[1, 1]]},
            "2 truth values, for 4 actions",
        ),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(arrays, words, tmp_path):
    with pytest.raises(InputError, match=words):
        Demonstrations.load(npz_of(tmp_path, **arrays)).of(SHOP)


def test_no_object_is_ever_unpickled(tmp_path):
    path = tmp_path / "decisions.npz"
    np.savez(path, observations=np.array([[object()]], dtype=object), actions=[1])
    with pytest.raises(InputError, match="holds Python objects, which are not read"):
        Demonstrations.load(path)


def test_what_is_no_file_of_decisions_is_refused(tmp_path):
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"PK\x03\x04" + bytes(30))
    with pytest.raises(InputError, match="no npz file, or a damaged one"):
        Demonstrations.load(broken)
    latin = tmp_path / "latin.csv"
    latin.write_bytes("stock,größe,action\n".encode("latin-1"))
    with pytest.raises(InputError, match="byte 8 is no UTF-8"):
        Demonstrations.load(latin)
    with pytest.raises(InputError, match=r"missing\.csv"):
        Demonstrations.load(tmp_path / "missing.csv")


def test_vectors_are_not_cloned():
    box = Schema("a swing", SHOP.observation, ActionSchema("box", 1, (-1.0,), (1.0,)))
    with pytest.raises(InputError, match="recorded decisions are numbered actions"):
        Demonstrations(np.zeros((1, 2)), np.zeros(1, int)).of(box)


# -- what is learnt of them -----------------------------------------------------------------------


def answers(episodes: int, seed: int = 0) -> Demonstrations:
    """The Bandit's answers, 20 decisions an episode."""
    rng = np.random.default_rng(seed)
    context = rng.integers(CONTEXTS, size=20 * episodes)
    mask = rng.random((len(context), ACTIONS)) < 0.5
    mask[np.arange(len(context)), context] = True
    obs = np.eye(CONTEXTS)[context]
    return Demonstrations(obs, context, mask, np.repeat(np.arange(episodes), 20))


def cloning(data: Demonstrations, **changes: object) -> Dagger:
    settings = {"num_envs": 1, "gradient_steps": 60, "learning_rate": 1e-2, "batch_size": 64}
    env = BatchEnv(BANDIT, {}, 1)
    return Dagger(DaggerSettings(**{**settings, **changes}), network_for(BANDIT), env, data, 0)


@pytest.mark.parametrize(("episodes", "held_out"), [(1, 0), (2, 20), (7, 20), (8, 20), (40, 40)])
def test_whole_episodes_are_held_out(episodes, held_out):
    dagger = cloning(answers(episodes))
    metrics = dagger.iterate()
    training, judged = dagger._split()
    assert len(judged) == held_out
    assert len(training) == 20 * episodes - held_out
    of = dagger.data.episode
    assert not set(of[training]) & set(of[judged])
    assert ("accuracy" in metrics) == (held_out > 0)
    assert len(cloning(answers(episodes), hold_out=False).data) == 0


def test_they_are_taken_in_once_and_the_environment_is_never_stepped():
    dagger = cloning(answers(5))
    for _ in range(3):
        metrics = dagger.iterate()
        assert metrics["decisions"] == 100
    assert dagger.env_steps == 0
    assert set(metrics) >= {"cross_entropy", "first_cross_entropy", "accuracy"}
    assert metrics["cross_entropy"] < 0.1
    assert metrics["accuracy"] == 1.0


def test_a_restored_clone_goes_on_as_the_saved_one():
    whole, cut = cloning(answers(5)), cloning(answers(5))
    first = [whole.iterate() for _ in range(3)]
    assert cut.iterate() == first[0]
    restored = cloning(answers(5))
    restored.load_state_dict(cut.state_dict())
    restored.network.load_state_dict(cut.network.state_dict())
    assert [restored.iterate(), restored.iterate()] == first[1:]


def test_memory_is_bounded():
    dagger = cloning(answers(50), capacity=300)
    dagger.iterate()
    assert len(dagger.data) == 300

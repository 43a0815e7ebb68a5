"""A slice is written once, whole, and read only as it was written."""

import json
import shutil

import numpy as np
import pytest

from compagnon.errors import InputError
from compagnon.operations.slices import Objective, collect, freeze, load
from compagnon.operations.slices.slice import ARRAYS, MANIFEST, _sealed, sha256_of
from compagnon.store import outcomes
from compagnon.store.factory import open_store
from compagnon.store.migrating import upgrade
from tests.store.rows import row


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    store = open_store(tmp_path_factory.mktemp("log") / "log.db", create=True, check=False)
    upgrade(store)
    store.append([row(k, episode=f"é {k // 3}") for k in range(30)])
    outcomes.define(store, "profit", 60.0)
    outcomes.put_many(store, [(row(k).id, "profit", k / 3) for k in range(0, 30, 2)], 1.7e9)
    yield collect(store, ["profit"], application="shop", now=1.8e9)
    store.close()


@pytest.fixture
def frozen(collected, tmp_path):
    freeze(collected, tmp_path / "slice")
    return tmp_path / "slice"


def test_it_is_read_as_it_was_written(collected, frozen):
    found = load(frozen, sha256_of(frozen))
    assert found.id == collected.id
    assert found.episode == collected.episode
    for name in ("time", "features", "mask", "probabilities", "action", "propensity", "late"):
        wanted = getattr(collected, name)
        assert getattr(found, name).dtype == wanted.dtype
        np.testing.assert_array_equal(getattr(found, name), wanted)
    np.testing.assert_array_equal(found.outcomes, collected.outcomes)
    assert dict(found.manifest) == json.loads(json.dumps(collected.manifest))


def test_the_same_decisions_have_the_same_hash(collected, frozen, tmp_path):
    assert freeze(collected, tmp_path / "again") == sha256_of(frozen)
    assert load(frozen, sha256_of(frozen)[:12]).id == collected.id


def test_it_is_never_written_over(collected, frozen, tmp_path):
    with pytest.raises(InputError, match="never written over"):
        freeze(collected, frozen)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["slice"]


@pytest.mark.parametrize("at", [0, 8, 100, -1])
def test_a_byte_that_was_changed_is_seen(frozen, at):
    data = bytearray((frozen / ARRAYS).read_bytes())
    data[at] ^= 1
    (frozen / ARRAYS).write_bytes(data)
    with pytest.raises(InputError, match="was changed, or is cut"):
        load(frozen)


def test_a_row_that_was_taken_out_is_seen_even_with_a_new_hash(collected, frozen, tmp_path):
    from dataclasses import fields, replace

    less = {
        one.name: getattr(collected, one.name)[:-1]
        for one in fields(collected)
        if one.name != "manifest"
    }
    freeze(replace(collected, **less), tmp_path / "less")
    with pytest.raises(InputError, match=r"has hash .*, not"):
        load(tmp_path / "less", sha256_of(frozen))
    # Whoever changes the arrays and their hash alone has another number of rows.
    shutil.copy(tmp_path / "less" / ARRAYS, frozen / ARRAYS)
    told = json.loads((frozen / MANIFEST).read_text())
    told.pop("seal")
    told["arrays_sha256"] = json.loads((tmp_path / "less" / MANIFEST).read_text())["arrays_sha256"]
    (frozen / MANIFEST).write_text(_sealed(told))
    with pytest.raises(InputError, match="rows are missing"):
        load(frozen)


@pytest.mark.parametrize(
    ("old", "new"),
    [('"shop"', '"show"'), ("60.0", "90.0"), ('"profit"', '"loss"'), ("{\n", "{ \n"), ("0", "1")],
)
def test_what_it_says_of_itself_cannot_be_changed_unseen(frozen, old, new):
    text = (frozen / MANIFEST).read_text()
    assert old in text
    (frozen / MANIFEST).write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=r"was changed|does not describe"):
        load(frozen)


def test_other_outcomes_than_are_there_are_seen_even_under_a_new_seal(collected, tmp_path):
    from dataclasses import replace

    told = {**collected.manifest, "outcomes": []}
    freeze(replace(collected, manifest=told), tmp_path / "other")
    with pytest.raises(InputError, match="names other outcomes than are there"):
        load(tmp_path / "other")


def test_arrays_that_are_no_plain_file_are_not_read(frozen):
    (frozen / ARRAYS).unlink()
    (frozen / ARRAYS).symlink_to("/dev/zero")
    with pytest.raises(InputError, match="is no plain file"):
        load(frozen)


@pytest.mark.parametrize(
    "text", ["[" * 90_000, "", "[]", "{}", '{"format": 2, "decisions": 1}', "\xff"]
)
def test_what_is_no_slice_is_refused(frozen, text):
    (frozen / MANIFEST).write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=MANIFEST):
        load(frozen)


def test_a_folder_without_one_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        load(tmp_path)


def test_rewards_are_weighted_sums_and_missing_stays_missing():
    values = np.array([[1.0, 2.0], [np.nan, 3.0], [4.0, np.nan]])
    objective = Objective({"profit": 2.0, "late": -1.0}, frozenset({"late"}))
    found = objective.rewards(values, ("profit", "late"))
    np.testing.assert_array_equal(found, [0.0, np.nan, 8.0])
    assert Objective.of_json(objective.as_json()) == objective
    assert Objective.parse(["profit=2", "late=-1.0"], ["late"]) == objective


@pytest.mark.parametrize(
    ("pairs", "zero", "words"),
    [
        ([], [], "name at least one"),
        (["profit"], [], "is not KEY=VALUE"),
        (["profit=much"], [], "profit='much' should be a number"),
        (["profit=0"], [], "and not 0"),
        (["profit=inf"], [], "should be finite"),
        (["profit=true"], [], "should be a number"),
        (["profit=1"], ["late"], r"late is none of the objective's outcomes \(profit\)"),
    ],
)
def test_an_objective_that_cannot_be_is_refused(pairs, zero, words):
    with pytest.raises(InputError, match=words):
        Objective.parse(pairs, zero)


def test_an_objective_of_what_was_not_collected_is_refused():
    with pytest.raises(InputError, match="late was not collected; there are profit"):
        Objective({"late": 1.0}).rewards(np.zeros((2, 1)), ("profit",))

"""A version says what it was made from, and the registry sees where somebody changed that."""

import json
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import text

from compagnon.cli import main
from compagnon.errors import InputError
from compagnon.store import events, lineage, migrating, recorded, registry, verifying
from compagnon.store.factory import open_store
from tests.store.exported import exported
from tests.store.test_registry import change

A, B, C, D = (letter * 64 for letter in "abcd")
BOOK = {"role": "env.args.demand", "path": "orders.csv", "sha256": D}
TOLD = {
    "recipe": "mine", "recipe_sha256": A, "recipe_changes": [], "data": [BOOK], "data_sha256": D,
    "parent": {"how": "clone", "name": "mine", "sha256": B},
}  # fmt: skip


def told(folder: Path, onnx: bytes = b"child", weights: str = C, **changes: Any) -> Path:
    return exported(folder, onnx, provenance={**TOLD, **changes}, weights_sha256=weights)


@pytest.fixture
def parent(store, tmp_path):
    """The version whose weights the others name."""
    return registry.add(store, told(tmp_path / "clone", b"clone", B, parent=None))


def test_a_version_keeps_what_its_manifest_says(store, tmp_path, parent):
    made = registry.add(store, told(tmp_path / "run"))
    assert made.provenance == {**TOLD, "weights_sha256": C}
    assert (made.data_sha256, made.parent_sha256) == (D, parent.sha256)
    assert registry.version(store, "shop", "2") == made
    assert lineage.parent_words(made, registry.listed(store)) == "version 1"
    assert registry.verify(store).fault is None
    assert verifying.verify(store).faults == []


def test_a_parent_that_is_not_here_is_allowed_and_said(store, tmp_path):
    made = registry.add(store, told(tmp_path / "run"))
    assert (made.parent_sha256, lineage.named_parent(made)) == (None, B)
    words = lineage.parent_words(made, registry.listed(store))
    assert words == f"clone {B[:12]}, not in this registry"
    # It may come later, and under another name.
    registry.add(store, told(tmp_path / "clone", b"clone", B, parent=None), model="other")
    assert lineage.parent_words(made, registry.listed(store)) == "version 1 of other"


def test_a_parent_is_known_by_its_model_file_too(store, tmp_path):
    first = registry.add(store, exported(tmp_path / "first", b"graph"))
    theirs = {"how": "onnx", "name": "graph.onnx", "sha256": first.sha256}
    made = registry.add(store, told(tmp_path / "run", parent=theirs))
    assert made.parent_sha256 == first.sha256


def test_a_person_s_word_names_the_parent_before_the_manifest_s(store, tmp_path, parent):
    other = registry.add(store, exported(tmp_path / "other", b"other"))
    made = registry.add(store, told(tmp_path / "run"), parent="2")
    assert made.parent_sha256 == other.sha256


def test_older_artefacts_are_taken_in_as_before(store, tmp_path):
    made = registry.add(store, exported(tmp_path / "old"))
    assert (made.provenance, made.parent_sha256, made.data_sha256) == ({}, None, None)
    assert lineage.parent_words(made, [made]) == ""


def test_data_that_contradicts_the_manifest_is_refused(store, tmp_path):
    folder = told(tmp_path / "run")
    with pytest.raises(InputError, match=r"not what policy\.json says"):
        registry.add(store, folder, data_sha256=A)
    assert registry.add(store, folder, data_sha256=D).data_sha256 == D


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"data_sha256": "x"}, r"provenance\.data_sha256: 'x' is no SHA-256"),
        ({"recipe_sha256": 5}, r"provenance\.recipe_sha256: 5 is no SHA-256"),
        ({"parent": {"how": "clone"}}, r"provenance\.parent\.sha256"),
        ({"parent": "x"}, r"provenance\.parent\.sha256"),
        ({"data": [{"path": "x"}]}, r"provenance\.data\.0\.sha256"),
        ({"data": 3}, r"provenance\.data should be a list"),
    ],
)
def test_what_is_no_provenance_is_refused(sqlite_store, tmp_path, changes, word):
    with pytest.raises(InputError, match=word):
        registry.add(sqlite_store, told(tmp_path / "run", **changes))
    assert registry.listed(sqlite_store) == []


# -- tampering ------------------------------------------------------------------------------------


def test_a_manifest_that_was_changed_after_its_export_is_refused(sqlite_store, tmp_path):
    folder = told(tmp_path / "run")
    file = folder / "policy.json"
    file.write_text(file.read_text().replace(D, A))
    with pytest.raises(InputError, match=r"policy\.json is not the one that was exported"):
        registry.add(sqlite_store, folder)


def test_a_manifest_that_was_changed_in_the_registry_is_found(store, tmp_path):
    made = registry.add(store, told(tmp_path / "run"))
    file = store.files / made.sha256 / "policy.json"
    file.write_text(file.read_text().replace(D, A))
    assert "policy.json was changed" in (registry.verify(store).fault or "")


@pytest.mark.parametrize("value", ["null", "'{}'", "replace(provenance, 'mine', 'yours')"])
def test_a_provenance_that_was_changed_by_hand_is_found(store, tmp_path, value):
    registry.add(store, told(tmp_path / "run"))
    change(store, f"update versions set provenance = {value}")
    fault = "versions: .* is not as its event says .provenance"
    with pytest.raises(AssertionError, match=fault):
        raise AssertionError(registry.verify(store).fault)


def test_versions_from_before_it_was_kept_stay_as_they_are(address, tmp_path):
    store = open_store(address, files=tmp_path / "models", create=True, check=False)
    with store.write() as connection:
        command.upgrade(migrating.config_for(connection), "0004")
        values = {
            "model": "shop", "number": 1, "sha256": A, "schema_sha256": B, "files": "{}",
            "metrics": "{}", "signature": "{}", "time": 1.0,
        }  # fmt: skip
        connection.execute(text("insert into models (name, time) values ('shop', 1)"))
        names = ", ".join(values)
        marks = ", ".join(f":{name}" for name in values)
        connection.execute(text(f"insert into versions ({names}) values ({marks})"), values)
        row = {"id": 1, **values, "parent_sha256": None, "data_sha256": None}
        rows = [["models", {"name": "shop", "time": 1.0}], ["versions", row]]
        body = {"number": 1, "sha256": A, "files": {}, recorded.ROWS: rows}
        events.append(connection, registry.ADDED, "shop", "me", body)
    assert migrating.upgrade(store) == ("0004", "0007")
    assert [one.provenance for one in registry.listed(store)] == [{}]
    assert registry.verify(store).fault is None
    change(store, "update versions set provenance = '{}'")
    assert "provenance" in (registry.verify(store).fault or "")
    store.close()


# -- on the command line --------------------------------------------------------------------------


def test_the_command_says_what_a_version_was_made_from(sqlite_store, tmp_path, capsys):
    where = ["--db", sqlite_store.address]
    folder = told(tmp_path / "run", recipe_changes=[{"iteration": 4, "fields": {}}])
    assert main(["registry", "add", str(folder), *where]) == 0
    said = capsys.readouterr().out
    assert f"recipe mine {A[:12]}, changed on the way" in said
    assert f"trained on orders.csv {D[:12]} (env.args.demand)" in said
    assert f"made from clone {B[:12]}, not in this registry" in said
    clone = told(tmp_path / "clone", b"clone", B, parent=None)
    assert main(["registry", "add", str(clone), *where]) == 0
    assert "made from" not in capsys.readouterr().out
    assert main(["registry", "show", "shop", "1", *where]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["parent"], shown["provenance"]["recipe"]) == ("version 2", "mine")
    assert main(["registry", "list", *where]) == 0
    listed = capsys.readouterr().out
    assert "version 2" in " ".join(listed.split())
    assert D[:12] in listed

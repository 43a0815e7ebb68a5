"""The registry: versions by hash, pointers moved by one hand, a chain that shows tampering."""

import hashlib
import json
import threading

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from compagnon.errors import InputError
from compagnon.store import events, registry
from compagnon.store.registry import Moved
from tests.store.exported import exported
from tests.store.hand import by_hand
from tests.waiting import joined


@pytest.fixture
def three(store, tmp_path):
    """Three versions of the model `shop`."""
    return [
        registry.add(store, exported(tmp_path / f"run-{i}", b"onnx-%d" % i), actor="me")
        for i in (1, 2, 3)
    ]


def change(store, statement: str) -> None:
    """What somebody does by hand who may do everything."""
    with store.write() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("alter table events disable trigger all"))
        else:
            connection.execute(text("drop trigger if exists events_no_update"))
            connection.execute(text("drop trigger if exists events_no_delete"))
        connection.execute(text(statement))


def test_a_version_says_what_it_is(store, tmp_path):
    folder = exported(tmp_path / "run", b"abc", small=b"ab")
    made = registry.add(store, folder, data_sha256="d" * 64, metrics={"agreement": 0.99})
    assert made.sha256 == hashlib.sha256(b"abc").hexdigest()
    assert (made.model, made.number, made.schema_sha256) == ("shop", 1, "5" * 64)
    assert made.metrics == {"return": 12.5, "agreement": 0.99}
    assert made.signature["fields"] == ["stock", "demand"]
    assert made.signature["action"]["n"] == 5
    assert registry.listed(store) == [made]
    kept = registry.checked_files(store, made)
    assert {path.name for path in kept.iterdir()} == set(made.files)
    assert (kept / "policy.onnx").read_bytes() == b"abc"
    small = hashlib.sha256(b"ab").hexdigest()
    assert registry.version_of_file(store, small) == made
    assert registry.version_of_file(store, made.sha256) == made
    assert registry.version_of_file(store, "0" * 64) is None


def test_the_same_files_are_added_once(store, tmp_path, three):
    again = registry.add(store, exported(tmp_path / "elsewhere", b"onnx-2"))
    assert again == three[1]
    assert [v.number for v in registry.listed(store, "shop")] == [1, 2, 3]
    child = registry.add(store, exported(tmp_path / "c", b"child"), parent="2")
    assert (child.number, child.parent_sha256) == (4, three[1].sha256)


def test_versions_are_found_by_number_hash_and_role(store, three):
    assert registry.version(store, "shop", "2") == three[1]
    assert registry.version(store, "shop", three[2].sha256[:8]) == three[2]
    registry.move(store, "shop", "challenger", "3")
    assert registry.version(store, "shop", "challenger") == three[2]
    for which in ("9", "zzzzzz", three[0].sha256[:3], "champion"):
        with pytest.raises(InputError, match="shop"):
            registry.version(store, "shop", which)
    with pytest.raises(InputError, match="there are shop"):
        registry.version(store, "shp", "1")


def test_a_pointer_moves_by_compare_and_swap(store, three):
    assert registry.pointer(store, "shop", "champion").revision == 0
    first = registry.move(store, "shop", "champion", "1", expected=0, actor="me")
    assert (first.sha256, first.revision) == (three[0].sha256, 1)
    with pytest.raises(Moved, match=r"revision 1, not 0.*look at it again"):
        registry.move(store, "shop", "champion", "2", expected=0)
    assert registry.pointer(store, "shop", "champion") == first
    second = registry.move(store, "shop", "champion", "2", expected=1, evidence={"z": 2.5})
    assert second.revision == 2
    with store.read() as connection:
        last = list(events.read(connection, "shop"))[-1]
    assert last.body["evidence"] == {"z": 2.5}
    assert (last.body["from"], last.body["to"]) == (three[0].sha256, three[1].sha256)
    assert registry.move(store, "shop", "challenger", None).sha256 is None


def test_of_two_hands_that_move_at_once_one_does(store, three):
    registry.move(store, "shop", "champion", "1")
    results: list[object] = []
    start = threading.Barrier(8)

    def hand(number: int) -> None:
        start.wait(60)
        try:
            to = str(2 + number % 2)
            results.append(registry.move(store, "shop", "champion", to, expected=1))
        except Moved as error:
            results.append(error)

    threads = [threading.Thread(target=hand, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    joined(threads)
    assert sum(isinstance(result, Moved) for result in results) == 7
    assert registry.pointer(store, "shop", "champion").revision == 2
    assert registry.verify(store).fault is None


def test_two_that_add_at_once_get_two_numbers(store, tmp_path):
    folders = [exported(tmp_path / f"run-{i}", b"onnx-%d" % i) for i in range(6)]
    threads = [threading.Thread(target=registry.add, args=(store, f)) for f in folders]
    for thread in threads:
        thread.start()
    joined(threads)
    assert [found.number for found in registry.listed(store)] == [1, 2, 3, 4, 5, 6]
    assert registry.verify(store).events == 6


def test_rollback_goes_back_through_the_champions(store, three):
    with pytest.raises(InputError, match="nothing to go back to"):
        registry.rollback(store, "shop")
    for number in ("1", "2", "3"):
        registry.move(store, "shop", "champion", number)
    assert registry.rollback(store, "shop").sha256 == three[1].sha256
    assert registry.rollback(store, "shop").sha256 == three[0].sha256
    with pytest.raises(InputError, match="nothing to go back to"):
        registry.rollback(store, "shop")
    registry.move(store, "shop", "champion", "3")
    assert registry.rollback(store, "shop").sha256 == three[0].sha256
    with pytest.raises(Moved):
        registry.rollback(store, "shop", expected=1)
    assert registry.verify(store).fault is None


def test_a_sound_registry_is_verified(store, three):
    registry.move(store, "shop", "champion", "1")
    found = registry.verify(store)
    assert (found.fault, found.events, found.versions) == (None, 4, 3)
    registry.move(store, "shop", "champion", "2")
    assert registry.verify(store, head=found.head).fault is None


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("update events set actor = 'you' where seq = 2", "event 2 .* was changed"),
        ("update events set time = time + 1 where seq = 3", "event 3 .* was changed"),
        ("delete from events where seq = 2", "event 2 is missing"),
        ("delete from events where seq = 4", "champion of shop is not as"),
        ("update versions set files = '{}' where number = 2", "version 2 of shop is not as"),
        ("delete from versions where number = 3", "version 3 of shop was removed"),
        ("update pointers set revision = 9", "champion of shop is not as the events"),
        ("delete from pointers", "pointer champion of shop was removed"),
    ],
)
def test_what_was_changed_by_hand_is_named(store, three, statement, fault):
    registry.move(store, "shop", "champion", "1")
    change(store, statement)
    with pytest.raises(AssertionError, match=fault):
        raise AssertionError(registry.verify(store).fault)


def test_a_whole_chain_written_anew_is_seen_with_its_last_hash(store, three):
    registry.move(store, "shop", "challenger", "1")
    head = registry.verify(store).head
    by_hand(store, "delete from pointers", "delete from events where seq = 4")
    assert registry.verify(store).fault is None
    assert "last ones are missing" in registry.verify(store, head).fault


@pytest.mark.parametrize("verb", ["update events set actor = 'you'", "delete from events"])
def test_the_database_itself_refuses_to_change_events(store, three, verb):
    with pytest.raises((DBAPIError, Exception), match="append-only"), store.write() as connection:
        connection.execute(text(verb))
    assert registry.verify(store).fault is None


def test_a_tampered_model_file_is_refused_and_the_champion_stays(store, three):
    champion = registry.move(store, "shop", "champion", "1")
    file = store.files / three[1].sha256 / "policy.onnx"
    file.write_bytes(b"another")
    with pytest.raises(InputError, match=r"policy\.onnx was changed"):
        registry.move(store, "shop", "champion", "2")
    assert registry.pointer(store, "shop", "champion") == champion
    assert "policy.onnx was changed" in registry.verify(store).fault
    file.unlink()
    assert "policy.onnx is missing" in registry.verify(store).fault


def test_files_under_a_hash_are_never_written_over(store, tmp_path, three):
    (store.files / three[0].sha256 / "policy.json").write_text("{}")
    with pytest.raises(InputError, match="never changed"):
        registry.add(store, exported(tmp_path / "again", b"onnx-1"), model="other")


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda f: (f / "policy.onnx").unlink(), "has no policy.onnx: run compagnon export"),
        (lambda f: (f / "export.json").unlink(), "has no export.json"),
        (lambda f: (f / "policy.onnx").write_bytes(b"x"), "not the file that export.json"),
        (lambda f: (f / "policy.int8.onnx").write_bytes(b"x"), "not the file that export.json"),
        (lambda f: (f / "policy.json").write_text("[]"), "should hold an object"),
        (lambda f: (f / "policy.json").write_text("{"), "is not JSON"),
        (lambda f: (f / "policy.json").write_text("{}"), "name is missing"),
        (lambda f: (f / "policy.json").write_bytes(b"\x80\x04."), "is not JSON"),
        (lambda f: (f / "export.json").write_text('{"schema_sha256": "7"}'), "another schema"),
    ],
)
def test_a_damaged_artefact_is_refused(sqlite_store, tmp_path, spoil, word):
    folder = exported(tmp_path / "run")
    spoil(folder)
    with pytest.raises(InputError, match=word):
        registry.add(sqlite_store, folder)
    assert registry.listed(sqlite_store) == []


def test_other_files_of_an_artefact_stay_outside(sqlite_store, tmp_path):
    folder = exported(tmp_path / "run")
    (folder / "model.pkl").write_bytes(b"\x80\x04.")
    made = registry.add(sqlite_store, folder)
    assert set(made.files) == {"policy.json", "policy.onnx", "export.json"}
    assert json.loads((sqlite_store.files / made.sha256 / "policy.json").read_text())
    with pytest.raises(InputError, match="not a folder"):
        registry.add(sqlite_store, folder / "model.pkl")

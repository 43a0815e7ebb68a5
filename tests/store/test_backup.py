"""Backups: everything in one folder, from either database into either, and damage is seen."""

import json
import os

import pytest
from sqlalchemy import select

from compagnon.errors import InputError
from compagnon.store import backup, events, keys, outcomes, registry, slots
from compagnon.store.factory import open_store
from compagnon.store.migrating import upgrade
from compagnon.store.tables import metadata
from tests.store.exported import exported
from tests.store.rows import row


@pytest.fixture
def full(store, tmp_path):
    """A store with something in each table."""
    store.append([row(i, shadow=b"\x00\x01" if i % 2 else None) for i in range(30)])
    outcomes.put(store, row(3).id, "profit", 0.1 + 0.2)
    registry.add(store, exported(tmp_path / "run", b"one", small=b"1"))
    registry.move(store, "shop", "champion", "1")
    keys.create(store, "decide")
    slots.claim(store, "retrain", "s", "me", 60)
    return store


def contents(store):
    with store.read() as connection:
        return {
            table.name: [tuple(r) for r in connection.execute(select(table))]
            for table in metadata.sorted_tables
        }


@pytest.mark.parametrize("target", ["sqlite", "postgres"])
def test_a_backup_restores_into_either_database(full, target, tmp_path, request):
    copied = backup.backup(full, tmp_path / "copy")
    assert copied.rows["decisions"] == 30
    assert copied.files == 4
    if target == "postgres":
        if "postgres" in full.address:
            # Another schema than the one that `full` is in.
            with full.write() as connection:
                connection.exec_driver_sql("create schema if not exists restored_here")
            address = full.address.split("search_path")[0] + "search_path%3Drestored_here"
        else:
            address = request.getfixturevalue("postgres")
    else:
        address = str(tmp_path / "new" / "other.db")
    fresh = open_store(address, files=tmp_path / "other-models", create=True, check=False)
    try:
        assert backup.restore(fresh, tmp_path / "copy", copied.head) == copied
        assert contents(fresh) == contents(full)
        assert registry.verify(fresh).fault is None
        # It goes on where it ended: counters and the chain too.
        fresh.append([row(100)])
        registry.add(fresh, exported(tmp_path / "more", b"two"))
        assert registry.verify(fresh).events == registry.verify(full).events + 1
        with pytest.raises(InputError, match="restore into an empty one"):
            backup.restore(fresh, tmp_path / "copy", None)
    finally:
        if "restored_here" in address:
            with fresh.write() as connection:
                connection.exec_driver_sql("drop schema restored_here cascade")
        fresh.close()


def test_a_backup_is_one_moment_while_others_write(sqlite_store, tmp_path):
    sqlite_store.append([row(i) for i in range(200)])
    backup.backup(sqlite_store, tmp_path / "one")
    sqlite_store.append([row(i) for i in range(200, 300)])
    copied = backup.backup(sqlite_store, tmp_path / "two")
    assert copied.rows["decisions"] == 300
    assert {path.name for path in (tmp_path / "one").iterdir()} == {"store.db", "backup.json"}


def test_a_damaged_backup_is_refused(full, tmp_path):
    folder = tmp_path / "copy"
    backup.backup(full, folder)
    with pytest.raises(InputError, match="is there already"):
        backup.backup(full, folder)
    fresh = open_store(tmp_path / "fresh.db", create=True, check=False)
    record = (folder / "backup.json").read_text()
    (folder / "backup.json").write_text(json.dumps({**json.loads(record), "version": "9999"}))
    with pytest.raises(InputError, match="newer"):
        backup.restore(fresh, folder, None)
    (folder / "backup.json").write_text("{")
    with pytest.raises(InputError, match="not what compagnon db backup writes"):
        backup.restore(fresh, folder, None)
    (folder / "backup.json").write_text(record)
    data = bytearray((folder / "store.db").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "store.db").write_bytes(data)
    with pytest.raises(InputError, match="was changed"):
        backup.restore(fresh, folder, None)
    with pytest.raises(InputError, match="is no backup"):
        backup.restore(fresh, tmp_path / "nothing", None)
    upgrade(fresh)
    with fresh.read() as connection:
        assert list(events.read(connection)) == []
    fresh.close()


def test_a_sound_database_has_no_faults(full):
    assert backup.check(full) == []
    assert backup.check(full) == []


def test_a_row_that_points_at_nothing_is_found(sqlite_store):
    with sqlite_store._alone():
        sqlite_store._raw.execute("PRAGMA foreign_keys = OFF")
        sqlite_store._raw.execute(
            "INSERT INTO outcomes (decision_id, name, value, time, late) "
            "VALUES ('nobody', 'profit', 1.0, 1.0, 0)"
        )
        sqlite_store._raw.execute("PRAGMA foreign_keys = ON")
    assert len(backup.check(sqlite_store)) == 2
    assert "outcomes" in backup.check(sqlite_store)[0]


def _link(folder):
    (folder / "extra").symlink_to("/etc/passwd")


def _pipe(folder):
    os.mkfifo(folder / "extra")


def _folder(folder):
    folder.with_name("b" * 64).symlink_to(folder, target_is_directory=True)


@pytest.mark.full
@pytest.mark.parametrize("plant", [_link, _pipe, _folder])
def test_a_restore_follows_no_link(full, tmp_path, plant):
    backup.backup(full, tmp_path / "copy")
    plant(next((tmp_path / "copy" / "models").iterdir()))
    fresh = open_store(tmp_path / "new" / "fresh.db", create=True, check=False)
    with pytest.raises(InputError, match=r"is a link|no plain file"):
        backup.restore(fresh, tmp_path / "copy", None)
    assert contents(fresh)["decisions"] == []
    assert not list(fresh.files.glob("*/extra"))
    fresh.close()


def test_restored_model_files_are_their_owners_alone(full, tmp_path):
    backup.backup(full, tmp_path / "copy")
    fresh = open_store(tmp_path / "new" / "fresh.db", create=True, check=False)
    backup.restore(fresh, tmp_path / "copy", None)
    modes = {path.stat().st_mode & 0o777 for path in fresh.files.glob("*/*")}
    assert modes == {0o600}
    fresh.close()

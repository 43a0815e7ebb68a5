"""Files that are moved, replaced or reached by two names while they are in use; whose they are."""

import contextlib
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from compagnon.errors import InputError
from compagnon.store import backup, registry
from compagnon.store import sqlite as sqlite_module
from compagnon.store.errors import StoreUnavailable
from compagnon.store.factory import open_store
from compagnon.store.log import DecisionLog, find
from compagnon.store.migrating import upgrade
from compagnon.store.place import DatabasePlace
from tests.store.exported import exported
from tests.store.rows import row
from tests.tiers import full

PUBLIC = "the database file was deleted, moved or replaced"
NAMES = ["a#b.db", "a?b.db", "a?mode=memory", "a%2fb.db", "a%b.db", "a b'\".db", "ä;&=.db", "a:b@c"]


@pytest.fixture
def path(tmp_path, made):
    return Path(shutil.copyfile(made, tmp_path / "log.db"))


def written(log):
    """Wait until nothing waits."""
    until = time.monotonic() + 30
    while log.pending:
        assert time.monotonic() < until
        time.sleep(0.001)


def refused(store, log, number, words):
    """Neither written nor read, and what outsiders are told names no path."""
    with pytest.raises(StoreUnavailable, match=words) as caught:
        log.submit(row(number)).result(20)
    assert caught.value.public == PUBLIC
    with pytest.raises(StoreUnavailable, match=words), store.write():
        pass
    with pytest.raises(StoreUnavailable, match=words):
        find(store, row(0).id)


def test_a_file_that_grows_while_two_threads_look_did_not_become_shorter(path, monkeypatch):
    place = DatabasePlace(path, create=False)
    found = os.stat

    def meanwhile(*given):
        """What another thread finds, between our look and what we make of it."""
        before = found(*given)
        monkeypatch.setattr(os, "stat", found)
        os.truncate(path, before.st_size + 4096)
        place.check()
        return before

    monkeypatch.setattr(os, "stat", meanwhile)
    place.check()
    assert place.spoilt is None
    place.check()
    os.truncate(path, path.stat().st_size - 4096)
    with pytest.raises(StoreUnavailable, match="became shorter"):
        place.check()
    assert place.spoilt
    place.close()


@pytest.mark.parametrize("name", ["log.db", "log.db-wal", "log.db-shm"])
def test_a_file_that_was_moved_is_noticed_and_so_is_its_return(path, name):
    store = open_store(path)
    with DecisionLog(store) as log:
        assert log.submit(row(0)).result(20).status == "stored"
        (path.parent / name).rename(path.parent / "elsewhere")
        refused(store, log, 1, "deleted or moved|deleted, moved or replaced")
        (path.parent / "elsewhere").rename(path.parent / name)
        assert log.submit(row(1)).result(20).status == "stored"
    store.close()
    again = open_store(path)
    assert [find(again, row(i).id) is not None for i in range(2)] == [True, True]
    assert backup.check(again) == []
    again.close()


@pytest.mark.parametrize("mode", ["durable", "fast"])
def test_a_file_that_was_deleted_takes_nothing_more(path, mode):
    store = open_store(path)
    log = DecisionLog(store, mode)
    assert log.submit(row(0)).result(20).status == "stored"
    written(log)
    path.unlink()
    if mode == "durable":
        refused(store, log, 1, "is gone")
    else:
        assert log.submit(row(1)).result(0).status == "stored"
    log.close(timeout=0)
    assert log.lost == (mode == "fast")
    store.close()
    assert not path.exists()


def test_a_file_that_was_replaced_is_noticed(path, made):
    store = open_store(path)
    with DecisionLog(store) as log:
        log.submit(row(0)).result(20)
        shutil.copyfile(made, path.with_name("new.db"))
        path.with_name("new.db").replace(path)
        refused(store, log, 1, "another file now")
        # From now on even a process that is killed leaves nothing that mixes with the new file.
        with contextlib.closing(sqlite3.connect(path)) as raw:
            assert raw.execute("select count(*) from decisions").fetchone() == (0,)
            assert raw.execute("pragma integrity_check").fetchone() == ("ok",)
    store.close()


def test_a_file_that_was_written_over_stays_refused(path):
    store = open_store(path)
    with DecisionLog(store) as log:
        log.submit(row(0)).result(20)
        whole = path.read_bytes()
        path.write_bytes(b"")
        refused(store, log, 1, "became shorter")
        path.write_bytes(whole)
        refused(store, log, 1, "became shorter")
        path.write_bytes(b"somebody else's")
    store.close()
    assert path.read_bytes() == b"somebody else's"


def test_a_link_that_was_led_elsewhere_is_noticed(path, made):
    link = path.with_name("link.db")
    link.symlink_to(path)
    store = open_store(link)
    with DecisionLog(store) as log:
        log.submit(row(0)).result(20)
        shutil.copyfile(made, path.with_name("other.db"))
        link.unlink()
        link.symlink_to(path.with_name("other.db"))
        refused(store, log, 1, "another file now")
        link.unlink()
        link.symlink_to(path)
        assert log.submit(row(1)).result(20).status == "stored"
    store.close()


def test_through_a_symbolic_link_there_is_one_service(path):
    link = path.with_name("link.db")
    link.symlink_to(path)
    store, other = open_store(path), open_store(link)
    with DecisionLog(store), pytest.raises(InputError, match="one SQLite file serves one"):
        DecisionLog(other)
    other.close()
    store.close()
    assert not list(path.parent.glob("link.db-*"))


def test_through_a_hard_link_nothing_is_opened(path):
    path.with_name("link.db").hardlink_to(path)
    for name in ("log.db", "link.db"):
        with pytest.raises(InputError, match=r"has 2 names \(hard links\)"):
            open_store(path.with_name(name))
    assert not list(path.parent.glob("*-wal"))


OPEN = """
import sys
from compagnon.store import keys
from compagnon.store.factory import open_store
from compagnon.store.place import DatabasePlace
try:
    keys.create(open_store(sys.argv[1]), "decide")
except Exception as error:
    print(type(error).__name__, error)
else:
    print("opened")
"""


def opened_by_another_process(path):
    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


@pytest.mark.full
def test_a_moved_file_is_closed_to_other_programs_until_its_service_ends(path):
    """Two names, two write-ahead logs: this is how a database is destroyed."""
    moved = path.with_name("moved.db")
    store = open_store(path)
    log = DecisionLog(store)
    for number in range(300):
        log.submit(row(number)).result(20)
    assert opened_by_another_process(path) == "opened\n"  # beside a service, by its name
    moved.hardlink_to(path)
    assert "2 names" in opened_by_another_process(moved)
    path.unlink()
    assert "in use by a service that opened it under another name" in opened_by_another_process(
        moved
    )
    refused(store, log, 300, "is gone")
    log.close()
    assert "under another name" in opened_by_another_process(moved)
    store.close()  # moves what its log holds into the file, wherever that is
    assert opened_by_another_process(moved) == "opened\n"
    again = open_store(moved)
    assert all(find(again, row(i).id) is not None for i in range(300))
    assert backup.check(again) == []
    again.close()


@pytest.mark.parametrize("ending", ["-wal", full("-shm")])
def test_a_service_without_its_write_ahead_log_is_left_alone(path, ending):
    store = open_store(path)
    with DecisionLog(store) as log:
        log.submit(row(0)).result(20)
        path.with_name(f"log.db{ending}").unlink()
        assert "put it back, or stop the service first" in opened_by_another_process(path)
        refused(store, log, 1, "was deleted, moved or replaced")
    store.close()
    again = open_store(path)
    assert find(again, row(0).id) == row(0)
    assert backup.check(again) == []
    again.close()


def test_two_stores_of_a_process_close_without_losing_each_others_locks(path):
    """POSIX drops all locks of a process on a file when any descriptor of it is closed."""
    store = open_store(path)
    log = DecisionLog(store)
    log.submit(row(0)).result(20)
    open_store(path).close()
    done = subprocess.run(
        ["lslocks", "--noheadings", "--output", "PID,TYPE,PATH"], capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    held = [line.split(None, 2) for line in done.stdout.splitlines()]
    kinds = {kind for pid, kind, name in held if pid == str(os.getpid()) and name == str(path)}
    assert kinds == {"POSIX", "FLOCK"}
    log.close()
    store.close()


def test_a_lock_file_that_was_removed_locks_all_the_same(path, monkeypatch):
    monkeypatch.setattr(sqlite_module, "BUSY_SECONDS", 0.05)
    first = open_store(path)
    path.with_name("log.db-writer").unlink()
    second = open_store(path)
    with first._alone(), pytest.raises(StoreUnavailable, match="holds its lock"), second._alone():
        pass
    with second._alone(), pytest.raises(StoreUnavailable, match="holds its lock"), first._alone():
        pass
    first.close()
    second.close()


@pytest.mark.parametrize("name", NAMES)
def test_exactly_the_named_file_is_opened(tmp_path, made, name):
    path = tmp_path / name
    shutil.copyfile(made, path)
    store = open_store(f"sqlite:///{path}")
    store.append([row(0)])
    assert find(store, row(0).id) == row(0)
    assert {one.name.removesuffix("-wal").removesuffix("-shm").removesuffix("-writer")
            for one in tmp_path.iterdir()} == {name}  # fmt: skip
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as raw:
        assert raw.execute("select id from decisions").fetchall() == [(row(0).id,)]


def test_a_name_that_is_no_text(tmp_path, made):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/log\xff.db"))
    shutil.copyfile(made, path)
    store = open_store(path)
    store.append([row(0)])
    assert find(store, row(0).id) == row(0)
    store.close()


@pytest.mark.parametrize("name", ["a\0b", "x" * 300, "pipe"])
def test_names_that_no_database_can_have(tmp_path, name):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=r"cannot be opened|no plain file"):
        open_store(tmp_path / name, create=True)


def modes(folder):
    return {
        str(one.relative_to(folder)): f"{stat.S_IMODE(one.stat().st_mode):o}"
        for one in folder.rglob("*")
    }


def test_everything_is_for_its_owner_alone(tmp_path):
    policy = exported(tmp_path / "policy")
    before = os.umask(0)
    try:
        store = open_store(tmp_path / "made/for/log.db", create=True, check=False)
        upgrade(store)
        registry.add(store, policy, model="shop")
        with DecisionLog(store) as log:
            log.submit(row(0)).result(20)
            found = modes(tmp_path / "made")
        backup.backup(store, tmp_path / "copies/monday")
        store.close()
    finally:
        os.umask(before)
    assert {"for/log.db", "for/log.db-wal", "for/log.db-shm", "for/log.db-writer"} <= found.keys()
    found |= modes(tmp_path / "copies")
    folders = {name for name in found if (tmp_path / "made" / name).is_dir()} | {
        name for name in found if (tmp_path / "copies" / name).is_dir()
    }
    assert {name for name in found if "models/" in name}
    assert {found[name] for name in folders} == {"700"}
    assert {mode for name, mode in found.items() if name not in folders} == {"600"}


@pytest.mark.parametrize(("database", "lock"), [(0o644, 0o600), (0o660, 0o660), (0o640, 0o600)])
def test_who_may_not_write_the_database_may_not_lock_it(path, database, lock, caplog):
    for ending in ("-writer", "-log"):  # of an earlier version
        path.with_name(f"log.db{ending}").touch()
        path.with_name(f"log.db{ending}").chmod(0o644)
    path.chmod(database)
    store = open_store(path)
    with DecisionLog(store):
        assert modes(path.parent)["log.db-writer"] == f"{lock:o}"
        assert modes(path.parent)["log.db-log"] == f"{lock:o}"
    store.close()
    assert f"may be used by others than its owner ({database:04o})" in caplog.text

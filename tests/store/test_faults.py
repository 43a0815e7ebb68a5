"""Databases that are not there, are something else, are full, locked, or go away and come back."""

import contextlib
import os
import sqlite3
import subprocess
import sys

import psycopg
import pytest

from compagnon.errors import InputError
from compagnon.store import backup
from compagnon.store import sqlite as sqlite_module
from compagnon.store.errors import StoreUnavailable
from compagnon.store.factory import open_store
from compagnon.store.log import DecisionLog, find
from compagnon.store.migrating import upgrade
from tests.gate import gate
from tests.store.rows import row
from tests.waiting import wait_until

__all__ = ["gate"]


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("nowhere.db", "does not exist; make it with: compagnon db upgrade --db"),
        ("sqlite://", "give sqlite:///FILE"),
        ("sqlite:///", "give sqlite:///FILE"),
        ("mysql://me@host/db", "give sqlite:///FILE or postgresql://"),
        ("postgresql://u:secret@127.0.0.1:1/db", "cannot be reached: .*refused"),
        ("postgresql://u@h:port/db", "this is no address"),
        (".", "is a folder"),
    ],
)
def test_an_address_that_leads_nowhere(address, word, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=word) as caught:
        open_store(address)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a database " * 100)
    with pytest.raises(InputError, match="is not a database of SQLite"):
        open_store(path)
    assert path.read_text() == "not a database " * 100


def test_a_database_of_something_else(tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as raw:
        raw.execute("create table notes (text)")
    with pytest.raises(InputError, match="has no tables yet"):
        open_store(tmp_path / "other.db")


READ_ONLY = """
import os, sys
from compagnon.store import sqlite
from compagnon.store.factory import open_store
os.setuid(65534)
try:
    open_store(sys.argv[1])
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_file_that_may_only_be_read(sqlite_store, tmp_path):
    sqlite_store.close()
    path = tmp_path / "log.db"
    script = READ_ONLY
    if os.getuid() == 0:  # root may write everything: look as somebody else, past pytest's folders
        for folder in (tmp_path, *tmp_path.parents):
            if folder.name.startswith(("pytest", "popen")):  # popen: of a parallel run
                folder.chmod(0o755)
    else:
        script = READ_ONLY.replace("os.setuid(65534)", "")
    for name in tmp_path.iterdir():
        name.chmod(0o444)
    tmp_path.chmod(0o555)
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    tmp_path.chmod(0o755)
    assert done.stdout.startswith("InputError"), done.stderr
    assert "cannot be" in done.stdout


def test_a_damaged_file_is_found(sqlite_store, tmp_path):
    sqlite_store.append([row(i) for i in range(500)])
    sqlite_store.close()
    path = tmp_path / "log.db"
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 4096] = b"\xff" * 4096
    path.write_bytes(data)
    damaged = open_store(path)
    try:
        faults = backup.check(damaged)
    except StoreUnavailable as error:
        faults = [str(error)]
    assert faults
    damaged.close()


def limit_pages(store, pages: int | None) -> None:
    """A disk with so many free pages (None: enough); SQLite says the same as of a full disk."""
    with store._alone():
        used = store._raw.execute("PRAGMA page_count").fetchone()[0]
        store._raw.execute(f"PRAGMA max_page_count = {2**30 if pages is None else used + pages}")


def test_a_full_disk_loses_nothing_and_is_left_behind(sqlite_store):
    limit_pages(sqlite_store, 20)
    with DecisionLog(sqlite_store) as log:
        futures = []
        for number in range(600):
            futures.append(log.submit(row(number)))
            if number % 20 == 0:
                futures[-1].exception(20)
        errors = [future.exception(20) for future in futures]
        kept = [i for i, error in enumerate(errors) if error is None]
        assert 0 < len(kept) < 600
        failed = [error for error in errors if error is not None]
        assert all(isinstance(error, StoreUnavailable) for error in failed)
        assert "full" in str(failed[0])
        assert log.failure is not None
        limit_pages(sqlite_store, None)
        again = [log.submit(row(i)) for i in range(600)]
        assert [future.result(20).row for future in again] == [row(i) for i in range(600)]
        assert log.failure is None
    assert all(find(sqlite_store, row(i).id) == row(i) for i in kept)
    assert backup.check(sqlite_store) == []


def test_fast_mode_holds_back_while_the_disk_is_full(sqlite_store):
    limit_pages(sqlite_store, 0)
    big = {"features": b"\x01" * 20_000}
    with DecisionLog(sqlite_store, "fast", bound=50) as log:
        errors = [log.submit(row(i, **big)).exception(0) for i in range(60)]
        assert [error is None for error in errors] == [True] * 50 + [False] * 10
        assert log.could_lose == 50
        limit_pages(sqlite_store, None)
    assert (log.committed, log.lost) == (50, 0)


def test_a_real_disk_that_is_full(tmp_path):
    mounted = tmp_path / "disk"
    mounted.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(mounted)]
    if subprocess.run(mount, capture_output=True, check=False, timeout=60).returncode != 0:
        pytest.skip("needs the right to mount a small disk")
    try:
        store = open_store(mounted / "log.db", create=True, check=False)
        upgrade(store)
        ballast = mounted / "ballast"
        with DecisionLog(store) as log:
            kept = [i for i in range(100) if log.submit(row(i)).exception(20) is None]
            assert kept == list(range(100))
            with contextlib.suppress(OSError), ballast.open("wb") as file:
                while True:
                    file.write(b"\0" * 4096)
                    file.flush()
            big = {"features": b"\x01" * 100_000}
            errors = [log.submit(row(i, **big)).exception(20) for i in range(100, 140)]
            assert any(isinstance(error, StoreUnavailable) for error in errors)
            kept += [i for i, error in enumerate(errors, 100) if error is None]
            ballast.unlink()
            assert log.submit(row(1000)).result(20).status == "stored"
        assert all(find(store, row(i).id) is not None for i in kept)
        assert backup.check(store) == []
        store.close()
    finally:
        subprocess.run(["umount", str(mounted)], check=True, timeout=60)


@pytest.mark.parametrize("how", ["database", "lock file"])
def test_a_locked_file_is_waited_for_then_said(sqlite_store, monkeypatch, how):
    monkeypatch.setattr(sqlite_module, "BUSY_SECONDS", 0.05)
    sqlite_store._raw.execute("PRAGMA busy_timeout = 50")
    other = open_store(sqlite_store.path)
    with DecisionLog(sqlite_store) as log:
        with contextlib.ExitStack() as stack:
            if how == "database":
                raw = stack.enter_context(contextlib.closing(sqlite3.connect(sqlite_store.path)))
                raw.execute("BEGIN IMMEDIATE")
            else:
                stack.enter_context(other._alone())
            with pytest.raises(StoreUnavailable, match="lock"):
                log.submit(row(1)).result(20)
            with pytest.raises(StoreUnavailable, match="lock"), sqlite_store.write():
                pass
        assert log.submit(row(1)).result(20).status == "stored"
    other.close()


@pytest.mark.full
def test_two_processes_write_one_file_by_turns(sqlite_store):
    script = (
        "import sys\nfrom compagnon.store import outcomes\n"
        "from compagnon.store.factory import open_store\n"
        "store = open_store(sys.argv[1])\n"
        "for i in range(100): outcomes.put(store, 'decision-000000', f'n{i}', float(i))\n"
    )
    with DecisionLog(sqlite_store) as log:
        log.submit(row(0)).result(20)
        other = subprocess.Popen([sys.executable, "-c", script, str(sqlite_store.path)])
        number = 1
        while other.poll() is None:
            assert log.submit(row(number)).result(20).status == "stored"
            number += 1
        assert other.returncode == 0
    assert number > 1
    assert backup.check(sqlite_store) == []


@pytest.mark.parametrize("mode", ["durable", "fast"])
def test_postgres_goes_away_and_comes_back(gate, mode):
    store = open_store(gate.address, check=False)
    upgrade(store)
    with DecisionLog(store, mode) as log:
        assert log.submit(row(0)).result(20).status == "stored"
        wait_until(lambda: not log.pending)
        gate.shut()
        away = log.submit(row(1))
        if mode == "durable":
            with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1"):
                away.result(20)
            with pytest.raises(StoreUnavailable):
                find(store, row(0).id)
        else:
            assert away.result(0).status == "stored"
            assert log.could_lose == 1
        gate.open()
        assert log.submit(row(2)).result(20).status == "stored"
    assert [find(store, row(i).id) is not None for i in range(3)] == [True, mode == "fast", True]
    store.close()


def test_a_server_started_anew_costs_no_decision(postgres):
    store = open_store(postgres, check=False)
    upgrade(store)
    with DecisionLog(store) as log:
        log.submit(row(0)).result(20)
        with psycopg.connect(postgres, autocommit=True) as other:
            other.execute("select pg_terminate_backend(%s)", [store._raw.info.backend_pid])
        assert log.submit(row(1)).result(20).status == "stored"
        with store.write():
            pass
    store.close()

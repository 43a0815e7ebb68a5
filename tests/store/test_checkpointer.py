"""Pages move out of the write-ahead log beside the commits: the guard, the length, the faults."""

import contextlib
import sqlite3
import threading

import pytest
from sqlalchemy import func, select

from compagnon.store import checkpointer
from compagnon.store.checkpointer import WalCheckpointer
from compagnon.store.log import DecisionLog
from compagnon.store.tables import decisions
from tests.store.rows import row
from tests.waiting import joined


def generation(store):
    """What SQLite writes anew at the log's head each time the log begins anew."""
    return store.path.with_name(store.path.name + "-wal").read_bytes()[16:24]


@pytest.fixture
def mover(sqlite_store):
    made = WalCheckpointer(sqlite_store._connect, sqlite_store._alone)
    yield made
    made.stop()


def rows(start, count):
    return [row(number) for number in range(start, start + count)]


def test_what_is_moved_lets_the_log_begin_anew(sqlite_store, mover):
    sqlite_store.append(rows(0, 50))
    first = generation(sqlite_store)
    assert mover.move() == 0
    sqlite_store.append(rows(50, 1))
    assert generation(sqlite_store) != first


def test_while_it_moves_the_log_cannot_begin_anew(sqlite_store, mover):
    sqlite_store.append(rows(0, 50))
    first = generation(sqlite_store)
    with mover.guarded():
        mover._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        for number in range(50, 60):
            sqlite_store.append(rows(number, 1))
            mover._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            assert generation(sqlite_store) == first
    mover.move()
    sqlite_store.append(rows(60, 1))
    assert generation(sqlite_store) != first


def test_without_the_guard_it_could(sqlite_store, mover):
    """So the test above can fail: it is the guard that keeps the log."""
    sqlite_store.append(rows(0, 50))
    first = generation(sqlite_store)
    mover._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    sqlite_store.append(rows(50, 1))
    assert generation(sqlite_store) != first


def test_nobody_writes_while_the_guard_is_opened(sqlite_store):
    inside = []

    @contextlib.contextmanager
    def alone():
        with sqlite_store._alone():
            inside.append(True)
            yield
            inside.append(False)

    mover = WalCheckpointer(sqlite_store._connect, alone)
    with mover.guarded():
        assert inside == [True, False]  # and writers are let in again while it moves
        sqlite_store.append(rows(0, 1))
    mover.stop()


def test_a_long_log_begins_anew_though_decisions_keep_coming(sqlite_store):
    wal = sqlite_store.path.with_name(sqlite_store.path.name + "-wal")
    generations = set()
    with DecisionLog(sqlite_store) as log:
        sqlite_store._mover._every, sqlite_store._mover._long = 50, 100
        for start in range(0, 3000, 25):
            log.submit_many(rows(start, 25)).result(20)
            generations.add(generation(sqlite_store))
    assert len(generations) > 2
    assert wal.stat().st_size < 3000 * 4096
    with sqlite_store.read() as connection:
        assert connection.scalar(select(func.count()).select_from(decisions)) == 3000
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"


def test_it_moves_while_others_write(sqlite_store):
    """Rows of two writers, with moves all the time: nothing is lost and nothing is damaged."""
    ending = threading.Event()
    with DecisionLog(sqlite_store) as log:
        mover = sqlite_store._mover

        def move():
            while not ending.is_set():
                mover.wrote(checkpointer.EVERY)

        thread = threading.Thread(target=move)
        thread.start()
        try:
            futures = [log.submit_many(rows(start, 20)) for start in range(0, 2000, 20)]
            for future in futures:
                assert {written.status for written in future.result(60)} == {"stored"}
        finally:  # whoever fails here must not leave it checkpointer for ever
            ending.set()
            joined(thread)
    with contextlib.closing(sqlite3.connect(sqlite_store.path)) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert raw.execute("SELECT count(*) FROM decisions").fetchone() == (2000,)


def test_a_move_that_fails_is_said_and_tried_again(sqlite_store, monkeypatch, caplog):
    moved, tries = threading.Event(), []

    def failing(self):
        tries.append(1)
        if len(tries) == 1:
            raise sqlite3.OperationalError("database or disk is full")
        moved.set()
        return 0

    monkeypatch.setattr(checkpointer, "_PAUSE", 0.0)
    monkeypatch.setattr(WalCheckpointer, "move", failing)
    with DecisionLog(sqlite_store) as log:
        sqlite_store._mover.wrote(checkpointer.EVERY)
        assert moved.wait(20)
        assert log.submit(row(1)).result(20).status == "stored"
    assert "disk is full" in caplog.text


def test_without_a_log_commits_move_pages_themselves(sqlite_store):
    def pages():
        return sqlite_store._raw.execute("PRAGMA wal_autocheckpoint").fetchone()[0]

    with DecisionLog(sqlite_store):
        assert pages() == 16_000
        assert sqlite_store._mover is not None
    assert pages() == 1000
    assert sqlite_store._mover is None


def test_a_guard_that_could_not_read_can_guard_again(sqlite_store, mover):
    sqlite_store.append(rows(0, 5))
    guard = mover._guard

    class Broken:
        """A connection that begins and then cannot read."""

        in_transaction = property(lambda self: guard.in_transaction)

        def execute(self, text):
            if text.startswith("SELECT"):
                raise sqlite3.OperationalError("disk I/O error")
            return guard.execute(text)

    mover._guard = Broken()
    with pytest.raises(sqlite3.OperationalError):
        mover.move()
    mover._guard = guard
    assert not guard.in_transaction
    assert mover.move() == 0

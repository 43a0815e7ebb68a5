"""The decision log: groups, two modes, the first writer of an id, bounds, and a database away."""

import threading

import pytest

from compagnon.errors import InputError
from compagnon.store import log as log_module
from compagnon.store.errors import LogFull, StoreUnavailable
from compagnon.store.factory import open_store
from compagnon.store.log import DecisionLog, find
from tests.store.rows import row
from tests.waiting import wait_until


class Faulty:
    """A store whose writing can be held up, or fail."""

    def __init__(self, store) -> None:
        self.store = store
        self.open = threading.Event()
        self.open.set()
        self.error: Exception | None = None
        self.batches: list[int] = []
        self.entered = threading.Semaphore(0)

    def __getattr__(self, name):
        return getattr(self.store, name)

    def append(self, rows):
        self.entered.release()
        assert self.open.wait(20)
        if self.error is not None:
            raise self.error
        self.batches.append(len(rows))
        return self.store.append(rows)


@pytest.fixture
def faulty(sqlite_store):
    return Faulty(sqlite_store)


@pytest.mark.parametrize("mode", ["durable", "fast"])
def test_what_was_given_is_found(store, mode):
    with DecisionLog(store, mode) as log:
        futures = [log.submit(row(i)) for i in range(150)]
        many = log.submit_many([row(i) for i in range(150, 220)])
        assert [future.result(10) for future in futures][3] == ("stored", row(3))
        assert [written.row for written in many.result(10)] == [row(i) for i in range(150, 220)]
    assert log.committed == 220
    assert log.pending == log.could_lose == log.conflicts == log.lost == 0
    for number in (0, 77, 219):
        assert find(store, row(number).id) == row(number)
    assert find(store, "never") is None


def test_every_kind_of_row_comes_back_as_it_was(store):
    full = row(1, shadow=b"\x00" * 40, shadow_sha256="c" * 64, experiment="ab-1")
    vector = row(2, mask=None, probabilities=b"", action=None, action_vector=b"\x01\x02\x03\x04")
    bare = row(3, key=None, arm=None, seed=2**63 - 1, time=0.1 + 0.2, id="é:" + "x" * 198)
    with DecisionLog(store) as log:
        log.submit_many([full, vector, bare]).result(10)
        assert [log.find(given.id) for given in (full, vector, bare)] == [full, vector, bare]


def test_the_first_writer_of_an_id_wins(store):
    first, same = row(1), row(1, action=4, time=5.0)
    other = row(1, action=0, request_sha256="f" * 64)
    with DecisionLog(store) as log:
        assert log.submit(first).result(10) == ("stored", first)
        assert log.submit(same).result(10) == ("repeated", first)
        assert log.submit(other).result(10) == ("conflict", first)
        assert log.submit(first).result(10) == ("stored", first)  # the same row, given again
    assert (log.conflicts, find(store, first.id)) == (1, first)


def test_an_id_twice_in_one_group_is_written_once(store):
    rows = [row(1), row(2), row(1, action=4), row(1, request_sha256="f" * 64), row(3)]
    with DecisionLog(store) as log:
        written = log.submit_many(rows).result(10)
    assert [w.status for w in written] == ["stored", "stored", "repeated", "conflict", "stored"]
    assert {w.row for w in written} == {row(1), row(2), row(3)}


def test_fast_mode_keeps_the_first_of_an_id_among_those_that_wait(faulty):
    faulty.open.clear()
    with DecisionLog(faulty, "fast") as log:
        assert log.submit(row(1)).result(0) == ("stored", row(1))
        assert log.submit(row(1, action=4)).result(0) == ("repeated", row(1))
        assert log.submit(row(1, request_sha256="f" * 64)).result(0) == ("conflict", row(1))
        assert log.find(row(1).id) == row(1)
        assert log.could_lose == 3
        faulty.open.set()
    assert (log.could_lose, log.lost, find(faulty, row(1).id)) == (0, 0, row(1))


def test_fast_mode_counts_what_it_saw_too_late(sqlite_store):
    sqlite_store.append([row(1)])
    with DecisionLog(sqlite_store, "fast") as log:
        log.submit(row(1, request_sha256="f" * 64)).result(0)
    assert log.conflicts == 1
    assert find(sqlite_store, row(1).id) == row(1)


def test_what_gathers_is_written_together(faulty):
    faulty.open.clear()
    with DecisionLog(faulty) as log:
        first = log.submit(row(0))
        assert faulty.entered.acquire(timeout=20)
        rest = [log.submit(row(i)) for i in range(1, 601)]
        assert not first.done()
        faulty.open.set()
        assert {future.result(20).status for future in [first, *rest]} == {"stored"}
    assert faulty.batches == [1, 512, 88]


def test_a_full_queue_is_refused_and_then_takes_again(faulty):
    faulty.open.clear()
    with DecisionLog(faulty, "fast", bound=10) as log:
        futures = [log.submit(row(i)) for i in range(12)]
        assert [isinstance(f.exception(0), LogFull) for f in futures] == [False] * 10 + [True] * 2
        assert log.could_lose == log.bound == 10
        assert isinstance(log.submit_many([row(20), row(21)]).exception(0), LogFull)
        faulty.open.set()
        wait_until(lambda: not log.pending)
        assert log.submit(row(12)).result(0).status == "stored"
    assert log.committed == 11


def test_durable_mode_says_that_the_database_is_away_and_goes_on_when_it_is_back(faulty):
    with DecisionLog(faulty) as log:
        log.submit(row(0)).result(20)
        faulty.error = StoreUnavailable("log.db: database or disk is full")
        faulty.open.clear()
        futures = [log.submit(row(i)) for i in range(1, 5)]
        faulty.open.set()
        for future in futures:
            with pytest.raises(StoreUnavailable, match="disk is full"):
                future.result(20)
        assert "disk is full" in log.failure
        faulty.error = None
        assert log.submit(row(1)).result(20).status == "stored"
        assert log.failure is None
        assert log.pending == 0
    assert [find(faulty, row(i).id) is None for i in range(5)] == [False, False, True, True, True]


def test_fast_mode_keeps_what_it_acknowledged_until_the_database_is_back(faulty):
    faulty.error = StoreUnavailable("gone")
    with DecisionLog(faulty, "fast", bound=5) as log:
        assert [log.submit(row(i)).exception(0) is None for i in range(6)] == [True] * 5 + [False]
        for _ in range(3):
            assert faulty.entered.acquire(timeout=20)
        assert log.failure == "gone"
        faulty.error = None
    assert (log.committed, log.lost) == (5, 0)


def test_fast_mode_counts_what_it_had_to_give_up(faulty):
    faulty.error = StoreUnavailable("gone")
    log = DecisionLog(faulty, "fast")
    log.submit_many([row(i) for i in range(4)])
    log.close(timeout=0)
    assert (log.lost, log.could_lose, log.committed) == (4, 0, 0)


@pytest.mark.parametrize("wrong", [{"probability": float("nan")}, {"seed": 2**64}, {"id": "a\0b"}])
def test_a_row_that_cannot_be_stored_harms_no_other(store, wrong):
    with DecisionLog(store) as log:
        log.submit(row(0)).result(10)
        futures = [log.submit(row(i, **(wrong if i == 3 else {}))) for i in range(1, 6)]
        for number, future in enumerate(futures, 1):
            if number != 3:
                assert future.result(10).status == "stored"
            elif wrong != {"id": "a\0b"} or "postgres" in store.address:
                with pytest.raises(InputError, match="cannot be stored"):
                    future.result(10)


def test_a_row_that_cannot_be_stored_and_a_database_that_goes_meanwhile(faulty, monkeypatch):
    faulty.open.clear()
    append, tries = faulty.store.append, []

    def failing(rows):
        tries.append(len(rows))
        if len(tries) == 3:
            raise StoreUnavailable("gone")
        return append(rows)

    monkeypatch.setattr(faulty.store, "append", failing)
    with DecisionLog(faulty) as log:
        first = log.submit(row(0))
        assert faulty.entered.acquire(timeout=20)
        futures = [log.submit(row(i, **({"seed": 2**64} if i == 3 else {}))) for i in range(1, 5)]
        faulty.open.set()
        errors = [type(future.exception(20)) for future in [first, *futures]]
        assert tries[:2] == [1, 4]  # together first, then each for itself
        assert errors == [type(None), StoreUnavailable, type(None), InputError, type(None)]
        assert log.pending == 0


def test_a_fault_that_nobody_thought_of_is_said(faulty):
    faulty.error = RuntimeError("a bug")
    with DecisionLog(faulty) as log:
        with pytest.raises(StoreUnavailable, match="RuntimeError: a bug"):
            log.submit(row(1)).result(20)
        faulty.error = None
        assert log.submit(row(1)).result(20).status == "stored"


def test_futures_are_resolved_when_the_loop_is_closed(sqlite_store):
    def closed(_):
        raise RuntimeError("Event loop is closed")

    with DecisionLog(sqlite_store, deliver=closed) as log:
        assert log.submit(row(1)).result(20).status == "stored"


def test_results_are_delivered_where_the_caller_wants_them(sqlite_store):
    inbox: list = []
    arrived = threading.Semaphore(0)

    def deliver(resolve):
        inbox.append(resolve)
        arrived.release()

    with DecisionLog(sqlite_store, deliver=deliver) as log:
        future = log.submit(row(1))
        assert arrived.acquire(timeout=20)
        assert not future.done()
        inbox.pop()()
        assert future.result(0).status == "stored"


def test_one_who_cannot_be_told_harms_no_other(faulty, caplog):
    def broken(results):
        raise RuntimeError("he hung up")

    told: list = []
    faulty.open.clear()
    with DecisionLog(faulty) as log:
        log.give([row(0)], broken)
        log.give([row(1), row(2)], told.append)
        faulty.open.set()
        assert log.submit(row(3)).result(20).status == "stored"
    assert [[written.row for written in results] for results in told] == [[row(1), row(2)]]
    assert "he hung up" in caplog.text


def test_whoever_gives_is_told_of_a_refusal_at_once(sqlite_store):
    told: list = []
    with DecisionLog(sqlite_store, bound=1) as log:
        log.give([row(1), row(2)], told.append)
        assert isinstance(told.pop(), LogFull)
    log.give([row(1)], told.append)
    assert isinstance(told.pop(), StoreUnavailable)


def test_no_rows_are_no_work(sqlite_store):
    with DecisionLog(sqlite_store) as log:
        assert log.submit_many([]).result(0) == []


def test_a_cancelled_future_is_no_harm(faulty):
    faulty.open.clear()
    with DecisionLog(faulty) as log:
        futures = [log.submit(row(i)) for i in range(3)]
        futures[1].cancel()
        faulty.open.set()
        assert futures[2].result(20).status == "stored"
    assert find(faulty, row(1).id) == row(1)


def test_after_closing_nothing_is_taken(sqlite_store):
    log = DecisionLog(sqlite_store)
    log.close()
    assert "closed" in str(log.submit(row(1)).exception(0))


def test_one_sqlite_file_serves_one_log(sqlite_store):
    other = open_store(sqlite_store.path)
    with DecisionLog(sqlite_store), pytest.raises(InputError, match="another service"):
        DecisionLog(other)
    with DecisionLog(other) as log:
        assert log.submit(row(1)).result(10).status == "stored"
    other.close()


def test_two_logs_on_postgres_agree_about_every_id(postgres):
    from compagnon.store.migrating import upgrade

    stores = [open_store(postgres, check=False) for _ in range(2)]
    upgrade(stores[0])
    with DecisionLog(stores[0]) as one, DecisionLog(stores[1]) as two:
        given = [(one.submit(row(i, action=0)), two.submit(row(i, action=1))) for i in range(400)]
        answers = [(a.result(20), b.result(20)) for a, b in given]
    assert all(a.row == b.row for a, b in answers)
    assert {a.status for pair in answers for a in pair} <= {"stored", "repeated"}
    assert one.committed + two.committed == 400
    for store in stores:
        store.close()


def test_the_mode_is_checked(sqlite_store):
    with pytest.raises(InputError, match="durable or fast"):
        DecisionLog(sqlite_store, "quick")
    assert log_module.BATCH == 64

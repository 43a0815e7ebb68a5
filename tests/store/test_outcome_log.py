"""Many outcomes at once: a bounded queue, groups, each for itself."""

import threading
import time

import pytest

from compagnon.errors import InputError
from compagnon.store import outcomes
from compagnon.store.errors import LogFull, StoreUnavailable
from compagnon.store.outcome_log import OutcomeLog
from compagnon.store.outcomes import Given, UnknownDecision
from tests.store.rows import row


class Told:
    """Collects what is told."""

    def __init__(self, count):
        self.results = []
        self._count = count
        self._all = threading.Event()

    def __call__(self, result):
        self.results.append(result)
        if len(self.results) == self._count:
            self._all.set()

    def all(self):
        assert self._all.wait(60)
        return self.results


def begun_to_write(log):
    """Whether the writer took what was given, sooner or later."""
    end = time.monotonic() + 60
    while log.waiting and time.monotonic() < end:
        time.sleep(0.001)
    return not log.waiting


@pytest.fixture
def held(monkeypatch):
    """Outcomes wait until it is set; the groups that were written after that."""
    gate, groups, real = threading.Event(), [], outcomes.put_each

    def put_each(store, given):
        assert gate.wait(60)
        groups.append(len(given))
        return real(store, given)

    monkeypatch.setattr(outcomes, "put_each", put_each)
    gate.groups = groups
    yield gate
    gate.set()


def test_what_gathers_is_written_at_once_and_each_is_told(store, held):
    store.append([row(i) for i in range(50)])
    log, told = OutcomeLog(store), Told(102)
    for number in range(50):
        log.give(Given(row(number).id, "profit", float(number), 1_700_000_000.0), told)
    for number in range(50):
        log.give(Given(row(number).id, "profit", float(number % 25), 1_700_000_001.0), told)
    log.give(Given("nobody's", "profit", 1.0), told)
    log.give(Given(row(0).id, "profit", 0.0, None, "another shop"), told)
    held.set()
    results = told.all()
    log.close()
    assert sum(held.groups) == 102
    assert len(held.groups) <= 4
    assert [one.status for one in results[:100]] == (
        ["created"] * 50 + ["same"] * 25 + ["conflict"] * 25
    )
    assert all(isinstance(one, UnknownDecision) for one in results[100:])
    kept = [outcomes.of_decision(store, row(i).id) for i in range(50)]
    assert [one.value for (one,) in kept] == [float(i) for i in range(50)]


def test_more_than_may_wait_are_refused(sqlite_store, held):
    log, told = OutcomeLog(sqlite_store, bound=3), Told(3)
    log.give(Given("a", "profit", 1.0), told)  # taken at once, and held
    assert begun_to_write(log)
    for _ in range(3):
        log.give(Given("a", "profit", 1.0), told)
    with pytest.raises(LogFull, match="3 outcomes wait"):
        log.give(Given("a", "profit", 1.0), told)
    held.set()
    assert all(isinstance(one, UnknownDecision) for one in told.all())
    log.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        log.give(Given("a", "profit", 1.0), told)


def test_the_fault_of_one_is_its_own(sqlite_store, held):
    sqlite_store.append([row(0)])
    log, told = OutcomeLog(sqlite_store), Told(3)
    for value in (1.0, float("nan"), 1.0):
        log.give(Given(row(0).id, "profit", value), told)
    held.set()
    first, second, third = told.all()
    log.close()
    assert first.status == "created"
    assert isinstance(second, InputError)
    assert third.status == "same"


def test_a_store_that_is_away_fails_all_who_wait(sqlite_store, monkeypatch):
    begun, gate = threading.Event(), threading.Event()

    def away(store, given):
        begun.set()
        assert gate.wait(60)
        raise StoreUnavailable("gone")

    monkeypatch.setattr(outcomes, "put_each", away)
    log, told = OutcomeLog(sqlite_store), Told(200)
    log.give(Given("a", "profit", 1.0), told)
    assert begun.wait(60)
    for _ in range(199):
        log.give(Given("a", "profit", 1.0), told)
    gate.set()
    assert {str(one) for one in told.all()} == {"gone"}
    log.close()

"""A PostgreSQL that takes what is sent and answers nothing; what of its address is shown."""

import time

import psycopg
import pytest

from compagnon.errors import InputError
from compagnon.store.errors import StoreUnavailable
from compagnon.store.factory import open_store
from compagnon.store.log import DecisionLog, find
from compagnon.store.migrating import upgrade
from tests.gate import gate
from tests.store.rows import row

__all__ = ["gate"]
PATIENCE = 0.5


@pytest.fixture
def store(gate):
    opened = open_store(gate.address, check=False)
    upgrade(opened)
    opened.close()
    opened = open_store(gate.address, patience=PATIENCE)
    yield opened
    opened.close()


def until(condition):
    """Wait for something that comes by itself."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.full
def test_a_server_that_answers_nothing_is_given_up_and_found_again(gate, store):
    with DecisionLog(store) as log:
        log.submit(row(0)).result(60)
        assert log.age is not None
        gate.stall()
        with pytest.raises(StoreUnavailable, match=r"no answer within 0\.5 s") as caught:
            log.submit(row(1)).result(60)
        assert caught.value.public == "the database does not answer"
        assert log.trouble is caught.value
        for read in (lambda: find(store, row(0).id), store.version, store.write().__enter__):
            with pytest.raises(StoreUnavailable) as caught:
                read()
            assert caught.value.public == "the database does not answer"
        gate.flow()
        until(lambda: log.trouble is None)  # by itself: nobody need ask for a decision
        assert log.submit(row(1)).result(60).status in ("stored", "repeated")
        assert find(store, row(1).id) == row(1)


@pytest.mark.full
def test_a_server_that_stalls_unnoticed_is_noticed_while_nobody_asks(gate, store):
    with DecisionLog(store) as log:
        gate.stall()
        until(lambda: log.silence > PATIENCE / 2)
        until(lambda: log.trouble is not None)
        gate.flow()
        until(lambda: log.trouble is None)


def test_fast_mode_ends_though_the_server_answers_nothing(gate, store):
    log = DecisionLog(store, "fast")
    gate.stall()
    for number in range(10):
        assert log.submit(row(number)).result(0).status == "stored"
    log.close(timeout=0)
    assert log.lost == 10


def looked_again(store):
    """What grows each time that the log has looked after its database."""
    seen, real = [], store.probe

    def probe(failed):
        seen.append(None)
        real(failed)

    store.probe = probe
    return seen


def by_hand(store, _):
    with store.write() as connection:
        connection.exec_driver_sql("delete from decisions")


change = {"decision": lambda _, log: log.submit(row(1)).result(60), "outcome": by_hand}


@pytest.mark.parametrize("what", change)
@pytest.mark.full
def test_a_table_that_is_locked_is_waited_for_then_said(postgres, store, what):
    with DecisionLog(store) as log, psycopg.connect(postgres) as other:
        log.submit(row(0)).result(60)
        other.execute("LOCK TABLE decisions IN EXCLUSIVE MODE")
        with pytest.raises(StoreUnavailable) as caught:
            change[what](store, log)
        assert caught.value.public == "the database is locked"
        assert (log.trouble is not None) == (what == "decision")
        seen = looked_again(store)
        until(lambda: len(seen) > 1)  # and the lock still stands
        assert (log.trouble is not None) == (what == "decision")
        other.rollback()
        until(lambda: log.trouble is None)
        assert log.submit(row(1)).result(60).status == "stored"


@pytest.mark.parametrize(
    ("extra", "secret"),
    [
        (":hid%2Fden@", "hid/den"),
        ("@", "hidden"),
        ("@", "not%a%token"),
    ],
)
def test_an_address_is_shown_without_what_is_secret_in_it(extra, secret):
    query = "" if extra != "@" else f"&password={secret.replace('%', '%25')}&sslpassword=x{secret}"
    address = f"postgresql://me{extra}127.0.0.1:1/db?options=-csearch_path%3Da{query}"
    with pytest.raises(InputError, match="cannot be reached") as caught:
        open_store(address)
    said = str(caught.value)
    assert "me" in said
    assert "127.0.0.1:1/db" in said
    assert secret not in said
    assert "hidden" not in said


def test_what_a_server_says_is_told_without_the_password(postgres):
    store = open_store(postgres, check=False)
    store._url = store._url.set(password="s3cr3t-word")
    error = store.unavailable(psycopg.OperationalError("no password s3cr3t-word, at 127.0.0.1"))
    assert "s3cr3t" not in str(error)
    assert "127.0.0.1" in str(error)
    assert error.public == "the database cannot be reached"
    store.close()

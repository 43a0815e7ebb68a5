"""Where studies are kept: who is alive, who is not, and addresses that lead nowhere."""

import os
import signal
import subprocess
import sys

import optuna
import pytest
from optuna.trial import TrialState

from compagnon.errors import InputError
from compagnon.tuning.storage import _postgres_url, open_store
from compagnon.tuning.study import begin, counted, next_trial
from tests.tuning.small import plan_in
from tests.waiting import joined

HOLD = """
import sys, time
import optuna
from compagnon.tuning.storage import open_store
from compagnon.tuning.study import next_trial
store = open_store(sys.argv[1])
study = optuna.load_study(study_name="bandit", storage=store.storage)
trial = next_trial(store, study, None)
trial.suggest_float("algorithm.learning_rate", 1e-4, 1e-1, log=True)
print(trial.number, flush=True)
time.sleep(600)
"""


def hold(path) -> subprocess.Popen[str]:
    """A process that claims a trial and does not end."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "0\n"
    return process


@pytest.mark.full
def test_a_trial_of_a_process_that_was_killed_is_taken_up_and_that_of_a_live_one_is_not(tmp_path):
    plan = plan_in(tmp_path, trials=2)
    store = open_store(plan.storage)
    study = begin(plan, store, False, False)
    process = hold(plan.storage)
    try:
        with store.exclusive():
            assert store.fail_lost(study) == []
        os.kill(process.pid, signal.SIGKILL)
        process.wait(60)
        again = next_trial(store, study, None)
    finally:
        process.kill()
        process.communicate(timeout=60)
    assert again.number == 2
    lost = study.get_trials()[0]
    assert lost.state == TrialState.FAIL
    expected = lost.params["algorithm.learning_rate"]
    assert plan.space.suggest(again)["algorithm.learning_rate"] == pytest.approx(expected, rel=1e-5)
    assert [trial.number for trial in counted(study.get_trials())] == [1, 2]
    with store.exclusive():
        assert store.fail_lost(study) == []  # our own trial, under way
    store.close()


def test_a_worker_that_ends_leaves_no_lock(tmp_path):
    path = tmp_path / "study.journal"
    store = open_store(path)
    folder = tmp_path / "study.journal.workers"
    assert len(list(folder.iterdir())) == 1
    store.close()
    assert list(folder.iterdir()) == []


def test_a_file_that_is_no_journal_is_refused(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("these are notes\nof two lines\n")
    with pytest.raises(InputError, match="is not a journal of Optuna"):
        open_store(path)
    path.write_text('{"a": 1}\n')
    with pytest.raises(InputError, match="is not a journal of Optuna"):
        open_store(path)
    with pytest.raises(InputError, match="is a folder"):
        open_store(tmp_path)
    with pytest.raises(InputError, match="cannot be used"):
        open_store(path / "below-a-file")


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("postgresql://me:secret@db:6000/studies", "db"),
        ("postgres://me@db/studies", "db"),
        ("postgresql+psycopg://me@db/studies?options=-csearch_path%3Dmine", "db"),
        ("postgresql:///studies", None),
    ],
)
def test_an_address_of_postgresql_is_psycopgs(given, host):
    url = _postgres_url(given)
    assert url.drivername == "postgresql+psycopg"
    assert (url.host, url.database) == (host, "studies")


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:secret@127.0.0.1:9/studies",
        "postgresql://me@127.0.0.1:9/studies?password=secret&sslmode=prefer",
    ],
)
def test_a_database_that_cannot_be_reached_is_said_without_its_password(address):
    with pytest.raises(InputError) as caught:
        open_store(address)
    message = str(caught.value)
    assert "cannot be reached" in message
    assert "127.0.0.1:9" in message
    assert "secret" not in message
    assert "\n" not in message


@pytest.mark.parametrize("given", ["sqlite:///here.db", "mysql://me@db/studies", "redis://db"])
def test_other_databases_are_refused(given):
    with pytest.raises(InputError, match="give a file, or postgresql://"):
        open_store(given)


def test_an_address_that_is_none_is_refused():
    with pytest.raises(InputError, match="is no address"):
        open_store("postgresql://me@db:port/studies")


def test_what_one_keeps_out_waits(tmp_path):
    first, second = open_store(tmp_path / "j"), open_store(tmp_path / "j")
    order = []
    import threading

    inside = threading.Event()

    def other() -> None:
        assert inside.wait(60)
        with second.exclusive():
            order.append("second")

    thread = threading.Thread(target=other)
    thread.start()
    with first.exclusive():
        inside.set()
        thread.join(timeout=0.2)
        order.append("first")
    joined(thread)
    assert order == ["first", "second"]
    assert optuna.get_all_study_names(first.storage) == []
    first.close()
    second.close()

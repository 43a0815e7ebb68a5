"""Where a study is kept: Optuna's journal in a file, or PostgreSQL for several machines."""

import contextlib
import fcntl
import json
import threading
import uuid
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import optuna
import sqlalchemy
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from compagnon.database_url import shown, without_secrets
from compagnon.errors import InputError
from compagnon.files import read_file

AGAIN = "again"  # a trial's attribute: the number of the lost trial that it takes up
_WORKER = "worker"  # a trial's attribute: the lock that is held while its process lives
_DRIVER = "postgresql+psycopg"
_LOCK_KEY = 7_265_001  # of PostgreSQL's advisory lock: any number that nobody else takes
_CONNECT_SECONDS = 5
_MAX_JOURNAL = 1_000_000_000
HEARTBEAT = 15  # seconds between two signs of life; four of them missed are a death


class StudyStore(Protocol):
    """A storage that knows which of its trials have lost their process.

    Attributes:
        where: what a person calls it, without a password.
    """

    where: str

    @property
    def storage(self) -> BaseStorage:
        """Optuna's."""
        ...

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep every other process out: what is looked at and changed here stays one step."""
        ...

    def claim(self, trial_id: int) -> bool:
        """Make a waiting trial this process's; False if somebody else has it."""
        ...

    @contextmanager
    def alive(self, trial_id: int) -> Iterator[None]:
        """Give signs of life for a claimed trial."""
        ...

    def fail_lost(self, study: optuna.Study) -> list[FrozenTrial]:
        """Mark the running trials whose process is gone as failed; those that this call marked."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


def open_store(given: str | Path, heartbeat: int = HEARTBEAT) -> StudyStore:
    """Open a journal file, or the database of a ``postgresql://`` address.

    Args:
        heartbeat: seconds between two signs of life, in a database.

    Raises:
        InputError: it cannot be reached or read.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    text = str(given)
    if isinstance(given, str) and "://" in text:
        return _PostgresStore(text, heartbeat)
    return _JournalStore(Path(text))


class _JournalStore:
    """A file on a disk that every worker sees.

    A worker holds a lock for as long as it lives, which the kernel lets go of even after kill -9;
    so a dead worker's trials are known at once, with no clock in it.
    """

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self._folder = path.with_name(f"{path.name}.workers")
        self._token = uuid.uuid4().hex
        if path.is_dir():
            raise InputError(f"--storage {path} is a folder; give a file, or postgresql://...")
        _check_journal(path)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._own = (self._folder / self._token).open("w")
            fcntl.flock(self._own, fcntl.LOCK_EX)
            self.storage = JournalStorage(JournalFileBackend(str(path)))
        except OSError as error:
            raise InputError(f"{path} cannot be used ({error.strerror or error})") from None
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{path} is not a journal of Optuna; give another --storage") from None

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        with (self._folder / "all").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def claim(self, trial_id: int) -> bool:
        if not self.storage.set_trial_state_values(trial_id, TrialState.RUNNING):
            return False
        self.storage.set_trial_user_attr(trial_id, _WORKER, self._token)
        return True

    @contextmanager
    def alive(self, trial_id: int) -> Iterator[None]:  # noqa: ARG002 (the lock says it all)
        yield

    def fail_lost(self, study: optuna.Study) -> list[FrozenTrial]:
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        lost = [trial for trial in running if not self._lives(trial.user_attrs.get(_WORKER))]
        for trial in lost:
            self.storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
        return lost

    def _lives(self, token: str | None) -> bool:
        if token == self._token:
            return True
        file = self._folder / str(token)
        if not file.is_file():
            return False
        with file.open("r") as other:
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        file.unlink(missing_ok=True)
        return False

    def close(self) -> None:
        (self._folder / self._token).unlink(missing_ok=True)
        self._own.close()


def _check_journal(path: Path) -> None:
    """Refuse a file that no study wrote, before anything is put beside it.

    Raises:
        InputError: its first line is not one of a journal.
    """
    if not path.exists():
        return
    first = read_file(path, _MAX_JOURNAL).partition(b"\n")[0]
    if not first and not path.stat().st_size:
        return  # just made
    with contextlib.suppress(ValueError, RecursionError):
        if isinstance(line := json.loads(first), dict) and "op_code" in line:
            return
    raise InputError(f"{path} is not a journal of Optuna; give another --storage")


class _PostgresStore:
    """A database that workers on any machine reach; they are alive while their heart beats."""

    def __init__(self, url: str, heartbeat: int) -> None:
        self._url = _postgres_url(url)
        self.where = shown(self._url)
        self._heartbeat = heartbeat
        try:
            self._engine = sqlalchemy.create_engine(
                self._url,
                poolclass=sqlalchemy.NullPool,
                connect_args={"connect_timeout": _CONNECT_SECONDS},
            )
        except ImportError:
            raise InputError("--storage needs psycopg: pip install 'compagnon[tune]'") from None
        try:
            # Two processes that create the tables at once would stumble over each other.
            with self.exclusive(), warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                self.storage = RDBStorage(
                    self._url.render_as_string(hide_password=False),
                    engine_kwargs={
                        "pool_pre_ping": True,
                        "connect_args": {"connect_timeout": _CONNECT_SECONDS},
                    },
                    heartbeat_interval=heartbeat,
                    grace_period=4 * heartbeat,
                )
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            said = without_secrets(self._url, reason(error))
            raise InputError(f"{self.where} cannot be reached: {said}") from None

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        with self._engine.connect() as connection:
            connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_lock(_LOCK_KEY)))
            yield  # the lock goes with the connection

    def claim(self, trial_id: int) -> bool:
        # First the heartbeat: a running trial without one would never be seen to be lost.
        self.storage.record_heartbeat(trial_id)
        return self.storage.set_trial_state_values(trial_id, TrialState.RUNNING)

    @contextmanager
    def alive(self, trial_id: int) -> Iterator[None]:
        done = threading.Event()

        def beat() -> None:
            while not done.wait(self._heartbeat):
                try:
                    self.storage.record_heartbeat(trial_id)
                except (SQLAlchemyError, optuna.exceptions.StorageInternalError):
                    continue  # a database that is away for a moment: the next beat tells

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        with ExitStack() as stack:
            stack.callback(thread.join)
            stack.callback(done.set)
            yield

    def fail_lost(self, study: optuna.Study) -> list[FrozenTrial]:
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            optuna.storages.fail_stale_trials(study)
        after = {trial.number: trial for trial in study.get_trials(deepcopy=False)}
        # Whoever calls this keeps the others out, but not from ending their trials properly.
        return [
            trial
            for trial in running
            if after[trial.number].state == TrialState.FAIL
            and "error" not in after[trial.number].user_attrs
        ]

    def close(self) -> None:
        self.storage.remove_session()
        self.storage.engine.dispose()
        self._engine.dispose()


def _postgres_url(text: str) -> sqlalchemy.URL:
    scheme, _, rest = text.partition("://")
    if scheme not in ("postgres", "postgresql", _DRIVER):
        raise InputError(
            f"--storage {scheme}://...: give a file, or postgresql://USER@HOST/DATABASE"
        )
    try:
        urlsplit(text)
        return sqlalchemy.make_url(f"{_DRIVER}://{rest}")
    except (ValueError, SQLAlchemyError):
        raise InputError(
            "--storage is no address; one is postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        ) from None


def reason(error: Exception) -> str:
    """The first line of what a database said."""
    cause = error.__cause__ or error
    text = str(getattr(cause, "orig", None) or cause)
    return text.strip().partition("\n")[0].strip()

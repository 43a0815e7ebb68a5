"""The file of a database as it lies on the disk: that it is still there, and under which name.

SQLite opens a file once and then writes to whatever it opened. A file that was deleted, moved or
replaced meanwhile goes on to take what nobody will ever read; and a database that two programs
reach by two names has two write-ahead logs, which destroys it. So every transaction looks first
whether the names still lead to the files that were opened; lock files stand beside the name that
symbolic links lead to; a file with hard links is refused; and a service holds a lock on the file
itself, so that a program that comes by another name sees it.
"""

import contextlib
import errno
import fcntl
import os
import stat
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from compagnon.errors import InputError
from compagnon.files import make_folder
from compagnon.store.errors import StoreUnavailable

MOVED: Final = "the database file was deleted, moved or replaced"
_HOLD_SECONDS: Final = 1.0  # for programs that only look whether somebody holds the file
_POLL: Final = 0.005
# Elsewhere flock and the locks that SQLite takes exclude each other, even in one process.
_LOCKS_APART: Final = sys.platform == "linux"
_Identity = tuple[int, int]


@dataclass
class _Opened:
    """A descriptor of a database, shared by all stores of this process that are open on it.

    POSIX drops all locks that a process has on a file when it closes any descriptor of it, those of
    SQLite too. So there is one, and it is closed after the last connection.
    """

    descriptor: int
    users: int = 0
    held: bool = False


_opened: dict[_Identity, _Opened] = {}
_opened_lock = threading.Lock()


class LockFile:
    """A file that is there to be locked. Nobody may lock it who may not write the database.

    Raises:
        InputError: it cannot be opened.
    """

    def __init__(self, path: Path, beside: Path) -> None:
        self._path = path
        self._beside = beside
        try:
            self._descriptor = _open_lock(path, beside)
        except OSError as error:
            raise InputError(f"{beside} cannot be written ({error.strerror}: {path})") from None

    def take(self) -> bool:
        """Lock it; False if somebody else has.

        Raises:
            OSError: it can neither be locked nor be made again.
        """
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
                return False
            if _identity(self._path) == _of(os.fstat(self._descriptor)):
                return True
            # Somebody removed the file: who comes next locks another one, and so must we.
            fresh = _open_lock(self._path, self._beside)
            os.close(self._descriptor)
            self._descriptor = fresh

    def free(self) -> None:
        """Unlock it."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._descriptor < 0

    def close(self) -> None:
        """Unlock it and let go of it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class DatabasePlace:
    """Where a database lies.

    Args:
        given: as a person named it, perhaps through symbolic links.
        create: make it, for its owner alone, where it is not there.

    Attributes:
        path: absolute, without symbolic links: the name that SQLite goes by.
        spoilt: why the file can never be used again by this store, or None.

    Raises:
        InputError: there is no such file, it is none, or it has or is open under another name.
    """

    def __init__(self, given: Path, create: bool) -> None:
        self._said = given
        self._given = Path(os.path.abspath(given))  # noqa: PTH100 (links shall stay in it)
        try:
            self.path = Path(os.path.realpath(given))
            _check_kind(self.path, given)
            if not os.path.lexists(self.path):
                _make(self.path, given, create)
            self._opened = _adopt(self.path)
        except InputError:
            raise
        except (OSError, ValueError) as error:  # ValueError: a zero byte in a name
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"{given} cannot be opened ({reason})") from None
        try:
            found = os.fstat(self._opened.descriptor)
            self._database = _of(found)
            self._size = found.st_size
            self._log_files: dict[Path, _Identity] = {}
            self.spoilt: str | None = None
            if found.st_nlink > 1:
                raise InputError(
                    f"{given} has {found.st_nlink} names (hard links), and each would get a "
                    "write-ahead log of its own; remove all but one, or copy it"
                )
            self._refuse_other_name()
        except BaseException:
            self.close()
            raise

    def beside(self, ending: str) -> Path:
        """A file that belongs to the database."""
        return self.path.with_name(self.path.name + ending)

    def remember(self) -> None:
        """Take note of the write-ahead log that SQLite has opened; before that, call no `check`."""
        self._log_files = {
            path: _identity(path) or (0, 0) for path in (self.beside("-wal"), self.beside("-shm"))
        }

    def check(self) -> None:
        """See that every name still leads to the file that was opened.

        Raises:
            StoreUnavailable: one does not. It may be put right: all but an overwritten file.
        """
        if self.spoilt is not None:
            raise StoreUnavailable(self.spoilt, MOVED)
        # Several threads look at once, and the file grows meanwhile: what was known before we
        # look may not be more than we find, what another has found since may.
        known = self._size
        try:
            found = os.stat(self.path)  # noqa: PTH116 (a third of the time, before each commit)
            same = _of(found) == self._database and (
                self._given == self.path or _identity(self._given) == self._database
            )
        except OSError:
            raise self._moved(f"{self._said} is gone: it was deleted or moved") from None
        if not same:
            raise self._moved(f"{self._said} is another file now: it was replaced")
        if found.st_size < known:
            self.spoilt = (
                f"{self._said} became shorter while it was in use: another program wrote over it. "
                f"Stop the service; if the file as it is now shall count, remove {self.path}-wal "
                "and -shm, which belong to the old one; start again"
            )
            raise StoreUnavailable(self.spoilt, MOVED)
        self._size = found.st_size
        for path, identity in self._log_files.items():
            if _identity(path) != identity:
                raise self._moved(f"{path} was deleted, moved or replaced")

    def _moved(self, what: str) -> StoreUnavailable:
        return StoreUnavailable(
            f"{what} while it was in use. Nothing is written until it is put back, or the service "
            "is started again",
            MOVED,
        )

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Let programs that come by another name see that this one is in use.

        Raises:
            InputError: a service has it under another name.
        """
        if not _LOCKS_APART:
            yield
            return
        until = time.monotonic() + _HOLD_SECONDS
        while not _flock(self._opened.descriptor, fcntl.LOCK_EX):
            if time.monotonic() > until:
                raise self._taken()
            time.sleep(_POLL)
        self._opened.held = True
        try:
            yield
        finally:
            # A file that was moved stays locked until its last connection is closed, which moves
            # what the old name's log holds into it.
            with contextlib.suppress(StoreUnavailable):
                self.check()
                self._opened.held = False
                fcntl.flock(self._opened.descriptor, fcntl.LOCK_UN)

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[bool]:
        """Whether no other program of ours uses the file, for as long as the block lasts."""
        if self._opened.held or not _LOCKS_APART:
            yield self._opened.held
            return
        mine = _flock(self._opened.descriptor, fcntl.LOCK_EX)
        try:
            yield mine
        finally:
            if mine:
                fcntl.flock(self._opened.descriptor, fcntl.LOCK_UN)

    def _refuse_other_name(self) -> None:
        """Refuse a file that a service holds, unless it goes by this very name."""
        if not _LOCKS_APART:
            return
        with _opened_lock:
            if self._opened.held:
                return
            if _flock(self._opened.descriptor, fcntl.LOCK_SH):
                fcntl.flock(self._opened.descriptor, fcntl.LOCK_UN)
                return
        # Whoever holds the file locked the name that it goes by before.
        named = self.beside("-log")
        if not named.exists():
            raise self._taken()
        lock = LockFile(named, self.path)
        try:
            if lock.take():
                raise self._taken()
        finally:
            lock.close()
        for path in (self.beside("-wal"), self.beside("-shm")):
            if not path.exists():  # a new one would be another than the service's
                raise InputError(
                    f"{self._said} is in use by a service, and {path} was deleted or moved: put it "
                    "back, or stop the service first"
                )

    def _taken(self) -> InputError:
        return InputError(
            f"{self._said} is in use by a service that opened it under another name; it was moved "
            "or linked meanwhile. Stop that service first"
        )

    def close(self) -> None:
        """Let go of the file, after its last connection is closed."""
        with _opened_lock:
            self._opened.users -= 1
            if self._opened.users == 0:
                for key in [key for key, one in _opened.items() if one is self._opened]:
                    del _opened[key]
                os.close(self._opened.descriptor)


def readable_by_others(path: Path) -> str | None:
    """The mode of a file, if others than its owner may read or write it."""
    mode = stat.S_IMODE(path.stat().st_mode)
    return f"{mode:04o}" if mode & 0o077 else None


def _of(found: os.stat_result) -> _Identity:
    return found.st_dev, found.st_ino


def _identity(path: Path) -> _Identity | None:
    try:
        return _of(os.stat(path))  # noqa: PTH116 (a third of the time, before each commit)
    except OSError:
        return None


def _flock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _adopt(path: Path) -> _Opened:
    """This process's descriptor of a file."""
    with _opened_lock:
        key = _of(path.stat())
        if key not in _opened:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            key = _of(os.fstat(descriptor))
            _opened.setdefault(key, _Opened(descriptor))  # one that is too many stays open
        _opened[key].users += 1
        return _opened[key]


def _check_kind(path: Path, given: Path) -> None:
    if path.is_dir():
        raise InputError(f"{given} is a folder; give the name of a database file")
    if path.exists() and not path.is_file():
        raise InputError(f"{given} is no plain file; give the name of a database file")


def _make(path: Path, given: Path, create: bool) -> None:
    if not create:
        raise InputError(f"{given} does not exist; make it with: compagnon db upgrade --db {given}")
    try:
        make_folder(path.parent, private=True)
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(descriptor, 0o600)  # SQLite gives its other files the mode of this one
        finally:
            os.close(descriptor)
    except OSError as error:
        raise InputError(f"{given} cannot be made ({error.strerror})") from None


def _open_lock(path: Path, beside: Path) -> int:
    """Open a lock file; let those lock it who may write the database, and nobody else."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        database, found = beside.stat(), os.fstat(descriptor)
        writers = stat.S_IMODE(database.st_mode) & 0o022
        wanted = 0o600 | writers | writers << 1
        with contextlib.suppress(PermissionError):  # it is another's: who made it has done this
            if os.geteuid() == 0 and (found.st_uid, found.st_gid) != (
                database.st_uid, database.st_gid,
            ):  # fmt: skip
                os.fchown(descriptor, database.st_uid, database.st_gid)
            if stat.S_IMODE(found.st_mode) != wanted:
                os.fchmod(descriptor, wanted)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor

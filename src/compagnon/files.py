"""Reading within bounds; writing so that nobody ever sees half a file or half a directory."""

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from compagnon.errors import InputError

_SHOWN = 40  # characters of a name that its draft repeats: a name may be as long as a name can be


def read_file(path: Path, limit: int) -> bytes:
    """A whole file from a person's disk, unless it is larger than anything it could be.

    Raises:
        InputError: it cannot be read, or holds more than `limit` bytes.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be read ({reason})") from None
    if len(data) > limit:
        raise InputError(f"{path} is larger than {limit:,} bytes, too large for what it should be")
    return data


def read_text(path: Path, limit: int, what: str) -> str:
    """A whole text file in UTF-8; the byte order mark that some editors put before it is no text.

    Args:
        what: what it should be, in the message: "a recipe is TOML".

    Raises:
        InputError: it cannot be read, holds more than `limit` bytes, or is no text.
    """
    try:
        return read_file(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file in UTF-8; {what}") from None


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in 64 hexadecimal digits, however large it is.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})") from None


def copy_regular(source: Path, target: Path) -> None:
    """Copy a file that may lie in a folder somebody else filled: never what a link points at.

    The copy is for its owner alone.

    Raises:
        InputError: it is a link, a folder, a pipe or a device.
        OSError: it cannot be read or written.
    """
    try:
        # Opening a pipe would wait for ever, hence not blocking; a link is refused by the system.
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise InputError(f"{source} is a link or no plain file; it is not followed") from None
        raise
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InputError(f"{source} is no plain file")
        made = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(made, "wb") as copy:
            shutil.copyfileobj(file, copy)


def make_folder(path: Path, private: bool = False) -> None:
    """Make a folder and those above it; `private` ones are for their owner alone.

    Folders that are there stay as they are.
    """
    if path.is_dir():
        return
    make_folder(path.parent, private)
    try:
        path.mkdir()
    except FileExistsError:  # somebody else was quicker
        if not path.is_dir():
            raise
    else:
        if private:
            path.chmod(0o700)


def write_file(path: Path, data: bytes | str, *, private: bool = False) -> None:
    """Write a file under a temporary name, then rename it into place.

    What a link points to is written, and the link stays. What is no regular file (a pipe, a device)
    is written to as it stands: a file in its place would be something else.

    Args:
        private: nobody but its owner may read it, whatever the umask.

    Raises:
        OSError: it cannot be written; `filename` is `path`, not the temporary name.
    """
    raw = data.encode() if isinstance(data, str) else data
    with _named(path):
        mode = _mode(path)
        if mode is not None and not stat.S_ISREG(mode):
            with path.open("wb") as file:
                file.write(raw)
            return
        target = path.resolve() if path.is_symlink() else path
        make_folder(target.parent, private)
        descriptor, name = tempfile.mkstemp(prefix=_prefix(target), dir=target.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            usual = 0o644 if mode is None else stat.S_IMODE(mode)
            Path(name).chmod(0o600 if private else usual)
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def replace_directory(path: Path, *, private: bool = False) -> Iterator[Path]:
    """Yield a fresh directory that takes the place of `path` when the block succeeds.

    Args:
        private: nobody but its owner may look into it, whatever the umask.

    Raises:
        OSError: it cannot be written; `filename` is within `path`, not within the fresh directory.
    """
    with _fresh(path, private) as fresh:
        yield fresh
        old = path.with_name(f"{_prefix(path)}old-{fresh.name[-6:]}")
        if path.exists():
            path.rename(old)
        try:
            fresh.rename(path)
        except BaseException:
            if old.exists():
                old.rename(path)
            raise
        shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """Yield a fresh directory that becomes `path`, which must not be there, or be empty.

    Of two that do this at once one succeeds.

    Raises:
        InputError: `path` holds something, or is no directory.
        OSError: it cannot be written.
    """
    with _fresh(path) as fresh:
        yield fresh
        try:
            fresh.rename(path)
        except OSError:
            if path.exists() and (not path.is_dir() or any(path.iterdir())):
                raise InputError(f"{path} is there already, and not empty") from None
            raise


@contextlib.contextmanager
def _fresh(path: Path, private: bool = False) -> Iterator[Path]:
    """A directory beside `path` that is gone after the block, unless it was renamed."""
    with _named(path) as inside:
        make_folder(path.parent, private)
        fresh = Path(tempfile.mkdtemp(prefix=_prefix(path), dir=path.parent))
        inside.append(fresh)
        fresh.chmod(0o700 if private else 0o755)
        try:
            yield fresh
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise


@contextlib.contextmanager
def _named(path: Path) -> Iterator[list[Path]]:
    """Let an error of the disk name the file that was to be written, not its draft.

    Yields a list for directories that stand for `path` until they are renamed.
    """
    drafts: list[Path] = []
    try:
        yield drafts
    except OSError as error:
        if error.errno is None:
            raise
        shown = path
        for draft in drafts:
            with contextlib.suppress(ValueError, TypeError):
                shown = path / Path(os.fsdecode(error.filename)).relative_to(draft)
        # A full disk fails in a write, whose error names no file at all.
        raise OSError(error.errno, error.strerror, str(shown)) from None


def _prefix(path: Path) -> str:
    return f".{path.name[:_SHOWN]}."


def _mode(path: Path) -> int | None:
    """What stands at `path`, behind links; None for nothing."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None

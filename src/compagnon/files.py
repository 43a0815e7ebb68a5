"""Reading within bounds; writing so that nobody ever sees half a file or half a directory."""

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from compagnon.errors import InputError


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

    Args:
        private: nobody but its owner may read it, whatever the umask.
    """
    make_folder(path.parent, private)
    raw = data.encode() if isinstance(data, str) else data
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o600 if private else 0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def replace_directory(path: Path, *, private: bool = False) -> Iterator[Path]:
    """Yield a fresh directory that takes the place of `path` when the block succeeds.

    Args:
        private: nobody but its owner may look into it, whatever the umask.
    """
    make_folder(path.parent, private)
    fresh = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    fresh.chmod(0o700 if private else 0o755)
    try:
        yield fresh
        old = path.with_name(f".{path.name}.old-{fresh.name[-6:]}")
        if path.exists():
            path.rename(old)
        try:
            fresh.rename(path)
        except BaseException:
            if old.exists():
                old.rename(path)
            raise
        shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise

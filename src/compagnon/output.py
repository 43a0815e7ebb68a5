"""What people see: tables that read well in a terminal and in a file, numbers, files written."""

import json
import math
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from compagnon.errors import InputError
from compagnon.files import write_file
from compagnon.text import interval as interval  # noqa: PLC0414 (every verb's own)
from compagnon.text import number as number  # noqa: PLC0414
from compagnon.wide_table import WideTable

# The words of the running command, for a report that says how it was made.
typed: ContextVar[tuple[str, ...]] = ContextVar("typed", default=())

_piped: ContextVar[bool] = ContextVar("piped", default=False)  # a file goes to stdout

_STDOUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
_PIPED_WIDTH = 120  # a file has no width of its own; rich would assume 80
# What a terminal obeys, or what turns a line around (bidirectional controls), and no text needs.
_ORDERS = dict.fromkeys(
    [n for n in (*range(0x20), *range(0x7F, 0xA0)) if n != 0x0A]
    + [0x061C, 0x200E, 0x200F, 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)],
    "\N{REPLACEMENT CHARACTER}",
)


def plain(text: str, one_line: bool = False) -> str:
    """A text that came from a store, a file or a client, without what a terminal would obey.

    Args:
        one_line: also without line ends, which could pass for rows of a table.
    """
    text = text.replace("\t", " ")
    return (text.replace("\n", "\N{REPLACEMENT CHARACTER}") if one_line else text).translate(
        _ORDERS
    )


class _PlainConsole(Console):
    """Lets through what rich itself says to the terminal, and no orders within a text."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(plain(segment.text), segment.style)

    def on_broken_pipe(self) -> None:
        """Let `main` say by the exit code that the reader went away; rich's own is 1."""
        raise BrokenPipeError


def begin(words: Sequence[str]) -> None:
    """Forget what an earlier command in this process typed and claimed."""
    typed.set(tuple(words))
    _piped.set(False)


def console(stderr: bool = False) -> Console:
    """Where results are printed: stdout, or stderr while a file of figures has stdout to itself.

    Made anew by each verb, so that it follows `sys.stdout`. Whatever is printed there is `plain`: a
    name that a client chose cannot steer a terminal.
    """
    stderr = stderr or _piped.get()
    stream = sys.stderr if stderr else sys.stdout
    wide = None if stream.isatty() else _PIPED_WIDTH
    return _PlainConsole(width=wide, stderr=stderr, highlight=False, markup=False, emoji=False)


def complain(sentence: object) -> None:
    """Say on stderr what went wrong."""
    print(f"compagnon: {plain(str(sentence))}", file=sys.stderr)


@contextmanager
def busy(message: str) -> Iterator[Callable[[str], None]]:
    """Show on a terminal's stderr that something goes on; nothing where nobody looks.

    Yields a function that is told what is being worked on now.
    """
    errors = console(stderr=True)
    if not errors.is_terminal:
        yield lambda _: None
        return
    with errors.status(message) as status:
        yield lambda what: status.update(f"{message}: {what}")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: bool = True) -> WideTable:
    """A table whose first column folds and, with `numbers`, whose others stand to the right.

    Without `numbers` the last column folds too: it holds sentences. Columns that do not fit beside
    the others follow below, with the first one again.
    """
    made = WideTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for index, column in enumerate(columns):
        sentence = not numbers and index == len(columns) - 1
        made.add_column(
            column,
            justify="right" if numbers and index else "left",
            no_wrap=bool(index) and not sentence,
            overflow="fold",
        )
    for row in rows:
        made.add_row(*(plain(cell, one_line=True) for cell in row))
    return made


def claim(force: bool | None, *targets: Path | None, text: bool = True) -> None:
    """Refuse files that could not be written, before an hour of work rather than after it.

    Every verb that writes where a person says asks here first. What is there already is not written
    over unless that is asked for; pipes and devices lose nothing, so they are always taken. ``-``
    is stdout: what a person reads is then printed to stderr.

    Args:
        force: files that are there may be written over; None where the verb has no --force.
        text: what is written is text; anything else does not go to stdout.

    Raises:
        InputError: names the file and what is in the way.
    """
    given = [path for path in targets if path is not None]
    for path in given:
        if given.count(path) > 1:
            raise InputError(f"{path} is given twice; two things cannot be written there")
        if not _is_stdout(path):
            _check_file(path, force)
        elif text:
            _piped.set(True)
        else:
            raise InputError("- is stdout, which takes text alone; give the name of a file")


def claim_folder(
    path: Path, option: str = "--out", resumable: bool = False, resume: bool = False
) -> None:
    """Refuse a folder that holds something, or that could not be made.

    Args:
        option: what a person gave it as.
        resumable: what is in it may be gone on with instead.
        resume: which is what is asked for: it may hold something.

    Raises:
        InputError: names the folder and what is in the way.
    """
    if _is_stdout(path):
        raise InputError(f"{option} {path}: - is stdout; give the name of a folder")
    mode = _look(path)
    if mode is not None and not stat.S_ISDIR(mode):
        raise InputError(f"{option} {path} is not a folder")
    if mode is not None and not resume and any(path.iterdir()):
        other = ", or go on with what is there by --resume" if resumable else ""
        raise InputError(f"{option} {path} is not empty; give a new folder{other}")
    _check_parents(path)


def _check_file(path: Path, force: bool | None) -> None:
    mode = _look(path)
    if mode is None:
        _check_parents(path)
    elif stat.S_ISDIR(mode):
        raise InputError(f"{path} is a folder; give the name of a file")
    elif stat.S_ISREG(mode) and not force:
        other = "" if force is None else ", or --force to write over it"
        raise InputError(f"{path} is there already; give another name{other}")


def _look(path: Path) -> int | None:
    """What stands at `path`, behind links; None for nothing."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:  # a name too long, a zero byte in it
        raise _unwritable(path, error) from None


def _check_parents(path: Path) -> None:
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir():
        raise InputError(f"{path} cannot be written: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{path} cannot be written: nothing may be written to {folder}")


def _unwritable(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} cannot be written ({getattr(error, 'strerror', None) or error})")


def _is_stdout(path: Path) -> bool:
    return str(path) in _STDOUT


def write_text(path: Path, text: str) -> None:
    """Write a file whole, and say so; ``-`` prints it.

    Raises:
        InputError: it cannot be written.
    """
    if _is_stdout(path):
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    try:
        write_file(path, text)
    except OSError as error:
        raise _unwritable(path, error) from None
    console().print(f"wrote {path}", soft_wrap=True)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole; a number that is not finite becomes null."""
    text = json.dumps(_finite(value), indent=1, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value

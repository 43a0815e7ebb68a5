"""What people see: tables that read well in a terminal and in a file, numbers, files written."""

import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from compagnon.errors import InputError
from compagnon.files import write_file

# The words of the running command, for a report that says how it was made.
typed: ContextVar[tuple[str, ...]] = ContextVar("typed", default=())

_PIPED_WIDTH = 120  # a file has no width of its own; rich would assume 80


def console() -> Console:
    """Where results are printed. Made anew by each verb, so that it follows `sys.stdout`."""
    wide = None if sys.stdout.isatty() else _PIPED_WIDTH
    return Console(width=wide, highlight=False, markup=False, emoji=False)


@contextmanager
def busy(message: str) -> Iterator[Callable[[str], None]]:
    """Show on a terminal's stderr that something goes on; nothing where nobody looks.

    Yields a function that is told what is being worked on now.
    """
    errors = Console(stderr=True, markup=False)
    if not errors.is_terminal:
        yield lambda _: None
        return
    with errors.status(message) as status:
        yield lambda what: status.update(f"{message}: {what}")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: bool = True) -> Table:
    """A table whose first column folds and, with `numbers`, whose others stand to the right.

    Without `numbers` the last column folds too: it holds sentences.
    """
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for index, column in enumerate(columns):
        sentence = not numbers and index == len(columns) - 1
        made.add_column(
            column,
            justify="right" if numbers and index else "left",
            no_wrap=bool(index) and not sentence,
            overflow="fold",
        )
    for row in rows:
        made.add_row(*row)
    return made


def number(value: float) -> str:
    """A figure with as many decimals as a person wants to read."""
    if math.isnan(value):
        return "-"
    size = abs(value)
    decimals = 0 if size >= 1_000 else 1 if size >= 10 else 3
    text = f"{value:,.{decimals}f}"
    return text if float(text.replace(",", "")) else text.lstrip("-")


def interval(bounds: tuple[float, float]) -> str:
    """A confidence interval, or a dash where one episode gives none."""
    low, high = bounds
    return "-" if math.isnan(low) else f"{number(low)} to {number(high)}"


def check_target(path: Path | None) -> None:
    """Refuse a file that could not be written, before an hour of work rather than after it."""
    if path is None:
        return
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the name of a file")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir():
        raise InputError(f"{path} cannot be written: {folder} is not a folder")


def write_text(path: Path, text: str) -> None:
    """Write a file whole.

    Raises:
        InputError: it cannot be written.
    """
    check_target(path)
    try:
        write_file(path, text)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror or error})") from None


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

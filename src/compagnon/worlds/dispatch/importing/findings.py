"""What is said about files: rows at fault, bookings that nobody can serve, and notes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

MESSAGE_FAULTS: Final = 10


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in a file that cannot be used.

    Attributes:
        file: name of the file.
        row: line of the file, the header being line 1; of a JSON file the request, from 1.
        field: the column, or ``row`` for the row as a whole.
        given: what stands there.
        fault: what is wrong with it.
        right: what would be right.
    """

    file: str
    row: int
    field: str
    given: str
    fault: str
    right: str

    def __str__(self) -> str:
        what = f" {self.given!r}" if self.given else ""
        return f"{self.file}, row {self.row}, {self.field}:{what} {self.fault}; {self.right}"


@dataclass(slots=True)
class Findings:
    """What is said about the files.

    Attributes:
        faults: rows that can't be used.
        unservable: bookings that are used and can only be refused: nobody could take them.
        notes: about a file as a whole.
    """

    faults: list[Fault] = field(default_factory=list)
    unservable: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Row(NamedTuple):
    """One row that is not blank: its line, and the cells of the columns that were asked for."""

    line: int
    cells: dict[str, str]


def few(what: Sequence[str]) -> str:
    """The first of them, and how many others there are."""
    others = len(what) - MESSAGE_FAULTS
    return ", ".join(what[:MESSAGE_FAULTS]) + (f" and {others} more" if others > 0 else "")


def listed(faults: Sequence[Fault]) -> str:
    """The first faults, one a line, and how many others there are."""
    shown = "\n  ".join(str(fault) for fault in faults[:MESSAGE_FAULTS])
    others = len(faults) - MESSAGE_FAULTS
    return f"\n  {shown}" + (f"\n  and {others} more" if others > 0 else "")

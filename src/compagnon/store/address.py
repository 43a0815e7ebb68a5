"""Where a database is, from what a person typed."""

import os
from pathlib import Path
from typing import Final

from compagnon.errors import InputError
from compagnon.files import read_file

VARIABLE: Final = "COMPAGNON_DB"
DEFAULT: Final = "sqlite:///decisions.db"
_SQLITE: Final = "sqlite:///"
_MOST: Final = 10_000  # bytes of a file that holds an address


def database_address(given: str | None) -> str:
    """What ``--db`` means.

    Args:
        given: an address; ``@FILE``, whose first line is one; None for what the environment
            variable COMPAGNON_DB says, or else `decisions.db` in the working directory. In the
            last two cases no other user of the machine sees the address in the list of processes.

    Raises:
        InputError: the file cannot be read, or holds no address.
    """
    text = given or os.environ.get(VARIABLE) or DEFAULT
    if not text.startswith("@"):
        return text
    path = Path(text[1:])
    first, *_ = [*read_file(path, _MOST).decode("utf-8", "replace").splitlines(), ""]
    if not first.strip():
        raise InputError(f"{path}: its first line should be a database's address")
    return first.strip()


def is_file(address: str) -> bool:
    """Whether an address is a file's, which SQLite opens."""
    return "://" not in address or address.startswith("sqlite:")


def file_of(address: str) -> Path:
    """The file of an address, character by character as it stands there.

    Raises:
        InputError: the address is half of one.
    """
    if not address.startswith("sqlite:"):
        return Path(address)
    if not address.startswith(_SQLITE) or len(address) == len(_SQLITE):
        raise InputError(f"{address}: give sqlite:///FILE; sqlite:////FILE where it begins with /")
    return Path(address.removeprefix(_SQLITE))

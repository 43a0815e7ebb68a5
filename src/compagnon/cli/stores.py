"""What the verbs of the store share: its options, how it is opened, who asks."""

import contextlib
import getpass
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from compagnon.arguments import optional
from compagnon.errors import InputError

if TYPE_CHECKING:
    from compagnon.store import Store

Db = Annotated[
    str | None,
    optional(
        "DB",
        "sqlite:///FILE, postgresql://..., or @FILE that holds it; without it COMPAGNON_DB of the "
        "environment, else sqlite:///decisions.db",
    ),
]
DB = None
Models = Annotated[
    Path | None, optional("DIR", "model files; `models` beside a database file without it")
]
Since = Annotated[
    str | None, optional("WHEN", "decisions from then on: 2026-03-02, 2026-03-02T06:00 (UTC)")
]
Until = Annotated[str | None, optional("WHEN", "and before then")]
Model = Annotated[str, Positional, arg(metavar="MODEL", help="its name")]


@contextlib.contextmanager
def opened(
    db: str | None, models: Path | None = None, *, create: bool = False, check: bool = True
) -> "Iterator[Store]":
    """The store of `--db`; what goes wrong with it on the way is one sentence too."""
    from compagnon.store import StoreUnavailable, open_store
    from compagnon.store.address import database_address

    try:
        store = open_store(database_address(db), files=models, create=create, check=check)
        with contextlib.closing(store):
            yield store
    except StoreUnavailable as error:
        raise InputError(str(error)) from None


def day(moment: float) -> str:
    """A moment, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(moment))


def me() -> str:
    """Who does it, for the events; a container may have no name for its user."""
    with contextlib.suppress(OSError, KeyError):
        return getpass.getuser()
    return ""

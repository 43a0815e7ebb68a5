"""Everything that the service keeps in the store: the log, outcomes, keys, the registry."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compagnon.errors import InputError
from compagnon.serving.guard import KnownKey
from compagnon.serving.refusal import Refusal
from compagnon.serving.settings import Settings
from compagnon.serving.wire import OutcomeAnswer, OutcomeRequest
from compagnon.store import DecisionLog, Store, StoreUnavailable, open_store


def open_records(settings: Settings) -> Store:
    """The store of a service; a SQLite file that is not there yet is made.

    Raises:
        InputError: it cannot be opened, or is of another version.
    """
    store = open_store(settings.db, create=True, check=False)
    try:
        if store.version() is None and settings.db.startswith("sqlite"):
            from compagnon.store.migrating import upgrade

            upgrade(store)
        store.require_version()
    except BaseException:
        store.close()
        raise
    return store


class Records:
    """The store as the service sees it.

    Args:
        store: of this version.
        settings: of the service.
        deliver: runs what it is given in the service's loop.
    """

    def __init__(
        self, store: Store, settings: Settings, deliver: Callable[[Callable[[], None]], object]
    ) -> None:
        self.store = store
        self.log = DecisionLog(store, settings.mode, deliver=deliver)

    def trouble(self) -> str | None:
        """Why decisions cannot be logged now; None when they can."""
        if self.log.failure is not None:
            return self.log.failure
        try:
            self.store.version()
        except StoreUnavailable as error:
            return str(error)
        return None

    def keys(self) -> list[KnownKey]:
        """The keys that may be used now."""
        return []

    def close(self) -> None:
        """Write what waits and let go of the database."""
        self.log.close()
        self.store.close()

"""Everything that the service keeps in the store: the log, outcomes, keys, the registry."""

from collections.abc import Callable

from compagnon.errors import InputError
from compagnon.serving.refusal import RETRY_SECONDS, Refusal, unprocessable
from compagnon.serving.settings import Settings
from compagnon.serving.wire import OutcomeAnswer, OutcomeRequest
from compagnon.store import DecisionLog, Store, StoreUnavailable, open_store, outcomes
from compagnon.store.keys import Keyring, keyring


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

    def keys(self) -> Keyring:
        """The keys that may be used now."""
        return keyring(self.store)

    def put_outcome(self, decision_id: str, name: str, given: OutcomeRequest) -> OutcomeAnswer:
        """Keep what came of a decision.

        Raises:
            Refusal: 404 for a decision that is not there, 409 for another value than before, 422.
        """
        try:
            put = outcomes.put(self.store, decision_id, name, given.value, given.time)
        except outcomes.UnknownDecision as error:
            if self.log.find(decision_id) is not None:  # fast mode: it is still to be written
                raise Refusal(
                    503, f"decision {decision_id} is not written yet", "id", RETRY_SECONDS
                ) from None
            raise Refusal(404, str(error), "id") from None
        except InputError as error:
            field = "time" if isinstance(error, outcomes.WrongTime) else "value"
            raise unprocessable(field, str(error)) from None
        kept = put.outcome
        if put.status == "conflict":
            raise Refusal(409, f"{name} of {decision_id} is {kept.value:g} already", "value")
        return OutcomeAnswer(kept.decision_id, kept.name, kept.value, kept.time, kept.late)

    def close(self) -> None:
        """Write what waits and let go of the database."""
        self.log.close()
        self.store.close()

"""Everything that the service keeps in the store: the log, outcomes, keys, the registry."""

import asyncio
import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from compagnon.errors import InputError
from compagnon.serving.episodes import explored_before
from compagnon.serving.errors import RETRY_SECONDS, ApiError, unprocessable
from compagnon.serving.schemas import OutcomeAnswer, OutcomeRequest
from compagnon.serving.settings import ServiceSettings
from compagnon.store import (
    DecisionLog,
    DecisionRow,
    Store,
    open_store,
    outcomes,
    overrides,
    secrets,
)
from compagnon.store.address import is_file
from compagnon.store.errors import LogFull, StoreUnavailable
from compagnon.store.keys import Keyring, keyring
from compagnon.store.outcome_log import OutcomeLog, Result
from compagnon.store.overrides import Override
from compagnon.store.secrets import Secret

_T = TypeVar("_T")
PATIENCE: Final = 5.0  # seconds that a statement may take, and then is given up
SILENCE: Final = 3.0  # seconds without an answer of the database, after which nobody should ask
_READERS: Final = 2  # threads
_READS: Final = 64  # that may wait
_LOOKUPS: Final = 4  # threads
_WATCHERS: Final = 2  # what looks for keys, and for another champion
_PEOPLE: Final = 64  # whose words may wait to be written


def open_service_store(settings: ServiceSettings) -> Store:
    """The store of a service; a SQLite file that is not there yet is made.

    Raises:
        InputError: it cannot be opened, or is of another version.
    """
    # A database that is not there has no champion either: it is not made for one.
    create = settings.model_name is None
    store = open_store(settings.db, create=create, check=False, patience=PATIENCE)
    try:
        if store.version() is None and is_file(settings.db):
            from compagnon.store.migrating import upgrade

            upgrade(store)
        store.require_version()
    except BaseException:
        store.close()
        raise
    return store


class StorePool:
    """Asks the store in a few threads that do nothing else.

    Args:
        name: of the threads.
        threads: how many ask at a time.
        bound: how many questions may be under way or wait; more are refused.
    """

    def __init__(self, name: str, threads: int, bound: int) -> None:
        self._threads = ThreadPoolExecutor(threads, name)
        self._bound = bound
        self._asking = 0
        self._failed_at = float("-inf")  # of `time.monotonic`
        self._failure: StoreUnavailable | None = None

    async def ask(self, function: Callable[..., _T], *args: object) -> _T:
        """What a function of the store gives.

        Whoever waits for a thread while another finds that the store is away is told the same
        then, and waits no second time for a store that does not answer.

        Raises:
            StoreUnavailable: too many ask, or as `function`.
        """
        if self._asking >= self._bound:
            raise LogFull(f"{self._asking} others wait for the store")
        self._asking += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, self._ask, time.monotonic(), function, args
            )
        finally:
            self._asking -= 1

    def _ask(self, asked_at: float, function: Callable[..., _T], args: tuple[object, ...]) -> _T:
        failure = self._failure
        if failure is not None and asked_at <= self._failed_at:
            raise StoreUnavailable(str(failure), failure.public)
        try:
            return function(*args)
        except StoreUnavailable as error:
            self._failure, self._failed_at = error, time.monotonic()
            raise

    def close(self) -> None:
        """Ask no more; what is under way comes to its end by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Repository:
    """The store as the service sees it.

    Args:
        store: of this version.
        settings: of the service.
        deliver: runs what it is given in the service's loop.

    Attributes:
        readers: for who asks for what is kept. lookups: for decisions of fast mode whose ids may be
            known. watchers: for the service itself. people: writes what people say of decisions.
    """

    def __init__(
        self,
        store: Store,
        settings: ServiceSettings,
        deliver: Callable[[Callable[[], None]], object],
    ) -> None:
        self.store = store
        self._application = settings.application
        self._patience = settings.drain_seconds
        self._give_up: float | None = None
        self.log = DecisionLog(store, settings.mode, deliver=deliver)
        self.outcomes = OutcomeLog(store, deliver=deliver)
        self.readers = StorePool("store-reader", _READERS, _READS)
        self.lookups = StorePool("store-lookup", _LOOKUPS, settings.max_pending)
        self.watchers = StorePool("store-watcher", _WATCHERS, _WATCHERS)
        self.people = StorePool("store-people", 1, _PEOPLE)

    def trouble(self) -> str | None:
        """Why decisions cannot be logged now, for anybody to read; None when they can.

        It asks nobody: the log looks after its database once a second by itself.
        """
        if self.log.trouble is not None:
            return self.log.trouble.public
        silence = self.log.silence
        if silence > SILENCE:
            return f"the database has not answered for {silence:.0f} s"
        return None

    async def find(self, decision_id: str) -> DecisionRow | None:
        """The decision of an id, if it is this application's."""
        row = await self.readers.ask(self.log.find, decision_id)
        return row if row is not None and row.application == self._application else None

    def keys(self) -> Keyring:
        """The keys that may be used now."""
        return keyring(self.store)

    def drawing(self, settings: ServiceSettings) -> tuple[Secret, dict[str, int]]:
        """The secret to draw with, made on first use, and what was explored of each episode."""
        limited = settings.explore > 0 and settings.explore_cap > 0
        explored = explored_before(self.store, settings.application) if limited else {}
        return secrets.current(self.store), explored

    async def put_outcome(
        self, decision_id: str, name: str, given: OutcomeRequest
    ) -> OutcomeAnswer:
        """Keep what came of a decision.

        Raises:
            ApiError: 404 for a decision that is not there, 409 for another value than before, 422.
            StoreUnavailable: it cannot be written, or too many wait.
        """
        put = await self._put(
            outcomes.Given(decision_id, name, given.value, given.time, self._application)
        )
        if isinstance(put, outcomes.UnknownDecision):
            if await self.find(decision_id) is not None:  # fast mode: it is still to be written
                raise _not_yet(decision_id)
            raise ApiError(404, str(put), "id")
        if isinstance(put, InputError):
            field = "time" if isinstance(put, outcomes.WrongTime) else "value"
            raise unprocessable(field, str(put))
        if isinstance(put, Exception):
            raise put
        kept = put.outcome
        if put.status == "conflict":
            raise ApiError(409, f"{name} of {decision_id} is {kept.value:g} already", "value")
        return OutcomeAnswer(kept.decision_id, kept.name, kept.value, kept.time, kept.late)

    async def human(self, decision_id: str) -> Override | None:
        """What a person made of a decision; None where nobody said anything."""
        return await self.readers.ask(overrides.find, self.store, decision_id)

    async def put_override(self, made: Override) -> Override:
        """Keep what a person made of a decision.

        Raises:
            ApiError: 404 for a decision that is not there, 409 where another thing was said, 422.
            StoreUnavailable: it cannot be written, or too many wait.
        """
        write = functools.partial(
            overrides.put, self.store, **made._asdict(), application=self._application
        )
        try:
            put = await self.people.ask(write)
        except outcomes.UnknownDecision as error:
            if await self.find(made.decision_id) is not None:  # fast mode: still to be written
                raise _not_yet(made.decision_id) from None
            raise ApiError(404, str(error), "id") from None
        except outcomes.WrongTime as error:
            raise unprocessable("time", str(error)) from None
        except InputError as error:  # it begins with the field
            field, _, words = str(error).partition(": ")
            raise unprocessable(field, words) from None
        if put.status == "conflict":
            kept = put.override
            raise ApiError(409, f"{kept.decision_id} is {kept.verdict} already", "verdict")
        return put.override

    async def _put(self, given: outcomes.Given) -> Result:
        try:
            outcomes.check(given)
        except InputError as error:
            return error
        told: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

        def tell(result: Result) -> None:
            if not told.done():  # whoever asked may have gone
                told.set_result(result)

        self.outcomes.give(given, tell)
        return await told

    def end_by(self, moment: float) -> None:
        """Say until when `close` may take, of `time.monotonic`."""
        self._give_up = moment

    def close(self) -> None:
        """Write what waits, as long as there is time, and let go of the database."""
        until = self._give_up or time.monotonic() + self._patience
        self.outcomes.close(max(0.0, until - time.monotonic()))
        self.log.close(max(0.0, until - time.monotonic()))
        for pool in (self.readers, self.lookups, self.watchers, self.people):
            pool.close()
        self.store.close()


def _not_yet(decision_id: str) -> ApiError:
    return ApiError(503, f"decision {decision_id} is not written yet", "id", RETRY_SECONDS)

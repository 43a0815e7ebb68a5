"""A single decision from its bytes to the log and back: no scope, no task, no messages.

It says what `app.Application` and its routes say of the same request; the tests ask both.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from compagnon.serving.app import Application
from compagnon.serving.auth import read_head
from compagnon.serving.errors import ApiError
from compagnon.serving.http import CLOSE, FAILED, JSON, TEXT, Headers, problem_headers, too_large
from compagnon.serving.service import Asked
from compagnon.store.decisions import Written
from compagnon.store.errors import StoreUnavailable

Done = Callable[[int, bytes, Headers], object]
_logger = logging.getLogger("compagnon.serving")


class Direct:
    """Answers single decisions of an application."""

    def __init__(self, app: Application) -> None:
        self.app = app
        self._looking: set[asyncio.Task[None]] = set()

    def ask(self, headers: Headers, body: bytes, done: Done) -> None:
        """Answer one decision without a task.

        Args:
            headers: of the request, names in lower case.
            body: the whole of it.
            done: is told the status, the body and the headers, perhaps before this returns.
        """
        app = self.app
        pending = _Pending(app, done, app.begun())
        try:
            service = app.service
            if len(body) > service.settings.max_body:
                raise too_large(service.settings.max_body)
            head = read_head(headers)
            app.auth.check_place(head)
            key = app.auth.check(head.authorization, "decide")
            head.require_json()
            app.auth.take(key, 1)
            asked = pending.asked = service.begin(body)
            if service.must_look(asked):
                task = asyncio.get_running_loop().create_task(pending.look(asked))
                self._looking.add(task)
                task.add_done_callback(self._looking.discard)
            else:
                service.log.give((asked.row,), pending.kept)
                pending.prepare()
        except Exception as error:
            pending.failed(error)


class _Pending:
    """One request on its way through the log and back."""

    __slots__ = ("_app", "_begun", "_body", "_done", "asked", "over")

    def __init__(self, app: Application, done: Done, begun: float) -> None:
        self._app = app
        self._done = done
        self._begun = begun
        self._body: bytes | None = None
        self.asked: Asked | None = None
        self.over = False

    def prepare(self) -> None:
        """Put the answer into words while the disk works; nearly always it is the right one."""
        if not self.over and self.asked is not None:
            stored = Written("stored", self.asked.row)
            self._body = self._app.service.finish(self.asked, stored)

    async def look(self, asked: Asked) -> None:
        """Read the database first, then log."""
        service = self._app.service
        try:
            written = await service.found(asked.row)
            if written is None:
                service.log.give((asked.row,), self.kept)
            else:
                self.kept([written])
        except Exception as error:
            self.failed(error)

    def kept(self, results: list[Written] | Exception) -> None:
        """Answer, now that the log has the decision, or has it not."""
        service = self._app.service
        try:
            if isinstance(results, StoreUnavailable):
                raise service.unavailable(results)
            if isinstance(results, Exception):
                raise results
            body = self._body
            if body is None or results[0].status != "stored":
                assert self.asked is not None
                body = service.finish(self.asked, results[0])
        except Exception as error:
            self.failed(error)
        else:
            self._end(200, body, [JSON])

    def failed(self, error: Exception) -> None:
        """Answer with what went wrong."""
        if isinstance(error, ApiError):
            self._end(error.status, error.body(), problem_headers(error))
        else:
            _logger.error("a decision failed", exc_info=error)
            self._end(500, FAILED, [TEXT, CLOSE])

    def _end(self, status: int, body: bytes, headers: Headers) -> None:
        if not self.over:
            self.over = True
            self.asked = None  # the log may remember its last group for long
            self._app.ended(status, time.perf_counter() - self._begun)
            self._done(status, body, headers)

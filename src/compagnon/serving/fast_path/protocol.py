"""A short way for single decisions: from the parser to the application and back as one call each.

uvicorn makes a scope, an event, a task and two messages of each request, which together take longer
than the decision itself. A plain `POST /v1/decide` that arrived whole takes the short way;
everything else goes uvicorn's. It says what `app.Application` says of the same request; the tests
ask both.
"""

import asyncio
import functools
import logging
import time
from collections.abc import Callable
from typing import Any, Final

from compagnon.serving.admission import BACK_SECONDS
from compagnon.serving.app import BUSY, DECIDE, Application
from compagnon.serving.auth import read_head
from compagnon.serving.errors import ApiError
from compagnon.serving.fast_path.connection import BoundedProtocol
from compagnon.serving.http import (
    CLOSE,
    FAILED,
    JSON,
    TEXT,
    Headers,
    answer_head,
    problem_headers,
    too_large,
)
from compagnon.serving.service import PendingDecision
from compagnon.store.decisions import Written
from compagnon.store.errors import StoreUnavailable

Done = Callable[[int, bytes, Headers], object]
_logger = logging.getLogger("compagnon.serving")
_SHORT: Final = DECIDE.encode()


def _no_room(seconds: int) -> bytes:
    refusal = ApiError(503, BUSY, None, seconds)
    body = refusal.body()
    return answer_head(refusal.status, problem_headers(refusal), [], len(body)) + body


_NO_ROOM: Final = tuple(_no_room(seconds) for seconds in range(BACK_SECONDS + 1))


def ask(app: Application, headers: Headers, body: bytes, done: Done) -> None:
    """Answer one decision without a task.

    Args:
        headers: of the request, names in lower case.
        body: the whole of it.
        done: is told the status, the body and the headers, perhaps before this returns.
    """
    direct = _DirectAnswer(app, done, app.begun())
    try:
        service = app.service
        if len(body) > service.settings.max_body:
            raise too_large(service.settings.max_body)
        head = read_head(headers)
        app.auth.check_place(head)
        key = app.auth.check(head.authorization, "decide")
        head.require_json()
        app.auth.take(key, 1)
        decision = direct.decision = service.begin(body)
        if service.must_look(decision):
            app.keep(asyncio.get_running_loop().create_task(direct.look(decision)))
        else:
            service.log.give((decision.row,), direct.kept)
            direct.prepare()
    except Exception as error:
        direct.failed(error)


class _DirectAnswer:
    """One request on its way through the log and back."""

    __slots__ = ("_app", "_begun", "_body", "_done", "decision", "over")

    def __init__(self, app: Application, done: Done, begun: float) -> None:
        self._app = app
        self._done = done
        self._begun = begun
        self._body: bytes | None = None
        self.decision: PendingDecision | None = None
        self.over = False

    def prepare(self) -> None:
        """Put the answer into words while the disk works; nearly always it is the right one."""
        if not self.over and self.decision is not None:
            stored = Written("stored", self.decision.row)
            self._body = self._app.service.finish(self.decision, stored)

    async def look(self, decision: PendingDecision) -> None:
        """Read the database first, then log."""
        service = self._app.service
        try:
            written = await service.found(decision.row)
            if written is None:
                service.log.give((decision.row,), self.kept)
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
                assert self.decision is not None
                body = service.finish(self.decision, results[0])
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
            self.decision = None  # the log may remember its last group for long
            self._app.ended(status, time.perf_counter() - self._begun)
            self._done(status, body, headers)


class _Nobody:
    """Where uvicorn wakes the task of a request; a short one has none."""

    def set(self) -> None:
        """Wake nobody."""


_NOBODY: Final = _Nobody()


class _Cycle:
    """A request on the short way, with what uvicorn looks at in its own."""

    __slots__ = ("disconnected", "keep_alive", "message_event", "response_complete")

    def __init__(self) -> None:
        self.response_complete = self.disconnected = False
        self.keep_alive = True
        self.message_event = _NOBODY


class DecisionProtocol(BoundedProtocol):
    """Takes single decisions the short way."""

    _parts: list[bytes] | None = None  # the body so far, of a request on the short way
    _idle = False  # answered the short way, and nothing has come since
    _answered = 0.0
    _idle_timer: asyncio.TimerHandle | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._application = self.app if isinstance(self.app, Application) else None

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        super().connection_lost(exc)

    def _feed(self, data: bytes) -> None:
        """Parse what came; a body that is not whole then goes the long way, which can wait."""
        super()._feed(data)
        if self._parts is None:
            return
        parts, self._parts = self._parts, None
        if not self._leaving and not self.transport.is_closing():
            super().on_headers_complete()
            for part in parts:
                super().on_body(part)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._idle = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head has ended: which way?"""
        if self._is_short():
            self._end_head()
            self._parts = []
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if self._parts is None:
            super().on_body(body)
        else:
            self._heard = True
            self._parts.append(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._parts is None:
            super().on_message_complete()
            return
        body, self._parts = b"".join(self._parts), None
        self._end_body()
        cycle: Any = _Cycle()
        self.cycle = self._running = cycle
        assert self._application is not None
        if self._application.is_full():
            self._send_away(cycle, self._application)
            return
        ask(self._application, self.headers, body, functools.partial(self._answer, cycle))

    def _is_short(self) -> bool:
        """Whether this is a plain request for one decision, and nothing else is under way."""
        parser = self.parser
        return (
            self.url == _SHORT
            and self._application is not None
            and parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and not self.expect_100_continue
            and (self.cycle is None or self.cycle.response_complete)
            # Who does not read what it asked for waits until it has.
            and not self.flow.write_paused
            and not self.transport.is_closing()
        )

    def _answer(self, cycle: _Cycle, status: int, body: bytes, headers: Headers) -> None:
        if cycle.disconnected or self.transport.is_closing():
            return
        goes_on = cycle.keep_alive and CLOSE not in headers
        if not cycle.keep_alive and CLOSE not in headers:
            headers = [*headers, CLOSE]
        head = answer_head(status, headers, self.server_state.default_headers, len(body))
        self.transport.write(head + body)
        cycle.response_complete = True
        if not goes_on:
            self.leave()
        if self.pipeline or self._held or not goes_on:
            self.on_response_complete()
            return
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._idle, self._answered = True, self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._look_idle)

    def _send_away(self, cycle: _Cycle, app: Application) -> None:
        """Say that there is no room, at the least cost, and do not listen until there may be."""
        cycle.response_complete = True
        self.transport.write(_NO_ROOM[app.outside.seconds()])
        self._muted = True
        app.outside.add(self, self.loop)
        self._idle, self._answered = True, self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._look_idle)

    def listen_again(self) -> bool:
        """Take what was said meanwhile; whether there was something."""
        self._muted = False
        said = bool(self._held)
        self._go_on()
        return said

    def _look_idle(self) -> None:
        """Hang up on who has asked nothing for a while; one timer for many requests."""
        self._idle_timer = None
        if not self._idle or self._held or self.transport.is_closing():
            return
        rest = self._answered + self.timeout_keep_alive - self.loop.time()
        if rest <= 0:
            self.transport.close()
        else:
            self._idle_timer = self.loop.call_later(rest, self._look_idle)

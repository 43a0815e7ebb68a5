"""HTTP on one connection: uvicorn's, with bounded heads, and a short way for single decisions.

uvicorn makes a scope, an event, a task and two messages of each request, which together take longer
than the decision itself. A plain `POST /v1/decide` that arrived whole goes from the parser to the
application and back as one call each; everything else goes uvicorn's way.
"""

import asyncio
import functools
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from compagnon.serving.http import CLOSE, DECIDE, JSON, SECURITY_HEADERS, Front, Headers

MAX_HEAD: Final = 65_536  # bytes of a request before its body
HEAD_SECONDS: Final = 10.0  # for a request's head to arrive
_SHORT: Final = DECIDE.encode()


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's own, but that a head has a size and a time; the parser knows neither."""

    _head = 0
    _head_done = False
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; hang up on a head that does not end."""
        self._head += len(data)
        super().data_received(data)
        if self._head_done:
            return
        if self._head > MAX_HEAD:
            self._hang_up(b"431 Request Header Fields Too Large")
        elif self._timer is None:
            self._wait()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._head_done = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head has ended."""
        self._end_head()
        super().on_headers_complete()

    def _end_head(self) -> None:
        self._head_done, self._head = True, 0
        self._stop()

    def _wait(self) -> None:
        self._timer = self.loop.call_later(HEAD_SECONDS, self._hang_up, b"408 Request Timeout")

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _hang_up(self, status: bytes) -> None:
        self._stop()
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 " + status + b"\r\nconnection: close\r\n\r\n")
            self.transport.close()


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
        self._front = self.app if isinstance(self.app, Front) else None

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; a body that is not whole yet goes the long way, which can wait for it."""
        super().data_received(data)
        if self._parts is None:
            return
        parts, self._parts = self._parts, None
        if not self.transport.is_closing():
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
            self._parts.append(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self._parts is None:
            super().on_message_complete()
            return
        body, self._parts = b"".join(self._parts), None
        cycle: Any = _Cycle()
        self.cycle = cycle
        assert self._front is not None
        self._front.ask(self.headers, body, functools.partial(self._answer, cycle))

    def _is_short(self) -> bool:
        """Whether this is a plain request for one decision, and nothing else is under way."""
        parser = self.parser
        return (
            self.url == _SHORT
            and self._front is not None
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
        head = _head(status, headers, self.server_state.default_headers, len(body))
        self.transport.write(head + body)
        cycle.response_complete = True
        if not goes_on:
            self.transport.close()
        if self.pipeline or not goes_on:
            self.on_response_complete()
            return
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._idle, self._answered = True, self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._look_idle)

    def _look_idle(self) -> None:
        """Hang up on who has asked nothing for a while; one timer for many requests."""
        self._idle_timer = None
        if not self._idle or self.transport.is_closing():
            return
        rest = self._answered + self.timeout_keep_alive - self.loop.time()
        if rest <= 0:
            self.transport.close()
        else:
            self._idle_timer = self.loop.call_later(rest, self._look_idle)


def _lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join([b"%s: %s\r\n" % header for header in headers])


_GOOD: Final = [JSON]
_GOOD_LINES: Final = _lines(_GOOD)
_LAST_LINES: Final = _lines(SECURITY_HEADERS) + b"\r\n"


def _head(status: int, headers: Headers, default: Headers, length: int) -> bytes:
    """The head of an answer, as the long way would send it."""
    if status == 200 and headers == _GOOD:
        first, lines = b"HTTP/1.1 200 OK\r\n", _GOOD_LINES
    else:
        first = b"HTTP/1.1 %d %s\r\n" % (status, HTTPStatus(status).phrase.encode())
        lines = _lines(headers)
    common = _lines(default)
    return b"%s%s%scontent-length: %d\r\n%s" % (first, common, lines, length, _LAST_LINES)

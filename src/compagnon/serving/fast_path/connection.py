"""HTTP on one connection: uvicorn's, but that everything is bounded that a client can send or keep.

Nobody is known yet when bytes arrive: heads, trailers, pipelined requests, bodies that nobody waits
for, and answers that nobody reads have a size and a time. What is refused here is told in the form
of every other refusal, after the answers to what came before it.
"""

import asyncio
import functools
from collections.abc import Callable, MutableMapping
from typing import Any, Final

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from compagnon.serving.connection import crowded, far_too_many
from compagnon.serving.errors import ApiError
from compagnon.serving.fast_path.flow import Door, Flow
from compagnon.serving.http import (
    BODY_SECONDS,
    HEAD_SECONDS,
    LARGE_HEAD,
    MANY_FIELDS,
    MAX_FIELDS,
    MAX_HEAD,
    WRITE_SECONDS,
    is_small,
    refusal_bytes,
)

MAX_TRAILER: Final = 8_192  # bytes of headers after a body, which nobody reads
MAX_WAITING: Final = 16  # requests of one connection that wait for the one before them
LINGER_SECONDS: Final = 2.0  # between the last answer and the end, for what is still under way
LINGER_BYTES: Final = 1_000_000
# The parser takes this much at a time: it can't be stopped within, and a request may be tiny.
_SLICE: Final = 4_096
_BETWEEN, _HEAD, _BODY = range(3)  # where in a request the last byte stood


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's own, with bounds; the parser knows none."""

    _where = _BETWEEN
    _begun = False  # a request began in this slice
    _heard = False  # a part of a body came in this slice
    _head = _unfinished_head = _fields = _silent = _trailer = 0
    _timer: asyncio.TimerHandle | None = None  # of what has to arrive in time
    _write_timer: asyncio.TimerHandle | None = None
    _held = b""  # came, and is not parsed yet
    _muted = False  # what comes waits until there is room for it
    _deaf = False  # what still comes is dropped
    _leaving = False  # all is said
    _left = LINGER_BYTES
    _fault: ApiError | None = None  # found within the parser
    _running: Any = None  # the cycle that is being answered

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self.flow = self._flow = Flow(transport)
        refusal = crowded(self.server_state, self)
        if refusal is not None:
            if far_too_many(self.server_state):
                transport.abort()
                return
            self._refuse(refusal)
            return
        self._wait(HEAD_SECONDS, self._no_head)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._stop()
        self._held = b""
        if self._write_timer is not None:
            self._write_timer.cancel()
        for cycle, _ in self.pipeline:
            cycle.disconnected = True
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        if self._deaf:
            self._left -= len(data)
            if self._left < 0:
                self.transport.close()
            return
        self._unset_keepalive_if_required()
        if self._held or self._muted:
            self._held += data
            # Who is muted is still read a little, so that we see it leave.
            if not self._muted or len(self._held) > MAX_HEAD:
                self._flow.hold()
            return
        self._feed(data)

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """The client sends no more; it may still read the answers to what it sent whole."""
        if self._leaving:
            return None
        last = self._last_whole()
        if last is None:
            return None
        last.keep_alive = False
        self._drop_unfinished()
        return True

    def pause_writing(self) -> None:
        """The client reads too slowly; not for ever."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(WRITE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    # What the parser calls.

    def on_message_begin(self) -> None:
        """A request begins."""
        self._where, self._begun, self._fields, self._head = _HEAD, True, 0, 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; one that comes after the body is none."""
        size = len(name) + len(value) + 4
        if self._where == _BODY:
            self._trailer += size
            if self._trailer > MAX_TRAILER:
                self._stumble(431, f"trailers may have {MAX_TRAILER:,} bytes")
            return
        self._fields += 1
        self._head += size
        if self._fields > MAX_FIELDS:
            self._stumble(431, MANY_FIELDS)
        if self._head > MAX_HEAD:
            self._stumble(431, LARGE_HEAD)
        super().on_header(name, value)

    def on_url(self, url: bytes) -> None:
        """A part of the path."""
        self._head += len(url)
        if self._head > MAX_HEAD:
            self._stumble(431, LARGE_HEAD)
        super().on_url(url)

    def on_headers_complete(self) -> None:
        """The head has ended."""
        self._end_head()
        super().on_headers_complete()
        self.cycle.transport = Door(self)  # type: ignore[assignment]

    def on_chunk_header(self) -> None:
        """A part of a body begins."""
        self._heard = True

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._heard = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._end_body()
        super().on_message_complete()

    # What uvicorn calls.

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, functools.partial(self._asked, cycle, app))

    def on_response_complete(self) -> None:
        """Go on with what waits, unless all is said."""
        if self._leaving:
            self.server_state.total_requests += 1
            return
        super().on_response_complete()
        if self._where == _BODY and self._running is self.cycle:
            self._wait(BODY_SECONDS, self.leave)
        if self._held:
            self.loop.call_soon(self._go_on)

    async def _asked(
        self, cycle: Any, app: Any, scope: Any, receive: Any, send: Callable[[Any], Any]
    ) -> None:
        """Let an answer say that the connection ends, when it comes before a large body has."""

        async def sent(message: MutableMapping[str, Any]) -> None:
            early = self._where == _BODY and cycle is self.cycle
            if early and message["type"] == "http.response.start" and not is_small(cycle.scope):
                cycle.keep_alive = False
            await send(message)

        await app(scope, receive, sent)

    # How bytes go to the parser.

    def _feed(self, data: bytes) -> None:
        at = 0
        while at < len(data) and not self._deaf and not self.transport.is_closing():
            if self._is_full():
                self._held = data[at:]
                self._flow.hold()
                return
            # Most of what comes is shorter, and is not copied.
            part = data if len(data) <= _SLICE and not at else data[at : at + _SLICE]
            at += self._parse(part)

    def _parse(self, data: bytes) -> int:
        """Let the parser have a slice; the bytes that it took."""
        self._begun = self._heard = False
        taken = len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Nobody can say where a body ends that the parser skipped: this is the last request.
            self._deaf = True
            self.cycle.keep_alive = False
            return taken
        except httptools.HttpParserError:
            self._refuse(self._fault or ApiError(400, "this is not HTTP/1.1 as it should be"))
            return taken
        if self._where == _HEAD:
            self._watch_head(taken)
        elif self._where == _BODY:
            self._silent = 0 if self._heard else self._silent + taken
            if self._silent > MAX_HEAD:
                self._refuse(ApiError(431, "this body has more beside it than in it"))
        return max(1, taken)

    def _watch_head(self, taken: int) -> None:
        """A head that has not ended: so many bytes more, and some seconds."""
        self._unfinished_head = taken if self._begun else self._unfinished_head + taken
        if self._unfinished_head > MAX_HEAD:
            self._refuse(ApiError(431, LARGE_HEAD))
        elif self._timer is None:
            self._wait(HEAD_SECONDS, self._slow_head)

    def _is_full(self) -> bool:
        """Whether so much waits for its turn that no more is taken."""
        pipeline = self.pipeline
        return (
            self._muted
            or len(pipeline) >= MAX_WAITING
            or (bool(pipeline) and len(pipeline[0][0].body) > HIGH_WATER_LIMIT)
        )

    def _go_on(self) -> None:
        """Parse what was held back."""
        if self.transport.is_closing() or not self._held:
            return
        held, self._held = self._held, b""
        self._feed(held)
        if not self._held:
            self._flow.release()

    # How it ends.

    @property
    def is_idle(self) -> bool:
        """Whether every request was answered, and none has begun."""
        return self.cycle is not None and self.cycle.response_complete and self._where == _BETWEEN

    @property
    def is_leaving(self) -> bool:
        """Whether all is said."""
        return self._leaving

    def _end_head(self) -> None:
        self._where, self._silent, self._trailer = _BODY, 0, 0
        self._stop()

    def _end_body(self) -> None:
        self._where = _BETWEEN
        self._stop()

    def _stumble(self, status: int, sentence: str) -> None:
        """Stop the parser."""
        self._fault = ApiError(status, sentence)
        raise ValueError(sentence)

    def _refuse(self, refusal: ApiError) -> None:
        """DecideAnswer what cannot be read, after what could, and end."""
        running, last = self._running, self._last_whole()
        self._stop()
        if last is not None:  # its answer comes first, and is the last one
            last.keep_alive = False
            self._drop_unfinished()
            self._where, self._deaf, self._held = _BETWEEN, True, b""
            return
        started = False
        if self._where == _BODY and running is not None and not running.response_complete:
            started = running.response_started
            running.disconnected = True
            running.message_event.set()
        if not started:
            self.transport.write(refusal_bytes(refusal))
        self._deaf = True
        self.leave()

    def _last_whole(self) -> Any:
        """The cycle of the last request that came whole and is not answered yet; None for none."""
        cycles = [cycle for cycle, _ in self.pipeline]
        if self._running is not None and not self._running.response_complete:
            cycles.append(self._running)
        if self._where == _BODY and cycles and cycles[0] is self.cycle:
            del cycles[0]
        return cycles[0] if cycles else None

    def _drop_unfinished(self) -> None:
        """Forget a request that waits for its turn and never came whole."""
        if self._where == _BODY and self.pipeline and self.pipeline[0][0] is self.cycle:
            self.pipeline.popleft()

    def leave(self) -> None:
        """Close, but let the client read its answer: data on the way would tear it up."""
        self._stop()
        if self._leaving or self.transport.is_closing():
            return
        if self._where == _BETWEEN and not self._held and not self._deaf:
            self.transport.close()
            return
        self._leaving = self._deaf = True
        self._held = b""
        self._unset_keepalive_if_required()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._flow.release()
        self._wait(LINGER_SECONDS, self.transport.close)

    def shutdown(self) -> None:
        """The server ends."""
        if self._leaving:
            self.transport.close()
        else:
            super().shutdown()

    def _wait(self, seconds: float, then: Any) -> None:
        self._stop()
        self._timer = self.loop.call_later(seconds, then)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _slow_head(self) -> None:
        self._timer = None
        self._refuse(ApiError(408, f"the head took longer than {HEAD_SECONDS:g} s"))

    def _no_head(self) -> None:
        """Who never said anything is told nothing."""
        if self._where == _HEAD:
            self._slow_head()
        else:
            self.transport.close()

"""HTTP on one connection, as uvicorn and h11 read it: with a time for what they only give a size.

h11 bounds heads, trailers and what stands between the parts of a body, and reads no further than
one request ahead. What it does not know is time: who says a head slowly, reads an answer slowly,
or sends on what nobody wants. This needs nothing of uvicorn but what asyncio calls, its `app` and
its `conn`, so that it holds with any version.
"""

import asyncio
import functools
import itertools
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from compagnon.serving.errors import RETRY_SECONDS, ApiError
from compagnon.serving.http import (
    CLOSE,
    HEAD_SECONDS,
    LARGE_HEAD,
    MANY_FIELDS,
    MAX_FIELDS,
    MAX_HEAD,
    WRITE_SECONDS,
    App,
    Receive,
    Scope,
    Send,
    is_small,
    problem_headers,
    refusal_bytes,
    reply,
)

MOST_LEAVING = 256  # connections that are one too many and are told so, at a time
_LOOKED_AT = 64


class BoundedState(ServerState):
    """What the connections of one server share.

    Attributes:
        max_connections: at a time; of more, one that is idle makes room, or the new one is told
            to come back.
    """

    def __init__(self, max_connections: int) -> None:
        super().__init__()
        self.max_connections = max_connections


def crowded(state: ServerState, fresh: Any) -> ApiError | None:
    """What a fresh connection is told for which there is no room; None if there is.

    One that asks for nothing is closed for it. It is looked for among some, as all would take long.
    """
    most = getattr(state, "max_connections", None)
    connections: Any = state.connections
    if most is None or len(connections) <= most or _made_room(connections, fresh):
        return None
    return ApiError(503, "too many connections", None, RETRY_SECONDS)


def far_too_many(state: ServerState) -> bool:
    """Whether so many are being told so that no more are: each takes a file, as the store does."""
    most = getattr(state, "max_connections", None)
    return most is not None and len(state.connections) > most + MOST_LEAVING


def _made_room(connections: Iterable[Any], fresh: Any) -> bool:
    for other in itertools.islice(connections, _LOOKED_AT):
        if other is not fresh and getattr(other, "is_idle", False):
            other.transport.close()
            connections.discard(other)  # type: ignore[attr-defined]
            return True
    return False


class PlainProtocol(H11Protocol):
    """uvicorn's own, with times."""

    _under_way = 0  # requests that the application has and has not answered
    _answered = 0
    _said_all = False  # the client sends no more
    _deaf = False  # what still comes is dropped
    _timer: asyncio.TimerHandle | None = None  # of what has to arrive in time
    _write_timer: asyncio.TimerHandle | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app: Any = functools.partial(self._asked, self.app)

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        refusal = crowded(self.server_state, self)
        if refusal is None:
            self._wait(self._no_request)
        elif far_too_many(self.server_state):
            transport.abort()
        else:
            self._refuse(refusal)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._stop()
        if self._write_timer is not None:
            self._write_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; it has some seconds to become a request."""
        if self._deaf:
            return
        if not self._under_way and self._timer is None:
            self._wait(self._no_request)
        super().data_received(data)

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """The client sends no more; it may still read the answers to what it sent whole."""
        if not self._under_way or self._is_half():
            return None
        self._said_all = True
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

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """What h11 cannot read is refused in the form of every other refusal, and is the last."""
        fault = sys.exc_info()[1]
        if getattr(fault, "error_status_hint", 400) == 431:
            self._refuse(ApiError(431, LARGE_HEAD))
        else:
            self._refuse(ApiError(400, "this is not HTTP/1.1 as it should be"))

    @property
    def is_idle(self) -> bool:
        """Whether every request was answered, and none has begun."""
        return bool(self._answered) and not self._under_way and self._timer is None

    async def _asked(self, app: App, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on; the answer says that it is the last where a large body is not read."""
        self._stop()
        self._under_way += 1
        whole = False

        async def received() -> MutableMapping[str, Any]:
            nonlocal whole
            message = await receive()
            whole = whole or not message.get("more_body", False)
            return message

        async def sent(message: MutableMapping[str, Any]) -> None:
            early = message["type"] == "http.response.start" and not whole and self._is_half()
            headers = list(message.get("headers", ()))
            if early and not is_small(scope) and CLOSE not in headers:
                message["headers"] = [*headers, CLOSE]
            await send(message)

        try:
            refusal = _too_much(scope)
            if refusal is None:
                await app(scope, received, sent)
            else:
                headers = [*problem_headers(refusal), CLOSE]
                await reply(sent, refusal.status, refusal.body(), headers)
        finally:
            self._under_way -= 1
            self._answered += 1
            if self._said_all:
                self.loop.call_soon(self._end)  # after the next request, if there is one, began

    def _end(self) -> None:
        """Close when all that came whole is answered."""
        if not self._under_way or self._is_half():
            self.transport.close()

    def _is_half(self) -> bool:
        """Whether the last request has begun and its body is not whole."""
        return self.conn.their_state is h11.SEND_BODY

    def _refuse(self, refusal: ApiError) -> None:
        self._stop()
        started = self.conn.our_state is h11.SEND_BODY
        if not started and not self._deaf:  # half an answer can only be broken off
            self.transport.write(refusal_bytes(refusal))
        self._deaf = True
        self.transport.close()

    def _no_request(self) -> None:
        """Whoever said half a head is told so, and who never said anything is told nothing."""
        self._timer = None
        if self._is_half() or self.conn.trailing_data[0]:
            self._refuse(ApiError(408, f"the head took longer than {HEAD_SECONDS:g} s"))
        else:  # or the rest of a body that nobody wanted, after which uvicorn waits for ever
            self.transport.close()

    def _wait(self, then: Any) -> None:
        self._stop()
        self._timer = self.loop.call_later(HEAD_SECONDS, then)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _too_much(scope: Scope) -> ApiError | None:
    """A head that came at once and was read, but is larger than any may be."""
    headers = scope["headers"]
    if len(headers) > MAX_FIELDS:
        return ApiError(431, MANY_FIELDS)
    size = len(scope.get("raw_path") or b"") + sum(len(a) + len(b) + 4 for a, b in headers)
    return ApiError(431, LARGE_HEAD) if size > MAX_HEAD else None

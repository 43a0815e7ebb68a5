"""The service as an ASGI application: hot routes by hand, the others through FastAPI.

A decision takes some tens of microseconds; a framework's parsing and routing would take as long
again. So `Front` looks at the path itself, reads the body within its bound, and hands it over.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from compagnon.serving import guard as G
from compagnon.serving.guard import Guard
from compagnon.serving.refusal import RETRY_SECONDS, WHOLE, Refusal
from compagnon.serving.service import Service
from compagnon.store.keys import Scope as KeyScope

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

DECIDE: Final = "/v1/decide"
BATCH: Final = "/v1/decide/batch"
BODY_SECONDS: Final = 10.0  # for a request's body to arrive
JSON: Final = (b"content-type", b"application/json")
# A browser that is led here may neither guess, nor frame, nor keep what it gets.
SECURITY_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)


class Front:
    """The application that the server runs.

    Args:
        service: decides.
        guard: who may ask.
        cold: every other route, with `http`'s own errors as `Refusal`.
    """

    def __init__(self, service: Service, guard: Guard, cold: App) -> None:
        self.service = service
        self.guard = guard
        self._cold = cold
        self._active = 0
        self._hot = {DECIDE: self._decide, BATCH: self._batch}

    @property
    def active(self) -> int:
        """Requests under way."""
        return self._active

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._cold(scope, receive, send)
            return
        path = scope["path"]
        hot = self._hot.get(path)
        if hot is None:
            await self._others(scope, receive, send)
            return
        begun = time.perf_counter()
        self._active += 1
        try:
            if self._active > self.service.settings.max_pending:
                raise Refusal(503, "too many requests at a time", None, RETRY_SECONDS)
            if scope["method"] != "POST":
                raise Refusal(405, f"{path} takes POST alone")
            key = self.guard.check(*credentials(scope, G.DECIDE))
            body = await hot(key, await read_body(scope, receive, self._max_body))
            status, headers = 200, [JSON]
        except Refusal as refusal:
            status, body, headers = refusal.status, refusal.body(), problem_headers(refusal)
        finally:
            self._active -= 1
        await reply(send, status, body, headers)
        self.service.metrics.answered(path, status, time.perf_counter() - begun)

    @property
    def _max_body(self) -> int:
        return self.service.settings.max_body

    async def _decide(self, key: str, body: bytes) -> bytes:
        self.guard.take(key, 1)
        return await self.service.decide(body)

    async def _batch(self, key: str, body: bytes) -> bytes:
        return await self.service.decide_batch(body, lambda count: self.guard.take(key, count))

    async def _others(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The cold routes, with the same headers on what they answer."""
        begun, found = time.perf_counter(), 500

        async def guarded(message: MutableMapping[str, Any]) -> None:
            nonlocal found
            if message["type"] == "http.response.start":
                found = message["status"]
                message["headers"] = [*message.get("headers", ()), *SECURITY_HEADERS]
            await send(message)

        self._active += 1
        try:
            await self._cold(scope, receive, guarded)
        finally:
            self._active -= 1
            self.service.metrics.answered("other", found, time.perf_counter() - begun)


def credentials(scope: Scope, wanted: KeyScope) -> tuple[bytes | None, KeyScope, bytes | None]:
    """What `Guard.check` wants to know of a request."""
    authorization = host = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            authorization = value
        elif name == b"host":
            host = value
    return authorization, wanted, host


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body.

    Raises:
        Refusal: 413 for one that says, or turns out, to be larger than `limit`; 408 for one that
            does not end; 400 for one whose sender went away.
    """
    for name, value in scope["headers"]:
        if name == b"content-length" and int(value) > limit:
            raise _too_large(limit)
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body", False):
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _rest(receive, body, limit)
        except TimeoutError:
            raise Refusal(408, f"the body took longer than {BODY_SECONDS:g} s", WHOLE) from None
    elif message["type"] == "http.disconnect":
        raise _broken_off()
    if len(body) > limit:
        raise _too_large(limit)
    return body


async def _rest(receive: Receive, first: bytes, limit: int) -> bytes:
    """A body that comes in parts, as long as it is within the limit."""
    parts, size, more = [first], len(first), True
    while more:
        if size > limit:
            raise _too_large(limit)
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _broken_off()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        more = message.get("more_body", False)
    return b"".join(parts)


def _broken_off() -> Refusal:
    return Refusal(400, "the connection was closed before the whole body was there")


def _too_large(limit: int) -> Refusal:
    return Refusal(413, f"a body may have {limit:,} bytes", WHOLE)


def problem_headers(refusal: Refusal) -> list[tuple[bytes, bytes]]:
    """The headers that a refusal needs beside those of every answer."""
    headers = [JSON]
    if refusal.retry_after is not None:
        headers.append((b"retry-after", str(refusal.retry_after).encode()))
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if refusal.status == 405:
        headers.append((b"allow", b"POST"))
    if refusal.status in (408, 413):
        headers.append((b"connection", b"close"))
    return headers


async def reply(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """Send a whole answer."""
    length = (b"content-length", str(len(body)).encode())
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, length, *SECURITY_HEADERS],
        }
    )
    await send({"type": "http.response.body", "body": body})

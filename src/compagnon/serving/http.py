"""The service as an ASGI application: hot routes by hand, the others through FastAPI.

A decision takes some tens of microseconds; a framework's parsing and routing would take as long
again. So `Front` looks at the path itself, reads the body within its bound, and hands it over.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from compagnon.serving.admission import Admission, Outside
from compagnon.serving.auth import Authenticator
from compagnon.serving.errors import RETRY_SECONDS, WHOLE, ApiError
from compagnon.serving.head import Head, read_head
from compagnon.serving.service import Asked, Service
from compagnon.store.decisions import Written
from compagnon.store.errors import StoreUnavailable

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
Done = Callable[[int, bytes, Headers], object]

DECIDE: Final = "/v1/decide"
BATCH: Final = "/v1/decide/batch"
BODY_SECONDS: Final = 10.0  # for a request's body to arrive
JSON: Final = (b"content-type", b"application/json")
TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")
CLOSE: Final = (b"connection", b"close")
BUSY: Final = "too many requests at a time"
FAILED: Final = b"Internal Server Error"
# A browser that is led here may neither guess, nor frame, nor keep what it gets.
SECURITY_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)

_logger = logging.getLogger("compagnon.serving")


class Front:
    """The application that the server runs.

    Args:
        service: decides.
        auth: who may ask.
        cold: every other route, with `http`'s own errors as `ApiError`.
    """

    def __init__(self, service: Service, auth: Authenticator, cold: App) -> None:
        self.service = service
        self.auth = auth
        self._cold = cold
        self._active = 0
        self.admission = Admission(service.settings.max_pending)
        self.outside = Outside(self.admission, lambda: self._active)
        self._looking: set[asyncio.Task[None]] = set()
        self._hot = {DECIDE: self._decide, BATCH: self._batch}
        service.metrics.active.set_function(lambda: self._active)

    @property
    def active(self) -> int:
        """Requests under way."""
        return self._active

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """DecideAnswer one request."""
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
            if self._active > self.admission.limit:
                raise ApiError(503, BUSY, None, RETRY_SECONDS)
            if scope["method"] != "POST":
                raise ApiError(405, f"{path} takes POST alone")
            head = self._head_of(scope)
            key = self.auth.check(head.authorization, "decide")
            head.require_json()
            body = await hot(key, await read_body(scope, receive, self._max_body))
            status, headers = 200, [JSON]
        except ApiError as refusal:
            status, body, headers = refusal.status, refusal.body(), problem_headers(refusal)
        except Exception:
            _logger.exception("a request of %s failed", path)
            status, body, headers = 500, FAILED, [TEXT, CLOSE]
        finally:
            self._active -= 1
        await reply(send, status, body, headers)
        self.service.metrics.answered(path, status, time.perf_counter() - begun)

    def ask(self, headers: Headers, body: bytes, done: Done) -> None:
        """DecideAnswer one decision without a task; what `__call__` says of the same request.

        Args:
            headers: of the request, names in lower case.
            body: the whole of it.
            done: is told the status, the body and the headers, perhaps before this returns.
        """
        waits = _Waits(self, done, self.admission.begin(asyncio.get_running_loop().call_soon))
        self._active += 1
        try:
            service = self.service
            if len(body) > self._max_body:
                raise _too_large(self._max_body)
            head = read_head(headers)
            self.auth.check_place(head)
            key = self.auth.check(head.authorization, "decide")
            head.require_json()
            self.auth.take(key, 1)
            asked = waits.asked = service.begin(body)
            if service.must_look(asked):
                task = asyncio.get_running_loop().create_task(waits.look(asked))
                self._looking.add(task)
                task.add_done_callback(self._looking.discard)
            else:
                service.log.give((asked.row,), waits.kept)
                waits.prepare()
        except Exception as error:
            waits.failed(error)

    def is_full(self) -> bool:
        """Whether a single decision is sent away before anything is known of it."""
        begun = self.admission.begin(asyncio.get_running_loop().call_soon)
        if not self.admission.is_full(self._active, begun):
            return False
        self.service.metrics.sent_away(DECIDE)
        return True

    def ended(self, status: int, seconds: float) -> None:
        """A request that `ask` took is answered."""
        self._active -= 1
        self.admission.ended(seconds, self._active)
        self.service.metrics.answered(DECIDE, status, seconds)

    @property
    def _max_body(self) -> int:
        return self.service.settings.max_body

    async def _decide(self, key: str, body: bytes) -> bytes:
        self.auth.take(key, 1)
        return await self.service.decide(body)

    async def _batch(self, key: str, body: bytes) -> bytes:
        return await self.service.decide_batch(body, lambda count: self.auth.take(key, count))

    async def _others(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The cold routes, with the same headers on what they answer."""
        begun, found, whole = time.perf_counter(), 0, False

        async def guarded(message: MutableMapping[str, Any]) -> None:
            nonlocal found, whole
            if message["type"] == "http.response.start":
                found = message["status"]
                message["headers"] = [*message.get("headers", ()), *SECURITY_HEADERS]
            else:
                whole = not message.get("more_body", False)
            await send(message)

        self._active += 1
        try:
            self._head_of(scope)
            await self._cold(scope, receive, guarded)
        except ApiError as refusal:
            found = refusal.status
            await reply(send, found, refusal.body(), problem_headers(refusal))
        except Exception:
            _logger.exception("a request of %s failed", scope["path"])
            if found and not whole:  # half an answer can't be taken back: the server hangs up
                raise
            if not found:
                found = 500
                await reply(send, found, FAILED, [TEXT, CLOSE])
        finally:
            self._active -= 1
            self.service.metrics.answered("other", found, time.perf_counter() - begun)

    def _head_of(self, scope: Scope) -> Head:
        """The head of a request from a place that may ask."""
        head = read_head(scope["headers"], scope["http_version"])
        self.auth.check_place(head)
        return head


class _Waits:
    """One request on its way through the log and back."""

    __slots__ = ("_begun", "_body", "_done", "_front", "asked", "over")

    def __init__(self, front: Front, done: Done, begun: float) -> None:
        self._front = front
        self._done = done
        self._begun = begun
        self._body: bytes | None = None
        self.asked: Asked | None = None
        self.over = False

    def prepare(self) -> None:
        """Put the answer into words while the disk works; nearly always it is the right one."""
        if not self.over and self.asked is not None:
            stored = Written("stored", self.asked.row)
            self._body = self._front.service.finish(self.asked, stored)

    async def look(self, asked: Asked) -> None:
        """Read the database first, then log."""
        service = self._front.service
        try:
            written = await service.found(asked.row)
            if written is None:
                service.log.give((asked.row,), self.kept)
            else:
                self.kept([written])
        except Exception as error:
            self.failed(error)

    def kept(self, results: list[Written] | Exception) -> None:
        """DecideAnswer, now that the log has the decision, or has it not."""
        service = self._front.service
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
        """DecideAnswer with what went wrong."""
        if isinstance(error, ApiError):
            self._end(error.status, error.body(), problem_headers(error))
        else:
            _logger.error("a decision failed", exc_info=error)
            self._end(500, FAILED, [TEXT, CLOSE])

    def _end(self, status: int, body: bytes, headers: Headers) -> None:
        if not self.over:
            self.over = True
            self.asked = None  # the log may remember its last group for long; a model must not last
            self._front.ended(status, time.perf_counter() - self._begun)
            self._done(status, body, headers)


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body.

    Raises:
        ApiError: 413 for one that says, or turns out, to be larger than `limit`; 408 for one that
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
            raise ApiError(408, f"the body took longer than {BODY_SECONDS:g} s", WHOLE) from None
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


def _broken_off() -> ApiError:
    return ApiError(400, "the connection was closed before the whole body was there")


def _too_large(limit: int) -> ApiError:
    return ApiError(413, f"a body may have {limit:,} bytes", WHOLE)


def problem_headers(refusal: ApiError) -> Headers:
    """The headers that a refusal needs beside those of every answer."""
    headers = [JSON]
    if refusal.retry_after is not None:
        headers.append((b"retry-after", str(refusal.retry_after).encode()))
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if refusal.status == 405:
        headers.append((b"allow", b"POST"))
    if refusal.status in (408, 413):
        headers.append(CLOSE)
    return headers


async def reply(send: Send, status: int, body: bytes, headers: Headers) -> None:
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

"""What every way of HTTP shares: heads and bodies within their bounds, and answers as bytes."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http import HTTPStatus
from typing import Any, Final

from compagnon.serving.errors import WHOLE, ApiError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

MAX_HEAD: Final = 65_536  # bytes of a request before its body
MAX_FIELDS: Final = 100  # headers of a request
HEAD_SECONDS: Final = 10.0  # for a request's head to arrive
BODY_SECONDS: Final = 10.0  # for a request's body to arrive
WRITE_SECONDS: Final = 30.0  # for a client to read what it asked for
DRAINED: Final = 65_536  # bytes of a body that is not wanted any more and may still come
JSON: Final = (b"content-type", b"application/json")
TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")
CLOSE: Final = (b"connection", b"close")
FAILED: Final = b"Internal Server Error"
LARGE_HEAD: Final = f"a head may have {MAX_HEAD:,} bytes"
MANY_FIELDS: Final = f"a request may have {MAX_FIELDS} headers"
# A browser that is led here may neither guess, nor frame, nor keep what it gets.
SECURITY_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)


def too_large(limit: int) -> ApiError:
    """The refusal of a body."""
    return ApiError(413, f"a body may have {limit:,} bytes", WHOLE)


def problem_headers(refusal: ApiError) -> Headers:
    """The headers that a refusal needs beside those of every answer."""
    headers = [JSON]
    if refusal.retry_after is not None:
        headers.append((b"retry-after", str(refusal.retry_after).encode()))
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
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


def is_small(scope: Any) -> bool:
    """Whether a body that nobody wants is short enough to wait for its end."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) <= DRAINED
    return False


def _lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join([b"%s: %s\r\n" % header for header in headers])


_GOOD: Final = [JSON]
_GOOD_LINES: Final = _lines(_GOOD)
_LAST_LINES: Final = _lines(SECURITY_HEADERS) + b"\r\n"


def answer_head(status: int, headers: Headers, default: Headers, length: int) -> bytes:
    """The head of an answer, as uvicorn would send it."""
    if status == 200 and headers == _GOOD:
        first, lines = b"HTTP/1.1 200 OK\r\n", _GOOD_LINES
    else:
        first = b"HTTP/1.1 %d %s\r\n" % (status, HTTPStatus(status).phrase.encode())
        lines = _lines(headers)
    common = _lines(default)
    return b"%s%s%scontent-length: %d\r\n%s" % (first, common, lines, length, _LAST_LINES)


def refusal_bytes(error: ApiError) -> bytes:
    """A whole answer to what could not be read, as it goes over the wire; it is the last one."""
    body = error.body()
    headers = problem_headers(error)
    headers += [] if CLOSE in headers else [CLOSE]
    return answer_head(error.status, headers, [], len(body)) + body

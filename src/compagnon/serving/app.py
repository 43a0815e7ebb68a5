"""The service as an ASGI application: what holds for every request, around Starlette's router.

Who may ask and from where, how many at a time, the headers of every answer, what is counted: that
is here. What each route does stands in `routes`.
"""

import asyncio
import logging
import time
from collections.abc import MutableMapping
from typing import Any, Final

from starlette.exceptions import HTTPException

from compagnon.serving.admission import Admission, Outside
from compagnon.serving.auth import Authenticator, read_head
from compagnon.serving.errors import ApiError
from compagnon.serving.http import (
    CLOSE,
    FAILED,
    SECURITY_HEADERS,
    TEXT,
    App,
    Headers,
    Receive,
    Scope,
    Send,
    problem_headers,
    reply,
)
from compagnon.serving.service import Service

DECIDE: Final = "/v1/decide"
BATCH: Final = "/v1/decide/batch"
BUSY: Final = "too many requests at a time"
_SAID: Final = {404: "there is no such path", 405: "not by this method"}
_logger = logging.getLogger("compagnon.serving")


class Application:
    """The application that the server runs.

    Args:
        service: decides.
        auth: who may ask.
        router: of all routes; what it refuses it raises.

    Attributes:
        admission: how many may come in. outside: those who may not, yet.
    """

    def __init__(self, service: Service, auth: Authenticator, router: App) -> None:
        self.service = service
        self.auth = auth
        self._router = router
        self._active = 0
        self.admission = Admission(service.settings.max_pending)
        self.outside = Outside(self.admission, lambda: self._active)
        service.metrics.active.set_function(lambda: self._active)

    @property
    def active(self) -> int:
        """Requests under way."""
        return self._active

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["path"]
        begun, found, whole = time.perf_counter(), 0, False

        async def guarded(message: MutableMapping[str, Any]) -> None:
            nonlocal found, whole
            if message["type"] == "http.response.start":
                found = message["status"]
                message["headers"] = [*message.get("headers", ()), *SECURITY_HEADERS]
            else:
                whole = not message.get("more_body", False)
            await send(message)

        deciding = path in (DECIDE, BATCH)
        if deciding and self.is_full(path):
            busy = ApiError(503, BUSY, None, self.outside.seconds())
            await reply(send, busy.status, busy.body(), problem_headers(busy))
            return
        self._active += 1
        try:
            self.auth.check_place(read_head(scope["headers"], scope["http_version"]))
            scope["app"] = self  # so that the router raises what it refuses
            await self._router(scope, receive, guarded)
        except (ApiError, HTTPException) as error:
            refusal, headers = _refused(error)
            found = refusal.status
            await reply(send, found, refusal.body(), headers)
        except Exception:
            _logger.exception("a request of %s failed", path)
            if found and not whole:  # half an answer can't be taken back: the server hangs up
                raise
            if not found:
                found = 500
                await reply(send, found, FAILED, [TEXT, CLOSE])
        finally:
            self._active -= 1
            seconds = time.perf_counter() - begun
            if path == DECIDE:  # a batch may take long though nobody waits before it
                self.admission.ended(seconds, self._active)
            self.service.metrics.answered(path if deciding else "other", found, seconds)

    def begun(self) -> float:
        """When the request that is here came, at the latest; it is under way from now on."""
        self._active += 1
        return self.admission.begin(asyncio.get_running_loop().call_soon)

    def ended(self, status: int, seconds: float) -> None:
        """A single decision that `begun` is answered."""
        self._active -= 1
        self.admission.ended(seconds, self._active)
        self.service.metrics.answered(DECIDE, status, seconds)

    def is_full(self, path: str = DECIDE) -> bool:
        """Whether a request is sent away before anything is known of it."""
        begun = self.admission.begin(asyncio.get_running_loop().call_soon)
        if not self.admission.is_full(self._active, begun):
            return False
        self.service.metrics.sent_away(path)
        return True


def _refused(error: ApiError | HTTPException) -> tuple[ApiError, Headers]:
    """What was refused, by an endpoint or by the router itself, and the headers that it needs."""
    if isinstance(error, ApiError):
        return error, problem_headers(error)
    said = _SAID.get(error.status_code, str(error.detail))
    refusal = ApiError(error.status_code, said)
    more = [(name.lower().encode(), one.encode()) for name, one in (error.headers or {}).items()]
    return refusal, [*problem_headers(refusal), *more]

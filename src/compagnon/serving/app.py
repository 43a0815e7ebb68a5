"""The service as an ASGI application: what each route does, and what holds for every request.

Who may ask and from where, how many at a time, the headers of every answer and what is counted
stand around Starlette's router. Which routes there are, whose key they ask for and what they take
stands in `openapi.OPERATIONS`.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from compagnon.serving.about import page, policy_info
from compagnon.serving.admission import Admission, Outside
from compagnon.serving.auth import Authenticator, Head, read_head
from compagnon.serving.errors import RETRY_SECONDS, WHOLE, ApiError
from compagnon.serving.http import (
    BODY_SECONDS,
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
    too_large,
)
from compagnon.serving.metrics import CONTENT_TYPE
from compagnon.serving.openapi import OPERATIONS, Operation, describe
from compagnon.serving.parsing import check_id, check_name, read_outcome, read_override
from compagnon.serving.records import override_as_told, override_of, record_of
from compagnon.serving.reloader import Reloader
from compagnon.serving.repository import Repository
from compagnon.serving.schemas import Health, Reloaded
from compagnon.serving.service import Service
from compagnon.store.errors import StoreUnavailable

DECIDE: Final = "/v1/decide"
BATCH: Final = "/v1/decide/batch"
BUSY: Final = "too many requests at a time"
_SAID: Final = {404: "there is no such path", 405: "not by this method"}
_READ: Final = "compagnon.read"  # of a scope: when the body of a single decision was whole
_SMALL_BODY: Final = 10_000
_JSON: Final = "application/json"
Endpoint = Callable[[Request], Awaitable[Response]]
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
        self._tasks: set[asyncio.Task[None]] = set()

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
            if _READ in scope:  # whoever sends slowly has not waited for us
                self.admission.ended(time.perf_counter() - scope[_READ], self._active)
            self.service.metrics.answered(path if deciding else "other", found, seconds)

    def keep(self, task: "asyncio.Task[None]") -> None:
        """Hold a request's task until it ends: the loop itself forgets it."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

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


# ------------------------------------------------------------------ routes


def build_router(
    service: Service, auth: Authenticator, repository: Repository, reloader: Reloader
) -> Router:
    """The routes; what is refused is raised."""
    routes = Routes(service, auth, repository, reloader)
    found = [Route("/", routes.page, methods=["GET"])]
    for one in OPERATIONS:
        endpoint = _guarded(routes, one)
        found.append(Route(one.path, endpoint, methods=[one.method], name=one.endpoint))
    return Router(found)


def _guarded(routes: "Routes", operation: Operation) -> Endpoint:
    """An endpoint that asks for its key first, and for JSON where it takes a body."""
    endpoint = getattr(routes, operation.endpoint)

    async def answered(request: Request) -> Response:
        head = read_head(request.scope["headers"], request.scope["http_version"])
        routes.authorise(request, head, operation)
        if operation.takes is not None:
            head.require_json()
        try:
            found: Response = await endpoint(request)
            return found
        except StoreUnavailable as error:
            sentence = f"the store does not answer ({error.public})"
            raise ApiError(503, sentence, None, RETRY_SECONDS) from None

    return answered


class Routes:
    """The endpoints, by the names that `OPERATIONS` gives them."""

    def __init__(
        self,
        service: Service,
        auth: Authenticator,
        repository: Repository,
        reloader: Reloader,
    ) -> None:
        self._service = service
        self._auth = auth
        self._repository = repository
        self._reloader = reloader

    def authorise(self, request: Request, head: Head, operation: Operation) -> None:
        """Leave the key's id in the request's state.

        Raises:
            ApiError: 401 or 403.
        """
        scope = operation.scope
        if operation.endpoint == "metrics" and self._auth.open:
            scope = None  # where there are no keys, nobody else can ask
        if scope is not None:
            request.state.key = self._auth.check(head.authorization, scope)

    async def decide(self, request: Request) -> Response:
        """One decision."""
        body = await read_body(request.scope, request.receive, self._service.settings.max_body)
        # Of single ones alone: a batch may take long though nobody waits before it.
        request.scope[_READ] = time.perf_counter()
        self._auth.take(request.state.key, 1)
        return _json(await self._service.decide(body))

    async def decide_batch(self, request: Request) -> Response:
        """Many decisions."""
        body = await read_body(request.scope, request.receive, self._service.settings.max_body)
        key = request.state.key
        return _json(
            await self._service.decide_batch(body, lambda count: self._auth.take(key, count))
        )

    async def outcome(self, request: Request) -> Response:
        """Keep what came of a decision; the same value twice is one outcome."""
        decision_id = check_id(request.path_params["decision_id"])
        name = check_name(request.path_params["name"])
        given = read_outcome(await read_body(request.scope, request.receive, _SMALL_BODY))
        return _json(await self._repository.put_outcome(decision_id, name, given))

    async def decision(self, request: Request) -> Response:
        """A decision as the log has it."""
        decision_id = check_id(request.path_params["decision_id"])
        row = await self._repository.find(decision_id)
        if row is None:
            raise ApiError(404, f"no decision has the id {decision_id}", "id")
        codec, schema = self._service.codec, self._service.schema_sha256
        human = await self._repository.human(decision_id)
        return _json(record_of(row, codec, schema, human))

    async def override(self, request: Request) -> Response:
        """Keep what a person made of a decision; the same said twice is one."""
        decision_id = check_id(request.path_params["decision_id"])
        given = read_override(await read_body(request.scope, request.receive, _SMALL_BODY))
        codec = self._service.codec
        made = override_of(decision_id, given, codec, time.time())
        kept = await self._repository.put_override(made)
        row = await self._repository.find(decision_id)
        assert row is not None  # the override stands on it
        return _json(override_as_told(kept, row, codec))

    async def policy(self, request: Request) -> Response:  # noqa: ARG002
        """What is in service."""
        return _json(policy_info(self._service))

    async def reload(self, request: Request) -> Response:  # noqa: ARG002
        """Look for another model now."""
        changed = await self._reloader.look(again=True)
        if self._service.refused is not None:
            raise ApiError(409, f"the model was refused: {self._service.refused}", "model")
        return _json(Reloaded(self._service.model.sha256, changed))

    async def page(self, request: Request) -> Response:
        """For a person with a browser."""
        host = request.headers.get("host", "localhost")
        body = page(self._service, f"{request.url.scheme}://{host}", self._auth.open)
        return Response(body, headers={"content-type": "text/html; charset=utf-8"})

    async def alive(self, request: Request) -> Response:  # noqa: ARG002
        """The process answers."""
        return _json(Health("alive"))

    async def ready(self, request: Request) -> Response:  # noqa: ARG002
        """Decisions can be made and logged."""
        reason = "the service is ending" if self._service.draining else None
        reason = reason or self._repository.trouble()
        age = self._repository.log.age
        commit = None if age is None else round(age, 1)
        if reason is None:
            return _json(Health("ready", None, commit))
        health = Health("not ready", reason, commit)
        return _json(health, 503, {"retry-after": str(RETRY_SECONDS)})

    async def metrics(self, request: Request) -> Response:  # noqa: ARG002
        """Counters for Prometheus."""
        metrics = self._service.metrics
        metrics.log_pending.set(self._repository.log.pending)
        metrics.log_could_lose.set(self._repository.log.could_lose)
        return Response(metrics.text(), headers={"content-type": CONTENT_TYPE})

    async def openapi(self, request: Request) -> Response:  # noqa: ARG002
        """The description."""
        service = self._service
        return _json(describe(service.parser, service.codec, service.settings))


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    body = value if isinstance(value, bytes) else msgspec.json.encode(value)
    return Response(body, status, {"content-type": _JSON, **(headers or {})})


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body.

    Raises:
        ApiError: 413 for one that says, or turns out, to be larger than `limit`; 408 for one that
            does not end; 400 for one whose sender went away.
    """
    for name, value in scope["headers"]:
        if name == b"content-length" and int(value) > limit:
            raise too_large(limit)
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
        raise too_large(limit)
    return body


async def _rest(receive: Receive, first: bytes, limit: int) -> bytes:
    """A body that comes in parts, as long as it is within the limit."""
    parts, size, more = [first], len(first), True
    while more:
        if size > limit:
            raise too_large(limit)
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _broken_off()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        more = message.get("more_body", False)
    return b"".join(parts)


def _broken_off() -> ApiError:
    return ApiError(400, "the connection was closed before the whole body was there")

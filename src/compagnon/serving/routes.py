"""What each route does: from a request to the structure that answers it.

Which routes there are, whose key they ask for and what they take stands in `openapi.OPERATIONS`.
"""

import math
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from compagnon.serving.auth import Authenticator, Head, read_head
from compagnon.serving.codec import record_of
from compagnon.serving.decoding import check_id, check_name, read_outcome
from compagnon.serving.errors import RETRY_SECONDS, ApiError
from compagnon.serving.http import read_body
from compagnon.serving.metrics import CONTENT_TYPE
from compagnon.serving.openapi import OPERATIONS, Operation, describe
from compagnon.serving.page import page
from compagnon.serving.reloader import Reloader
from compagnon.serving.repository import Repository
from compagnon.serving.schemas import FieldInfo, Health, Reloaded, finite
from compagnon.serving.service import Service
from compagnon.store.errors import StoreUnavailable

_SMALL_BODY: Final = 10_000
_JSON: Final = "application/json"
Endpoint = Callable[[Request], Awaitable[Response]]


def build(
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
        return _json(record_of(row, self._service.codec, self._service.schema_sha256))

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


def policy_info(service: Service) -> Any:
    """What `/v1/policy` says."""
    model, settings, parser = service.model, service.settings, service.parser
    schema = model.manifest.schema_
    return service.codec.kinds.policy(
        model=model.sha256,
        name=model.manifest.name,
        schema_sha256=model.manifest.schema_sha256,
        env=schema.env_id,
        fields=[
            FieldInfo(one.name, one.unit, finite(one.low), finite(one.high), one.meaning)
            for one in schema.observation.fields
        ],
        reads_states=parser.states is not None,
        application=settings.application,
        mode=settings.mode,
        play=service.draw.play.name,
        explore=service.draw.play.explore,
        near=service.draw.play.near,
        explore_cap=settings.explore_cap,
        cost=service.cost,
        swaps=service.swaps,
        refused=service.refused,
        manifest=_plain(model.manifest.model_dump(mode="json", by_alias=True)),
        **service.codec.described(model, parser.needs_mask),
    )


def _plain(value: Any) -> Any:
    """Without infinities, which JSON does not know; a range without an end has null."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    body = value if isinstance(value, bytes) else msgspec.json.encode(value)
    return Response(body, status, {"content-type": _JSON, **(headers or {})})

"""The routes that may take their time: outcomes, single decisions, the policy, health, metrics."""

import math
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import numpy as np
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from compagnon.policy.manifest import DeterministicHead
from compagnon.serving import schemas, vector_schemas, vectors
from compagnon.serving.actions import Component
from compagnon.serving.auth import Authenticator
from compagnon.serving.errors import RETRY_SECONDS, ApiError
from compagnon.serving.head import read_head
from compagnon.serving.http import problem_headers, read_body
from compagnon.serving.metrics import CONTENT_TYPE
from compagnon.serving.models import VectorModel
from compagnon.serving.openapi import describe
from compagnon.serving.page import page
from compagnon.serving.reloader import Reloader
from compagnon.serving.repository import Repository
from compagnon.serving.service import Service
from compagnon.serving.vectors import VectorService
from compagnon.store.decisions import DecisionRow
from compagnon.store.errors import StoreUnavailable
from compagnon.store.keys import Scope as KeyScope

_SMALL_BODY: Final = 10_000
_JSON: Final = "application/json"
Endpoint = Callable[[Request], Awaitable[Response]]


def build(
    service: Service, auth: Authenticator, repository: Repository, reloader: Reloader
) -> FastAPI:
    """The application of every route that is not hot."""
    app = FastAPI(title="Compagnon", openapi_url=None, docs_url=None, redoc_url=None)
    routes = _Routes(service, auth, repository, reloader)
    for path, method, endpoint in (
        ("/", "GET", routes.page),
        ("/v1/outcomes/{decision_id}/{name}", "PUT", routes.outcome),
        ("/v1/decisions/{decision_id}", "GET", routes.decision),
        ("/v1/policy", "GET", routes.policy),
        ("/v1/admin/reload", "POST", routes.reload),
        ("/healthz", "GET", routes.alive),
        ("/readyz", "GET", routes.ready),
        ("/metrics", "GET", routes.metrics),
        ("/openapi.json", "GET", routes.openapi),
    ):
        app.add_route(path, _refusing(endpoint), methods=[method])
    app.add_exception_handler(HTTPException, _plain_error)
    return app


class _Routes:
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

    async def outcome(self, request: Request) -> Response:
        """Keep what came of a decision; the same value twice is one outcome."""
        self._check(request, "outcomes")
        decision_id = schemas.check_id(request.path_params["decision_id"])
        name = schemas.check_name(request.path_params["name"])
        read_head(request.scope["headers"], request.scope["http_version"]).require_json()
        given = schemas.read_outcome(await read_body(request.scope, request.receive, _SMALL_BODY))
        answer = await self._repository.put_outcome(decision_id, name, given)
        return _json(answer)

    async def decision(self, request: Request) -> Response:
        """A decision as the log has it."""
        self._check(request, "decide")
        decision_id = schemas.check_id(request.path_params["decision_id"])
        row = await self._repository.find(decision_id)
        if row is None:
            raise ApiError(404, f"no decision has the id {decision_id}", "id")
        return _json(self._record(row))

    async def policy(self, request: Request) -> Response:
        """What is in service."""
        self._check(request, "decide")
        return _json(policy_info(self._service))

    async def reload(self, request: Request) -> Response:
        """Look for another model now."""
        self._check(request, "admin")
        changed = await self._reloader.look(again=True)
        if self._service.refused is not None:
            raise ApiError(409, f"the model was refused: {self._service.refused}", "model")
        return _json(schemas.Reloaded(self._service.model.sha256, changed))

    async def page(self, request: Request) -> Response:
        """For a person with a browser."""
        host = request.headers.get("host", "localhost")
        body = page(self._service, f"{request.url.scheme}://{host}", self._auth.open)
        return Response(body, headers={"content-type": "text/html; charset=utf-8"})

    async def alive(self, request: Request) -> Response:  # noqa: ARG002
        """The process answers."""
        return _json(schemas.Health("alive"))

    async def ready(self, request: Request) -> Response:  # noqa: ARG002
        """Decisions can be made and logged."""
        reason = "the service is ending" if self._service.draining else None
        reason = reason or self._repository.trouble()
        age = self._repository.log.age
        commit = None if age is None else round(age, 1)
        if reason is None:
            return _json(schemas.Health("ready", None, commit))
        health = schemas.Health("not ready", reason, commit)
        return _json(health, 503, {"retry-after": str(RETRY_SECONDS)})

    async def metrics(self, request: Request) -> Response:
        """Counters for Prometheus."""
        if not self._auth.open:
            self._check(request, "admin")
        metrics = self._service.metrics
        metrics.log_pending.set(self._repository.log.pending)
        metrics.log_could_lose.set(self._repository.log.could_lose)
        return Response(metrics.text(), headers={"content-type": CONTENT_TYPE})

    async def openapi(self, request: Request) -> Response:
        """This description."""
        self._check(request, "decide")
        return _json(describe(self._service.parser, self._service.settings))

    def _check(self, request: Request, scope: KeyScope) -> None:
        head = read_head(request.scope["headers"], request.scope["http_version"])
        self._auth.check(head.authorization, scope)

    def _record(self, row: DecisionRow) -> schemas.DecisionRecord | vector_schemas.VectorRecord:
        if row.action_vector is not None:
            return self._vector_record(row)
        actions = len(self._service.model.words)
        probabilities = np.frombuffer(row.probabilities, np.float64)
        packed = np.frombuffer(row.mask or b"", np.uint8)
        possible = np.flatnonzero(np.unpackbits(packed, count=len(probabilities)))
        action = row.action if row.action is not None else -1
        known = action < actions and row.schema_sha256 == self._service.schema_sha256
        return schemas.DecisionRecord(
            id=row.id,
            application=row.application,
            key=row.key,
            action=action,
            meaning=self._service.model.words[action] if known else f"action {action}",
            probability=row.probability,
            probabilities=probabilities.tolist(),
            features=np.frombuffer(row.features, np.float32).tolist(),
            possible=possible.tolist(),
            model=row.model_sha256,
            schema=row.schema_sha256,
            seed=row.seed,
            mode=row.mode,
            play=row.play,
            explore=row.epsilon,
            near=row.near,
            episode=row.episode,
            time=row.time,
            latency_us=row.latency_us,
        )

    def _vector_record(self, row: DecisionRow) -> vector_schemas.VectorRecord:
        action = vectors.vector_of(row)
        mean, std = vectors.distribution_of(row)
        service = self._service
        if isinstance(service, VectorService) and row.schema_sha256 == service.schema_sha256:
            parts = service.components
        else:  # of another service on this database
            low, high = -math.inf, math.inf
            parts = tuple(Component(f"action_{k}", "", low, high) for k in range(len(action)))
        return vector_schemas.VectorRecord(
            id=row.id,
            application=row.application,
            key=row.key,
            action=vectors.named(parts, action),
            meaning=vectors.in_words(parts, action),
            density=vectors.density_of(row),
            log_density=row.log_density or 0.0,
            mean=vectors.named(parts, mean),
            std=vectors.named(parts, std),
            features=np.frombuffer(row.features, np.float32).tolist(),
            model=row.model_sha256,
            schema=row.schema_sha256,
            seed=row.seed,
            mode=row.mode,
            play=row.play,
            explore=row.epsilon,
            near=row.near,
            episode=row.episode,
            time=row.time,
            latency_us=row.latency_us,
        )


def policy_info(service: Service) -> schemas.PolicyInfo | vector_schemas.VectorPolicyInfo:
    """What `/v1/policy` says."""
    model, settings, parser = service.model, service.settings, service.parser
    schema = model.manifest.schema_
    fields = [
        schemas.FieldInfo(one.name, one.unit, _finite(one.low), _finite(one.high), one.meaning)
        for one in schema.observation.fields
    ]
    # What both kinds of policies say of themselves.
    common: dict[str, Any] = {
        "model": model.sha256,
        "name": model.manifest.name,
        "schema_sha256": model.manifest.schema_sha256,
        "env": schema.env_id,
        "fields": fields,
        "reads_states": parser.states is not None,
        "application": settings.application,
        "mode": settings.mode,
        "play": service.draw.play.name,
        "explore": service.draw.play.explore,
        "near": service.draw.play.near,
        "explore_cap": settings.explore_cap,
        "cost": service.cost,
        "swaps": service.swaps,
        "refused": service.refused,
        "manifest": _plain(model.manifest.model_dump(mode="json", by_alias=True)),
    }
    if isinstance(model, VectorModel):
        return vector_schemas.VectorPolicyInfo(
            components=[
                vector_schemas.ComponentInfo(
                    one.name, one.unit, _finite(one.low), _finite(one.high)
                )
                for one in model.components
            ],
            deterministic=isinstance(model.manifest.head, DeterministicHead),
            **common,
        )
    return schemas.PolicyInfo(
        actions=list(model.words),
        mask_required=parser.needs_mask,
        **common,
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _plain(value: Any) -> Any:
    """Without infinities, which JSON does not know; a range without an end has null."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return _finite(value) if isinstance(value, float) else value


def _refusing(endpoint: Endpoint) -> Endpoint:
    """Turn what an endpoint refuses into its answer."""

    async def answered(request: Request) -> Response:
        try:
            return await endpoint(request)
        except StoreUnavailable as error:
            sentence = f"the store does not answer ({error.public})"
            refusal = ApiError(503, sentence, None, RETRY_SECONDS)
        except ApiError as given:
            refusal = given
        return _problem(refusal)

    return answered


def _problem(refusal: ApiError) -> Response:
    headers = {name.decode(): value.decode() for name, value in problem_headers(refusal)}
    return Response(refusal.body(), refusal.status, headers)


async def _plain_error(_: Request, error: Exception) -> Response:
    """What the router itself refuses: no such path, or not by this method."""
    assert isinstance(error, HTTPException)
    sentence = {404: "there is no such path", 405: "not by this method"}.get(
        error.status_code, str(error.detail)
    )
    body = msgspec.json.encode({"error": sentence, "field": None})
    return Response(body, error.status_code, {**(error.headers or {}), "content-type": _JSON})


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    body = value if isinstance(value, bytes) else msgspec.json.encode(value)
    return Response(body, status, {"content-type": _JSON, **(headers or {})})

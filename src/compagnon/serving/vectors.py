"""The service for policies whose actions are vectors: what differs from choosing an action."""

import math
from typing import Any, Final

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.policy.play import DETERMINISTIC, EXPLORED, GREEDY, SAMPLED, Play
from compagnon.policy.vector_drawing import draw_vector
from compagnon.policy.vector_play import VectorsSaid, played_vector
from compagnon.serving import schemas, vector_schemas
from compagnon.serving.actions import Component
from compagnon.serving.errors import unprocessable
from compagnon.serving.models import Model, VectorModel
from compagnon.serving.parsing import Mask, Observation, RequestParser, Values
from compagnon.serving.read_pool import ReadPool
from compagnon.serving.schemas import DecideRequest
from compagnon.serving.service import Log, Made, Service
from compagnon.serving.settings import ServiceSettings
from compagnon.store.decisions import DecisionRow, Written
from compagnon.store.secrets import Secret

_MOST: Final = 1e300  # of a density that a column holds


class VectorRequestParser(RequestParser):
    """Reads requests for policies whose actions are vectors: there is nothing to mask."""

    chooses_vectors = True

    def _parts(self, request: DecideRequest) -> tuple[Values, Mask | str]:
        for name in ("mask_ids", "mask_bits"):
            if getattr(request, name) is not UNSET:
                raise unprocessable(
                    name, "this policy chooses a vector, and there is no mask; leave it out"
                )
        if request.alternatives >= 0:
            raise unprocessable(
                "alternatives", "this policy chooses a vector, and lists no others; leave it out"
            )
        return super()._parts(request)


class VectorService(Service):
    """Decides and logs, see `Service`; its model is a `VectorModel`.

    Raises:
        InputError: it should explore where a component of the action has no bounds.
    """

    _parser = VectorRequestParser
    _read_one = staticmethod(schemas.read_vector)
    _read_many = staticmethod(schemas.read_vector_batch)
    _batch_answer = vector_schemas.VectorBatchAnswer

    def __init__(
        self,
        settings: ServiceSettings,
        log: Log,
        model: VectorModel,
        secret: Secret,
        lookups: ReadPool,
        explored: dict[str, int] | None = None,
    ) -> None:
        super().__init__(settings, log, model, secret, lookups, explored)
        self.components = model.components
        self._require_room(model)
        if settings.explore and settings.play == SAMPLED:
            raise InputError(
                f"--explore {settings.explore:g}: with --play {SAMPLED} this policy draws every "
                f"vector already; explore with --play {GREEDY}, or sample with --explore 0"
            )

    def swap(self, model: Model) -> None:
        """See `Service.swap`; a model that could not explore as it should is refused too."""
        self._require_room(model)
        super().swap(model)

    def _require_room(self, model: Model) -> None:
        """Refuse to explore around vectors without bounds; a Gaussian policy needs none."""
        assert isinstance(model, VectorModel)
        endless = model.bounds.open
        if self.settings.play_of(model.manifest.head).near is not None and endless is not None:
            raise InputError(
                f"--explore {self.settings.explore:g}: {model.components[endless].name} has no "
                "bounds to explore in; serve with --explore 0"
            )

    def _decided(
        self,
        model: Model,
        requests: list[DecideRequest],
        ids: list[str],
        obs: Observation,
        masks: Mask,  # noqa: ARG002
        begun: int,
    ) -> list[Made]:
        assert isinstance(model, VectorModel)
        draw, said = self.draw, model.say_vectors(obs)
        quota = self.episodes.asking([request.episode or None for request in requests])
        made = []
        for k, (request, seed) in enumerate(zip(requests, draw.seeds(ids), strict=True)):
            try:
                parts = decide_vector(model, said, k, draw.play, seed, quota.rate(k))
            except InputError as error:
                raise self._no_answer(error, len(ids)) from None
            if parts["mode"] == EXPLORED:
                quota.explored(k)
            row = self._logged(model, request, ids[k], obs[k], begun, **parts)
            made.append(Made(row, request.id is not UNSET))
        return made

    def _answer(
        self,
        model: Model,
        request: DecideRequest,
        made: Made,
        written: Written,
    ) -> vector_schemas.VectorAnswer:
        self._require_ours(request, made, written)
        row = written.row
        assert isinstance(model, VectorModel)
        means, _ = distribution_of(row)
        bounds = model.bounds
        greedy = [bounds.clipped(k, mean) for k, mean in enumerate(means)]
        action = vector_of(row)
        return vector_schemas.VectorAnswer(
            row.id,
            named(self.components, action),
            in_words(self.components, action),
            density_of(row),
            named(self.components, greedy),
            row.model_sha256,
        )


def service_of(
    settings: ServiceSettings,
    log: Log,
    model: Model,
    secret: Secret,
    lookups: ReadPool,
    explored: dict[str, int] | None = None,
) -> Service:
    """The service that fits a model."""
    kind: Any = VectorService if isinstance(model, VectorModel) else Service
    made: Service = kind(settings, log, model, secret, lookups, explored)
    return made


def decide_vector(
    model: VectorModel, said: VectorsSaid, row: int, play: Play, seed: int, rate: float
) -> dict[str, Any]:
    """Play a vector; everything of a `DecisionRow` that follows from the arguments.

    Args:
        said: from `VectorModel.say_vectors`; `row` of it is decided.
        rate: the share of exploration that applies.

    Raises:
        InputError: the policy makes no numbers of the observation.
    """
    made = played_vector(said, row, model.bounds, play, seed, rate)
    return {
        **_columns(made.action, made.log_density, seed, made.mean, made.std),
        "mode": made.mode,
        "epsilon": made.rate,
    }


def decided_before(
    model: VectorModel, said: VectorsSaid, row: int, seed: int, epsilon: float
) -> dict[str, Any]:
    """The same as services did before a play was told: drawn, or uniform within the bounds."""
    mean, std = said.mean[row], said.std[row]
    drawn = draw_vector(mean, std, model.bounds, epsilon, seed)
    sure = not epsilon and not std.any()
    return {
        **_columns(drawn.action, drawn.log_density, seed, mean, std),
        "mode": DETERMINISTIC if sure else SAMPLED,
    }


def _columns(
    action: NDArray[np.float32],
    log_density: float,
    seed: int,
    mean: NDArray[np.float64],
    std: NDArray[np.float64],
) -> dict[str, Any]:
    return {
        "mask": None,
        "probabilities": b"",
        "action": None,
        "action_vector": action.astype("<f4").tobytes(),
        "probability": _density(log_density),
        "seed": seed,
        "distribution": np.stack([mean, std]).astype("<f8").tobytes(),
        "log_density": log_density,
    }


def _density(log_density: float) -> float:
    return min(math.exp(min(log_density, 700.0)), _MOST)


def density_of(row: DecisionRow) -> Any:
    """What an answer says of a logged vector's density."""
    return DETERMINISTIC if row.mode == DETERMINISTIC else row.probability


def vector_of(row: DecisionRow) -> list[float]:
    """The logged vector, (D,)."""
    vector: list[float] = np.frombuffer(row.action_vector or b"", "<f4").tolist()
    return vector


def distribution_of(row: DecisionRow) -> tuple[list[float], list[float]]:
    """Means and deviations of a logged vector, (D,) each."""
    mean, std = np.frombuffer(row.distribution or b"", "<f8").reshape(2, -1).tolist()
    return mean, std


def named(components: tuple[Component, ...], values: list[float]) -> dict[str, float]:
    """A vector by the names of its components."""
    return {one.name: value for one, value in zip(components, values, strict=True)}


def in_words(components: tuple[Component, ...], values: list[float]) -> str:
    """A vector for a person: ``torque 1.25 N m``."""
    return ", ".join(
        f"{one.name} {value:.4g} {one.unit}".rstrip()
        for one, value in zip(components, values, strict=True)
    )

"""The service for policies whose actions are vectors: what differs from choosing an action."""

import math
from typing import Any, Final

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.policy.drawing import decision_seed
from compagnon.policy.vector_drawing import Drawn, draw_vector
from compagnon.serving import deciding, vector_wire, wire
from compagnon.serving.deciding import Likely
from compagnon.serving.models import Model, VectorModel
from compagnon.serving.reading import Mask, Observation, Reader, Values
from compagnon.serving.refusal import Refusal, unprocessable
from compagnon.serving.service import Log, Made, Service
from compagnon.serving.settings import Settings
from compagnon.serving.wire import DecideRequest
from compagnon.serving.worlds import Component
from compagnon.store.decisions import DecisionRow, Written

DETERMINISTIC: Final = "deterministic"
_MOST: Final = 1e300  # of a density that a column holds
_NONE: Final = np.empty(0)


class VectorReader(Reader):
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

    _reader = VectorReader
    _read_one = staticmethod(wire.read_vector)
    _read_many = staticmethod(wire.read_vector_batch)
    _batch_answer = vector_wire.VectorBatchAnswer

    def __init__(self, settings: Settings, log: Log, model: VectorModel) -> None:
        super().__init__(settings, log, model)
        self.components = model.components
        endless = model.bounds.open
        if settings.epsilon and endless is not None:
            raise InputError(
                f"--epsilon {settings.epsilon:g}: {model.components[endless].name} has no bounds "
                "to explore in; serve with --epsilon 0"
            )

    def _make(self, model: Model, request: DecideRequest, begun: int) -> Made:
        obs, _ = self.reader.read(request)
        decision_id = request.id or deciding.new_id()
        return self._drawn_rows(model, [request], [decision_id], obs[None], begun)[0]

    def _make_many(self, model: Model, requests: list[DecideRequest], begun: int) -> list[Made]:
        obs, _ = self.reader.read_many(requests)
        fresh = deciding.new_ids(len(requests))
        ids = [request.id or one for request, one in zip(requests, fresh, strict=True)]
        return self._drawn_rows(model, requests, ids, obs, begun)

    def _drawn_rows(
        self,
        model: Model,
        requests: list[DecideRequest],
        ids: list[str],
        obs: Observation,
        begun: int,
    ) -> list[Made]:
        assert isinstance(model, VectorModel)
        settings = self.settings
        means, stds = model.distributions(obs)
        made = []
        for k, (request, decision_id) in enumerate(zip(requests, ids, strict=True)):
            try:
                parts = decide_vector(
                    model, means[k], stds[k], decision_id, settings.application, settings.epsilon
                )
            except InputError as error:
                where = "observation" if len(ids) == 1 else "decisions"
                raise Refusal(422, f"the policy has no answer to it ({error})", where) from None
            row = self._logged(model, request, decision_id, obs[k], begun, **parts)
            made.append(Made(row, request.id is not UNSET, _NONE))
        return made

    def _likeliest(
        self,
        made: list[Made],
        requests: list[DecideRequest],  # noqa: ARG002
    ) -> list[Likely | None]:
        return [None] * len(made)

    def _answer(
        self,
        model: Model,
        request: DecideRequest,
        made: Made,  # noqa: ARG002
        written: Written,
        likely: Likely | None = None,  # noqa: ARG002
    ) -> vector_wire.VectorAnswer:
        if written.status != "stored":
            self._require_same(written, request)
        row = written.row
        assert isinstance(model, VectorModel)
        means, _ = distribution_of(row)
        bounds = model.bounds
        greedy = [bounds.clipped(k, mean) for k, mean in enumerate(means)]
        action = vector_of(row)
        return vector_wire.VectorAnswer(
            row.id,
            named(self.components, action),
            in_words(self.components, action),
            density_of(row),
            named(self.components, greedy),
            row.model_sha256,
        )


def service_of(settings: Settings, log: Log, model: Model) -> Service:
    """The service that fits a model."""
    if isinstance(model, VectorModel):
        return VectorService(settings, log, model)
    return Service(settings, log, model)


def decide_vector(
    model: VectorModel,
    mean: NDArray[np.float64],
    std: NDArray[np.float64],
    decision_id: str,
    application: str,
    epsilon: float,
) -> dict[str, Any]:
    """Draw a vector; everything of a `DecisionRow` that follows from the arguments.

    Args:
        mean, std: (D,), from `VectorModel.distributions`.

    Raises:
        InputError: the policy makes no numbers of the observation.
    """
    seed = decision_seed(decision_id, application)
    drawn = draw_vector(mean, std, model.bounds, epsilon, seed)
    sure = not epsilon and not std.any()
    return {
        "mask": None,
        "probabilities": b"",
        "action": None,
        "action_vector": drawn.action.astype("<f4").tobytes(),
        "probability": _density(drawn),
        "seed": seed,
        "mode": DETERMINISTIC if sure else "sampled",
        "distribution": np.stack([mean, std]).astype("<f8").tobytes(),
        "log_density": drawn.log_density,
    }


def _density(drawn: Drawn) -> float:
    return min(math.exp(min(drawn.log_density, 700.0)), _MOST)


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

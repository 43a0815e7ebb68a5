"""What an action is: one of several, or a vector; how each is decided, told and made again.

A service, the replay of its log and its description ask the codec of their policy's schema, and
need not know which of the two it is.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compagnon.envs.products import ActionProduct
from compagnon.errors import InputError
from compagnon.policy import Schema
from compagnon.policy.action_selection import (
    DETERMINISTIC,
    EXPLORED,
    GREEDY,
    SAMPLED,
    Play,
    PolicyOutput,
    Quota,
)
from compagnon.policy.action_selection import unpacked as unpacked_others
from compagnon.policy.manifest import DeterministicHead
from compagnon.policy.vector_sampling import Bounds
from compagnon.serving import schemas
from compagnon.serving.inference import (
    Columns,
    Decider,
    Draw,
    Model,
    decide,
    decide_again,
    decide_vector,
    decide_vector_again,
)
from compagnon.serving.settings import ServiceSettings
from compagnon.store.decisions import DecisionRow
from compagnon.worlds import find_world
from compagnon.worlds.codec import ActionLabels

Likely = list[tuple[int, float]]


class Component(NamedTuple):
    """One number of an action that is a vector; an infinite bound is none."""

    name: str
    unit: str
    low: float
    high: float


class ResponseTypes(NamedTuple):
    """The schemas of what a service with such actions answers."""

    answer: type
    batch: type
    policy: type


class IndexCodec:
    """Actions that are one of several.

    Attributes:
        responses: the schemas of the answers.
        alternatives: how many other actions an answer lists where nobody said; -1 for none ever.
        labels: what each action means.
    """

    responses = ResponseTypes(schemas.DecideAnswer, schemas.BatchAnswer, schemas.PolicyInfo)
    alternatives = 3

    def __init__(self, schema: Schema) -> None:
        self.labels = action_labels(schema)
        self._fields = len(schema.observation.fields)

    def decide(
        self,
        model: Decider,
        obs: NDArray[np.float32],
        mask: NDArray[np.bool_],
        ids: Sequence[str],
        draw: Draw,
        alternatives: Sequence[int],
        quota: Quota | None,
    ) -> list[Columns]:
        """Decide N times, see `inference.decide`.

        Args:
            quota: how much each may explore; None where nothing is explored.

        Raises:
            InputError: the policy has no answer to an observation.
        """
        return decide(model, obs, mask, ids, draw, alternatives, quota)

    def decide_again(
        self,
        model: Decider,
        obs: NDArray[np.float32],
        rows: Sequence[DecisionRow],
        seeds: Sequence[int],
        plays: Sequence[Play | None],
    ) -> Iterator[Columns | None]:
        """What comes of logged decisions that `fits`; None where no service can have made one."""
        masks = np.stack([mask_of(row, len(self.labels)) for row in rows])
        said = model.say(obs, masks)
        for place, (row, seed, play) in enumerate(zip(rows, seeds, plays, strict=True)):
            one = slice(place, place + 1)
            own = PolicyOutput(
                said.outputs[one], said.action[one], said.probabilities[one], said.valued
            )
            try:
                yield decide_again(row, own, masks[one], seed, play)
            except InputError:
                yield None

    def fits(self, row: DecisionRow) -> bool:
        """Whether the arrays of a row have the sizes of such a decision."""
        if len(row.features) != 4 * self._fields:
            return False
        return row.mask is not None and len(row.mask) == (len(self.labels) + 7) // 8

    def answer(
        self, row: DecisionRow, labels: ActionLabels | None, alternatives: int
    ) -> schemas.DecideAnswer:
        """A logged decision in words, with the other actions that the policy likes best.

        Args:
            labels: of the actions in this state, where they depend on it.
        """
        assert row.action is not None
        known: ActionLabels = labels or self.labels
        probabilities = np.frombuffer(row.probabilities, np.float64)
        if row.others is None:
            liked = likeliest(probabilities, row.action, alternatives)
        else:
            liked = unpacked_others(row.others)
        others = [
            schemas.Alternative(other, known[other], float(probabilities[other]), preference)
            for other, preference in liked
        ]
        return schemas.DecideAnswer(
            row.id, row.action, known[row.action], row.probability, others, row.model_sha256
        )

    def check(self, settings: ServiceSettings, model: Model) -> None:
        """Refuse settings that make no sense for a model; all do for this one.

        Raises:
            InputError: which, and what would.
        """

    def described(self, model: Model, needs_mask: bool) -> dict[str, Any]:  # noqa: ARG002
        """What `/v1/policy` says of the actions alone."""
        return {"actions": list(self.labels), "mask_required": needs_mask}


class VectorCodec:
    """Actions that are vectors; see `IndexCodec`.

    Attributes:
        components: what each number of them is.
        bounds: of the vectors.
    """

    labels: tuple[str, ...] = ()  # there is none for a whole vector
    responses = ResponseTypes(
        schemas.VectorAnswer, schemas.VectorBatchAnswer, schemas.VectorPolicyInfo
    )
    alternatives = -1

    def __init__(self, schema: Schema) -> None:
        self.components = action_components(schema)
        self.bounds = Bounds(schema.action.low, schema.action.high)
        self._fields = len(schema.observation.fields)

    def decide(
        self,
        model: Decider,
        obs: NDArray[np.float32],
        mask: NDArray[np.bool_],  # noqa: ARG002
        ids: Sequence[str],
        draw: Draw,
        alternatives: Sequence[int],  # noqa: ARG002
        quota: Quota | None,
    ) -> list[Columns]:
        """See `IndexCodec`; there is no mask, and there are no others."""
        said, found = model.say_vectors(obs), []
        for k, seed in enumerate(draw.seeds(ids)):
            rate = 0.0 if quota is None else quota.rate(k)
            found.append(decide_vector(said, k, self.bounds, draw.play, seed, rate))
            if quota is not None and found[-1]["mode"] == EXPLORED:
                quota.explored(k)
        return found

    def decide_again(
        self,
        model: Decider,
        obs: NDArray[np.float32],
        rows: Sequence[DecisionRow],
        seeds: Sequence[int],
        plays: Sequence[Play | None],
    ) -> Iterator[Columns | None]:
        """See `IndexCodec`."""
        said = model.say_vectors(obs)
        for place, (row, seed, play) in enumerate(zip(rows, seeds, plays, strict=True)):
            try:
                yield decide_vector_again(row, said, place, self.bounds, seed, play)
            except InputError:
                yield None

    def fits(self, row: DecisionRow) -> bool:
        """See `IndexCodec`."""
        return len(row.features) == 4 * self._fields

    def answer(
        self,
        row: DecisionRow,
        labels: ActionLabels | None,  # noqa: ARG002
        alternatives: int,  # noqa: ARG002
    ) -> schemas.VectorAnswer:
        """With what the policy plays when nothing is left to chance."""
        means, _ = distribution_of(row)
        greedy = [self.bounds.clipped(k, mean) for k, mean in enumerate(means)]
        action = vector_of(row)
        return schemas.VectorAnswer(
            row.id,
            named(self.components, action),
            in_words(self.components, action),
            density_of(row),
            named(self.components, greedy),
            row.model_sha256,
        )

    def check(self, settings: ServiceSettings, model: Model) -> None:
        """Refuse to explore around vectors without bounds, and to explore what is drawn anyhow."""
        endless = self.bounds.open
        if settings.play_of(model.manifest.head).near is not None and endless is not None:
            raise InputError(
                f"--explore {settings.explore:g}: {self.components[endless].name} has no "
                "bounds to explore in; serve with --explore 0"
            )
        if settings.explore and settings.play == SAMPLED:
            raise InputError(
                f"--explore {settings.explore:g}: with --play {SAMPLED} this policy draws every "
                f"vector already; explore with --play {GREEDY}, or sample with --explore 0"
            )

    def described(self, model: Model, needs_mask: bool) -> dict[str, Any]:  # noqa: ARG002
        """See `IndexCodec`."""
        return {
            "components": [
                schemas.ComponentInfo(
                    one.name, one.unit, schemas.finite(one.low), schemas.finite(one.high)
                )
                for one in self.components
            ],
            "deterministic": isinstance(model.manifest.head, DeterministicHead),
        }


ActionCodec = IndexCodec | VectorCodec


def codec_of(schema: Schema) -> ActionCodec:
    """The codec of the actions of a schema."""
    return IndexCodec(schema) if schema.action.kind == "discrete" else VectorCodec(schema)


# ------------------------------------------------------------------ actions in words


def action_labels(schema: Schema) -> tuple[str, ...]:
    """What each action means, in the words of its world."""
    n = schema.action.n
    known = find_world(schema.env_id).action_labels(schema)
    if known is not None and len(known) == n:
        return tuple(known)
    if schema.action.factors:  # the parts, as the environment itself takes them
        parts = ActionProduct(schema.action.factors, schema.action.starts)
        return tuple(", ".join(map(str, parts.parts(action))) for action in range(n))
    return tuple(f"action {action}" for action in range(n))


def action_components(schema: Schema) -> tuple[Component, ...]:
    """What each number of a vector of actions is."""
    n, low, high = schema.action.n, schema.action.low, schema.action.high
    known = find_world(schema.env_id).action_components(schema)
    if known is None or len(known) != n:
        known = tuple((f"action_{k}", "") for k in range(n))
    return tuple(Component(*each, low[k], high[k]) for k, each in enumerate(known))


def likeliest(probabilities: NDArray[np.float64], action: int, count: int) -> Likely:
    """The likeliest actions but for one, of a row from before the policy's liking was logged.

    Of those that are as likely the first comes first.
    """
    left, found = probabilities.copy(), []
    left[action] = 0.0
    for _ in range(min(count, len(left) - 1)):
        best = int(left.argmax())
        if left[best] > 0.0:
            found.append((best, float(left[best])))
        left[best] = 0.0
    return found


def named(components: tuple[Component, ...], values: list[float]) -> dict[str, float]:
    """A vector by the names of its components."""
    return {one.name: value for one, value in zip(components, values, strict=True)}


def in_words(components: tuple[Component, ...], values: list[float]) -> str:
    """A vector for a person: ``torque 1.25 N m``."""
    return ", ".join(
        f"{one.name} {value:.4g} {one.unit}".rstrip()
        for one, value in zip(components, values, strict=True)
    )


# ------------------------------------------------------------------ rows of the log


def mask_of(row: DecisionRow, count: int) -> NDArray[np.bool_]:
    """What was possible, (count,)."""
    packed = np.frombuffer(row.mask or b"", np.uint8)
    return np.unpackbits(packed, count=count).astype(np.bool_)


def vector_of(row: DecisionRow) -> list[float]:
    """The logged vector, (D,)."""
    vector: list[float] = np.frombuffer(row.action_vector or b"", "<f4").tolist()
    return vector


def distribution_of(row: DecisionRow) -> tuple[list[float], list[float]]:
    """Means and deviations of a logged vector, (D,) each."""
    mean, std = np.frombuffer(row.distribution or b"", "<f8").reshape(2, -1).tolist()
    return mean, std


def density_of(row: DecisionRow) -> Any:
    """What an answer says of a logged vector's density."""
    return DETERMINISTIC if row.mode == DETERMINISTIC else row.probability

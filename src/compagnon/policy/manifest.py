"""`policy.json`: what a policy on disk says of itself, validated before anything is used."""

import math
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from compagnon.errors import InputError
from compagnon.policy.groups import Groups
from compagnon.policy.schema import ActionSchema, Schema

# JSON has no infinities, and a range without an end has one: they are written as these words.
_INFINITIES: Final = {"Infinity": math.inf, "-Infinity": -math.inf}


def without_infinities(value: Any) -> Any:
    """A tree for JSON with each infinity as the word that a manifest is read from again."""
    if isinstance(value, dict):
        return {key: without_infinities(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_infinities(item) for item in value]
    if isinstance(value, float) and math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def with_infinities(value: Any) -> Any:
    """The tree that `without_infinities` was given."""
    if isinstance(value, dict):
        return {key: with_infinities(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [with_infinities(item) for item in value]
    return _INFINITIES.get(value, value) if isinstance(value, str) else value


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class MlpSpec(_Part):
    """A multilayer perceptron: input, `hidden` layers, the outputs that the head wants.

    With `layer_norm` each hidden layer is normalised before its activation.
    """

    kind: Literal["mlp"] = "mlp"
    hidden: tuple[int, ...] = (64, 64)
    activation: Literal["tanh", "relu"] = "tanh"
    layer_norm: bool = False


class PairwiseSpec(_Part):
    """A shared scorer of (driver, booking) pairs; see `compagnon.policy.pairwise`.

    Inputs are divided by their fields' own divisors and clipped, so there is no scaler.

    Attributes:
        embedding: numbers that a driver or a booking is summed up in.
        hidden: widths of the scorer's hidden layers; the first is also that of the context.
    """

    kind: Literal["pairwise"] = "pairwise"
    embedding: int = Field(32, ge=1, le=4096)
    hidden: tuple[int, ...] = Field((64, 32), min_length=1)
    activation: Literal["tanh", "relu"] = "relu"
    clip: float = Field(5.0, gt=0, allow_inf_nan=False)

    @property
    def activation_floor(self) -> float:
        """The least that the activation gives."""
        return 0.0 if self.activation == "relu" else -1.0


class OnnxSpec(_Part):
    """Somebody's own graph, whose bytes are the weights; see `compagnon.policy.onnx_network`.

    Attributes:
        input: the tensor of observations, (N, F). output: the one that is read.
        gives: numbers that the head reads, (N, outputs), or the actions themselves.
    """

    kind: Literal["onnx"] = "onnx"
    input: str
    output: str
    gives: Literal["numbers", "actions"] = "numbers"


NetworkSpec = Annotated[MlpSpec | PairwiseSpec | OnnxSpec, Field(discriminator="kind")]


class ScalerSpec(_Part):
    """Inputs are standardised by `scaler.mean` and `scaler.std`, then clipped."""

    kind: Literal["standardise"] = "standardise"
    clip: float = Field(10.0, gt=0, allow_inf_nan=False)


class CategoricalHead(_Part):
    """Outputs are logits of a softmax over the possible actions."""

    kind: Literal["masked_categorical"] = "masked_categorical"


class ValuesHead(_Part):
    """Outputs are the values of the actions; the best possible one is taken, always."""

    kind: Literal["masked_values"] = "masked_values"


class MatchingHead(_Part):
    """Outputs are logits; the greedy play is the best pair of a batch that is matched at once.

    What matching a pair is worth is its logit less that of letting time pass; the Hungarian method
    finds the batch that is worth most, one booking a driver.
    """

    kind: Literal["masked_matching"] = "masked_matching"


class GaussianHead(_Part):
    """Outputs are means, in units of the half-range around the middle of the bounds.

    The standard deviations are ``exp(head.log_std)``, in the same units, or with
    `state_dependent` the exponentials of as many further outputs.
    """

    kind: Literal["gaussian"] = "gaussian"
    state_dependent: bool = False


class DeterministicHead(_Part):
    """Outputs, squashed into [-1, 1], are the action in units of the half-range of the bounds.

    Without a squash they are cut off at the bounds.
    """

    kind: Literal["deterministic"] = "deterministic"
    squash: Literal["sigmoid", "tanh", "none"] = "sigmoid"


Head = Annotated[
    CategoricalHead | ValuesHead | MatchingHead | GaussianHead | DeterministicHead,
    Field(discriminator="kind"),
]


class Provenance(_Part):
    """Where a policy comes from.

    Attributes:
        iteration: of its training. training: how that ended, where it was not finished.
    """

    recipe: str = ""
    algorithm: str = ""
    seed: int = 0
    env_args: dict[str, Any] = Field(default_factory=dict)
    env_steps: int = 0
    iteration: int = 0
    training: str = ""
    created: str = ""
    versions: dict[str, str] = Field(default_factory=dict)

    @field_validator("env_args", mode="before")
    @classmethod
    def _numbers_again(cls, value: Any) -> Any:
        return with_infinities(value)


class Manifest(_Part):
    """Everything about a policy but its weights."""

    format: Literal[1] = 1
    name: str
    schema_: Schema = Field(alias="schema")
    schema_sha256: str
    network: NetworkSpec
    scaler: ScalerSpec | None
    head: Head = CategoricalHead()
    weights_sha256: str
    provenance: Provenance = Provenance()
    figures: dict[str, float] = Field(default_factory=dict)

    @property
    def outputs(self) -> int:
        """How many numbers the network gives for one observation."""
        n = self.schema_.action.n
        return 2 * n if isinstance(self.head, GaussianHead) and self.head.state_dependent else n

    def bound_to(self, given: Schema, who: str) -> "Manifest":
        """This manifest as it is in an environment of schema `given`.

        A network of pairs takes the size of the boards there; every other one is as it was made.

        Raises:
            InputError: other actions than those this policy chooses among, or fields it needs are
                not shown.
        """
        if not isinstance(self.network, PairwiseSpec):
            self.require_actions(given, who)
            return self
        own, theirs = self.schema_, given.observation
        size = Groups.of(theirs.names, who)
        groups = Groups.of(own.observation.names, who).resized(size.drivers, size.places)
        schema = Schema(
            own.env_id,
            theirs.select(groups.names, own.observation.scaling),
            ActionSchema("discrete", groups.actions),
            masked=own.masked,
        )
        resized = self.model_copy(update={"schema_": schema, "schema_sha256": schema.sha256()})
        resized.require_actions(given, who)
        return resized

    def require_actions(self, given: Schema, who: str) -> None:
        """Raise InputError unless `given` has the actions this policy chooses among."""
        mine, theirs = self.schema_.action, given.action
        if mine != theirs:
            raise InputError(
                f"{who} was made for {self.schema_.env_id} ({mine.words}) and "
                f"cannot act in {given.env_id} ({theirs.words})"
            )

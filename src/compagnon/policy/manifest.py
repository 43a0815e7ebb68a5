"""`policy.json`: what a policy on disk says of itself, validated before anything is used."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from compagnon.errors import InputError
from compagnon.policy.groups import Groups
from compagnon.policy.provenance import Provenance
from compagnon.policy.schema import ActionSchema, Schema


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

"""`policy.json`: what a policy on disk says of itself, validated before anything is used."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from compagnon.errors import InputError
from compagnon.policy.schema import Schema


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MlpSpec(_Part):
    """A multilayer perceptron: input, `hidden` layers, the outputs that the head wants.

    With `layer_norm` each hidden layer is normalised before its activation.
    """

    kind: Literal["mlp"] = "mlp"
    hidden: tuple[int, ...] = (64, 64)
    activation: Literal["tanh", "relu"] = "tanh"
    layer_norm: bool = False


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


class GaussianHead(_Part):
    """Outputs are means, in units of the half-range around the middle of the bounds.

    The standard deviations are ``exp(head.log_std)``, in the same units, or with
    `state_dependent` the exponentials of as many further outputs.
    """

    kind: Literal["gaussian"] = "gaussian"
    state_dependent: bool = False


class DeterministicHead(_Part):
    """Outputs, squashed into [-1, 1], are the action in units of the half-range of the bounds."""

    kind: Literal["deterministic"] = "deterministic"
    squash: Literal["sigmoid", "tanh"] = "sigmoid"


Head = Annotated[
    CategoricalHead | ValuesHead | GaussianHead | DeterministicHead, Field(discriminator="kind")
]


class Provenance(_Part):
    """Where a policy comes from."""

    recipe: str = ""
    algorithm: str = ""
    seed: int = 0
    env_args: dict[str, Any] = Field(default_factory=dict)
    env_steps: int = 0
    created: str = ""
    versions: dict[str, str] = Field(default_factory=dict)


class Manifest(_Part):
    """Everything about a policy but its weights."""

    format: Literal[1] = 1
    name: str
    schema_: Schema = Field(alias="schema")
    schema_sha256: str
    network: MlpSpec
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

    def require_actions(self, given: Schema, who: str) -> None:
        """Raise InputError unless `given` has the actions this policy chooses among."""
        mine, theirs = self.schema_.action, given.action
        if mine != theirs:
            raise InputError(
                f"{who} was made for {self.schema_.env_id} ({mine.words}) and "
                f"cannot act in {given.env_id} ({theirs.words})"
            )

"""`policy.json`: what a policy on disk says of itself, validated before anything is used."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from compagnon.errors import InputError
from compagnon.policy.schema import Schema


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MlpSpec(_Part):
    """A multilayer perceptron: input, `hidden` layers, one output an action."""

    kind: Literal["mlp"] = "mlp"
    hidden: tuple[int, ...] = (64, 64)
    activation: Literal["tanh", "relu"] = "tanh"


class ScalerSpec(_Part):
    """Inputs are standardised by `scaler.mean` and `scaler.std`, then clipped."""

    kind: Literal["standardise"] = "standardise"
    clip: float = Field(10.0, gt=0, allow_inf_nan=False)


class HeadSpec(_Part):
    """What becomes of the network's outputs."""

    kind: Literal["masked_categorical"] = "masked_categorical"


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
    head: HeadSpec = HeadSpec()
    weights_sha256: str
    provenance: Provenance = Provenance()
    figures: dict[str, float] = Field(default_factory=dict)

    def require_actions(self, given: Schema, who: str) -> None:
        """Raise InputError unless `given` has the actions this policy chooses among."""
        mine, theirs = self.schema_.action, given.action
        if mine != theirs:
            raise InputError(
                f"{who} was made for {self.schema_.env_id} ({mine.kind}, {mine.n} actions) and "
                f"cannot act in {given.env_id} ({theirs.kind}, {theirs.n})"
            )

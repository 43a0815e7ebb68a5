"""What a service of vectors answers, as typed structures; its requests stand in `wire`."""

from typing import Any, Literal

import msgspec

from compagnon.serving.schemas import FieldInfo


class VectorRecord(msgspec.Struct, frozen=True):
    """A decision that is a vector, as the log has it; see `VectorAnswer`.

    `mean` and `std` are of the normal distributions that the policy drew from; where it played
    greedily its own vector, and the deviations around it.
    """

    id: str
    application: str
    key: str | None
    action: dict[str, float]
    meaning: str
    density: float | Literal["deterministic"]
    log_density: float
    mean: dict[str, float]
    std: dict[str, float]
    features: list[float]
    model: str
    schema: str
    seed: int
    mode: str
    play: str | None
    explore: float
    near: float | None
    episode: str | None
    time: float
    latency_us: int


class ComponentInfo(msgspec.Struct, frozen=True):
    """One number of a vector of actions, in physical units; null where it has no bound."""

    name: str
    unit: str
    low: float | None
    high: float | None


class VectorPolicyInfo(msgspec.Struct, frozen=True):
    """What is in service, of a policy whose actions are vectors."""

    model: str
    name: str
    schema_sha256: str
    env: str
    fields: list[FieldInfo]
    components: list[ComponentInfo]
    deterministic: bool
    reads_states: bool
    application: str
    mode: str
    play: str
    explore: float
    near: float | None
    explore_cap: int
    cost: str | None
    swaps: int
    refused: str | None
    manifest: dict[str, Any]


class VectorAnswer(msgspec.Struct, frozen=True):
    """A decision that is a vector, in physical units.

    `density` is that of the draw, exploration included: a probability where a component is on a
    bound or the action of a deterministic policy is played, a density a unit elsewhere, and
    "deterministic" where nothing is left to chance. `greedy` is what the policy plays without it.
    """

    id: str
    action: dict[str, float]
    meaning: str
    density: float | Literal["deterministic"]
    greedy: dict[str, float]
    model: str


class VectorBatchAnswer(msgspec.Struct, frozen=True):
    """The decisions of a batch, in the order in which they were asked for."""

    decisions: list[VectorAnswer]

"""What goes over HTTP: requests and answers as typed structures, of which OpenAPI is generated.

What a structure says of itself (ranges, lengths, descriptions) is what bodies are read with and
what the description publishes; `openapi` narrows it to the policy in service.
"""

import math
import re
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from compagnon.store.decision_row import SHOWN, DecisionRow
from compagnon.store.overrides import REASON_LENGTH, Verdict

MAX_BATCH: Final = 1024
MAX_ALTERNATIVES: Final = 20
ID_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._:\-]{0,63}$"
NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._\-]{0,63}$"
ID: Final = re.compile(ID_PATTERN[:-1] + r"\Z")
NAME: Final = re.compile(NAME_PATTERN[:-1] + r"\Z")

# What a decoder would say of a pattern is no help to anybody: it is published, and looked at apart.
DecisionId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        description="yours, so that asking again gives the same decision; else we make one",
        extra_json_schema={"pattern": ID_PATTERN},
    ),
]
_NO_ZERO: Final = {"pattern": "^[^\\u0000]*$"}


# ------------------------------------------------------------------ requests


class DecideRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One decision that is asked for.

    Give the observation, as named fields in physical units or as a vector in the order of the
    policy's fields, with what is possible as `mask_ids` or `mask_bits`; or give `state`, from
    which the environment's own rules make both.
    """

    # What is left out is UNSET; a null is no value of any of them.
    observation: Annotated[
        dict[str, float] | list[float] | UnsetType,
        Meta(
            description="the fields by name, in physical units, or all of them in their order",
        ),
    ] = UNSET
    mask_ids: Annotated[
        list[int] | UnsetType,
        Meta(description="the actions that are possible", extra_json_schema={"minItems": 1}),
    ] = UNSET
    mask_bits: Annotated[
        str | UnsetType,
        Meta(
            description="the same as one 0 or 1 an action; at least one is 1",
            extra_json_schema={"pattern": "^[01]+$"},
        ),
    ] = UNSET
    state: msgspec.Raw | UnsetType = UNSET
    id: DecisionId | UnsetType = UNSET
    key: Annotated[
        str,
        Meta(
            max_length=200,
            description="what an experiment splits by, such as a customer",
            extra_json_schema=_NO_ZERO,
        ),
    ] = ""
    episode: Annotated[
        str,
        Meta(
            max_length=200,
            description="what it is part of, such as a day, which explores only so often",
            extra_json_schema=_NO_ZERO,
        ),
    ] = ""
    alternatives: (
        Annotated[
            int,
            Meta(
                ge=0,
                le=MAX_ALTERNATIVES,
                description="how many other actions the answer lists",
                extra_json_schema={"default": 3},
            ),
        ]
        | UnsetType
    ) = UNSET
    reasons: Annotated[
        bool | UnsetType,
        Meta(
            description="say of each action what it costs beside the others, or why it is "
            "impossible; of a state, and not in a batch"
        ),
    ] = UNSET


class BatchRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Many decisions, answered in the same order."""

    # How many there may be is looked at apart: a decoder would not say how many there are.
    decisions: Annotated[
        list[DecideRequest], Meta(extra_json_schema={"minItems": 1, "maxItems": MAX_BATCH})
    ]


class OutcomeRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What came of a decision; `time` is when it was observed, seconds since 1970."""

    value: float
    time: Annotated[float, Meta(extra_json_schema={"minimum": 0, "maximum": 1e11})] | None = None


class OverrideRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What a person made of a decision.

    `accepted` and `locked` (it shall not be changed any more) keep its action; `overridden` says
    what was done instead, and why. The estimates of what policies are worth leave it out.
    """

    verdict: Verdict
    action: Annotated[
        int | dict[str, float] | UnsetType,
        Meta(description="what was done instead: its number, or a vector's components by name"),
    ] = UNSET
    reason: Annotated[
        str,
        Meta(
            max_length=REASON_LENGTH,
            description="why; it is needed where the action is another",
            extra_json_schema=_NO_ZERO,
        ),
    ] = ""
    person: Annotated[
        str,
        Meta(max_length=200, description="who said so", extra_json_schema=_NO_ZERO),
    ] = ""
    time: Annotated[float, Meta(extra_json_schema={"minimum": 0, "maximum": 1e11})] | None = None


# ------------------------------------------------------------------ answers


class Alternative(msgspec.Struct, frozen=True):
    """Another possible action, how probable it was, and how much the policy likes it.

    `preference` is the policy's own probability, or the value that it gives to the action.
    """

    action: int
    meaning: str
    probability: float
    preference: float


class Reason(msgspec.Struct, frozen=True):
    """What the world says of one action in a state.

    `cost` is beside those of the others, in the unit of the reward, less being better; `why` says
    why the action is impossible. Null where the world cannot tell.
    """

    action: int
    meaning: str
    possible: bool
    cost: float | None
    why: str | None


class DecideAnswer(msgspec.Struct, frozen=True):
    """A decision.

    `probability` is that of the draw, exploration included: 1 where the policy plays greedily and
    explores nothing; `model` is the SHA-256 of the file
    that the policy was read from. `reasons`, one an action, are there where they were asked for;
    `experiment`, `arm`, `unit` and `key` while an experiment decides who decides.
    """

    id: str
    action: int
    meaning: str
    probability: float
    alternatives: list[Alternative]
    model: str
    reasons: list[Reason] | UnsetType = UNSET
    experiment: str | UnsetType = UNSET
    arm: str | UnsetType = UNSET
    unit: str | UnsetType = UNSET
    key: str | UnsetType = UNSET


class BatchAnswer(msgspec.Struct, frozen=True):
    """The decisions of a batch, in the order in which they were asked for."""

    decisions: list[DecideAnswer]


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
    experiment: str | UnsetType = UNSET
    arm: str | UnsetType = UNSET
    unit: str | UnsetType = UNSET
    key: str | UnsetType = UNSET


class VectorBatchAnswer(msgspec.Struct, frozen=True):
    """The decisions of a batch, in the order in which they were asked for."""

    decisions: list[VectorAnswer]


class OutcomeAnswer(msgspec.Struct, frozen=True):
    """What is kept of an outcome; `late` if it came after its metric's time."""

    id: str
    name: str
    value: float
    time: float
    late: bool


class OverrideAnswer(msgspec.Struct, frozen=True):
    """What is kept of what a person said; `action` and `meaning` are of what was done then."""

    id: str
    verdict: Verdict
    action: int | dict[str, float]
    meaning: str
    reason: str
    person: str
    time: float


# ------------------------------------------------------------------ decisions as they were logged

# What the log has as it is told; its columns stand in `store.decision_row`.
_AS_LOGGED: Final = [(shown, kind) for shown, _, kind in SHOWN]


def shown(row: DecisionRow) -> dict[str, Any]:
    """What a record tells of a row as it is."""
    return {name: getattr(row, column) for name, column, _ in SHOWN}


DecisionRecord = msgspec.defstruct(
    "DecisionRecord",
    [
        *_AS_LOGGED,
        ("action", int),
        ("meaning", str),
        ("probability", float),
        ("probabilities", list[float]),
        ("possible", list[int]),
        ("features", list[float]),
        ("human", OverrideAnswer | None, None),
    ],
    namespace={
        "__doc__": "A decision as the log has it; `features` in the policy's own units, in its "
        "order. `human` is what a person made of it."
    },
    module=__name__,
    frozen=True,
)
VectorRecord = msgspec.defstruct(
    "VectorRecord",
    [
        *_AS_LOGGED,
        ("action", dict[str, float]),
        ("meaning", str),
        ("density", float | Literal["deterministic"]),
        ("log_density", float),
        ("mean", dict[str, float]),
        ("std", dict[str, float]),
        ("features", list[float]),
        ("human", OverrideAnswer | None, None),
    ],
    namespace={
        "__doc__": "A decision that is a vector, as the log has it; see `VectorAnswer`.\n\n"
        "`mean` and `std` are of the normal distributions that the policy drew from; where it "
        "played greedily its own vector, and the deviations around it."
    },
    module=__name__,
    frozen=True,
)


# ------------------------------------------------------------------ what is in service


class FieldInfo(msgspec.Struct, frozen=True):
    """One field of an observation, in physical units."""

    name: str
    unit: str
    low: float | None
    high: float | None
    meaning: str


class ComponentInfo(msgspec.Struct, frozen=True):
    """One number of a vector of actions, in physical units; null where it has no bound."""

    name: str
    unit: str
    low: float | None
    high: float | None


class _PolicyInfo(msgspec.Struct, frozen=True, kw_only=True):
    model: str
    name: str
    schema_sha256: str
    env: str
    fields: list[FieldInfo]
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
    experiment: str | None
    arms: dict[str, str]
    manifest: dict[str, Any]


class PolicyInfo(_PolicyInfo, frozen=True, kw_only=True):
    """What is in service; `manifest` is the artefact's own.

    `cost` says what this play costs beside greedy play, or why that is not known; null of greedy
    play. `arms` are those of `experiment`, with the SHA-256 of who decides for each.
    """

    actions: list[str]
    mask_required: bool


class VectorPolicyInfo(_PolicyInfo, frozen=True, kw_only=True):
    """What is in service, of a policy whose actions are vectors."""

    components: list[ComponentInfo]
    deterministic: bool


class Health(msgspec.Struct, frozen=True):
    """How the service is; `reason` says why it is not ready.

    `last_commit_seconds` have passed since the log last wrote decisions; null before the first.
    """

    status: str
    reason: str | None = None
    last_commit_seconds: float | None = None


class Reloaded(msgspec.Struct, frozen=True):
    """The model in service after a reload, and whether it is another one than before."""

    model: str
    changed: bool


def finite(value: float) -> float | None:
    """A bound as JSON has it; null for none."""
    return value if math.isfinite(value) else None

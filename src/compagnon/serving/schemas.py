"""What goes over the wire, as typed structures, and how a body is read strictly.

A body that is not what it should be gives 422 and the name of the field. Finding that name happens
after the fast reading has failed; it takes time and memory in proportion to the body, and of a
large body the byte alone is told.
"""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from compagnon.serving.errors import WHOLE, ApiError, unprocessable

MAX_BATCH: Final = 1024
MAX_ALTERNATIVES: Final = 20
# Up to here the entry that is wrong is looked for in Python; a decoder names the byte anyhow.
NAMED_BYTES: Final = 50_000
ID_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._:\-]{0,63}$"
NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._\-]{0,63}$"
_FULL = re.compile(ID_PATTERN[:-1] + r"\Z"), re.compile(NAME_PATTERN[:-1] + r"\Z")

_T = TypeVar("_T")
DecisionId = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Key = Annotated[str, msgspec.Meta(max_length=200)]
NOTHING: Final = msgspec.Raw(b"")


class DecideRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One decision that is asked for.

    Give the observation, as named fields in physical units or as a vector in the order of the
    policy's fields, with what is possible as `mask_ids` or `mask_bits`; or give `state`, from
    which the environment's own rules make both.
    """

    # What is left out is UNSET; a null is no value of any of them.
    observation: dict[str, float] | list[float] | UnsetType = UNSET
    mask_ids: list[int] | UnsetType = UNSET
    mask_bits: str | UnsetType = UNSET
    state: msgspec.Raw = NOTHING
    id: DecisionId | UnsetType = UNSET
    key: Key = ""
    episode: Key = ""
    alternatives: Annotated[int, msgspec.Meta(ge=0, le=MAX_ALTERNATIVES)] = 3
    reasons: bool | UnsetType = UNSET


class VectorRequest(DecideRequest, forbid_unknown_fields=True, omit_defaults=True):
    """The same of a policy whose actions are vectors: without a mask, and without alternatives."""

    # A default is not checked against the range, so that this one says that nothing was given.
    alternatives: Annotated[int, msgspec.Meta(ge=0, le=MAX_ALTERNATIVES)] = -1


class BatchRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Many decisions, answered in the same order."""

    decisions: list[DecideRequest]


class VectorBatchRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The same of vectors."""

    decisions: list[VectorRequest]


class OutcomeRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What came of a decision; `time` is when it was observed, seconds since 1970."""

    value: float
    time: float | None = None


class OutcomeAnswer(msgspec.Struct, frozen=True):
    """What is kept of an outcome; `late` if it came after its metric's time."""

    id: str
    name: str
    value: float
    time: float
    late: bool


class DecisionRecord(msgspec.Struct, frozen=True):
    """A decision as the log has it; `features` in the policy's own units, in its order."""

    id: str
    application: str
    key: str | None
    action: int
    meaning: str
    probability: float
    probabilities: list[float]
    features: list[float]
    possible: list[int]
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


class FieldInfo(msgspec.Struct, frozen=True):
    """One field of an observation, in physical units."""

    name: str
    unit: str
    low: float | None
    high: float | None
    meaning: str


class PolicyInfo(msgspec.Struct, frozen=True):
    """What is in service; `manifest` is the artefact's own.

    `cost` says what this play costs beside greedy play, or why that is not known; null of greedy
    play.
    """

    model: str
    name: str
    schema_sha256: str
    env: str
    fields: list[FieldInfo]
    actions: list[str]
    mask_required: bool
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
    that the policy was read from. `reasons`, one an action, are there where they were asked for.
    """

    id: str
    action: int
    meaning: str
    probability: float
    alternatives: list[Alternative]
    model: str
    reasons: list[Reason] | UnsetType = UNSET


class BatchAnswer(msgspec.Struct, frozen=True):
    """The decisions of a batch, in the order in which they were asked for."""

    decisions: list[DecideAnswer]


_decide = msgspec.json.Decoder(DecideRequest)
_batch = msgspec.json.Decoder(BatchRequest)
_vector = msgspec.json.Decoder(VectorRequest)
_vector_batch = msgspec.json.Decoder(VectorBatchRequest)
_outcome = msgspec.json.Decoder(OutcomeRequest)


def read_decide(body: bytes) -> DecideRequest:
    """Read the body of one decision.

    Raises:
        ApiError: 422, with the field.
    """
    return _checked(_read(_decide, body))


def read_batch(body: bytes) -> list[DecideRequest]:
    """Read the body of a batch; 1 to `MAX_BATCH` decisions, no id twice.

    Raises:
        ApiError: 422, with the field.
    """
    return _checked_all(_read(_batch, body).decisions)


def read_vector(body: bytes) -> DecideRequest:
    """`read_decide` of a policy whose actions are vectors."""
    return _checked(_read(_vector, body))


def read_vector_batch(body: bytes) -> list[DecideRequest]:
    """`read_batch` of a policy whose actions are vectors."""
    return _checked_all([*_read(_vector_batch, body).decisions])


def _checked_all(decisions: list[DecideRequest]) -> list[DecideRequest]:
    if not 1 <= len(decisions) <= MAX_BATCH:
        raise unprocessable(
            "decisions", f"a batch holds 1 to {MAX_BATCH:,} decisions, not {len(decisions):,}"
        )
    seen: set[str] = set()
    for place, request in enumerate(decisions):
        try:
            _checked(request)
        except ApiError as refusal:
            raise refusal.under(f"decisions[{place}]") from None
        if request.reasons is not UNSET:
            raise unprocessable(
                f"decisions[{place}].reasons", "reasons are given for one decision at a time"
            )
        if request.id is not UNSET:
            if request.id in seen:
                raise unprocessable(f"decisions[{place}].id", f"{request.id} stands there twice")
            seen.add(request.id)
    return decisions


def read_outcome(body: bytes) -> OutcomeRequest:
    """Read the body of an outcome.

    Raises:
        ApiError: 422, with the field.
    """
    return _read(_outcome, body)


def check_id(text: str, field: str = "id") -> str:
    """A decision's id, or 422."""
    if not _FULL[0].match(text):
        raise unprocessable(
            field, "an id is 1 to 64 letters, digits and . _ : - and begins with a letter or digit"
        )
    return text


def check_name(text: str, field: str = "name") -> str:
    """An outcome's name, or 422."""
    if not _FULL[1].match(text):
        raise unprocessable(
            field, "a name is 1 to 64 letters, digits and . _ - and begins with a letter or digit"
        )
    return text


def _checked(request: DecideRequest) -> DecideRequest:
    if request.id is not UNSET:
        check_id(request.id)
    for name in ("key", "episode"):
        if "\x00" in getattr(request, name):
            raise unprocessable(name, "it may not hold the character of code 0")
    return request


def _read(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise explain(error, body) from None
    except RecursionError:
        raise too_deep() from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        path = _not_finite(body)
        if path is not None:
            raise unprocessable(path, "it is no finite number, which JSON does not know") from None
        raise unprocessable(WHOLE, f"it is not JSON ({error})") from None


def too_deep(field: str = WHOLE) -> ApiError:
    """The refusal of what is nested deeper than can be read."""
    return unprocessable(field, "it is nested too deeply")


_AT: Final = " - at `"
_NAMED = re.compile(r"(?:unknown|missing required) field `(.*)`", re.DOTALL)
Step = str | int


def explain(error: msgspec.ValidationError, body: bytes | msgspec.Raw) -> ApiError:
    """The refusal for what a decoder found wrong: its sentence, and the field by name."""
    said, path = _parted(str(error))
    named = _NAMED.search(said)
    if named:
        path = f"{path}.{named[1]}" if path else named[1]
    elif path.endswith("[...]"):
        path = _culprit(path.removesuffix("[...]"), body)
    return unprocessable(path or WHOLE, said.replace("`", ""))


def _parted(message: str) -> tuple[str, str]:
    """A decoder's message -> its sentence and the path that it ends with, or an empty one.

    The path names fields of ours alone, so that the last mark begins it: what a client wrote stands
    in the sentence, and may look like anything.
    """
    said, mark, path = message.rpartition(_AT)
    path = path.removeprefix("key in ")
    whole = path.startswith("$") and path.find("`") == len(path) - 1
    if not mark or not whole or (_NAMED.search(message) and not _NAMED.search(said)):
        return message, ""
    return said, path[1:-1].lstrip(".")


def _culprit(path: str, body: bytes | msgspec.Raw) -> str:
    """Which entry of the list or mapping at `path` is no finite number."""
    if len(body) > NAMED_BYTES:
        return path
    try:
        value = json.loads(bytes(body))
        for step in re.findall(r"[^.\[\]]+", path):
            value = value[int(step)] if isinstance(value, list) else value[step]
        for step, item in _entries(value):
            number = isinstance(item, int | float) and not isinstance(item, bool)
            if not number or not abs(item) <= sys.float_info.max:
                return path + _in_words([step])
    except (RecursionError, LookupError, ValueError, TypeError):
        pass
    return path


def _not_finite(body: bytes) -> str | None:
    """Where the first NaN or infinity stands in what is JSON but for that; None for no such.

    Only the way to where it is now is kept, and put into words once: a body of many zeros under a
    long name costs no more than its own length.
    """
    if len(body) > NAMED_BYTES:
        return None
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    way: list[Step] = []
    waiting = [iter(_entries([value]))]
    while waiting:
        for step, item in waiting[-1]:
            if isinstance(item, float):
                if item - item != 0:
                    return _in_words([*way, step][1:]).lstrip(".") or WHOLE
            elif isinstance(item, dict | list):
                way.append(step)
                waiting.append(iter(_entries(item)))
                break
        else:
            waiting.pop()
            if way:
                way.pop()
    return None


def _entries(value: Any) -> Iterable[tuple[Step, Any]]:
    return value.items() if isinstance(value, dict) else enumerate(value)


def _in_words(way: Sequence[Step]) -> str:
    """``.state.rides[3]``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in way)

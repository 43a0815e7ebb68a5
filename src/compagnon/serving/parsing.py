"""From a body to what a policy reads, strictly: an observation in its own units, and a mask.

What is not as `schemas` says is 422 with the name of the field. A question also becomes one hash,
so that an id is asked once. A client that asks again may be another program, or the same one after
an upgrade: the order of its names, `12` or `12.0`, a mask as ids or as bits mean nothing. What the
policy reads means something.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from compagnon.policy import Schema
from compagnon.serving import schemas
from compagnon.serving.errors import NAME_LETTERS, ApiError, clipped, unprocessable
from compagnon.serving.schemas import DecideRequest
from compagnon.serving.states import StateReader
from compagnon.serving.validation_errors import explain, explain_text, too_deep

Observation = NDArray[np.float32]
Mask = NDArray[np.bool_]
Values = list[float] | NDArray[np.float64]

_T = TypeVar("_T")
_decide = msgspec.json.Decoder(schemas.DecideRequest)
_batch = msgspec.json.Decoder(schemas.BatchRequest)
_outcome = msgspec.json.Decoder(schemas.OutcomeRequest)
_override = msgspec.json.Decoder(schemas.OverrideRequest)
_encode_as_asked = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="deterministic").encode
_pack = msgspec.msgpack.Encoder().encode
_LARGEST_WHOLE: Final = 2.0**63
_USUAL: Final = 3  # alternatives, where nobody said
_LARGEST: Final = 1e30  # of a number without a range
_OF_INDICES: Final = {
    "mask_ids": "there is no mask",
    "mask_bits": "there is no mask",
    "alternatives": "lists no others",
}


# ------------------------------------------------------------------ from bytes to a structure


def read_decide(body: bytes) -> schemas.DecideRequest:
    """Read the body of one decision.

    Raises:
        ApiError: 422, with the field.
    """
    return _checked(_read(_decide, body))


def read_batch(body: bytes) -> list[schemas.DecideRequest]:
    """Read the body of a batch; 1 to `schemas.MAX_BATCH` decisions, no id twice.

    Raises:
        ApiError: 422, with the field.
    """
    return _checked_all(_read(_batch, body).decisions)


def _checked_all(decisions: list[schemas.DecideRequest]) -> list[schemas.DecideRequest]:
    if not 1 <= len(decisions) <= schemas.MAX_BATCH:
        raise unprocessable(
            "decisions",
            f"a batch holds 1 to {schemas.MAX_BATCH:,} decisions, not {len(decisions):,}",
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


def read_outcome(body: bytes) -> schemas.OutcomeRequest:
    """Read the body of an outcome.

    Raises:
        ApiError: 422, with the field.
    """
    return _read(_outcome, body)


def read_override(body: bytes) -> schemas.OverrideRequest:
    """Read what a person made of a decision.

    Raises:
        ApiError: 422, with the field.
    """
    return _read(_override, body)


def check_id(text: str, field: str = "id") -> str:
    """A decision's id, or 422."""
    if not schemas.ID.match(text):
        raise unprocessable(
            field, "an id is 1 to 64 letters, digits and . _ : - and begins with a letter or digit"
        )
    return text


def check_name(text: str, field: str = "name") -> str:
    """An outcome's name, or 422."""
    if not schemas.NAME.match(text):
        raise unprocessable(
            field, "a name is 1 to 64 letters, digits and . _ - and begins with a letter or digit"
        )
    return text


def _checked(request: schemas.DecideRequest) -> schemas.DecideRequest:
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
        raise explain_text(error, body) from None


# ------------------------------------------------------------------ from there to arrays


class RequestParser:
    """Reads requests for policies of one schema.

    Args:
        schema: what the policies read and choose.
        states: how a world's states are read; None where there is no such way.

    Attributes:
        low, high: (F,), the least and the largest value of each field that is taken.
        chooses_vectors: the policies choose vectors, rather than one of several actions: there is
            nothing to mask, and there are no alternatives.
    """

    def __init__(self, schema: Schema, states: StateReader | None = None) -> None:
        self.schema = schema
        self.states = states
        self.chooses_vectors = schema.action.kind != "discrete"
        self.names = schema.observation.names
        self.needs_mask = schema.needs_mask
        fields = schema.observation.fields
        self._known = frozenset(self.names)
        self._scaled = schema.observation.scaling == "published"
        self._divisors = np.array([field.divisor for field in fields])
        # What is taken: a little more than the range, since a bound may be no exact float32; and
        # of a range without an end what float32 can hold.
        self.low = _widened([field.low for field in fields], -1)
        self.high = _widened([field.high for field in fields], 1)
        self._all = np.ones(schema.action.n, np.bool_)
        self._all.flags.writeable = False

    def read(self, request: DecideRequest) -> tuple[Observation, Mask]:
        """The observation, (F,) float32 in the policy's units, and the mask, (A,).

        Raises:
            ApiError: 422, with the field.
        """
        values, mask = self._parts(request)
        if isinstance(mask, str):
            mask = _masks_of_bits([mask], self.schema.action.n)[0]
        try:
            return self._units(np.array(values, np.float64)[None])[0], mask
        except _OutsideError as outside:
            raise outside.refusal from None

    def read_many(self, requests: list[DecideRequest]) -> tuple[Observation, Mask]:
        """The same for N requests at once: (N, F) and (N, A).

        Raises:
            ApiError: 422, with the field and which of the requests it is in.
        """
        rows: list[Values] = []
        texts: dict[int, str] = {}
        masks = np.empty((len(requests), self.schema.action.n), np.bool_)
        place = 0
        try:
            for place, request in enumerate(requests):
                values, mask = self._parts(request)
                rows.append(values)
                if isinstance(mask, str):
                    texts[place] = mask
                else:
                    masks[place] = mask
            if texts:
                place = next(iter(texts))
                masks[list(texts)] = _masks_of_bits(list(texts.values()), self.schema.action.n)
            return self._units(np.array(rows, np.float64)), masks
        except _OutsideError as outside:
            raise outside.refusal.under(f"decisions[{outside.row}]") from None
        except ApiError as refusal:
            raise refusal.under(f"decisions[{place}]") from None

    def _parts(self, request: DecideRequest) -> tuple[Values, Mask | str]:
        """The fields in physical units, unchecked, and the mask, perhaps still as text."""
        if self.chooses_vectors:
            _refuse_of_indices(request)
        if request.observation is UNSET:
            return self._from_state(request)
        if request.state is not UNSET:
            raise unprocessable("state", "give either an observation or a state, not both")
        if request.reasons is not UNSET:
            raise unprocessable("reasons", "they are those of a state; give one, or leave this out")
        return self._values(request.observation), self._mask(request)

    def _units(self, values: NDArray[np.float64]) -> Observation:
        """(N, F), in range, in the policy's units."""
        # Comparisons with NaN are false, so what is not finite is outside, too.
        inside = (values >= self.low) & (values <= self.high)
        if not inside.all():
            row, column = (int(k) for k in np.argwhere(~inside)[0])
            raise _OutsideError(row, _outside(self.schema, column, float(values[row, column])))
        if self._scaled:
            values = values / self._divisors
        return values.astype(np.float32)

    def _values(self, given: dict[str, float] | list[float]) -> list[float]:
        if isinstance(given, dict):
            try:
                ordered = [given[name] for name in self.names]
            except KeyError as error:
                name = error.args[0]
                raise unprocessable(f"observation.{name}", f"{name} is missing") from None
            if len(given) != len(ordered):
                made_up = next(name for name in given if name not in self._known)
                name = clipped(made_up, NAME_LETTERS)
                raise unprocessable(
                    f"observation.{name}",
                    f"there is no field {name!r}; the fields are {', '.join(self.names)}",
                )
            return ordered
        if len(given) != len(self.names):
            raise unprocessable(
                "observation",
                f"it has {len(given)} numbers; it should have {len(self.names)}, in the order "
                "of the fields that /v1/policy lists",
            )
        return given

    def _from_state(self, request: DecideRequest) -> tuple[NDArray[np.float64], Mask]:
        if request.state is UNSET:
            raise unprocessable("observation", "give an observation, or a state")
        if self.states is None:
            raise unprocessable(
                "state", f"states of {self.schema.env_id} are not read; give an observation"
            )
        if request.mask_ids is not UNSET or request.mask_bits is not UNSET:
            given = "mask_bits" if request.mask_ids is UNSET else "mask_ids"
            raise unprocessable(given, "the mask follows from the state; leave it out")
        return self.states.read(request.state)

    def _mask(self, request: DecideRequest) -> Mask | str:
        ids, bits, n = request.mask_ids, request.mask_bits, self.schema.action.n
        if ids is not UNSET and bits is not UNSET:
            raise unprocessable("mask_bits", "give either mask_ids or mask_bits, not both")
        if bits is not UNSET:
            if len(bits) != n:
                raise unprocessable(
                    "mask_bits", f"it has {len(bits)} characters; it should have {n}, one an action"
                )
            if bits.count("1") + bits.count("0") != n:
                raise unprocessable("mask_bits", "it should hold 0 and 1 alone, one an action")
            if "1" not in bits:
                raise unprocessable("mask_bits", "at least one action must be possible")
            return bits
        if ids is not UNSET:
            return _mask_of_ids(ids, n)
        if self.needs_mask:
            raise unprocessable(
                "mask_ids", "say what is possible: mask_ids or mask_bits, or a state"
            )
        return self._all


def _refuse_of_indices(request: DecideRequest) -> None:
    """Refuse what only a choice among several actions has."""
    for name, without in _OF_INDICES.items():
        if getattr(request, name) is not UNSET:
            raise unprocessable(name, f"this policy chooses a vector, and {without}; leave it out")


def _widened(bounds: list[float], sign: int) -> NDArray[np.float64]:
    """Bounds moved outwards by a little; by `sign` they are lower or upper ones."""
    given = np.array(bounds, np.float64)
    moved = given + sign * (1e-6 * np.abs(given) + 1e-9)
    return np.where(np.isfinite(given), moved, sign * _LARGEST)


def _mask_of_ids(ids: list[int], n: int) -> Mask:
    mask = np.zeros(n, np.bool_)
    if not ids:
        raise unprocessable("mask_ids", "at least one action must be possible")
    try:
        chosen = np.array(ids, np.int64)
    except OverflowError:
        chosen = np.array([-1])
    if chosen.min() < 0 or chosen.max() >= n:
        raise unprocessable("mask_ids", f"actions are 0 to {n - 1}")
    mask[chosen] = True
    return mask


def _masks_of_bits(texts: list[str], n: int) -> Mask:
    """Checked texts of n characters each -> (N, n)."""
    codes = np.frombuffer("".join(texts).encode("ascii"), np.uint8).reshape(len(texts), n)
    mask: Mask = codes == ord("1")
    return mask


class _OutsideError(Exception):
    """A value of one row is outside its field's range."""

    def __init__(self, row: int, refusal: ApiError) -> None:
        super().__init__(refusal.error)
        self.row = row
        self.refusal = refusal


def _outside(schema: Schema, column: int, value: float) -> ApiError:
    field = schema.observation.fields[column]
    return unprocessable(
        f"observation.{field.name}",
        f"{field.name} is {value:g}; in {field.unit or 'its unit'} it should be "
        f"{max(field.low, -_LARGEST):,g} to {min(field.high, _LARGEST):,g}",
    )


# ------------------------------------------------------------------ the same question again


def question_sha256(
    request: DecideRequest, names: Sequence[str], mask: bytes | None, alternatives: int
) -> str:
    """The hash of a request that was read and found right.

    Args:
        request: which gives an observation or a state.
        names: of the policy's fields, in its order.
        mask: what is possible, packed; None where actions are vectors. It follows from a state,
            so that it counts beside an observation alone.
        alternatives: that the answer lists; -1 where actions are vectors.
    """
    given: Any
    if request.observation is UNSET:
        assert request.state is not UNSET
        given = _encode_sorted(_read_state.decode(request.state))
        mask = None
    else:
        values = request.observation
        if isinstance(values, dict):
            values = [values[name] for name in names]
        given = (np.array(values, "<f8") + 0.0).tobytes()  # -0 is 0
    kind = "state" if request.observation is UNSET else "observation"
    asked: tuple[Any, ...] = (kind, given, mask, request.key, alternatives)
    if request.episode:
        asked = (*asked, request.episode)
    return hashlib.sha256(_pack(asked)).hexdigest()


def sha256_as_written(request: DecideRequest) -> str:
    """The hash that rows have from before: of the names in the order in which they came."""
    if request.alternatives == _USUAL:  # which was left out
        request = msgspec.structs.replace(request, alternatives=UNSET)
    return hashlib.sha256(_encode_as_asked(request)).hexdigest()


def _number(text: str) -> float | int:
    """A number with a point or an exponent; a whole one is the same as without them."""
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < _LARGEST_WHOLE else value


_read_state = msgspec.json.Decoder(float_hook=_number)

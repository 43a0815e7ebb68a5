"""What was asked, as one hash: the same question has the same one, however it was written.

A client that asks again may be another program, or the same one after an upgrade: the order of its
names, `12` or `12.0`, a mask as ids or as bits mean nothing. What the policy reads means something.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import UNSET

from compagnon.serving.schemas import DecideRequest

_encode_as_asked = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="deterministic").encode
_pack = msgspec.msgpack.Encoder().encode
_LARGEST_WHOLE: Final = 2.0**63


def question_sha256(request: DecideRequest, names: Sequence[str], mask: bytes | None) -> str:
    """The hash of a request that was read and found right.

    Args:
        request: which gives an observation or a state.
        names: of the policy's fields, in its order.
        mask: what is possible, packed; None where actions are vectors. It follows from a state,
            so that it counts beside an observation alone.
    """
    given: Any
    if request.observation is UNSET:
        given = _encode_sorted(_read_state.decode(request.state))
        mask = None
    else:
        values = request.observation
        if isinstance(values, dict):
            values = [values[name] for name in names]
        given = (np.array(values, "<f8") + 0.0).tobytes()  # -0 is 0
    kind = "state" if request.observation is UNSET else "observation"
    asked: tuple[Any, ...] = (kind, given, mask, request.key, request.alternatives)
    if request.episode:
        asked = (*asked, request.episode)
    return hashlib.sha256(_pack(asked)).hexdigest()


def sha256_as_written(request: DecideRequest) -> str:
    """The hash that rows have from before: of the names in the order in which they came."""
    return hashlib.sha256(_encode_as_asked(request)).hexdigest()


def _number(text: str) -> float | int:
    """A number with a point or an exponent; a whole one is the same as without them."""
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < _LARGEST_WHOLE else value


_read_state = msgspec.json.Decoder(float_hook=_number)

"""A slice: logged decisions and what came of them as arrays, in a folder that cannot change unseen.

`slice.json` says what it holds, has the hash of the arrays and one of itself; the slice's own hash
is that of the file. Whoever can write both can compute all of it anew, which shows only against a
hash that was noted down elsewhere. Arrays are safetensors, texts among them as MessagePack in
bytes: no pickle.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from compagnon.errors import InputError
from compagnon.files import file_sha256, read_file

MANIFEST: Final = "slice.json"
ARRAYS: Final = "decisions.safetensors"
FORMAT: Final = 1
_MOST: Final = 8 * 2**30  # bytes of the arrays
_TEXTS: Final = ("id", "key", "episode", "unit", "arm", "experiment", "model", "mode", "human")
_SHORT: Final = 12  # digits of the hash that a folder's name may show


@dataclass(frozen=True, eq=False)
class Slice:
    """N mature decisions of one application and one schema, in the order of the log.

    Texts are "" where the log has none.

    Attributes:
        id, key, episode, unit, arm, experiment, model: (N,) texts, as logged.
        mode: (N,), how the action was chosen, see `DecisionRow.mode`.
        human: (N,), what a person made of it: "", ``accepted``, ``overridden`` or ``locked``.
        time: (N,) float64, seconds since 1970.
        features: (N, F) float32. mask: (N, A) bool.
        probabilities: (N, A) float64. action: (N,) int64. propensity: (N,) float64.
        outcomes: (N, K) float64, NaN where none came in time. late: (N, K) bool, one came too late.
        manifest: what it is: application, schema, window, names of the K outcomes and when they
            mature, how many decisions were left out and why, the log's head.
    """

    id: tuple[str, ...]
    key: tuple[str, ...]
    episode: tuple[str, ...]
    unit: tuple[str, ...]
    arm: tuple[str, ...]
    experiment: tuple[str, ...]
    model: tuple[str, ...]
    mode: tuple[str, ...]
    human: tuple[str, ...]
    time: NDArray[np.float64]
    features: NDArray[np.float32]
    mask: NDArray[np.bool_]
    probabilities: NDArray[np.float64]
    action: NDArray[np.int64]
    propensity: NDArray[np.float64]
    outcomes: NDArray[np.float64]
    late: NDArray[np.bool_]
    manifest: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.id)

    @property
    def outcome_names(self) -> tuple[str, ...]:
        """The K outcomes that were collected."""
        return tuple(one["name"] for one in self.manifest["outcomes"])


def _arrays(content: Slice) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {}
    for field in fields(Slice):
        value = getattr(content, field.name)
        if field.name in _TEXTS:
            found[field.name] = np.frombuffer(msgspec.msgpack.encode(list(value)), np.uint8)
        elif field.name != "manifest":
            found[field.name] = np.ascontiguousarray(value)
    return found


def freeze(content: Slice, path: Path) -> str:
    """Write a slice into a new folder, whole or not at all; its hash.

    Raises:
        InputError: something stands there already.
        OSError: it cannot be written.
    """
    if path.exists():
        raise InputError(f"{path} is there already; a slice is never written over")
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".slice-", dir=path.parent))
    try:
        data = save_tensors(_arrays(content))
        (draft / ARRAYS).write_bytes(data)
        manifest = {
            "format": FORMAT,
            "decisions": len(content),
            "arrays_sha256": hashlib.sha256(data).hexdigest(),
            **content.manifest,
        }
        text = _sealed(manifest)
        (draft / MANIFEST).write_text(text, encoding="utf-8")
        draft.rename(path)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return hashlib.sha256(text.encode()).hexdigest()


def _sealed(manifest: Mapping[str, Any]) -> str:
    """What `slice.json` holds: with a hash of all of it, so that no byte changes unseen."""
    plain = json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False)
    sealed = {**manifest, "seal": hashlib.sha256(plain.encode()).hexdigest()}
    return json.dumps(sealed, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def sha256_of(path: Path) -> str:
    """The hash of a slice on disk, which says everything about it once `load` has taken it."""
    return file_sha256(path / MANIFEST)


def load(path: Path, sha256: str | None = None) -> Slice:
    """Read a slice, and refuse one in which a byte is another.

    Args:
        sha256: the hash that it must have, if somebody noted it down; its first digits will do.

    Raises:
        InputError: no slice, or one that was changed.
    """
    raw = read_file(path / MANIFEST, 10_000_000)
    found = hashlib.sha256(raw).hexdigest()
    if sha256 is not None and (len(sha256) < _SHORT or not found.startswith(sha256)):
        raise InputError(
            f"{path}: the slice has hash {found[:_SHORT]}..., not {sha256[:_SHORT]}..."
        )
    try:
        manifest = json.loads(raw)
        manifest.pop("seal")
        whole = _sealed(manifest).encode() == raw
        known = manifest.pop("format") == FORMAT
        count, wanted = int(manifest.pop("decisions")), str(manifest.pop("arrays_sha256"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError(f"{path / MANIFEST} does not describe a slice") from None
    if not known:
        raise InputError(f"{path / MANIFEST} is of another format than {FORMAT}")
    if not whole:
        raise InputError(f"{path / MANIFEST} was changed: it is not what its seal says")
    if not (path / ARRAYS).is_file():
        raise InputError(f"{path / ARRAYS} is not there, or is no plain file")
    data = read_file(path / ARRAYS, _MOST)
    if hashlib.sha256(data).hexdigest() != wanted:
        raise InputError(f"{path / ARRAYS} is not what {MANIFEST} says: it was changed, or is cut")
    return _read(path, data, count, manifest)


def _read(path: Path, data: bytes, count: int, manifest: Mapping[str, Any]) -> Slice:
    try:
        tensors = load_tensors(data)
        values: dict[str, Any] = {
            name: tuple(msgspec.msgpack.decode(tensors.pop(name).tobytes(), type=list[str]))
            for name in _TEXTS
        }
        content = Slice(**values | dict(tensors), manifest=manifest)
    except (SafetensorError, KeyError, TypeError, msgspec.DecodeError) as error:
        raise InputError(f"{path / ARRAYS} holds no slice ({error})") from None
    rows = [len(getattr(content, one.name)) for one in fields(Slice) if one.name != "manifest"]
    if set(rows) != {count}:
        raise InputError(f"{path / ARRAYS}: {MANIFEST} says {count:,} decisions; rows are missing")
    if content.outcomes.shape[1:] != (len(content.outcome_names),):
        raise InputError(f"{path / ARRAYS}: {MANIFEST} names other outcomes than are there")
    return content


def texts(values: Sequence[str | None]) -> tuple[str, ...]:
    """What the log has, as a slice has it."""
    return tuple("" if value is None else value for value in values)

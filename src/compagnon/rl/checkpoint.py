"""Saves any tree of state to disk as JSON and safetensors, whole or not at all; never a pickle."""

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from compagnon.errors import InputError
from compagnon.files import replace_directory

_STATE = "state.json"
_TENSORS = "tensors.safetensors"
_DIGEST = "sha256"
_KEPT = 2


def save_state(path: Path, tree: Any) -> None:
    """Write a tree of dicts, lists, tuples, arrays, tensors and plain values to a directory."""
    tensors: dict[str, torch.Tensor] = {}
    text = json.dumps(_encode(tree, tensors)).encode()
    data = save_tensors(tensors)
    with replace_directory(path) as fresh:
        (fresh / _STATE).write_bytes(text)
        (fresh / _TENSORS).write_bytes(data)
        (fresh / _DIGEST).write_text(_digest(text, data))


def load_state(path: Path) -> Any:
    """Read what `save_state` wrote.

    Raises:
        InputError: a file is missing, or is not the one that was written.
    """
    try:
        text, data = (path / _STATE).read_bytes(), (path / _TENSORS).read_bytes()
        digest = (path / _DIGEST).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"checkpoint {path} cannot be read: {error}") from None
    if _digest(text, data) != digest:
        raise InputError(f"checkpoint {path} cannot be read: it was changed or damaged")
    return _decode(json.loads(text), load_tensors(data))


def _digest(text: bytes, data: bytes) -> str:
    return hashlib.sha256(hashlib.sha256(text).digest() + data).hexdigest()


def _encode(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    key = str(len(tensors))
    if isinstance(value, np.ndarray):
        tensors[key] = torch.from_numpy(value.copy(order="C"))
        return {"!array": key}
    if isinstance(value, torch.Tensor):
        tensors[key] = value.detach().cpu().clone().contiguous()
        return {"!tensor": key}
    if isinstance(value, dict):
        return {"!dict": [[_encode(k, tensors), _encode(v, tensors)] for k, v in value.items()]}
    if isinstance(value, tuple):
        return {"!tuple": [_encode(item, tensors) for item in value]}
    if isinstance(value, list):
        return [_encode(item, tensors) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{type(value).__name__} has no place in a checkpoint")


def _decode(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, list):
        return [_decode(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if "!array" in value:
        return tensors[value["!array"]].numpy()
    if "!tensor" in value:
        return tensors[value["!tensor"]]
    if "!tuple" in value:
        return tuple(_decode(item, tensors) for item in value["!tuple"])
    return {_decode(k, tensors): _decode(v, tensors) for k, v in value["!dict"]}


def save_checkpoint(folder: Path, iteration: int, tree: Any) -> None:
    """Write the checkpoint of an iteration and remove all but the newest two."""
    save_state(folder / f"{iteration:08d}", tree)
    for old in _checkpoints(folder)[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def load_newest_checkpoint(folder: Path) -> Any:
    """The newest checkpoint that can be read, or None where there is none.

    Raises:
        InputError: there are some, and none can be read.
    """
    found = _checkpoints(folder)
    for index, path in enumerate(reversed(found)):
        try:
            return load_state(path)
        except InputError:
            if index == len(found) - 1:
                raise
    return None


def _checkpoints(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if re.fullmatch(r"\d{8}", path.name))

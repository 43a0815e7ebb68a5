"""Saves any tree of state to disk as JSON and safetensors, whole or not at all; never a pickle."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from compagnon.errors import InputError
from compagnon.files import replace_directory

_STATE = "state.json"
_TENSORS = "tensors.safetensors"
_KEPT = 2


def save_state(path: Path, tree: Any) -> None:
    """Write a tree of dicts, lists, tuples, arrays, tensors and plain values to a directory."""
    tensors: dict[str, torch.Tensor] = {}
    encoded = _encode(tree, tensors)
    with replace_directory(path) as fresh:
        (fresh / _STATE).write_text(json.dumps(encoded))
        (fresh / _TENSORS).write_bytes(save_tensors(tensors))


def load_state(path: Path) -> Any:
    """Read what `save_state` wrote.

    Raises:
        InputError: a file is missing or damaged.
    """
    try:
        encoded = json.loads((path / _STATE).read_text())
        tensors = load_tensors((path / _TENSORS).read_bytes())
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"checkpoint {path} cannot be read: {error}") from None
    return _decode(encoded, tensors)


def _encode(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, np.ndarray | torch.Tensor):
        key = str(len(tensors))
        is_array = isinstance(value, np.ndarray)
        tensor = torch.from_numpy(np.ascontiguousarray(value)) if is_array else value
        tensors[key] = tensor.detach().cpu().clone().contiguous()
        # ascontiguousarray gives a 0-d array one dimension
        return {"!array" if is_array else "!tensor": key, "shape": list(value.shape)}
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
        return tensors[value["!array"]].numpy().reshape(value["shape"])
    if "!tensor" in value:
        return tensors[value["!tensor"]].reshape(value["shape"])
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

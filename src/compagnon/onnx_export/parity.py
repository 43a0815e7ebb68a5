"""Compares an ONNX graph with the policy in torch, state by state; one that differs is refused.

Torch and onnxruntime add the same products in another order, so their outputs differ in the last
bits. A difference is judged by the size of what it is a difference of: the largest output of its
row, or the usual one of real states (root mean square) where a row's own terms cancel.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.onnx_export.states import States
from compagnon.onnx_export.torch_policy import TorchPolicy, Weights
from compagnon.policy.exported import (
    ACTION,
    ACTION_MASK,
    OBS,
    OUTPUTS,
    PROBABILITIES,
    STD,
)
from compagnon.policy.manifest import Manifest

TOLERANCE = 1e-5
_ALONE = 64  # so many states are asked for one by one as well
_BATCH = 512

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Parity:
    """How far the graph is from torch.

    Attributes:
        states: compared. overflowing: of these, where torch's outputs are no finite numbers; the
            graph's are none either, and a policy refuses them.
        outputs: the largest relative difference of an output. probabilities: the largest
            difference of one. actions: the largest difference of a component, in half-ranges;
            of discrete actions it is 0.
        same_action: states with the same greedy action (within `TOLERANCE` for vectors).
        near_ties: states where another action was taken, whose value torch cannot tell from the
            best one's; every other difference is a failure.
    """

    states: int
    overflowing: int
    outputs: float
    probabilities: float
    actions: float
    same_action: int
    near_ties: int

    def as_json(self) -> dict[str, Any]:
        """The figures, by name."""
        return asdict(self)


def check_parity(
    manifest: Manifest, weights: Weights, session: Any, real: States, adversarial: States
) -> dict[str, Any]:
    """Compare `session` with torch on both sets; the figures for `export.json`.

    Raises:
        InputError: they say different things; the message shows the first state.
    """
    module = TorchPolicy(manifest, weights)
    usual = _usual_size(_torch_says(module, real)[OUTPUTS])
    found = {
        "tolerance": TOLERANCE,
        "real": compare(manifest, module, session, real, usual).as_json(),
        "adversarial": compare(manifest, module, session, adversarial, usual).as_json(),
    }
    alone = real.rows(slice(0, _ALONE))
    compare(manifest, module, session, alone, usual, batch=1)
    return found


def _usual_size(outputs: NDArray[np.float32]) -> float:
    largest = np.abs(outputs.astype(np.float64)).max(axis=1)
    return float(np.sqrt(np.mean(largest**2)))


def compare(
    manifest: Manifest,
    module: TorchPolicy,
    session: Any,
    states: States,
    usual: float,
    batch: int = _BATCH,
) -> Parity:
    """Compare on some states; see `check_parity`.

    Args:
        usual: the usual size of a row's largest output. batch: states in one run of the graph.
    """
    torch_says, onnx_says = _torch_says(module, states), _onnx_says(session, states, batch)
    finite = _finite_rows(torch_says[OUTPUTS])
    as_finite = _finite_rows(onnx_says[OUTPUTS])
    _refuse(finite != as_finite, "outputs that are finite numbers", states)
    clean = States(states.obs[finite], None if states.mask is None else states.mask[finite])
    torch_says = {name: array[finite] for name, array in torch_says.items()}
    onnx_says = {name: array[finite] for name, array in onnx_says.items()}
    wanted, given = (says[OUTPUTS].astype(np.float64) for says in (torch_says, onnx_says))
    size = np.maximum(np.abs(wanted).max(axis=1, initial=0), max(usual, 1e-30))
    outputs = np.abs(given - wanted).max(axis=1, initial=0) / size
    _refuse(~(outputs <= TOLERANCE), "the same outputs", clean)
    if clean.mask is not None:
        heads = _compare_choices(torch_says, onnx_says, clean, size)
    else:
        heads = _compare_vectors(manifest, torch_says, onnx_says, clean, size)
    overflowing = int((~finite).sum())
    return Parity(len(states), overflowing, float(outputs.max(initial=0)), *heads)


Heads = tuple[float, float, int, int]  # probabilities, actions, same_action, near_ties


def _compare_choices(
    torch_says: Arrays, onnx_says: Arrays, states: States, size: NDArray[np.float64]
) -> Heads:
    assert states.mask is not None
    p, q = torch_says[PROBABILITIES], onnx_says[PROBABILITIES]
    _refuse(((q != 0) & ~states.mask).any(axis=1), "nothing of a masked action", states)
    same = torch_says[ACTION] == onnx_says[ACTION]
    values = torch_says[OUTPUTS].astype(np.float64)
    tied = ~same & _tied(values, states.mask, onnx_says[ACTION], 2 * TOLERANCE * size)
    _refuse(~same & ~tied, "the same action", states)
    off = np.where(tied, 0, np.abs(p - q).max(axis=1, initial=0))
    _refuse(~(off <= _slack(size)), "the same probabilities", states)
    return float(off.max(initial=0)), 0.0, int(same.sum()), int(tied.sum())


def _compare_vectors(
    manifest: Manifest,
    torch_says: Arrays,
    onnx_says: Arrays,
    states: States,
    size: NDArray[np.float64],
) -> Heads:
    off = _in_half_ranges(manifest, torch_says[ACTION], onnx_says[ACTION])
    same = off <= _slack(size)
    _refuse(~same, "the same action", states)
    if STD in torch_says:
        wanted, given = torch_says[STD], onnx_says[STD]
        with np.errstate(invalid="ignore", divide="ignore"):
            # So small a deviation is none, and denormal numbers have few digits.
            apart = np.abs(given.astype(np.float64) - wanted) / np.maximum(wanted, 1e-30)
        # The exponential of a huge output is infinite, in both alike.
        apart = np.where(wanted == given, 0, apart).max(axis=1)
        _refuse(~(apart <= 2 * _slack(size)), "the same deviations", states)
    return 0.0, float(off.max(initial=0)), int(same.sum()), 0


def _slack(size: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much what follows from outputs may differ, given how much they may, in own units."""
    return TOLERANCE * np.maximum(size, 1)


def _finite_rows(outputs: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(outputs).all(axis=1), np.bool_)


def _tied(
    values: NDArray[np.float64],
    mask: NDArray[np.bool_],
    taken: NDArray[np.int64],
    within: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Where a possible action was taken whose value is within reach of the best one's."""
    rows = np.arange(len(values))
    best = np.where(mask, values, -np.inf).max(axis=1)
    legal = (taken >= 0) & mask[rows, np.maximum(taken, 0)]
    return np.asarray(legal & (best - values[rows, taken] <= within), np.bool_)


def _in_half_ranges(
    manifest: Manifest, wanted: NDArray[np.float32], given: NDArray[np.float32]
) -> NDArray[np.float64]:
    """The largest difference of a component, in half-ranges of its bounds."""
    _, half = manifest.schema_.action.middle_and_half()
    # A narrow range far from 0 has few float32 numbers in it: those are not asked to be exact.
    unit = np.maximum(half.astype(np.float64), np.abs(wanted) * 0.1)
    found = np.abs(given.astype(np.float64) - wanted) / np.where(unit > 0, unit, 1)
    return np.asarray(found.max(axis=1, initial=0), np.float64)


def _torch_says(module: TorchPolicy, states: States) -> Arrays:
    mask = None if states.mask is None else torch.from_numpy(states.mask)
    with torch.inference_mode():
        said = module(torch.from_numpy(states.obs), mask)
    by_name = {
        OUTPUTS: said.outputs,
        ACTION: said.action,
        PROBABILITIES: said.probabilities,
        STD: said.std,
    }
    return {name: tensor.numpy() for name, tensor in by_name.items() if tensor is not None}


def _onnx_says(session: Any, states: States, batch: int) -> Arrays:
    names = [output.name for output in session.get_outputs()]
    parts = []
    for start in range(0, len(states), batch):
        some = states.rows(slice(start, start + batch))
        feed: dict[str, NDArray[Any]] = {OBS: some.obs}
        if some.mask is not None:
            feed[ACTION_MASK] = some.mask
        parts.append(session.run(names, feed))
    return {name: np.concatenate([part[i] for part in parts]) for i, name in enumerate(names)}


def _refuse(differs: Any, what: str, states: States) -> None:
    differs = np.asarray(differs, np.bool_)
    if differs.any():
        row = int(differs.argmax())
        shown = np.array2string(states.obs[row], threshold=8, precision=4)
        raise InputError(
            f"the ONNX graph does not give what torch gives: {what}; "
            f"{int(differs.sum())} of {len(states)} states differ, the first is {shown}"
        )

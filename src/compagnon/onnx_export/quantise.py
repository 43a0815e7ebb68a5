"""Makes an INT8 graph out of an FP32 one: the matrix products in 8 bits, all else as it was."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import onnx
from onnx import helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from compagnon.onnx_export.graph import SCALED, model_facts
from compagnon.onnx_export.states import States
from compagnon.policy.exported import ACTION_MASK, OBS
from compagnon.policy.manifest import Manifest

Method = Literal["static", "dynamic"]
_BATCH = 128
_PRODUCTS = ["Gemm", "MatMul"]


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Hands real states to the calibration, batch by batch."""

    def __init__(self, states: States) -> None:
        self._batches = (
            states.rows(slice(start, start + _BATCH)) for start in range(0, len(states), _BATCH)
        )

    def get_next(self) -> dict[str, Any] | None:
        """The next batch as the graph's inputs; None at the end."""
        states = next(self._batches, None)
        if states is None:
            return None
        feed: dict[str, Any] = {OBS: states.obs}
        if states.mask is not None:
            feed[ACTION_MASK] = states.mask
        return feed


def quantise(model: Any, manifest: Manifest, method: Method, calibration: States) -> Any:
    """The INT8 form of a model that `graph.build_model` made; inputs and outputs are the same.

    Static: activations have fixed ranges, the smallest and largest that `calibration` shows;
    weights have one scale a row. Dynamic: ranges are found anew in each run; nothing is calibrated.

    The product that reads the observation stays in FP32: it has few columns, and what decides is
    lost in 8 bits of them. So are the outputs of every product, or actions would often tie.
    Weights are unsigned, as activations are: with signed ones, processors without VNNI overflow in
    between, and the same file would decide differently from one machine to the next.
    """
    with tempfile.TemporaryDirectory(prefix="compagnon-") as folder, _quiet():
        source, target = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, source)
        how: dict[str, Any] = {
            "per_channel": True,
            "weight_type": QuantType.QUInt8,
            "nodes_to_exclude": _first_products(model),
        }
        if method == "static":
            quantize_static(
                source,
                target,
                _Reader(calibration),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=_PRODUCTS,
                extra_options={"OpTypesToExcludeOutputQuantization": _PRODUCTS},
                activation_type=QuantType.QUInt8,
                **how,
            )
        else:
            quantize_dynamic(source, target, **how)
        made = onnx.load(target)
    made.producer_name, made.producer_version = model.producer_name, model.producer_version
    made.doc_string = ""
    del made.metadata_props[:]
    helper.set_model_props(made, {**model_facts(manifest), "compagnon.int8": method})
    onnx.checker.check_model(made)
    return made


def _first_products(model: Any) -> list[str]:
    """Names of the products that read observations; none where there are no others."""
    products = [node for node in model.graph.node if node.op_type in _PRODUCTS]
    first = [node.name for node in products if node.input[0] in (OBS, SCALED)]
    # The dynamic quantiser splits a Gemm first, and names the product it makes anew.
    return [] if len(first) == len(products) else [*first, *(f"{name}_MatMul" for name in first)]


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser's advice is for those who call it by hand."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)

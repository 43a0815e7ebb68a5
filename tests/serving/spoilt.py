"""Exported policies that do harm once they are run: they never end, or ask for 32 GB."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.serving.support import exported


def endless(path: Path) -> Path:
    """One whose run never ends."""
    count = numpy_helper.from_array(np.array(np.iinfo(np.int64).max), "x_count")
    true = numpy_helper.from_array(np.array(True), "x_true")
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["b_on"], ["b_next_on"]),
            helper.make_node("Sin", ["b_state"], ["b_next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("b_i", TensorProto.INT64, []),
            helper.make_tensor_value_info("b_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("b_state", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("b_next_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("b_next", TensorProto.FLOAT, []),
        ],
    )
    nodes = [
        helper.make_node("ReduceSum", ["x_in"], ["x_start"], keepdims=0),
        helper.make_node("Loop", ["x_count", "x_true", "x_start"], ["x_more"], body=body),
    ]
    return _spoilt(path, nodes, [count, true])


def greedy(path: Path) -> Path:
    """One that asks for 32 GB."""
    size = numpy_helper.from_array(np.array([8 << 30], np.int64), "x_size")
    nodes = [
        helper.make_node("Shape", ["x_in"], ["x_shape"]),
        helper.make_node("ReduceMin", ["x_shape"], ["x_least"], keepdims=1),
        helper.make_node("Max", ["x_size", "x_least"], ["x_many"]),
        helper.make_node("ConstantOfShape", ["x_many"], ["x_zeros"]),
        helper.make_node("ReduceSum", ["x_zeros"], ["x_more"], keepdims=0),
    ]
    return _spoilt(path, nodes, [size])


def _spoilt(path, nodes, values):
    """Add 0 * `x_more` to what the policy says; its files agree with each other."""
    exported(path)
    model = onnx.load(path / "policy.onnx")
    graph = model.graph
    name = graph.output[0].name
    for node in graph.node:
        node.output[:] = ["x_said" if one == name else one for one in node.output]
    for node in nodes:
        node.input[:] = [graph.input[0].name if one == "x_in" else one for one in node.input]
    graph.initializer.extend([*values, numpy_helper.from_array(np.float32(0), "x_zero")])
    graph.node.extend(
        [
            *nodes,
            helper.make_node("Mul", ["x_more", "x_zero"], ["x_nothing"]),
            helper.make_node("Add", ["x_said", "x_nothing"], [name]),
        ]
    )
    data = model.SerializeToString()
    (path / "policy.onnx").write_bytes(data)
    record = json.loads((path / "export.json").read_text())
    record["files"]["fp32"] |= {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    (path / "export.json").write_text(json.dumps(record))
    return path

"""Puts somebody's own ONNX graph into ours: its nodes between the observation and the head."""

from typing import Any, Final

import numpy as np
import onnx
import torch
from onnx import TensorProto, compose, inliner, version_converter
from torch import nn

from compagnon.errors import InputError
from compagnon.onnx_export.nodes import OPSET, GraphBuilder, Weights
from compagnon.policy.exported import OUTPUTS
from compagnon.policy.manifest import Manifest, OnnxSpec
from compagnon.policy.onnx_network import GRAPH, OnnxGraph

_PREFIX: Final = "own/"  # before every name of theirs, so that none is one of ours


def onnx_body(graph: GraphBuilder, manifest: Manifest, weights: Weights, x: str) -> str:
    """Their nodes, and what makes of their output what the head reads; see `OnnxGraph.outputs`.

    Raises:
        InputError: a graph with operators of other domains, or that has no form in our opset.
    """
    spec, action = manifest.network, manifest.schema_.action
    assert isinstance(spec, OnnxSpec)
    theirs = _converted(weights[GRAPH].tobytes(), manifest.name)
    graph.node("Identity", [x], _PREFIX + spec.input)
    given = _PREFIX + spec.output
    nodes, read = _leading_to(given, theirs.node)
    graph.constants.extend(one for one in theirs.initializer if one.name in read)
    graph.nodes.extend(nodes)
    if spec.gives == "numbers":
        return graph.node("Identity", [given], OUTPUTS)
    columns = 1 if action.kind == "discrete" else action.n
    shape = graph.constant("one_row_each", np.array([-1, columns], np.int64))
    given = graph.node("Reshape", [given, shape], "given")
    if action.kind == "discrete":
        chosen = graph.node("Cast", [given], "chosen", to=TensorProto.INT64)
        every = graph.constant("of_every_action", np.arange(action.n, dtype=np.int64)[None, :])
        right = graph.node("Equal", [chosen, every], "is_chosen")
        return graph.node("Cast", [right], OUTPUTS, to=TensorProto.FLOAT)
    middle, half = action.middle_and_half()
    centred = graph.node("Sub", [given, graph.constant("own_middle", middle)], "own_centred")
    return graph.node("Div", [centred, graph.constant("own_half", half)], OUTPUTS)


def _converted(data: bytes, who: str) -> Any:
    """Their graph in our opset, without functions, with names that are not ours."""
    model = inliner.inline_local_functions(onnx.load_from_string(data))
    versions = {one.domain: one.version for one in model.opset_import}
    used = {node.domain for node in model.graph.node} - {"", "ai.onnx"}
    if used or model.graph.sparse_initializer:
        raise InputError(
            f"{who}: its graph uses {', '.join(sorted(used)) or 'sparse weights'}, which is not "
            "exported; standard operators are"
        )
    if versions.get("", OPSET) != OPSET:
        try:
            model = version_converter.convert_version(model, OPSET)
        except Exception as error:  # the converter's own
            reason = str(error).partition("\n")[0][:200]
            raise InputError(
                f"{who}: its graph (opset {versions['']}) has no form in opset {OPSET}: {reason}"
            ) from None
    return compose.add_prefix(model, _PREFIX).graph


def _leading_to(output: str, nodes: Any) -> tuple[list[Any], set[str]]:
    """The nodes that an output is made by, and every name that they read.

    What else a graph gives stays outside: with it its other inputs, such as a mask.
    """
    read, kept = {output}, []
    for node in reversed(nodes):
        if read.isdisjoint(node.output):
            continue
        kept.append(node)
        read.update(_read_by(node))
    return kept[::-1], read


def _read_by(node: Any) -> set[str]:
    """The names that a node reads, those inside its branches and loops among them."""
    inside = [
        graph for one in node.attribute for graph in (one.g, *one.graphs) if graph.ByteSize() > 0
    ]
    read = set(node.input)
    for graph in inside:
        read.update(one.name for one in graph.output)
        for own in graph.node:
            read |= _read_by(own)
    return read


class OnnxModule(nn.Module):
    """Their graph by itself, as a module: what the whole one is compared with."""

    def __init__(self, manifest: Manifest, weights: Weights) -> None:
        super().__init__()
        self._graph = OnnxGraph(manifest, weights)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, F) -> (N, outputs)."""
        return torch.from_numpy(self._graph.outputs(x.numpy()))

"""What an ONNX graph is made of, in the order in which it is written: nodes, constants, outputs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper, numpy_helper

OPSET = 17  # has layer norm; onnxruntime runs it since 1.12
ROWS = "N"  # the name of the batch dimension, whose size is free

Weights = dict[str, NDArray[np.float32]]


@dataclass
class GraphBuilder:
    """Nodes and constants, in the order in which they are added.

    Attributes:
        outputs: name, element type and shape of what the graph gives.
    """

    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    outputs: list[tuple[str, int, list[str | int]]] = field(default_factory=list)

    def constant(self, name: str, value: Any) -> str:
        """Add a constant; its name."""
        array = np.ascontiguousarray(value)
        self.constants.append(numpy_helper.from_array(array.reshape(np.shape(value)), name))
        return name

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node with one output; the output's name."""
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def split(self, kind: str, inputs: Sequence[str], outputs: Sequence[str], **how: Any) -> None:
        """Add a node with several outputs, which are named."""
        self.nodes.append(helper.make_node(kind, list(inputs), list(outputs), outputs[0], **how))

    def give(self, name: str, kind: int, *columns: int) -> None:
        """Name something already computed, one row an observation, as what the graph gives."""
        self.outputs.append((name, kind, [ROWS, *columns]))

"""Writes a policy as an ONNX graph straight from its manifest and weights; nothing is traced.

The graph holds everything between an observation in the policy's own fields and an action: the
scaler, the network, the mask, the treatment of outputs. A new kind of network adds one function to
`BODIES`; scaler and heads stay as they are.
"""

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from compagnon.errors import InputError
from compagnon.onnx_export.nodes import OPSET, ROWS, GraphBuilder, Weights
from compagnon.onnx_export.onnx_graph import onnx_body
from compagnon.onnx_export.pairwise_graph import pairwise_body
from compagnon.policy.exported import (
    ACTION,
    ACTION_MASK,
    FIELDS_KEY,
    HEAD_KEY,
    NAME_KEY,
    OBS,
    OUTPUTS,
    PROBABILITIES,
    SCALING_KEY,
    SCHEMA_KEY,
    STD,
    WEIGHTS_KEY,
)
from compagnon.policy.manifest import (
    DeterministicHead,
    GaussianHead,
    Manifest,
    MatchingHead,
    MlpSpec,
    PairwiseSpec,
    ValuesHead,
)
from compagnon.policy.network import TIE

IR_VERSION = 8
SCALED = "scaled"  # what the first layer reads where there is a scaler
_NORM_EPS = 1e-5

Body = Callable[[GraphBuilder, Manifest, Weights, str], str]


def mlp_body(graph: GraphBuilder, manifest: Manifest, weights: Weights, x: str) -> str:
    """A multilayer perceptron; see `NetworkPolicy.outputs`."""
    network = manifest.network
    assert isinstance(network, MlpSpec)
    last = len(network.hidden)
    for layer in range(last + 1):
        parts = [
            graph.constant(name, weights[name])
            for name in (f"actor.{layer}.weight", f"actor.{layer}.bias")
        ]
        into = f"layer_{layer}" if layer < last else OUTPUTS
        x = graph.node("Gemm", [x, *parts], into, transB=1)
        if layer == last:
            break
        if network.layer_norm:
            norm = [
                graph.constant(name, weights[name])
                for name in (f"actor.{layer}.norm.weight", f"actor.{layer}.norm.bias")
            ]
            x = graph.node(
                "LayerNormalization", [x, *norm], f"norm_{layer}", axis=-1, epsilon=_NORM_EPS
            )
        kind = {"relu": "Relu", "tanh": "Tanh"}[network.activation]
        x = graph.node(kind, [x], f"hidden_{layer}")
    return x


# What turns scaled observations into `outputs`, by the kind of network that a manifest names. A
# body reads the tensor it is given, (N, F), and ends with a node whose output is named `outputs`.
BODIES: dict[str, Body] = {
    MlpSpec().kind: mlp_body,
    PairwiseSpec().kind: pairwise_body,
    "onnx": onnx_body,
}


def build_model(manifest: Manifest, weights: Weights) -> Any:
    """The policy as an `onnx.ModelProto`, checked by `onnx.checker`.

    Inputs: `obs` float32 (N, F), in the policy's own fields; for discrete actions `action_mask`
    bool (N, A). Outputs: `outputs` (N, K), before the head; `action`, int64 (N,) or float32 (N, D);
    `probabilities` (N, A) for discrete actions; `std` (N, D) for Gaussian ones. N is free.

    The same policy gives the same bytes.

    Raises:
        InputError: a kind of network or of choice that there is no graph for.
    """
    schema = manifest.schema_
    if isinstance(manifest.head, MatchingHead):
        raise InputError(
            f"{manifest.name}: its choices are matched by the Hungarian method, which no graph "
            'computes; export the same network with `greedy = "best"`'
        )
    if manifest.network.kind not in BODIES:
        raise InputError(
            f"{manifest.name}: a network of kind {manifest.network.kind!r} cannot be exported; "
            f"{' and '.join(BODIES)} can"
        )
    graph = GraphBuilder()
    inputs = [_tensor(OBS, TensorProto.FLOAT, [ROWS, len(schema.observation.fields)])]
    x = _scaled(graph, manifest, weights, OBS)
    BODIES[manifest.network.kind](graph, manifest, weights, x)
    graph.give(OUTPUTS, TensorProto.FLOAT, manifest.outputs)
    if schema.action.kind == "discrete":
        inputs.append(_tensor(ACTION_MASK, TensorProto.BOOL, [ROWS, schema.action.n]))
        _choice(graph, schema.action.n, values=isinstance(manifest.head, ValuesHead))
    else:
        _vector(graph, manifest, weights)
    made = helper.make_graph(
        graph.nodes,
        "policy",
        inputs,
        [_tensor(*output) for output in graph.outputs],
        graph.constants,
    )
    model = helper.make_model(
        made,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="compagnon",
        producer_version=version("compagnon"),
    )
    helper.set_model_props(model, model_facts(manifest))
    onnx.checker.check_model(model, full_check=True)
    return model


def model_facts(manifest: Manifest) -> dict[str, str]:
    """The metadata inside the file: which policy it is, and what its columns are."""
    return {
        SCHEMA_KEY: manifest.schema_sha256,
        WEIGHTS_KEY: manifest.weights_sha256,
        "compagnon.version": version("compagnon"),
        NAME_KEY: manifest.name,
        "compagnon.env": manifest.schema_.env_id,
        FIELDS_KEY: ",".join(manifest.schema_.observation.names),
        SCALING_KEY: manifest.schema_.observation.scaling,
        HEAD_KEY: manifest.head.model_dump_json(),
    }


def _tensor(name: str, kind: int, shape: list[str | int]) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def _scaled(graph: GraphBuilder, manifest: Manifest, weights: Weights, x: str) -> str:
    if manifest.scaler is None:
        return x
    clip = np.float32(manifest.scaler.clip)
    mean = graph.constant("scaler.mean", weights["scaler.mean"])
    std = graph.constant("scaler.std", weights["scaler.std"])
    low, high = graph.constant("scaler.low", -clip), graph.constant("scaler.high", clip)
    x = graph.node("Sub", [x, mean], "centred")
    x = graph.node("Div", [x, std], "standardised")
    return graph.node("Clip", [x, low, high], SCALED)


def _choice(graph: GraphBuilder, actions: int, values: bool) -> None:
    """One of the possible actions. A row without any gets -1 and probabilities of 0."""
    never = graph.constant("never", np.float32(-np.inf))
    nothing = graph.constant("nothing", np.float32(0))
    masked = graph.node("Where", [ACTION_MASK, OUTPUTS, never], "masked")
    best = _first_of_the_best(graph, masked, nothing)
    # The best of nothing is nothing: what forgot to look at the mask must not get an action.
    possible = graph.node("Cast", [ACTION_MASK], "possible", to=TensorProto.FLOAT)
    count = graph.node("ReduceMax", [possible], "any_possible", axes=[1], keepdims=0)
    some = graph.node("Greater", [count, nothing], "some_possible")
    none = graph.constant("no_action", np.int64(-1))
    graph.node("Where", [some, best, none], ACTION)
    if values:
        axis = graph.constant("columns_axis", np.array([1], np.int64))
        column = graph.node("Unsqueeze", [ACTION, axis], "action_column")
        every = graph.constant("every_action", np.arange(actions, dtype=np.int64)[None, :])
        taken = graph.node("Equal", [column, every], "taken")
        graph.node("Cast", [taken], PROBABILITIES, to=TensorProto.FLOAT)
    else:
        softmax = graph.node("Softmax", [masked], "softmax", axis=-1)
        # A softmax may leave a masked action the smallest of numbers; it must be 0.
        graph.node("Where", [ACTION_MASK, softmax, nothing], PROBABILITIES)
    graph.give(ACTION, TensorProto.INT64)
    graph.give(PROBABILITIES, TensorProto.FLOAT, actions)


def _first_of_the_best(graph: GraphBuilder, masked: str, nothing: str) -> str:
    """The first of those that are equally good, see `policy.network.TIE`."""
    possible = graph.node("Where", [ACTION_MASK, OUTPUTS, nothing], "possible_outputs")
    sizes = graph.node("Abs", [possible], "sizes")
    size = graph.node("ReduceMax", [sizes], "size", axes=[1], keepdims=1)
    within = graph.node("Mul", [size, graph.constant("tie", np.float32(TIE))], "within")
    most = graph.node("ReduceMax", [masked], "most", axes=[1], keepdims=1)
    least = graph.node("Sub", [most, within], "least")
    good = graph.node("GreaterOrEqual", [masked, least], "as_good")
    flags = graph.node("Cast", [good], "as_good_flags", to=TensorProto.FLOAT)
    return graph.node("ArgMax", [flags], "best", axis=1, keepdims=0)


def _vector(graph: GraphBuilder, manifest: Manifest, weights: Weights) -> None:
    """A vector within the bounds; see `ActionSchema.from_units`."""
    action, head = manifest.schema_.action, manifest.head
    units = OUTPUTS
    if isinstance(head, GaussianHead):
        units = _gaussian(graph, head, action.n, weights)
    elif isinstance(head, DeterministicHead):
        if head.squash == "sigmoid":  # 2 sigmoid(x) - 1 = tanh(x / 2), which does not overflow
            half = graph.constant("one_half", np.float32(0.5))
            units = graph.node("Mul", [units, half], "half_outputs")
        if head.squash != "none":
            units = graph.node("Tanh", [units], "units")
    middle, half_range = action.middle_and_half()
    low, high = (np.array(bound, np.float32) for bound in (action.low, action.high))
    x = graph.node("Mul", [units, graph.constant("half_range", half_range)], "spread")
    x = graph.node("Add", [x, graph.constant("middle", middle)], "unbounded")
    x = graph.node("Max", [x, graph.constant("low", low)], "above_low")
    graph.node("Min", [x, graph.constant("high", high)], ACTION)
    graph.give(ACTION, TensorProto.FLOAT, action.n)


def _gaussian(graph: GraphBuilder, head: GaussianHead, n: int, weights: Weights) -> str:
    """The means, in units; `std` of each row beside them."""
    if head.state_dependent:
        means, logs = "means", "log_std"
        sizes = graph.constant("halves", np.array([n, n], np.int64))
        graph.split("Split", [OUTPUTS, sizes], [means, logs], axis=1)
        graph.node("Exp", [logs], STD)
    else:
        means = OUTPUTS
        # The same in every row: as many rows as there are observations.
        std = graph.constant("one_std", np.exp(weights["head.log_std"])[None, :])
        zero = graph.constant("zero", np.float32(0))
        still = graph.node("Mul", [OUTPUTS, zero], "no_outputs")
        graph.node("Add", [still, std], STD)
    graph.give(STD, TensorProto.FLOAT, n)
    return means

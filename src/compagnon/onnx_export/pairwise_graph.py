"""Writes the pairwise network as ONNX; what it computes is told in `compagnon.policy.pairwise`.

A graph has the size of the board that the policy learnt on: `bind` the policy to another board to
export it for that one.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from compagnon.onnx_export.nodes import GraphBuilder, Weights
from compagnon.policy.exported import OUTPUTS
from compagnon.policy.groups import Groups
from compagnon.policy.manifest import Manifest, PairwiseSpec
from compagnon.policy.pairwise import NEAR, NEVER


def pairwise_body(graph: GraphBuilder, manifest: Manifest, weights: Weights, x: str) -> str:
    """A shared scorer of (driver, booking) pairs; see `PairwiseGraph.outputs`."""
    return _Body(graph, manifest, weights).outputs(x)


class _Body:
    """Nodes are named after what they hold; shapes are those of `policy.pairwise.Board`."""

    def __init__(self, graph: GraphBuilder, manifest: Manifest, weights: Weights) -> None:
        spec = manifest.network
        assert isinstance(spec, PairwiseSpec)
        self.graph, self.spec, self.weights = graph, spec, weights
        self.groups = Groups.of(manifest.schema_.observation.names, manifest.name)
        self.node = graph.node
        self.never = graph.constant("never_costs", np.float32(NEVER))
        self.nought = graph.constant("nought", np.float32(0))
        # Axes are inputs of some operators and attributes of others.
        self.axes = {i: graph.constant(f"axis_{i}", np.array([i], np.int64)) for i in (1, 2, 3)}

    def outputs(self, x: str) -> str:
        """Scaled observations (N, F) -> logits (N, A): wait, pairs, refusals."""
        groups, node = self.groups, self.node
        x = self._clipped(x)
        d0, p0, q0, end = groups.starts
        world = self._columns(x, "world", 0, d0)
        driver = self._cut(x, "driver", d0, p0, [groups.drivers, len(groups.driver)])
        place = self._cut(x, "place", p0, q0, [groups.places, len(groups.place)])
        size = [groups.drivers, groups.places, len(groups.pair)]
        pair = self._cut(x, "pair", q0, end, size)
        score = self._field(pair, "feasible_score", groups.feasible_at, 3)
        half = self.graph.constant("even_odds", np.float32(0.5))
        feasible = node("Greater", [score, half], "feasible")
        of_driver, of_place, of_pair = self._relations(self._cost(pair, feasible))
        there = self._there(driver, "present", groups.present_at)
        shown = self._there(place, "shown", groups.shown_at)
        driver = node("Concat", [driver, of_driver], "driver_compared", axis=2)
        place = node("Concat", [place, of_place], "place_compared", axis=2)
        pair = node("Concat", [pair, of_pair], "pair_compared", axis=3)
        driver = self._perceptron("driver", driver, activate_output=True)
        place = self._perceptron("place", place, activate_output=True)
        pooled = [*self._pooled("driver", driver, there), *self._pooled("place", place, shown)]
        summary = node("Concat", [world, *pooled], "summary", axis=1)
        context = self._perceptron("context", summary, activate_output=True)
        pairs = self._pairs(pair, driver, place, context, feasible)
        said = [self._perceptron("wait", context), pairs]
        if groups.words.refusals:
            said.append(self._refusals(place, context))
        return node("Concat", said, OUTPUTS, axis=1)

    def _clipped(self, x: str) -> str:
        clip = np.float32(self.spec.clip)
        low, high = self.graph.constant("clip.low", -clip), self.graph.constant("clip.high", clip)
        return self.node("Clip", [x, low, high], "clipped")

    def _columns(self, x: str, name: str, start: int, end: int) -> str:
        bounds = [
            self.graph.constant(f"{name}.{what}", np.array([value], np.int64))
            for what, value in (("start", start), ("end", end))
        ]
        return self.node("Slice", [x, *bounds, self.axes[1]], f"{name}_columns")

    def _cut(self, x: str, name: str, start: int, end: int, size: list[int]) -> str:
        shape = self.graph.constant(f"{name}.shape", np.array([-1, *size], np.int64))
        return self.node("Reshape", [self._columns(x, name, start, end), shape], f"{name}_fields")

    def _field(self, x: str, name: str, index: int, axis: int) -> str:
        at = self.graph.constant(f"{name}.index", np.int64(index))
        return self.node("Gather", [x, at], name, axis=axis)

    def _there(self, rows: str, name: str, index: int) -> str:
        """(N, R, fields) -> (N, R, 1): 1 where the row stands for something."""
        at = self.graph.constant(f"{name}.index", np.array([index], np.int64))
        field = self.node("Gather", [rows, at], f"{name}_field", axis=2)
        above = self.node("Greater", [field, self.nought], f"{name}_or_not")
        return self.node("Cast", [above], name, to=TensorProto.FLOAT)

    def _cost(self, pair: str, feasible: str) -> str:
        """The priced pairs (N, D, B); what is not feasible costs `NEVER`."""
        node = self.node
        added = self._field(pair, "added_cost", self.groups.cost_at, 3)
        price = node("Squeeze", [self._perceptron("price", pair), self.axes[3]], "every_price")
        whole = node("Add", [added, price], "priced_cost")
        whole = node("Min", [whole, self.never], "bounded_cost")
        return node("Where", [feasible, whole, self.never], "cost")

    def _relations(self, cost: str) -> tuple[str, str, str]:
        """See `policy.pairwise.relations`."""
        node = self.node
        first, second, third = self._lowest(cost, "by_place", 3, 1, self.groups.drivers)
        mine, next_one = self._lowest(cost, "by_driver", 2, 2, self.groups.places)
        regret = [first, *(node("Sub", [x, first], f"{x}_less") for x in (second, third))]
        of_place = node("Concat", regret, "regrets", axis=1)
        of_place = node("Transpose", [of_place], "place_relations", perm=[0, 2, 1])
        more = node("Sub", [next_one, mine], "driver_next_less")
        of_driver = node("Concat", [mine, more], "driver_relations", axis=2)
        parts = []
        for name, low, other in (("of_place", first, second), ("of_driver", mine, next_one)):
            is_lowest = node("LessOrEqual", [cost, low], f"lowest_{name}")
            best_other = node("Where", [is_lowest, other, low], f"other_{name}")
            parts.append(node("Sub", [cost, low], f"above_{name}"))
            parts.append(node("Sub", [best_other, cost], f"below_{name}"))
        wide = [node("Unsqueeze", [part, self.axes[3]], f"{part}_column") for part in parts]
        of_pair = node("Concat", wide, "pair_relations", axis=3)
        return self._sharpened(of_driver), self._sharpened(of_place), self._sharpened(of_pair)

    def _lowest(self, cost: str, name: str, count: int, axis: int, size: int) -> list[str]:
        """The lowest costs along an axis, kept with length 1; `NEVER` beyond its length."""
        if size < count:
            pads = np.zeros(6, np.int64)
            pads[3 + axis] = count - size
            inputs = [cost, self.graph.constant(f"{name}.pads", pads), self.never]
            cost = self.node("Pad", inputs, f"{name}_padded")
        how_many = self.graph.constant(f"{name}.count", np.array([count], np.int64))
        low, order = f"{name}_lowest", f"{name}_order"
        self.graph.split("TopK", [cost, how_many], [low, order], axis=axis, largest=0, sorted=1)
        names = [f"{name}_{k}" for k in range(count)]
        self.graph.split("Split", [low], names, axis=axis)
        return names

    def _sharpened(self, x: str) -> str:
        node = self.node
        near = self.graph.constant(f"{x}.near", np.float32(NEAR))
        size = node("Add", [node("Abs", [x], f"{x}_size"), near], f"{x}_scale")
        return node("Concat", [x, node("Div", [x, size], f"{x}_sharp")], f"{x}_both", axis=-1)

    def _pooled(self, name: str, rows: str, there: str) -> list[str]:
        """Mean and maximum over the rows (N, R, E) that are there (N, R, 1); 0 where none is."""
        node, one = self.node, self.graph.constant(f"{name}.one", np.float32(1))
        kept = node("Mul", [rows, there], f"{name}_kept")
        total = node("ReduceSum", [kept, self.axes[1]], f"{name}_total", keepdims=0)
        count = node("ReduceSum", [there, self.axes[1]], f"{name}_count", keepdims=0)
        count = node("Max", [count, one], f"{name}_divisor")
        floor = self.graph.constant(f"{name}.floor", np.float32(self.spec.activation_floor))
        above = node("Mul", [node("Sub", [rows, floor], f"{name}_above"), there], f"{name}_risen")
        return [
            node("Div", [total, count], f"{name}_mean"),
            node("ReduceMax", [above], f"{name}_highest", axes=[1], keepdims=0),
        ]

    def _pairs(self, pair: str, driver: str, place: str, context: str, feasible: str) -> str:
        """(N, D x B). The first layer's product is the sum of four, of which three are shared."""
        node, e = self.node, self.spec.embedding
        weight = self.weights["actor.pair.0.weight"].T
        cuts = np.cumsum([weight.shape[0] - 2 * e - self.spec.hidden[0], e, e])
        own, mine, theirs, shared = np.split(weight, cuts)
        of_context = self._product(context, "pair.context", shared)
        bias = self.graph.constant("pair.bias", self.weights["actor.pair.0.bias"])
        of_context = node("Add", [of_context, bias], "pair_shared")
        of_context = node("Unsqueeze", [of_context, self.axes[1]], "pair_shared_row")
        of_driver = node("Add", [self._product(driver, "pair.driver", mine), of_context], "rows")
        of_driver = node("Unsqueeze", [of_driver, self.axes[2]], "rows_of_drivers")
        of_place = self._product(place, "pair.place", theirs)
        of_place = node("Unsqueeze", [of_place, self.axes[1]], "rows_of_places")
        x = node("Add", [self._product(pair, "pair.own", own), of_driver], "pair_and_driver")
        x = self._active(node("Add", [x, of_place], "pair_first"))
        x = node("Squeeze", [self._layers("pair", x, 1, False), self.axes[3]], "every_score")
        x = node("Where", [feasible, x, self.nought], "scores")
        size = self.groups.drivers * self.groups.places
        shape = self.graph.constant("scores.shape", np.array([-1, size], np.int64))
        return node("Reshape", [x, shape], "pair_logits")

    def _refusals(self, place: str, context: str) -> str:
        """(N, B)."""
        node = self.node
        weight = self.weights["actor.reject.0.weight"].T
        own, shared = np.split(weight, [self.spec.embedding])
        bias = self.graph.constant("reject.bias", self.weights["actor.reject.0.bias"])
        of_context = node("Add", [self._product(context, "reject.context", shared), bias], "no")
        of_context = node("Unsqueeze", [of_context, self.axes[1]], "no_row")
        x = node("Add", [self._product(place, "reject.place", own), of_context], "reject_first")
        x = self._layers("reject", self._active(x), 1, False)
        return node("Squeeze", [x, self.axes[2]], "reject_logits")

    def _product(self, x: str, name: str, weight: NDArray[Any]) -> str:
        """``x @ weight`` over the last axis, (inputs, outputs)."""
        return self.node(
            "MatMul", [x, self.graph.constant(f"{name}.weight", weight)], f"{name}_product"
        )

    def _active(self, x: str) -> str:
        kind = {"relu": "Relu", "tanh": "Tanh"}[self.spec.activation]
        return self.node(kind, [x], f"{x}_active")

    def _perceptron(self, part: str, x: str, activate_output: bool = False) -> str:
        return self._layers(part, x, 0, activate_output)

    def _layers(self, part: str, x: str, first: int, activate_output: bool) -> str:
        layer = first
        while (weight := self.weights.get(f"actor.{part}.{layer}.weight")) is not None:
            if layer > first:
                x = self._active(x)
            x = self._product(x, f"{part}.{layer}", weight.T)
            bias = self.graph.constant(
                f"{part}.{layer}.bias", self.weights[f"actor.{part}.{layer}.bias"]
            )
            x = self.node("Add", [x, bias], f"{part}_{layer}")
            layer += 1
        return self._active(x) if activate_output else x

"""The pairwise network in numpy: one shared scorer of (driver, booking) pairs, for any board.

A pair first gets a price: what it adds to the cost, and what a small perceptron makes of its fields
(of little slack, say). Prices are then compared over drivers and over bookings, as regret insertion
compares costs, and the scorer reads what came of that.

Weights belong to kinds of fields, never to a driver or a place, so nothing depends on how many
there are or in which order they stand. A row of a driver or a place that is not there changes
nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.policy.groups import Groups
from compagnon.policy.manifest import PairwiseSpec

FloatArray = NDArray[np.float32]
NEVER: Final = 5.0  # what a pair that is not possible would cost, in the unit of the scaled field
PRICE: Final = 16  # width of the layer that prices pairs
NEAR: Final = 0.1  # differences of about this size are what `_sharpened` tells apart
DRIVER_RELATIONS, PLACE_RELATIONS, PAIR_RELATIONS = 4, 6, 8


def shapes(spec: PairwiseSpec, groups: Groups) -> dict[str, tuple[int, ...]]:
    """The name and shape of every weight.

    Each part is a perceptron: ``price`` says what a pair costs beside its added cost, ``driver``
    and ``place`` make embeddings of E numbers, ``context`` sums up the board, ``pair``, ``reject``
    and ``wait`` give logits.
    """
    e, hidden = spec.embedding, spec.hidden
    sizes = {
        "price": [len(groups.pair), PRICE, 1],
        "driver": [len(groups.driver) + DRIVER_RELATIONS, e, e],
        "place": [len(groups.place) + PLACE_RELATIONS, e, e],
        "context": [len(groups.world) + 4 * e, hidden[0]],
        "pair": [len(groups.pair) + PAIR_RELATIONS + 2 * e + hidden[0], *hidden, 1],
        "reject": [e + hidden[0], hidden[0], 1],
        "wait": [hidden[0], hidden[0], 1],
    }
    if not groups.words.refusals:
        del sizes["reject"]
    found: dict[str, tuple[int, ...]] = {}
    for part, widths in sizes.items():
        for layer, (fan_in, fan_out) in enumerate(pairwise(widths)):
            found[f"actor.{part}.{layer}.weight"] = (fan_out, fan_in)
            found[f"actor.{part}.{layer}.bias"] = (fan_out,)
    return found


@dataclass(frozen=True)
class ScaledBoard:
    """Scaled observations of N boards, cut into their groups.

    Attributes:
        world: (N, G). driver: (N, D, .). place: (N, B, .). pair: (N, D, B, .).
        cost: (N, D, B), the added cost, `NEVER` where the pair is not feasible.
        present: (N, D, 1), shown: (N, B, 1), 1 where there is one. feasible: (N, D, B) bool.
    """

    world: FloatArray
    driver: FloatArray
    place: FloatArray
    pair: FloatArray
    cost: FloatArray
    present: FloatArray
    shown: FloatArray
    feasible: NDArray[np.bool_]


def read_board(x: FloatArray, groups: Groups, clip: float) -> ScaledBoard:
    """Scaled observations (N, F), in the order of `Groups.names`, as a `ScaledBoard`."""
    x = np.clip(x, -clip, clip)
    count, (d0, p0, q0, end) = len(x), groups.starts
    driver = x[:, d0:p0].reshape(count, groups.drivers, -1)
    place = x[:, p0:q0].reshape(count, groups.places, -1)
    pair = x[:, q0:end].reshape(count, groups.drivers, groups.places, -1)
    used = used_places(place[..., groups.shown_at] > 0, groups)
    place, pair = place[:, :used], pair[:, :, :used]
    feasible = pair[..., groups.feasible_at] > 0.5
    present = (driver[..., groups.present_at, None] > 0).astype(np.float32)
    shown = (place[..., groups.shown_at, None] > 0).astype(np.float32)
    cost = np.where(feasible, pair[..., groups.cost_at], np.float32(NEVER))
    return ScaledBoard(x[:, :d0], driver, place, pair, cost, present, shown, feasible)


def used_places(shown: NDArray[np.bool_], groups: Groups) -> int:
    """How many places to compute: the last ones, if no board (N, B) uses them, are left out.

    A place that can be refused has a logit of its own, so there all are computed.
    """
    if groups.words.refusals:
        return groups.places
    used = np.flatnonzero(shown.any(axis=0))
    return int(used[-1]) + 1 if len(used) else 1


def relations(cost: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """How the costs (N, D, B) of the pairs of a board compare.

    A driver's: his cheapest booking, and how much more the next one costs. A place's: its cheapest
    driver, and how much more the second and the third cost, which is its regret. A pair's: how much
    more it costs than the cheapest of the place and of the driver, and how much less than the best
    other one. Each stands twice, as it is and `_sharpened`. What is not there costs `NEVER`.
    """
    first, second, third = (low[:, 0] for low in _lowest(cost, 3, axis=1))
    mine, next_one = (low[:, :, 0] for low in _lowest(cost, 2, axis=2))
    other_driver = np.where(cost <= first[:, None], second[:, None], first[:, None])
    other_place = np.where(cost <= mine[:, :, None], next_one[:, :, None], mine[:, :, None])
    of_driver = np.stack([mine, next_one - mine], axis=-1)
    of_place = np.stack([first, second - first, third - first], axis=-1)
    of_pair = np.stack(
        [
            cost - first[:, None],
            other_driver - cost,
            cost - mine[:, :, None],
            other_place - cost,
        ],
        axis=-1,
    )
    return _sharpened(of_driver), _sharpened(of_place), _sharpened(of_pair)


def _lowest(cost: FloatArray, count: int, axis: int) -> list[FloatArray]:
    """The lowest costs along an axis, which is kept with length 1; `NEVER` beyond its length."""
    size = cost.shape[axis]
    if size < count:
        shape = list(cost.shape)
        shape[axis] = count - size
        cost = np.concatenate([cost, np.full(shape, NEVER, np.float32)], axis=axis)
    low = np.partition(cost, range(count), axis=axis)
    return [np.take(low, [k], axis=axis) for k in range(count)]


def _sharpened(x: FloatArray) -> FloatArray:
    """x beside ``x / (0.1 + |x|)``, which tells small differences apart."""
    return np.concatenate([x, x / (np.float32(NEAR) + np.abs(x))], axis=-1)


@dataclass(frozen=True)
class PairwiseGraph:
    """What computes the logits.

    Args:
        weights: by the names of `shapes`.
    """

    spec: PairwiseSpec
    groups: Groups
    weights: dict[str, FloatArray]
    activation: Callable[[FloatArray], FloatArray]

    def outputs(self, x: FloatArray) -> FloatArray:
        """Scaled observations (N, F) -> logits (N, A): wait, pairs, refusals if there are.

        A pair that is not feasible is not scored; its logit is 0.
        """
        board = self._compared(read_board(x, self.groups, self.spec.clip))
        driver = self._perceptron("driver", board.driver, activate_output=True)
        place = self._perceptron("place", board.place, activate_output=True)
        summary = [board.world, *self._pooled(driver, board.present)]
        summary += self._pooled(place, board.shown)
        context = self._perceptron("context", np.concatenate(summary, 1), activate_output=True)
        pairs = np.zeros((len(x), self.groups.drivers, self.groups.places), np.float32)
        n, d, j = np.nonzero(board.feasible)
        pairs[n, d, j] = self._scores(board, driver, place, context, (n, d, j))
        said = [self._perceptron("wait", context), pairs.reshape(len(x), -1)]
        if self.groups.words.refusals:
            wide = np.broadcast_to(context[:, None], (*place.shape[:2], context.shape[1]))
            reject = self._perceptron("reject", np.concatenate([place, wide], axis=-1))
            said.append(reject[..., 0])
        return np.concatenate(said, axis=1)

    def _compared(self, board: ScaledBoard) -> ScaledBoard:
        """The board with the relations of its priced pairs behind the fields of each group."""
        price = np.zeros(board.cost.shape, np.float32)
        price[board.feasible] = self._perceptron("price", board.pair[board.feasible])[:, 0]
        found = relations(np.minimum(board.cost + price, np.float32(NEVER)))
        driver, place, pair = (
            np.concatenate(both, axis=-1)
            for both in zip((board.driver, board.place, board.pair), found, strict=True)
        )
        return replace(board, driver=driver, place=place, pair=pair)

    def _scores(
        self,
        board: ScaledBoard,
        driver: FloatArray,
        place: FloatArray,
        context: FloatArray,
        index: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    ) -> FloatArray:
        """Logits (K,) of the pairs that `index` lists.

        The first layer reads pair, driver, booking and context side by side. Its product is the sum
        of four, three of which are the same for many pairs and are found once.
        """
        n, d, j = index
        weight = self.weights["actor.pair.0.weight"].T
        cuts = np.cumsum([board.pair.shape[-1], driver.shape[-1], place.shape[-1]])
        of_pair, of_driver, of_place, of_context = np.split(weight, cuts)
        shared = context @ of_context + self.weights["actor.pair.0.bias"]
        x = board.pair[n, d, j] @ of_pair
        x += (driver @ of_driver + shared[:, None])[n, d]
        x += (place @ of_place)[n, j]
        return self._layers("pair", self.activation(x), 1, False)[:, 0]

    def _pooled(self, rows: FloatArray, there: FloatArray) -> list[FloatArray]:
        """Mean and maximum over the rows (N, R, E) that are there (N, R, 1); 0 where none is."""
        floor = self.spec.activation_floor
        mean = (rows * there).sum(axis=1) / np.maximum(there.sum(axis=1), np.float32(1))
        return [mean, ((rows - floor) * there).max(axis=1)]

    def _perceptron(self, part: str, x: FloatArray, activate_output: bool = False) -> FloatArray:
        return self._layers(part, x, 0, activate_output)

    def _layers(self, part: str, x: FloatArray, first: int, activate_output: bool) -> FloatArray:
        layer = first
        while (weight := self.weights.get(f"actor.{part}.{layer}.weight")) is not None:
            if layer > first:
                x = self.activation(x)
            x = x @ weight.T + self.weights[f"actor.{part}.{layer}.bias"]
            layer += 1
        return self.activation(x) if activate_output else x

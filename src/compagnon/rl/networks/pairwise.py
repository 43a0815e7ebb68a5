"""The pairwise network in torch: what `compagnon.policy.pairwise` computes, with gradients.

Actor and critic have trunks of their own. Weights do not depend on how many drivers and places
there are; the sizes that a module is made with only say how its input is cut.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import nn

from compagnon.policy.groups import Groups
from compagnon.policy.manifest import PairwiseSpec
from compagnon.policy.pairwise import (
    DRIVER_RELATIONS,
    NEVER,
    PAIR_RELATIONS,
    PLACE_RELATIONS,
    PRICE,
)
from compagnon.rl.networks.spec import NetworkArrays

_NEAR = 0.1


class BoardTensors(NamedTuple):
    """As `compagnon.policy.pairwise.Board`, in tensors; of the pairs only those that are feasible.

    Attributes:
        pair: (K, .), the fields of the feasible pairs. cost: (B, D, P).
        feasible: (K,), where they stand among all B D P; the last, unused places are left out.
    """

    world: torch.Tensor
    driver: torch.Tensor
    place: torch.Tensor
    pair: torch.Tensor
    cost: torch.Tensor
    present: torch.Tensor
    shown: torch.Tensor
    feasible: torch.Tensor


def read_board(x: torch.Tensor, groups: Groups, clip: float) -> BoardTensors:
    """Scaled observations (B, F), in the order of `Groups.names`, as a `Board`."""
    d0, p0, q0, end = groups.starts
    drivers, places = groups.drivers, groups.places
    driver = x[:, d0:p0].clamp(-clip, clip).reshape(-1, drivers, len(groups.driver))
    place = x[:, p0:q0].clamp(-clip, clip).reshape(-1, places, len(groups.place))
    pair = x[:, q0:end].reshape(-1, drivers, places, len(groups.pair))
    used = used_places(place[..., groups.shown_at] > 0, groups)
    place, pair = place[:, :used], pair[:, :, :used]
    possible = pair[..., groups.feasible_at] > 0.5
    feasible = possible.flatten().nonzero()[:, 0]
    rows = pair.reshape(-1, len(groups.pair)).index_select(0, feasible).clamp(-clip, clip)
    present = (driver[..., groups.present_at, None] > 0).to(x.dtype)
    shown = (place[..., groups.shown_at, None] > 0).to(x.dtype)
    cost = torch.full(possible.shape, NEVER, dtype=x.dtype, device=x.device)
    cost = cost.flatten().index_copy(0, feasible, rows[:, groups.cost_at].clamp(max=NEVER))
    world = x[:, :d0].clamp(-clip, clip)
    return BoardTensors(
        world, driver, place, rows, cost.view(possible.shape), present, shown, feasible
    )


def used_places(shown: torch.Tensor, groups: Groups) -> int:
    """How many places to compute: the last ones, if no board (B, P) uses them, are left out.

    A place that can be refused has a logit of its own, so there all are computed.
    """
    if groups.words.refusals:
        return groups.places
    used = shown.any(0).nonzero()
    return int(used[-1]) + 1 if len(used) else 1


class Lowest(NamedTuple):
    """The lowest costs of each place (B, 3, P) and of each driver (B, D, 2), in order."""

    by_place: torch.Tensor
    by_driver: torch.Tensor


def relations(cost: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, Lowest]:
    """As `compagnon.policy.pairwise.relations` of drivers and places, and what pairs need."""
    lowest = Lowest(_lowest(cost, 3, 1), _lowest(cost, 2, 2))
    first, second, third = lowest.by_place.unbind(1)
    mine, next_one = lowest.by_driver.unbind(2)
    of_driver = torch.stack([mine, next_one - mine], -1)
    of_place = torch.stack([first, second - first, third - first], -1)
    return _sharpened(of_driver), _sharpened(of_place), lowest


def pair_relations(cost: torch.Tensor, lowest: Lowest, feasible: torch.Tensor) -> torch.Tensor:
    """As `compagnon.policy.pairwise.relations` of the pairs that `feasible` lists; (K, 8)."""
    _, drivers, places = cost.shape
    of_driver = feasible // places
    of_place = of_driver // drivers * places + feasible % places
    own = cost.flatten().index_select(0, feasible)
    low = [lowest.by_place[:, k].flatten().index_select(0, of_place) for k in (0, 1)]
    mine = [lowest.by_driver[:, :, k].flatten().index_select(0, of_driver) for k in (0, 1)]
    other_driver = torch.where(own <= low[0], low[1], low[0])
    other_place = torch.where(own <= mine[0], mine[1], mine[0])
    return _sharpened(
        torch.stack([own - low[0], other_driver - own, own - mine[0], other_place - own], -1)
    )


def _lowest(cost: torch.Tensor, count: int, axis: int) -> torch.Tensor:
    """The lowest costs along an axis, in order; `NEVER` beyond its length."""
    missing = count - cost.shape[axis]
    if missing > 0:
        shape = list(cost.shape)
        shape[axis] = missing
        cost = torch.cat([cost, cost.new_full(shape, NEVER)], axis)
    return cost.topk(count, dim=axis, largest=False, sorted=True).values


def _sharpened(x: torch.Tensor) -> torch.Tensor:
    return torch.cat([x, x / (_NEAR + x.abs())], -1)


class Perceptron(nn.ModuleList):
    """Linear layers with activations between them; a list, so that its weights are numbered.

    Args:
        sizes: input, hidden layers, output. output_gain: scale of the last layer; None where that
            is a hidden one of something larger.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str,
        output_gain: float | None,
        generator: torch.Generator,
    ) -> None:
        super().__init__(nn.Linear(fan_in, fan_out) for fan_in, fan_out in pairwise(sizes))
        self._activation = torch.relu if activation == "relu" else torch.tanh
        self._activate_output = output_gain is None
        for index, layer in enumerate(self):
            assert isinstance(layer, nn.Linear)
            last = index == len(self) - 1 and output_gain is not None
            gain = output_gain if last else 2**0.5
            nn.init.orthogonal_(layer.weight, gain, generator=generator)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor, first: int = 0) -> torch.Tensor:
        """(..., inputs of layer `first`) -> (..., outputs)."""
        for index in range(first, len(self)):
            x = self[index](x)
            if index < len(self) - 1 or self._activate_output:
                x = self._activation(x)
        return x

    def split_first(
        self, parts: Sequence[torch.Tensor], sizes: Sequence[int]
    ) -> list[torch.Tensor]:
        """What the first layer makes of each part of its input; the bias is with the last one."""
        layer = self[0]
        assert isinstance(layer, nn.Linear)
        columns = torch.split(layer.weight, list(sizes), dim=1)
        found = [nn.functional.linear(x, w) for x, w in zip(parts, columns, strict=True)]
        found[-1] = found[-1] + layer.bias
        return found

    @property
    def last_layer(self) -> nn.Linear:
        """The layer that gives the output."""
        last = self[len(self) - 1]
        assert isinstance(last, nn.Linear)
        return last

    def activate(self, x: torch.Tensor) -> torch.Tensor:
        """The activation that stands after each hidden layer."""
        return self._activation(x)


class Trunk(nn.Module):
    """Prices of pairs, embeddings of drivers and bookings, and what sums up the board."""

    def __init__(self, spec: PairwiseSpec, groups: Groups, generator: torch.Generator) -> None:
        super().__init__()
        self.spec, self.groups = spec, groups
        e, how = spec.embedding, spec.activation
        driver = [len(groups.driver) + DRIVER_RELATIONS, e, e]
        place = [len(groups.place) + PLACE_RELATIONS, e, e]
        context = [len(groups.world) + 4 * e, spec.hidden[0]]
        self.price = Perceptron([len(groups.pair), PRICE, 1], how, 0.01, generator)
        self.driver = Perceptron(driver, how, None, generator)
        self.place = Perceptron(place, how, None, generator)
        self.context = Perceptron(context, how, None, generator)

    def read(self, x: torch.Tensor) -> tuple[BoardTensors, Lowest]:
        """Scaled observations (B, F), drivers and places with the relations of priced pairs."""
        board = read_board(x, self.groups, self.spec.clip)
        prices = self.price(board.pair)[:, 0]
        priced = board.cost.flatten().index_add(0, board.feasible, prices).view_as(board.cost)
        priced = priced.clamp(max=NEVER)
        of_driver, of_place, lowest = relations(priced)
        board = board._replace(
            driver=torch.cat([board.driver, of_driver], -1),
            place=torch.cat([board.place, of_place], -1),
            cost=priced,
        )
        return board, lowest

    def sum_up(self, board: BoardTensors) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Embeddings (B, D, E) and (B, P, E), and the context (B, H)."""
        driver, place = self.driver(board.driver), self.place(board.place)
        pooled = [*self._pooled(driver, board.present), *self._pooled(place, board.shown)]
        return driver, place, self.context(torch.cat([board.world, *pooled], 1))

    def _pooled(self, rows: torch.Tensor, there: torch.Tensor) -> list[torch.Tensor]:
        floor = self.spec.activation_floor
        mean = (rows * there).sum(1) / there.sum(1).clamp(min=1.0)
        return [mean, ((rows - floor) * there).amax(1)]


class PairwiseActor(Trunk):
    """Logits (or values) of waiting, of every pair and, where there are any, of every refusal.

    Args:
        groups: how the input is cut.
        output_gain: scale of the last layers; 0.01 makes the first policy near uniform.
    """

    def __init__(
        self,
        spec: PairwiseSpec,
        groups: Groups,
        generator: torch.Generator,
        output_gain: float = 0.01,
    ) -> None:
        super().__init__(spec, groups, generator)
        e, h, how = spec.embedding, spec.hidden[0], spec.activation
        pair = [len(groups.pair) + PAIR_RELATIONS + 2 * e + h, *spec.hidden, 1]
        self.pair = Perceptron(pair, how, output_gain, generator)
        self.reject: Perceptron | None = None
        if groups.words.refusals:
            self.reject = Perceptron([e + h, h, 1], how, output_gain, generator)
        self.wait = Perceptron([h, h, 1], how, output_gain, generator)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scaled observations (B, F) -> (B, A); 0 for a pair that is not feasible."""
        board, lowest = self.read(x)
        driver, place, context = self.sum_up(board)
        compared = pair_relations(board.cost, lowest, board.feasible)
        board = board._replace(pair=torch.cat([board.pair, compared], -1))
        said = [self.wait(context), self._pairs(board, driver, place, context)]
        if self.reject is not None:
            refused = self.reject.split_first(
                [place, context[:, None]], [place.shape[-1], context.shape[-1]]
            )
            reject = self.reject(self.reject.activate(refused[0] + refused[1]), first=1)
            said.append(reject[..., 0])
        return torch.cat(said, 1)

    def _pairs(
        self,
        board: BoardTensors,
        driver: torch.Tensor,
        place: torch.Tensor,
        context: torch.Tensor,
    ) -> torch.Tensor:
        """(B, D x P); only feasible pairs are computed, which are about a third of all."""
        count, drivers, places = board.cost.shape
        flat = board.feasible
        of_driver = flat // places
        of_place = of_driver // drivers * places + flat % places
        parts = [board.pair, driver, place, context]
        row, mine, theirs, shared = self.pair.split_first(parts, [p.shape[-1] for p in parts])
        x = row + (mine + shared[:, None]).flatten(0, 1).index_select(0, of_driver)
        x = x + theirs.flatten(0, 1).index_select(0, of_place)
        scores = self.pair(self.pair.activate(x), first=1)[:, 0]
        logits = scores.new_zeros(count * drivers * places)
        logits = torch.index_copy(logits, 0, flat, scores).view(count, drivers, places)
        left_out = self.groups.places - places
        return nn.functional.pad(logits, (0, left_out)).flatten(1)

    def output_layers(self) -> list[nn.Linear]:
        """The layers that give the logits."""
        parts = (self.pair, self.reject, self.wait)
        return [part.last_layer for part in parts if part is not None]

    def to_arrays(self) -> NetworkArrays:
        """Itself, as a copy in numpy."""
        weights = {
            f"actor.{name}": value.detach().cpu().numpy().copy()
            for name, value in self.state_dict().items()
        }
        return NetworkArrays(self.spec, weights)


class PairwiseCritic(Trunk):
    """The value of a board."""

    def __init__(self, spec: PairwiseSpec, groups: Groups, generator: torch.Generator) -> None:
        super().__init__(spec, groups, generator)
        h = spec.hidden[0]
        self.value = Perceptron([h, h, 1], spec.activation, 1.0, generator)

    @property
    def last_layer(self) -> nn.Linear:
        """The layer that gives the value."""
        return self.value.last_layer

    def values(self, x: torch.Tensor) -> torch.Tensor:
        """(B, F) -> (B, 1)."""
        return self(x)  # type: ignore[no-any-return]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scaled observations (B, F) -> (B, 1)."""
        return self.value(self.sum_up(self.read(x)[0])[2])  # type: ignore[no-any-return]

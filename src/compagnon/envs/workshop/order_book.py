"""Demand from a real order book: a CSV read row by row, each bad row reported."""

from dataclasses import dataclass
import numpy as np
from numpy.typing import NDArray
from compagnon.envs.workshop import rules as R


@dataclass(frozen=True)
class OrderBook:
    demand: NDArray[np.int32]

    def weekly_demand(self) -> NDArray[np.int32]:
        return self.demand


def read_order_book(path: str) -> OrderBook:
    raise NotImplementedError

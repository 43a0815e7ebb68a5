"""The shop itself: products, what is seen, what can be ordered, what that costs; a rule to beat."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError

DAYS: Final = 28
WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
AHEAD: Final = 4  # days that an order must last for: today, and the three that a delivery may take
VAN: Final = 5  # crates that the van carries in one day
VAN_FEE: Final = 12.0  # of a day with an order, whatever is on it
# Every order that there is, crates of each product: (64, 3); an action is the number of a row.
ORDERS: Final = np.array(list(itertools.product(range(4), repeat=3)))


class Product(NamedTuple):
    """What is sold: sizes in units, money a unit (holding: a day), mean demand by weekday."""

    name: str
    crate: int
    room: int
    price: float
    cost: float
    holding: float
    shortage: float
    demand: tuple[float, ...]
    order_days: tuple[int, ...]


PRODUCTS: Final = (
    Product("bread", 10, 80, 3.0, 1.6, 0.12, 0.5, (9, 9, 10, 11, 16, 22, 5), (0, 1, 2, 3, 4, 5)),
    Product("milk", 12, 90, 1.8, 1.0, 0.04, 0.3, (14, 12, 12, 12, 15, 18, 8), (0, 1, 2, 3, 4, 5)),
    Product("cheese", 6, 48, 9.0, 5.5, 0.10, 1.0, (3, 2, 3, 3, 6, 8, 2), (0, 3)),
)
# Demand to be expected over the coming days: (products, weekdays).
EXPECTED: Final = np.array(
    [[sum(p.demand[(day + k) % 7] for k in range(AHEAD)) for day in range(7)] for p in PRODUCTS]
)


@dataclass
class Shelf:
    """One product: units on the shelf; crates that come in 1, 2 and 3 days, in the morning."""

    stock: int
    coming: list[int] = field(default_factory=lambda: [0, 0, 0])


@dataclass
class Shop:
    """The shop on the morning of a day; day 0 is a Monday."""

    day: int
    bread: Shelf
    milk: Shelf
    cheese: Shelf

    @property
    def stocked(self) -> list[tuple[Product, Shelf]]:
        """Each product and its shelf."""
        return list(zip(PRODUCTS, (self.bread, self.milk, self.cheese), strict=True))


def observe(shop: Shop) -> NDArray[np.float64]:
    """What a policy sees, in the order of `env.FIELDS`."""
    values = [DAYS - shop.day, *(shop.day % 7 == day for day in range(7))]
    for (product, shelf), expected in zip(shop.stocked, EXPECTED, strict=True):
        tomorrow, on_order = product.crate * shelf.coming[0], product.crate * sum(shelf.coming)
        values += [shelf.stock, tomorrow, on_order, expected[shop.day % 7]]
    return np.array(values, np.float64)


def obstacles(shop: Shop) -> Iterator[tuple[NDArray[np.bool_], str]]:
    """What stands against some of the orders: which, (64,), and why."""
    yield ORDERS.sum(axis=1) > VAN, f"the van carries {VAN} crates a day"
    for crates, (product, shelf) in zip(ORDERS.T, shop.stocked, strict=True):
        if shop.day % 7 not in product.order_days:
            weekday = WEEKDAYS[shop.day % 7]
            yield crates > 0, f"nobody takes orders of {product.name} on a {weekday}"
        room = (product.room - shelf.stock) // product.crate - sum(shelf.coming)
        yield crates > room, f"the shelf of {product.name} has room for {room} crates more"


def possible(shop: Shop) -> NDArray[np.bool_]:
    """Which orders can be given, (64,)."""
    return ~np.logical_or.reduce([forbidden for forbidden, _ in obstacles(shop)])


def expected_costs(shop: Shop, van_fee: float) -> NDArray[np.float64]:
    """What each order costs in the coming days, (64,): the van, sales missed, units left."""
    costs = van_fee * (ORDERS.sum(axis=1) > 0).astype(np.float64)
    for k, (product, shelf) in enumerate(shop.stocked):
        mean = EXPECTED[k, shop.day % 7]
        demand = np.arange(1, 4 * int(mean) + 20)  # as likely as Poisson says
        chances = np.exp(demand * np.log(mean) - mean - np.log(demand).cumsum())
        has = shelf.stock + product.crate * (sum(shelf.coming) + ORDERS[:, k])
        missed = np.maximum(demand - has[:, None], 0) @ chances
        costs += missed * (product.price - product.cost + product.shortage)
        costs += (has - mean + missed) * product.holding * AHEAD
    return np.where(possible(shop), costs, np.nan)


def order_in_words(action: int) -> str:
    """``order 2 bread, 1 cheese``."""
    crates = zip(ORDERS[action].tolist(), PRODUCTS, strict=True)
    return f"order {', '.join(f'{n} {product.name}' for n, product in crates if n) or 'nothing'}"


class MinMax:
    """``expert:inventory-min-max[:s-S]``: below s order up to S, shares of the expected demand."""

    def __init__(self, schema: Any, argument: str | None = None) -> None:
        self.name = f"expert:inventory-min-max{f':{argument}' if argument else ''}"
        try:
            self._low, self._high = map(float, (argument or "0.9-1.3").split("-"))
        except ValueError:
            raise InputError(f"{self.name}: give two shares, such as 0.9-1.3") from None
        self._columns = [
            [schema.observation.names.index(f"{product.name}_{what}") for product in PRODUCTS]
            for what in ("stock", "on_order", "expected")
        ]

    def act(self, obs: Any, action_mask: Any = None, rng: Any = None) -> Any:
        """(N, F), (N, 64) -> (N,): of what is possible, what comes nearest to what is wanted."""
        stock, on_order, expected = (obs[:, columns] for columns in self._columns)
        has = stock + on_order
        wanted = np.where(has < self._low * expected, self._high * expected - has, 0.0)
        crates = np.ceil(wanted / [product.crate for product in PRODUCTS])
        apart = np.abs(crates[:, None] - ORDERS).sum(axis=2)
        return np.where(True if action_mask is None else action_mask, apart, np.inf).argmin(axis=1)

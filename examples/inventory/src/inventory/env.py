"""Four weeks of the shop, as a Gymnasium environment."""

from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium import spaces

from compagnon.envs import Field
from inventory import shop
from inventory.pictures import picture

FIELDS: Final = (
    Field("days_left", "days", 0, shop.DAYS, meaning="until the four weeks are over"),
    *(Field(day.lower(), "", 0, 1, meaning=f"1 on a {day}") for day in shop.WEEKDAYS),
    *(
        Field(f"{product.name}_{name}", "units", 0, high, meaning=meaning)
        for product in shop.PRODUCTS
        for name, high, meaning in (
            ("stock", product.room, "on the shelf"),
            ("tomorrow", product.room, "to come tomorrow"),
            ("on_order", product.room, "to come, tomorrow included"),
            ("expected", 100, f"mean demand of the coming {shop.AHEAD} days"),
        )
    ),
)
TERMS: Final = ("sales", "purchases", "holding", "shortage", "van")
SERVED: Final = tuple(f"served_{product.name}" for product in shop.PRODUCTS)


class InventoryEnv(gymnasium.Env[Any, Any]):
    """Each morning the shop orders 0 to 3 crates of each of three products."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 4}
    observation_fields, reward_term_names, kpi_names = FIELDS, TERMS, ("profit", *SERVED, "vans")
    observation_space = spaces.Box(*np.array([(f.low, f.high) for f in FIELDS], np.float32).T)
    action_space = spaces.Discrete(len(shop.ORDERS))

    def __init__(self, render_mode: str | None = None, van_fee: float = shop.VAN_FEE) -> None:
        self.render_mode, self.van_fee = render_mode, van_fee

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Begin on a Monday. All demand and all delays are drawn now, the same for everybody."""
        super().reset(seed=seed)
        weeks = np.resize(np.transpose([p.demand for p in shop.PRODUCTS]), (shop.DAYS, len(SERVED)))
        self._demand = self.np_random.poisson(weeks)
        self._delays = self.np_random.integers(0, shop.AHEAD - 1, weeks.shape)
        self.shop = shop.Shop(0, *(shop.Shelf(2 * product.crate) for product in shop.PRODUCTS))
        self._sold, self._vans, self._profit = np.zeros(len(shop.PRODUCTS)), 0, 0.0
        return shop.observe(self.shop).astype(np.float32), {"action_mask": shop.possible(self.shop)}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One day: order, sell, and receive what comes the next morning."""
        state, crates = self.shop, shop.ORDERS[int(action)].tolist()
        terms = dict.fromkeys(TERMS, 0.0)
        if not shop.possible(state)[int(action)]:
            raise ValueError(f"{shop.order_in_words(int(action))} is not possible")
        terms["van"] = -self.van_fee * any(crates)
        for k, (product, shelf) in enumerate(state.stocked):
            shelf.coming[self._delays[state.day, k]] += crates[k]
            wanted = int(self._demand[state.day, k])
            sold = min(wanted, shelf.stock)
            shelf.stock -= sold
            self._sold[k] += sold
            terms["sales"] += product.price * sold
            terms["purchases"] -= product.cost * product.crate * crates[k]
            terms["holding"] -= product.holding * shelf.stock
            terms["shortage"] -= product.shortage * (wanted - sold)
            shelf.stock += product.crate * shelf.coming[0]
            shelf.coming = [*shelf.coming[1:], 0]
        state.day += 1
        reward = sum(terms.values())
        self._vans, self._profit = self._vans + any(crates), self._profit + reward
        info: dict[str, Any] = {"action_mask": shop.possible(state), "reward_terms": terms}
        if state.day == shop.DAYS:
            served = self._sold / np.maximum(self._demand.sum(axis=0), 1)
            info["kpis"] = [self._profit, *served, self._vans]
        return shop.observe(state).astype(np.float32), reward, state.day == shop.DAYS, False, info

    def render(self) -> Any:
        return picture(self.shop)

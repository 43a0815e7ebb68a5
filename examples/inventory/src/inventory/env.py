"""Four weeks of the shop, as a Gymnasium environment."""

from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium import spaces

from compagnon.envs import Field
from inventory import shop as S
from inventory.pictures import picture

FIELDS: Final = (
    Field("days_left", "days", 0, S.DAYS, meaning="until the four weeks are over"),
    *(Field(day.lower(), "", 0, 1, meaning=f"1 on a {day}") for day in S.WEEKDAYS),
    *(
        Field(f"{product.name}_{name}", "units", 0, high, meaning=meaning)
        for product in S.PRODUCTS
        for name, high, meaning in (
            ("stock", product.room, "on the shelf"),
            ("tomorrow", product.room, "to come tomorrow"),
            ("on_order", product.room, "to come, tomorrow included"),
            ("expected", 100, f"mean demand of the coming {S.AHEAD} days"),
        )
    ),
)
TERMS: Final = ("sales", "purchases", "holding", "shortage", "van")
SERVED: Final = tuple(f"served_{product.name}" for product in S.PRODUCTS)


class InventoryEnv(gymnasium.Env[Any, Any]):
    """Each morning the shop orders 0 to 3 crates of each of three products."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 4}
    observation_fields, reward_term_names, kpi_names = FIELDS, TERMS, ("profit", *SERVED, "vans")
    observation_space = spaces.Box(*np.array([(f.low, f.high) for f in FIELDS], np.float32).T)
    action_space = spaces.Discrete(len(S.ORDERS))

    def __init__(self, render_mode: str | None = None, van_fee: float = S.VAN_FEE) -> None:
        self.render_mode, self.van_fee = render_mode, van_fee

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Begin on a Monday. All demand and all delays are drawn now, the same for everybody."""
        super().reset(seed=seed)
        weeks = np.resize(np.array([p.demand for p in S.PRODUCTS]).T, (S.DAYS, len(S.PRODUCTS)))
        self._demand = self.np_random.poisson(weeks)
        self._delays = self.np_random.integers(0, S.AHEAD - 1, weeks.shape)
        self.shop = S.Shop(0, *(S.Shelf(2 * product.crate) for product in S.PRODUCTS))
        self._sold, self._vans, self._profit = np.zeros(len(S.PRODUCTS)), 0, 0.0
        return S.observe(self.shop).astype(np.float32), {"action_mask": S.possible(self.shop)}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One day: order, sell, and receive what comes the next morning."""
        shop, crates, terms = self.shop, S.ORDERS[int(action)].tolist(), dict.fromkeys(TERMS, 0.0)
        if not S.possible(shop)[int(action)]:
            raise ValueError(f"{S.order_in_words(int(action))} is not possible")
        terms["van"] = -self.van_fee * any(crates)
        for k, (product, shelf) in enumerate(shop.stocked):
            shelf.coming[self._delays[shop.day, k]] += crates[k]
            wanted = int(self._demand[shop.day, k])
            sold = min(wanted, shelf.stock)
            shelf.stock -= sold
            self._sold[k] += sold
            terms["sales"] += product.price * sold
            terms["purchases"] -= product.cost * product.crate * crates[k]
            terms["holding"] -= product.holding * shelf.stock
            terms["shortage"] -= product.shortage * (wanted - sold)
            shelf.stock += product.crate * shelf.coming[0]
            shelf.coming = [*shelf.coming[1:], 0]
        shop.day += 1
        reward = sum(terms.values())
        self._vans, self._profit = self._vans + any(crates), self._profit + reward
        info: dict[str, Any] = {"action_mask": S.possible(shop), "reward_terms": terms}
        if shop.day == S.DAYS:
            served = self._sold / np.maximum(self._demand.sum(axis=0), 1)
            info["kpis"] = [self._profit, *served, self._vans]
        return S.observe(shop).astype(np.float32), reward, shop.day == S.DAYS, False, info

    def render(self) -> Any:
        return picture(self.shop)

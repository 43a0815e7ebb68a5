"""The shop as a world: its words, how its states are read, its keys, and where the rest stands."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import gymnasium

from compagnon.errors import InputError
from compagnon.evaluation.labels import KpiLabel, WorldLabels
from compagnon.worlds import World
from compagnon.worlds.codec import StateCodec
from compagnon.worlds.controls import Parts
from compagnon.worlds.game import Game
from inventory import pictures, shop
from inventory.env import FIELDS, SERVED, TERMS

ENV_ID: Final = "shop/Inventory-v0"
FRENCH: Final = ("ventes", "achats", "stockage", "ruptures", "tournées", "pain", "lait", "fromage")


class ShopCodec(StateCodec[shop.Shop]):
    """Reads shops for a policy that sees some of the fields."""

    kind = shop.Shop
    description = "the shop on a morning: the day, and each product's shelf and what is on its way"
    example = {"day": 4, "bread": {"stock": 14}, "milk": {"stock": 30}, "cheese": {"stock": 9}}

    def __init__(self, names: Sequence[str], van_fee: float) -> None:
        places = {one.name: place for place, one in enumerate(FIELDS)}
        self._columns, self._van_fee = [places[name] for name in names], van_fee

    def look(self, state: shop.Shop) -> tuple[Any, Any]:
        if not 0 <= state.day < shop.DAYS:
            raise InputError(f"day is {state.day}; it should be 0 to {shop.DAYS - 1}")
        for product, shelf in state.stocked:
            name, most = product.name, product.room
            if not 0 <= shelf.stock <= most:
                raise InputError(f"{name}.stock is {shelf.stock}; it should be 0 to {most}")
            if len(shelf.coming) != 3 or min(shelf.coming) < 0:
                raise InputError(f"{name}.coming: it should be crates in 1, 2 and 3 days")
            if shelf.stock + product.crate * sum(shelf.coming) > most:
                raise InputError(f"{name}.coming: the shelf has room for {most} units")
        return shop.observe(state)[self._columns], shop.possible(state)

    def why_impossible(self, state: shop.Shop, action: int) -> str | None:
        return next((why for forbidden, why in shop.obstacles(state) if forbidden[action]), None)

    def candidate_costs(self, state: shop.Shop) -> Any:
        return shop.expected_costs(state, self._van_fee)

    def draw(self, state: shop.Shop) -> str:
        return pictures.shop_svg(state)


class Inventory(World):
    """A shop that orders three products."""

    name = "inventory"
    env_ids = (ENV_ID,)

    def register(self) -> None:
        if ENV_ID not in gymnasium.registry:
            gymnasium.register(ENV_ID, entry_point="inventory.env:InventoryEnv")

    def experts(self) -> Mapping[str, str]:
        return {"inventory-min-max": "inventory.shop:MinMax"}

    def labels(self) -> WorldLabels:
        return WorldLabels(
            episode="month",
            profit_terms=TERMS,
            served=SERVED,
            english={"holding": "stock held", "shortage": "being short", "vans": "days with a van"},
            french=dict(zip((*TERMS, *SERVED), FRENCH, strict=True)),
            units={**dict.fromkeys(TERMS, "money"), "vans": "days"},
            card={"Service": tuple(KpiLabel(k, k[7:], "more", ".1%") for k in SERVED)},
        )

    def action_labels(self, schema: Any) -> Sequence[str]:
        return [shop.order_in_words(action) for action in range(schema.action.n)]

    def state_codec(self, schema: Any, env_args: dict[str, Any]) -> ShopCodec:
        return ShopCodec(schema.observation.names, env_args.get("van_fee", shop.VAN_FEE))

    def report_part(self, evaluation: Any, policies: Any = (), times: bool = True) -> Any:
        return pictures.report_part(evaluation, policies)

    def draw_episode(self, policies: Any, env_args: dict[str, Any], seed: int) -> Any:
        return pictures.draw_episode(policies, env_args, seed)

    def game(self) -> Game:
        return Game(
            name="inventory",
            title="Inventory",
            goal="Four weeks of a shop: be seldom short, keep little, and fill the van.",
            env_id=ENV_ID,
            controls=(Parts(tuple(p.name for p in shop.PRODUCTS), (4, 4, 4), shop.order_in_words),),
            legend=(("A D", "which product"), ("W S", "how many crates"), ("Enter", "order")),
            fps=12,
            time_unit="day",
        )


INVENTORY: Final = Inventory()

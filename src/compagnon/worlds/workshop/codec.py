"""Reads shops for policies of the workshop, without its kernel."""

import numpy as np
from numpy.typing import NDArray

from compagnon.policy import Schema
from compagnon.worlds.codec import StateCodec
from compagnon.worlds.workshop.drawing import shop_svg
from compagnon.worlds.workshop.fields import FIELDS
from compagnon.worlds.workshop.state import ShopState


class ShopCodec(StateCodec[ShopState]):
    """Reads shops for policies that see some of the fields.

    Args:
        schema: of the policy.
    """

    kind = ShopState
    description = "a shop; the fields and the mask follow from it"
    # Wednesday at ten: M1 stands ready for P2, M2 is broken down, and twelve P1 are waited for.
    example = {  # noqa: RUF012
        "time": 3480, "raw": 18, "p1": 0, "p2_inter": 4, "p2": 1, "backlog_p1": 12,
        "raw_in_transit": 30, "next_delivery": 60, "m1_ready_for": "p2_step1", "m2_down": True,
    }  # fmt: skip

    def __init__(self, schema: Schema) -> None:
        place = {field.name: index for index, field in enumerate(FIELDS)}
        self._columns = np.array([place[name] for name in schema.observation.names], np.int64)

    def look(self, state: ShopState) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Field values and mask of a shop."""
        return state.values()[self._columns], state.mask()

    def why_impossible(self, state: ShopState, action: int) -> str | None:
        """What a machine does, or what is missing."""
        return state.why_impossible(action)

    def draw(self, state: ShopState) -> str:
        """Stocks, machines and backlog."""
        return shop_svg(state)

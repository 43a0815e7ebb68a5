"""Look-ahead in the workshop: which launches are tried, and how the coming days are drawn."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.policy.protocol import Policy
from compagnon.policy.schema import Schema
from compagnon.worlds.lookahead import LookAhead, look_ahead
from compagnon.worlds.workshop import constants
from compagnon.worlds.workshop.experts.experts import WorkshopRule
from compagnon.worlds.workshop.experts.finishing import finish
from compagnon.worlds.workshop.vector import WorkshopVectorEnv

NAME: Final = "expert:workshop-rollout"
USUAL: Final = "workshop-base-stock"
SIZES: Final = (10, 25, 50, 5, 40, 1, 17, 32)  # of batches that are tried


class WorkshopForks:
    """Two days ahead; to wait, and batches of every family in a few sizes."""

    horizon: int = 2 * constants.MINUTES_PER_DAY
    most = 16

    def redraw(self, vec: WorkshopVectorEnv, seeds: NDArray[np.uint64]) -> None:
        """Demand, breakdowns, rushes and deliveries from now on."""
        vec.redraw(seeds)

    def rest(self, vec: WorkshopVectorEnv) -> NDArray[np.float64]:
        """Nothing: stock is worth what was paid for it."""
        return np.zeros(vec.num_envs)

    def finish(
        self,
        vec: WorkshopVectorEnv,
        first: NDArray[np.int64],
        below: Policy,
        roots: NDArray[np.int64],  # noqa: ARG002
    ) -> NDArray[np.float64] | None:
        """Compiled, where a rule of its own plays on."""
        if not isinstance(below, WorkshopRule):
            return None
        return finish(vec.core, first, below, self.horizon)

    def candidates(
        self,
        schema: Schema,  # noqa: ARG002
        obs: NDArray[np.float32],  # noqa: ARG002
        action_mask: NDArray[np.bool_],
    ) -> NDArray[np.int64]:
        """To wait, then one size after the other of all families that can be launched."""
        families = (
            constants.STEP2_START,
            constants.STEP1_START,
            constants.P1_START,
            constants.ORDER_START,
        )
        tried = [constants.WAIT, *(start + size - 1 for size in SIZES for start in families)]
        return np.array([action for action in tried if action_mask[action]], np.int64)


def rollout(schema: Schema, argument: str | None = None) -> LookAhead:
    """``expert:workshop-rollout[:POLICY][:K]``: look-ahead, see `worlds.lookahead.look_ahead`.

    Raises:
        InputError: another environment, no such policy, or K out of its range.
    """
    return look_ahead(NAME, schema, argument, WorkshopForks(), USUAL)

"""Look-ahead on a day of dispatch: which pairs are tried, and how the rest of the day is drawn."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.policy.protocol import Policy
from compagnon.policy.schema import Schema
from compagnon.worlds.dispatch.experts.experts import CompiledRule, ObservationReader
from compagnon.worlds.dispatch.experts.finishing import finish
from compagnon.worlds.dispatch.experts.rules import NEVER
from compagnon.worlds.dispatch.kernel import WAIT
from compagnon.worlds.dispatch.vector import DispatchVectorEnv
from compagnon.worlds.lookahead import LookAhead, look_ahead

NAME: Final = "expert:dispatch-rollout"
USUAL: Final = "dispatch-regret:3:opportunity"
DRIVERS: Final = 3  # that are tried for one booking, the cheapest ones


class DispatchForks:
    """The day to its end; to wait, and of each booking its cheapest drivers.

    To refuse is not tried: in this world a ride that nobody takes costs the same when its window
    ends, and may still be taken until then.
    """

    horizon: int | None = None
    most = 12

    def __init__(self, schema: Schema) -> None:
        self._read = ObservationReader(NAME, schema)

    def redraw(self, vec: DispatchVectorEnv, seeds: NDArray[np.uint64]) -> None:
        """See `futures`."""
        vec.redraw(seeds)

    def finish(
        self, vec: DispatchVectorEnv, first: NDArray[np.int64], below: Policy
    ) -> NDArray[np.float64] | None:
        """Compiled, where a rule of its own plays on."""
        return finish(vec.core, first, below) if isinstance(below, CompiledRule) else None

    def candidates(
        self,
        schema: Schema,  # noqa: ARG002
        obs: NDArray[np.float32],
        action_mask: NDArray[np.bool_],
    ) -> NDArray[np.int64]:
        """To wait, then pairs by what they add to the cost."""
        cost = self._read(obs[None], action_mask[None]).cost[0]
        rank = cost.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")
        worth = np.where(rank < DRIVERS, cost, NEVER).reshape(-1)
        order = worth.argsort(kind="stable")
        pairs = order[worth[order] < NEVER] + 1
        return np.concatenate([[WAIT], pairs]).astype(np.int64)


def rollout(schema: Schema, argument: str | None = None) -> LookAhead:
    """``expert:dispatch-rollout[:POLICY][:K]``: look-ahead, see `worlds.lookahead.look_ahead`.

    Raises:
        InputError: another environment, no such policy, or K out of its range.
    """
    return look_ahead(NAME, schema, argument, DispatchForks(schema), USUAL)

"""Look-ahead on a day of dispatch: what is tried, and how the rest of the day is drawn and played.

Of the futures only the next hours are played; what is planned by then is reckoned as planned. The
rule that plays on moves no planned rides, since to look for moves takes most of its time.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.policy.protocol import Policy
from compagnon.policy.schema import Schema
from compagnon.worlds.dispatch.experts.experts import CompiledRule, ObservationReader
from compagnon.worlds.dispatch.experts.finishing import play, rest_of
from compagnon.worlds.dispatch.experts.rules import NEVER, Boards
from compagnon.worlds.dispatch.insertion import TIGHT, TIGHT_MINUTES
from compagnon.worlds.dispatch.kernel import WAIT
from compagnon.worlds.dispatch.vector import DispatchVectorEnv
from compagnon.worlds.lookahead import LookAhead, look_ahead

NAME: Final = "expert:dispatch-rollout"
USUAL: Final = "dispatch-regret:clinic"
HORIZON: Final = 240  # minutes
MOST: Final = 20
PLACES: Final = 8  # open bookings whose best drivers are tried, those first that would miss most
MOVES: Final = 6  # planned rides that are tried elsewhere, ...
DEAREST_MOVE: Final = 15.0  # ... where that costs no more: it may make room


class DispatchForks:
    """The next hours, and what is planned then."""

    horizon: int | None = HORIZON
    most = MOST
    moves = False  # whether the rule that plays on moves planned rides

    def __init__(self, schema: Schema) -> None:
        self._read = ObservationReader(NAME, schema)

    def redraw(self, vec: DispatchVectorEnv, seeds: NDArray[np.uint64]) -> None:
        """See `futures`."""
        vec.redraw(seeds)

    def rest(self, vec: DispatchVectorEnv) -> NDArray[np.float64]:
        """What is planned, as planned, and a refusal of whoever is open."""
        return rest_of(vec.core)

    def finish(
        self,
        vec: DispatchVectorEnv,
        first: NDArray[np.int64],
        below: Policy,
        roots: NDArray[np.int64],
    ) -> NDArray[np.float64] | None:
        """Compiled, where a rule of its own plays on."""
        if not isinstance(below, CompiledRule):
            return None
        minutes = np.inf if self.horizon is None else float(self.horizon)
        return play(
            vec.core, below.rule, below.numbers, first, minutes, moves=self.moves, alike=roots
        )

    def candidates(
        self,
        schema: Schema,  # noqa: ARG002
        obs: NDArray[np.float32],
        action_mask: NDArray[np.bool_],
    ) -> NDArray[np.int64]:
        """To wait, drivers of open bookings, moves of planned rides, and to decline.

        The bookings that would miss most come first; the order in which the others get their best
        drivers makes little difference.
        """
        boards = self._read(obs[None], action_mask[None])
        cost = _open_costs(boards)
        drivers, places = cost.shape
        ranked = cost.argsort(axis=0, kind="stable")
        lowest = np.minimum(np.take_along_axis(cost, ranked, axis=0), boards.refusal[0])
        missed = (lowest[1:3] - lowest[0]).sum(axis=0)
        able = np.flatnonzero(cost.min(axis=0) < NEVER)
        able = able[(-missed[able]).argsort(kind="stable")]
        tried = [(WAIT, 0)]  # and what comes first: the lower number

        def driver(rank: int, place: int, number: int) -> None:
            if rank < drivers and cost[ranked[rank, place], place] < NEVER:
                tried.append((1 + int(ranked[rank, place]) * places + place, number))

        for k, place in enumerate(able[:PLACES].tolist()):
            driver(0, place, 1)
            driver(1, place, 2 + 2 * k)
            driver(2, place, 4 + 2 * k)
        moves = np.where(boards.promised[0] > 0.0, boards.cost[0], NEVER).reshape(-1)
        for k, pair in enumerate(moves.argsort(kind="stable")[:MOVES].tolist()):
            if moves[pair] < DEAREST_MOVE:
                tried.append((1 + pair, 2 + k))
        first = 1 + drivers * places
        lost = np.flatnonzero(action_mask[first:] & (cost.min(axis=0) >= NEVER))
        for k, place in enumerate([*able[:2].tolist(), *lost[:2].tolist()]):
            if action_mask[first + place]:
                tried.append((first + place, 3 + k))
        return np.array([action for action, _ in sorted(tried, key=_second)], np.int64)


def _second(pair: tuple[int, int]) -> int:
    return pair[1]


def _open_costs(boards: Boards) -> NDArray[np.float64]:
    """What open bookings add with each driver, tight plans priced, (D, B)."""
    tight = TIGHT * np.exp(-boards.slack[0] / TIGHT_MINUTES)
    possible = (boards.cost[0] < NEVER) & (boards.promised[0] == 0.0)
    return np.where(possible, boards.cost[0] + tight, NEVER)


def rollout(schema: Schema, argument: str | None = None) -> LookAhead:
    """``expert:dispatch-rollout[:POLICY][:K]``: look-ahead, see `worlds.lookahead.look_ahead`.

    Raises:
        InputError: another environment, no such policy, or K out of its range.
    """
    return look_ahead(NAME, schema, argument, DispatchForks(schema), USUAL)

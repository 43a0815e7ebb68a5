"""The short rules of dispatch, compiled: each looks at every possible pair of a board."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compagnon.envs.kernels import cached_njit

NEAREST, EARLIEST, LEAST_LOADED, INSERTION, REGRET = range(5)
NEVER = 1e6  # cost of a pair that is not possible; more than any possible one


class Boards(NamedTuple):
    """What the rules see of N boards with D drivers and B places, in physical units.

    Attributes:
        cost, approach: (N, D, B) cost added, and minutes of driving to the pickup; `NEVER` where
            the pair is not possible.
        slack: (N, D, B) least minutes before a limit of a stop that the pair adds or moves.
        boards_in: (N, D, B) minutes until boarding begins.
        stops: (N, D) stops ahead of each driver.
        deadline: (N, B) minutes until the pickup window ends.
        shown: (N, B) 1 where the place is taken.
        behind: (N,) open bookings that the board has no place for.
        refusal: (N, B) what it costs to decline the booking: a refusal with the return that hangs
            on it, or a taxi for who must get home.
        promised: (N, B) 1 where the ride is in a plan already, and `cost` what it adds elsewhere
            beside its place now.
        answer_price: (N, B) cost of a minute without an answer.
        answer_left: (N, B) minutes after which no answer is a refusal.
    """

    cost: NDArray[np.float64]
    approach: NDArray[np.float64]
    slack: NDArray[np.float64]
    boards_in: NDArray[np.float64]
    stops: NDArray[np.float64]
    deadline: NDArray[np.float64]
    shown: NDArray[np.float64]
    behind: NDArray[np.float64]
    refusal: NDArray[np.float64]
    promised: NDArray[np.float64]
    answer_price: NDArray[np.float64]
    answer_left: NDArray[np.float64]


@cached_njit
def taken_places(boards: Boards, n: int) -> int:
    """How many places of board `n` are taken: the first ones, and none behind them is."""
    taken = 0
    while taken < boards.shown.shape[1] and boards.shown[n, taken] > 0.0:
        taken += 1
    return taken


@cached_njit
def best_pairs(boards: Boards, rule: int, actions: NDArray[np.int64]) -> None:
    """The open pair that each board's rule likes best, as an action; -1 where none is possible.

    The nearest pickup; the deadline that comes first, by the nearest driver; the driver with the
    fewest stops ahead, and the pickup nearest to one of those; the pair that adds the least cost.
    The first of equals wins.
    """
    count, drivers, places = boards.cost.shape
    for n in range(count):
        actions[n] = -1
        first, second = np.inf, np.inf
        taken = taken_places(boards, n)
        for d in range(drivers):
            for j in range(taken):
                if boards.cost[n, d, j] >= NEVER or boards.promised[n, j] > 0.0:
                    continue
                key, then = 0.0, boards.approach[n, d, j]
                if rule == EARLIEST:
                    key = boards.deadline[n, j]
                elif rule == LEAST_LOADED:
                    key = boards.stops[n, d]
                elif rule == INSERTION:
                    key = boards.cost[n, d, j]
                if key < first or (key == first and then < second):
                    first, second = key, then
                    actions[n] = 1 + d * places + j


@cached_njit
def best_moves(boards: Boards, worth: float, actions: NDArray[np.int64]) -> None:
    """Replace -1 and 0 by the move of a planned ride that saves most, if one saves `worth`."""
    count, drivers, places = boards.cost.shape
    for n in range(count):
        if actions[n] > 0:
            continue
        least = -worth
        taken = taken_places(boards, n)
        for d in range(drivers):
            for j in range(taken):
                if boards.promised[n, j] > 0.0 and boards.cost[n, d, j] < least:
                    least = boards.cost[n, d, j]
                    actions[n] = 1 + d * places + j


@cached_njit
def make_way(boards: Boards, actions: NDArray[np.int64]) -> None:
    """Replace -1: decline the first place where others wait behind a board nobody can serve.

    Otherwise time passes: what nobody can take now may become possible when a plan changes, and
    missing a ride costs no more than declining it, but for the wait for the answer.
    """
    count, drivers, places = boards.cost.shape
    for n in range(count):
        if actions[n] < 0:
            full = boards.behind[n] > 0.0 and boards.shown[n, 0] > 0.0
            actions[n] = 1 + drivers * places if full else 0

"""The short rules of dispatch, compiled: each looks at every possible pair of a board."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

NEAREST, EARLIEST, LEAST_LOADED, INSERTION = 0, 1, 2, 3
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
    """

    cost: NDArray[np.float64]
    approach: NDArray[np.float64]
    slack: NDArray[np.float64]
    boards_in: NDArray[np.float64]
    stops: NDArray[np.float64]
    deadline: NDArray[np.float64]
    shown: NDArray[np.float64]
    behind: NDArray[np.float64]


@njit(cache=True)
def best_pairs(boards: Boards, rule: int, actions: NDArray[np.int64]) -> None:
    """The pair that each board's rule likes best, as an action; -1 where none is possible.

    The nearest pickup; the deadline that comes first, by the nearest driver; the driver with the
    fewest stops ahead, and the pickup nearest to one of those; the pair that adds the least cost.
    The first of equals wins.
    """
    count, drivers, places = boards.cost.shape
    for n in range(count):
        actions[n] = -1
        first, second = np.inf, np.inf
        for d in range(drivers):
            for j in range(places):
                if boards.cost[n, d, j] >= NEVER:
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


@njit(cache=True)
def regret_pairs(boards: Boards, k: int, actions: NDArray[np.int64]) -> None:
    """The booking that would be missed most, by its cheapest driver; -1 where none is possible.

    What is missed is the sum over the second to the k-th cheapest driver of what he adds more than
    the cheapest one (Potvin and Rousseau 1993). A driver who is not there adds `NEVER`, so bookings
    that few can take go first. Of equals the cheaper wins, then the first.
    """
    count, drivers, places = boards.cost.shape
    cheapest = np.empty(k)
    for n in range(count):
        actions[n] = -1
        most, least = -1.0, np.inf
        for j in range(places):
            cheapest[:] = NEVER
            driver = -1
            for d in range(drivers):
                cost = boards.cost[n, d, j]
                if cost >= cheapest[k - 1]:
                    continue
                if cost < cheapest[0]:
                    driver = d
                q = k - 1
                while q > 0 and cheapest[q - 1] > cost:
                    cheapest[q] = cheapest[q - 1]
                    q -= 1
                cheapest[q] = cost
            if driver < 0:
                continue
            regret = 0.0
            for q in range(1, k):
                regret += cheapest[q] - cheapest[0]
            if regret > most or (regret == most and cheapest[0] < least):
                most, least = regret, cheapest[0]
                actions[n] = 1 + driver * places + j


def can_wait(boards: Boards, horizon: float) -> NDArray[np.bool_]:
    """(N, B): several drivers can take the booking, and the cheapest has more than `horizon` left.

    That is, minutes until he would have to leave for it.
    """
    cheapest = boards.cost.argmin(axis=1)[:, None]
    leaves_in = np.take_along_axis(boards.boards_in - boards.approach, cheapest, axis=1)[:, 0]
    return ((boards.cost < NEVER).sum(axis=1) > 1) & (leaves_in > horizon)


@njit(cache=True)
def make_way(boards: Boards, actions: NDArray[np.int64]) -> None:
    """Replace -1: refuse the first place where others wait behind a board nobody can serve.

    Otherwise time passes: what nobody can take now may become possible when a plan changes, and
    missing a ride costs no more than refusing it.
    """
    count, drivers, places = boards.cost.shape
    for n in range(count):
        if actions[n] < 0:
            full = boards.behind[n] > 0.0 and boards.shown[n, 0] > 0.0
            actions[n] = 1 + drivers * places if full else 0

"""The short rules of dispatch, compiled: each looks at every possible pair of a board."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compagnon.envs.kernels import cached_njit
from compagnon.worlds.dispatch.insertion import TIGHT, TIGHT_MINUTES

NEAREST, EARLIEST, LEAST_LOADED, INSERTION, REGRET, SLACK, HOLD, OPPORTUNITY = range(8)
NEVER = 1e6  # cost of a pair that is not possible; more than any possible one
HORIZON = 35.0  # minutes before a driver must leave, from which on a ride is promised
WORTH = 1.0  # that a move must save
SHARE = 0.3  # of what the others lose without a driver, that counts against sending him


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


@cached_njit
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


@cached_njit
def _cheapest_drivers(
    cost: NDArray[np.float64], place: int, without: float, cheapest: NDArray[np.float64]
) -> int:
    """The driver of the lowest cost of a place; the lowest ones go into `cheapest` (K,), in order.

    Args:
        cost: (D, B). without: what each driver costs who is not there; nobody costs more. The
            driver is -1 where nobody costs less.
    """
    cheapest[:] = without
    driver, k = -1, len(cheapest)
    for d in range(cost.shape[0]):
        own = cost[d, place]
        if own >= cheapest[k - 1]:
            continue
        if own < cheapest[0]:
            driver = d
        q = k - 1
        while q > 0 and cheapest[q - 1] > own:
            cheapest[q] = cheapest[q - 1]
            q -= 1
        cheapest[q] = own
    return driver


@cached_njit
def _regret(cheapest: NDArray[np.float64]) -> float:
    """What the others cost more than the cheapest one, in sum."""
    total = 0.0
    for q in range(1, len(cheapest)):
        total += cheapest[q] - cheapest[0]
    return total


@cached_njit
def regret_pairs(boards: Boards, k: int, actions: NDArray[np.int64]) -> None:
    """The booking that would be missed most, by its cheapest driver; -1 where none is possible.

    What is missed is the sum over the second to the k-th cheapest driver of what he adds more than
    the cheapest one (Potvin and Rousseau 1993). A driver who is not there adds `NEVER`, so bookings
    that few can take go first. Of equals the cheaper wins, then the first.
    """
    count, _, places = boards.cost.shape
    cheapest = np.empty(k)
    for n in range(count):
        actions[n] = -1
        most, least = -1.0, np.inf
        for j in range(places):
            driver = _cheapest_drivers(boards.cost[n], j, NEVER, cheapest)
            if driver < 0:
                continue
            regret = _regret(cheapest)
            if regret > most or (regret == most and cheapest[0] < least):
                most, least = regret, cheapest[0]
                actions[n] = 1 + driver * places + j


@cached_njit
def opportunity_pairs(
    boards: Boards, k: int, share: float, held: NDArray[np.bool_], actions: NDArray[np.int64]
) -> None:
    """Regret insertion that weighs refusals, and what the others lose; -1 where none is worth it.

    A driver who is not there costs what it costs to refuse the booking, so what is missed is never
    more than that, and who would cost more than a refusal is not sent. The booking that is missed
    most goes to the driver with the least cost and `share` of what the other bookings would miss
    without him: each is counted with its cheapest driver, for what the second one costs more.

    Args:
        held: (N, B), bookings that wait; they are counted among the others, and not taken.
    """
    count, drivers, places = boards.cost.shape
    cheapest, two = np.empty(k), np.empty(2)
    missed_without, missed, best = np.empty(drivers), np.empty(places), np.empty(places, np.int64)
    for n in range(count):
        cost, refusal = boards.cost[n], boards.refusal[n]
        missed_without[:] = 0.0
        chosen, most, least = -1, -1.0, np.inf
        for j in range(places):
            best[j] = _cheapest_drivers(cost, j, refusal[j], two)
            if best[j] < 0:
                continue
            missed[j] = two[1] - two[0]
            missed_without[best[j]] += missed[j]
            if held[n, j]:
                continue
            _cheapest_drivers(cost, j, refusal[j], cheapest)
            regret = _regret(cheapest)
            if regret > most or (regret == most and cheapest[0] < least):
                chosen, most, least = j, regret, cheapest[0]
        actions[n] = -1
        lowest = np.inf
        for d in range(drivers):
            if chosen < 0 or cost[d, chosen] >= refusal[chosen]:
                continue
            others = missed_without[d] - (missed[chosen] if best[chosen] == d else 0.0)
            if cost[d, chosen] + share * others < lowest:
                lowest = cost[d, chosen] + share * others
                actions[n] = 1 + d * places + chosen


@cached_njit
def price_tightness(boards: Boards) -> Boards:
    """The boards with the price of tight plans in the costs of possible pairs."""
    cost = boards.cost.copy()
    count, drivers, places = cost.shape
    for n in range(count):
        for d in range(drivers):
            for j in range(places):
                if cost[n, d, j] < NEVER:
                    cost[n, d, j] += TIGHT * np.exp(-boards.slack[n, d, j] / TIGHT_MINUTES)
    return _with_cost(boards, cost)


@cached_njit
def _with_cost(boards: Boards, cost: NDArray[np.float64]) -> Boards:
    return Boards(
        cost, boards.approach, boards.slack, boards.boards_in, boards.stops, boards.deadline,
        boards.shown, boards.behind, boards.refusal, boards.promised,
    )  # fmt: skip


@cached_njit
def can_wait(boards: Boards, horizon: float) -> NDArray[np.bool_]:
    """(N, B): several drivers can take the booking, and the cheapest has more than `horizon` left.

    That is, minutes until he would have to leave for it.
    """
    count, drivers, places = boards.cost.shape
    held = np.zeros((count, places), np.bool_)
    for n in range(count):
        for j in range(places):
            able, cheapest = 0, 0
            for d in range(drivers):
                able += 1 if boards.cost[n, d, j] < NEVER else 0
                if boards.cost[n, d, j] < boards.cost[n, cheapest, j]:
                    cheapest = d
            leaves_in = boards.boards_in[n, cheapest, j] - boards.approach[n, cheapest, j]
            held[n, j] = able > 1 and leaves_in > horizon
    return held


@cached_njit
def _wait_for_held(held: NDArray[np.bool_], actions: NDArray[np.int64]) -> None:
    """Replace -1 by 0, to wait, where a booking is held."""
    for n in range(len(actions)):
        if actions[n] < 0 and held[n].any():
            actions[n] = 0


@cached_njit
def choose(boards: Boards, rule: int, k: int, actions: NDArray[np.int64]) -> None:
    """What a rule does on each board: an assignment, 0 to wait, or -1 where it has no wish.

    Open bookings come first; where none is to be assigned now, the planned ride moves that saves
    most, if one saves `WORTH`.

    Args:
        rule: `NEAREST` to `OPPORTUNITY`. k: drivers that regret compares, at least 2.
    """
    opened = _without_promised(boards)
    if rule <= INSERTION:
        best_pairs(opened, rule, actions)
    elif rule == REGRET:
        regret_pairs(opened, k, actions)
    else:
        _choose_priced(price_tightness(opened), rule, k, actions)
    best_moves(boards, actions)


@cached_njit
def _choose_priced(priced: Boards, rule: int, k: int, actions: NDArray[np.int64]) -> None:
    """The rules for which a tight plan has a price."""
    if rule == SLACK:
        regret_pairs(priced, k, actions)
        return
    held = can_wait(priced, HORIZON)
    if rule == OPPORTUNITY:
        opportunity_pairs(priced, k, SHARE, held, actions)
    else:
        pressing = priced.cost.copy()
        for n in range(held.shape[0]):
            for j in range(held.shape[1]):
                if held[n, j]:
                    pressing[n, :, j] = NEVER
        regret_pairs(_with_cost(priced, pressing), k, actions)
    _wait_for_held(held, actions)


@cached_njit
def _without_promised(boards: Boards) -> Boards:
    """The boards of the open bookings alone."""
    cost = boards.cost.copy()
    count, _, places = cost.shape
    for n in range(count):
        for j in range(places):
            if boards.promised[n, j] > 0.0:
                cost[n, :, j] = NEVER
    return _with_cost(boards, cost)


@cached_njit
def best_moves(boards: Boards, actions: NDArray[np.int64]) -> None:
    """Replace -1 and 0 by the move of a planned ride that saves most, if one saves `WORTH`."""
    count, drivers, places = boards.cost.shape
    for n in range(count):
        if actions[n] > 0:
            continue
        least = -WORTH
        for d in range(drivers):
            for j in range(places):
                if boards.promised[n, j] > 0.0 and boards.cost[n, d, j] < least:
                    least = boards.cost[n, d, j]
                    actions[n] = 1 + d * places + j


@cached_njit
def make_way(boards: Boards, actions: NDArray[np.int64]) -> None:
    """Replace -1: decline the first place where others wait behind a board nobody can serve.

    Otherwise time passes: what nobody can take now may become possible when a plan changes, and
    missing a ride costs no more than declining it.
    """
    count, drivers, places = boards.cost.shape
    for n in range(count):
        if actions[n] < 0:
            full = boards.behind[n] > 0.0 and boards.shown[n, 0] > 0.0
            actions[n] = 1 + drivers * places if full else 0

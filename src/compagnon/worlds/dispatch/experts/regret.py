"""Regret insertion with all that may be weighed besides, compiled; `Numbers` say how much."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.envs.kernels import cached_njit
from compagnon.worlds.dispatch.experts.numbers import Numbers
from compagnon.worlds.dispatch.experts.rules import (
    INSERTION,
    NEVER,
    Boards,
    best_moves,
    best_pairs,
    make_way,
    taken_places,
)

_NOBODY: Final = -1


@cached_njit
def _write_priced(boards: Boards, n: int, numbers: Numbers, priced: NDArray[np.float64]) -> None:
    """What open bookings add to the cost of board `n`, with the price of tight plans, (D, B).

    Only the places that are taken are written.
    """
    taken = taken_places(boards, n)
    for d in range(priced.shape[0]):
        for j in range(taken):
            cost = boards.cost[n, d, j]
            if boards.promised[n, j] > 0.0:
                cost = NEVER
            elif cost < NEVER and numbers.tight > 0.0:
                cost += numbers.tight * np.exp(-boards.slack[n, d, j] / numbers.minutes)
            priced[d, j] = cost


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
    driver, k = _NOBODY, len(cheapest)
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
def _can_wait(
    boards: Boards, n: int, j: int, driver: int, priced: NDArray[np.float64], numbers: Numbers
) -> bool:
    """Whether the booking of a place may stay open: others could take it as well as `driver`.

    He need not leave for it within the horizon, and the caller's wait until then is worth it.
    """
    able = 0
    for d in range(priced.shape[0]):
        able += 1 if priced[d, j] < NEVER else 0
    left = boards.boards_in[n, driver, j] - boards.approach[n, driver, j] - numbers.horizon
    return able > 1 and left > 0.0 and left * boards.answer_price[n, j] <= numbers.patience


@cached_njit
def _assign(
    boards: Boards, n: int, numbers: Numbers, priced: NDArray[np.float64], lost: NDArray[np.bool_]
) -> int:
    """The assignment of board `n`; 0 where what could be assigned is held, -1 without any.

    The booking that would be missed most (what its second to k-th cheapest driver add more than the
    cheapest, in sum; Potvin and Rousseau 1993) goes to the driver with the least cost and `share`
    of what the other bookings would miss without him: each is counted with its cheapest driver, for
    what the second one costs more. Of equals the cheaper wins, then the first.

    Args:
        priced: see `_write_priced`.
        lost: (B,), written: open bookings that nobody is worth sending for.
    """
    drivers, places = priced.shape
    cheapest, two = np.empty(int(numbers.compare)), np.empty(2)
    missed_without, missed, best = np.zeros(drivers), np.empty(places), np.empty(places, np.int64)
    chosen, most, least, held = _NOBODY, -1.0, np.inf, False
    lost[:] = False
    for j in range(taken_places(boards, n)):
        without = NEVER if numbers.stake == 0.0 else numbers.stake * boards.refusal[n, j]
        best[j] = _cheapest_drivers(priced, j, without, two)
        opened = boards.shown[n, j] > 0.0 and boards.promised[n, j] == 0.0
        lost[j] = opened and best[j] == _NOBODY
        if best[j] == _NOBODY:
            continue
        missed[j] = two[1] - two[0]
        missed_without[best[j]] += missed[j]
        if _can_wait(boards, n, j, best[j], priced, numbers):
            held = True
            continue
        _cheapest_drivers(priced, j, without, cheapest)
        regret = _regret(cheapest)
        if regret > most or (regret == most and cheapest[0] < least):
            chosen, most, least = j, regret, cheapest[0]
    if chosen == _NOBODY:
        return 0 if held else -1
    without = NEVER if numbers.stake == 0.0 else numbers.stake * boards.refusal[n, chosen]
    action, lowest = -1, np.inf
    for d in range(drivers):
        cost = priced[d, chosen]
        if cost >= without:
            continue
        others = missed_without[d] - (missed[chosen] if best[chosen] == d else 0.0)
        if cost + numbers.share * others < lowest:
            lowest = cost + numbers.share * others
            action = 1 + d * places + chosen
    return action


@cached_njit
def assign(
    boards: Boards,
    numbers: Numbers,
    actions: NDArray[np.int64],
    lost: NDArray[np.bool_],
) -> None:
    """The assignment of each board into `actions`, see `_assign`; who is lost into (N, B)."""
    count, drivers, places = boards.cost.shape
    priced = np.empty((drivers, places))
    for n in range(count):
        _write_priced(boards, n, numbers, priced)
        actions[n] = _assign(boards, n, numbers, priced, lost[n])


@cached_njit
def decline_lost(
    boards: Boards, hope: float, lost: NDArray[np.bool_], actions: NDArray[np.int64]
) -> None:
    """Replace -1 and 0: decline a lost booking whose wait to its end costs more than hope is worth.

    Args:
        lost: (N, B). hope: see `Numbers`.
    """
    count, drivers, places = boards.cost.shape
    for n in range(count):
        if actions[n] > 0:
            continue
        for j in range(taken_places(boards, n)):
            left = max(0.0, min(boards.deadline[n, j], boards.answer_left[n, j]))
            wait = left * boards.answer_price[n, j]
            if lost[n, j] and wait > hope * boards.refusal[n, j]:
                actions[n] = 1 + drivers * places + j
                break


@cached_njit
def choose(boards: Boards, rule: int, numbers: Numbers, actions: NDArray[np.int64]) -> None:
    """What a rule does on each board, (N,).

    Open bookings come first; where none is to be assigned now, the planned ride moves that saves
    most, if it is worth it; then a booking is declined whose answer is not worth the wait.

    Args:
        rule: `rules.NEAREST` to `REGRET`; only the last one asks more of `numbers` than `worth`.
    """
    if rule <= INSERTION:
        best_pairs(boards, rule, actions)
        best_moves(boards, numbers.worth, actions)
    else:
        count, _, places = boards.cost.shape
        lost = np.zeros((count, places), np.bool_)
        assign(boards, numbers, actions, lost)
        best_moves(boards, numbers.worth, actions)
        decline_lost(boards, numbers.hope, lost, actions)
    make_way(boards, actions)

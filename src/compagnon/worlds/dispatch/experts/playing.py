"""Plays what a planner planned, one possible action after the other, at one moment of a day."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.worlds.dispatch import insertion, lifecycle, running_days, tables, travel
from compagnon.worlds.dispatch.fields import Layout
from compagnon.worlds.dispatch.insertion import Weights
from compagnon.worlds.dispatch.kernel import WAIT

WORTH: Final = 1.0  # that a move which nobody planned must save
HOPE: Final = 0.1  # share of declining a ride that the wait for its answer may cost


@dataclass(slots=True)
class Wishes:
    """Who is to have whom at one moment; what cannot be had is dropped.

    Attributes:
        drivers: booking -> driver, of open rides and of planned ones that are to move.
        declines: whether a ride that nobody is to have may be declined before it is lost.
    """

    drivers: Mapping[int, int] = field(default_factory=dict)
    declines: bool = True


class Moment:
    """One moment of one day, as it is shown.

    Args:
        w: of one day (`running_days.row`). mask: (A,).
    """

    def __init__(
        self,
        w: running_days.RunningDays,
        mask: NDArray[np.bool_],
        layout: Layout,
        weights: Weights,
        roads: travel.Roads,
    ) -> None:
        self._w, self._weights, self._roads = w, weights, roads
        self._board = layout.board
        self._first_decline = 1 + layout.drivers * layout.board
        self._mask = mask
        self._possible = mask[1 : self._first_decline].reshape(layout.drivers, layout.board)
        opened = min(layout.board, int(w.counts[running_days.OPEN]))
        self._opened = w.open[:opened].tolist()
        self._movable = w.movable[: int(w.counts[running_days.SHOWN])].tolist()

    def next_action(self, wishes: Wishes) -> int:
        """The next thing to do: accept, move, decline; to wait where nothing is left."""
        for place, booking in enumerate(self._opened + self._movable):
            driver = wishes.drivers.get(booking, -1)
            if driver >= 0 and driver != self._driver(booking) and self._possible[driver, place]:
                return self._take(driver, place)
        for act in (self._cheapest, self._best_move, self._decline):
            action = act(wishes)
            if action != WAIT:
                return action
        return WAIT

    def _take(self, driver: int, place: int) -> int:
        return int(1 + driver * self._board + place)

    def _driver(self, booking: int) -> int:
        if self._w.status[booking] != running_days.PLANNED:
            return -1
        return int(self._w.rides[booking, running_days.BY_DRIVER])

    def _added(self, place: int, booking: int) -> NDArray[np.float64]:
        """(D,), what the ride of a place adds with each driver; inf where that is impossible."""
        cost = self._w.found[booking, :, insertion.COST].astype(np.float64)
        if self._w.status[booking] == running_days.PLANNED:
            cost -= self._w.rides[booking, running_days.SAVES]
        return np.where(self._possible[:, place], cost, np.inf)

    def _refusal(self, booking: int) -> float:
        return float(lifecycle.decline_cost(self._w, booking, self._roads, self._weights))

    def _cheapest(self, wishes: Wishes) -> int:
        """Of those who cannot have their driver the first one who is worth another."""
        for place, booking in enumerate(self._opened):
            if wishes.drivers.get(booking, -1) >= 0:
                costs = self._added(place, booking)
                if costs.min() < self._refusal(booking):
                    return self._take(int(costs.argmin()), place)
        return WAIT

    def _best_move(self, wishes: Wishes) -> int:
        """What was not planned and is worth it, such as a better place in the same plan."""
        least, action = -WORTH, WAIT
        for k, booking in enumerate(self._movable):
            place = len(self._opened) + k
            costs = self._added(place, booking)
            wish = wishes.drivers.get(booking, -1)
            if wish >= 0:  # where else it goes was thought of
                costs[np.arange(len(costs)) != wish] = np.inf
            if costs.min() < least:
                least = float(costs.min())
                action = self._take(int(costs.argmin()), place)
        return action

    def _decline(self, wishes: Wishes) -> int:
        """Who is not worth anybody, and would wait long for no.

        Where others wait behind a board of which nobody is to be taken, its first one makes way.
        """
        w, now = self._w, float(self._w.money[running_days.NOW])
        for place, booking in enumerate(self._opened if wishes.declines else ()):
            if wishes.drivers.get(booking, -1) >= 0 and self._possible[:, place].any():
                continue
            until = float(w.bookings[booking, tables.PICKUP_BY])
            if self._weights.answer_limit > 0.0:
                until = min(until, lifecycle.asked_at(w, booking) + self._weights.answer_limit)
            price = lifecycle.answer_price(w, booking, self._weights)
            if max(0.0, until - now) * price > HOPE * self._refusal(booking):
                return self._first_decline + place
        hidden = int(w.counts[running_days.OPEN]) - len(self._opened)
        return self._first_decline if hidden > 0 else WAIT

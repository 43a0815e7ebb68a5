"""Reads boards for policies of dispatch, by the kernels of the environment itself."""

import re
from operator import gt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compagnon.policy import Schema
from compagnon.worlds.codec import StateCodec
from compagnon.worlds.dispatch.board import Aboard, Board, BoardReader, Driver, Ride, Stop
from compagnon.worlds.dispatch.fields import BOOKING, DRIVER, PAIR, Layout, all_fields
from compagnon.worlds.dispatch.options import DispatchOptions
from compagnon.worlds.dispatch.pairs import counts

_SHOWN, _PROMISED, _DECLINE_COST = (
    [field.name for field in BOOKING].index(name) for name in ("shown", "promised", "decline_cost")
)
_PRESENT = [field.name for field in DRIVER].index("present")
_ADDED_COST = [field.name for field in PAIR].index("added_cost")
_NAMED = re.compile(r"^(rides|drivers)\[\d+\](\.\w+)*|^\w+(\[\d+\])*(\.\w+)?(?=:)")
_ROW = re.compile(r"the board, (bookings|drivers): (\w+) of row (\d+)")
_PARTS = {"bookings": "rides", "drivers": "drivers"}


class BoardCodec(StateCodec[Board]):
    """Reads boards for policies that see some of the fields.

    Args:
        schema: of the policy. layout: how many drivers and places it knows.
        options: of the environment that it learnt in.
    """

    kind = Board
    description = "a dispatch board"

    def __init__(self, schema: Schema, layout: Layout, options: DispatchOptions) -> None:
        place = {one.name: index for index, one in enumerate(all_fields(layout))}
        self._columns = np.array([place[name] for name in schema.observation.names], np.int64)
        self._layout = layout
        self._reader = BoardReader(layout, options.weights())

    def look(self, state: Board) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Field values and mask of a board."""
        obs, mask = self._reader.look(state)
        return obs[self._columns], mask

    def warm_up(self) -> Board:
        """The first look compiles for seconds; nobody who asks should wait for that."""
        return _example()

    def why_impossible(self, state: Board, action: int) -> str | None:
        """A driver or a booking that is not there, or a plan without room for it."""
        layout = self._layout
        obs, mask = self._reader.look(state)
        if mask[action]:
            return None
        driver, place = divmod(action - 1, layout.board)
        row = layout.board_start + place * layout.booking_size
        if not obs[row + _SHOWN]:
            return "no booking stands at this place: fewer are open, or may move"
        if action > layout.drivers * layout.board:
            return "it is promised: a planned ride may move, and is not declined"
        if driver >= len(state.drivers):
            return f"there is no driver {driver}: the board has {len(state.drivers)}"
        if not obs[layout.driver_start + driver * layout.driver_size + _PRESENT]:
            return f"driver {driver} is on the way home, or off"
        if obs[row + _PROMISED] and self._owner(state, place) == driver:
            return f"driver {driver} has it planned, and no other place of the plan is cheaper"
        ride, who = state.rides[self._reader.booking_at(state, place)], state.drivers[driver]
        lacks = [one for one in ride.needs if one not in who.skills]
        if lacks:
            return f"driver {driver} has no {lacks[0]!r} among the skills, which it needs"
        if any(map(gt, ride.seats, who.seats)):
            return f"the vehicle of driver {driver} has fewer seats of its kind, were it empty"
        return f"nowhere in the plan of driver {driver} does it keep every window, seat and limit"

    def _owner(self, state: Board, place: int) -> int:
        """The driver in whose plan the ride of a place stands."""
        ride = state.rides[self._reader.booking_at(state, place)].id
        for number, driver in enumerate(state.drivers):
            if any(stop.ride == ride and stop.at == "pickup" for stop in driver.plan):
                return number
        return -1

    def candidate_costs(self, state: Board) -> NDArray[np.float64]:
        """What a booking adds to the plan of each driver, and what it costs to decline it.

        In the unit of the reward; of a planned ride what it adds beside its place now. NaN where it
        is impossible, and of waiting, which costs nothing now and may cost later.
        """
        layout = self._layout
        obs, mask = self._reader.look(state)
        costs = np.full(layout.actions, np.nan)
        pairs = layout.drivers * layout.board
        added = obs[layout.pair_start :].reshape(pairs, layout.pair_size)[:, _ADDED_COST]
        costs[1 : 1 + pairs] = added
        board = obs[layout.board_start : layout.pair_start].reshape(layout.board, -1)
        costs[1 + pairs :] = board[:, _DECLINE_COST]
        costs[~mask] = np.nan
        return costs

    def field_of(self, sentence: str) -> str:
        """Where in the board a sentence about it points."""
        named, row = _NAMED.match(sentence), _ROW.match(sentence)
        if row:
            return f"{_PARTS[row[1]]}[{row[3]}].{row[2]}"
        return named[0] if named else ""


def board_codec(schema: Schema, env_args: dict[str, Any]) -> BoardCodec | None:
    """A codec for the policy's own number of drivers and places; None if it cannot be told."""
    options = DispatchOptions.parse(**{k: v for k, v in env_args.items() if k != "days"})
    drivers, board = counts(schema.observation.names)
    layout = Layout(drivers=drivers, board=board)
    known = {one.name for one in all_fields(layout)}
    if layout.actions != schema.action.n or not known.issuperset(schema.observation.names):
        return None
    return BoardCodec(schema, layout, options)


def _example() -> Board:
    """A board that has the kernels look at everything.

    A plan, a rider aboard, an open booking, a way back that a call will announce.
    """
    here, there, home = (48.10, 11.50), (48.12, 11.55), (48.11, 11.52)
    rides = [
        Ride(id=one, pickup=here, dropoff=there, pickup_from=610, pickup_to=660, dropoff_to=720)
        for one in ("a", "b", "c")
    ]
    back = Ride(
        id="d", pickup=there, dropoff=here, pickup_from=800, pickup_to=860, returns_from="a",
        status="later",
    )  # fmt: skip
    plan = [Stop(ride="a", at="dropoff"), Stop(ride="b"), Stop(ride="b", at="dropoff")]
    driver = Driver(
        at=here, end=home, shift_end=1_000, free_at=600, plan=plan, phase="drives", arrives=612,
        aboard=[Aboard(ride="a", since=595)],
    )  # fmt: skip
    return Board(now=600, day_begin=300, drivers=[driver], rides=[*rides, back])

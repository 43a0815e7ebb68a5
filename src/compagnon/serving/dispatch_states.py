"""Reads dispatch boards for policies of the dispatch world; the one part that needs its kernels."""

import re
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from compagnon.policy import Schema
from compagnon.serving.reading import Mask
from compagnon.serving.states import StateDecoder, looked_at
from compagnon.worlds.dispatch.board import Aboard, Board, BoardReader, Driver, Ride, Stop
from compagnon.worlds.dispatch.fields import Layout, all_fields
from compagnon.worlds.dispatch.options import DispatchOptions

_NAMED = re.compile(r"^(rides|drivers)\[\d+\](\.\w+)*|^\w+(\[\d+\])*(\.\w+)?(?=:)")
_ROW = re.compile(r"the board, (bookings|drivers): (\w+) of row (\d+)")
_PARTS = {"bookings": "rides", "drivers": "drivers"}


class DispatchReader:
    """Reads boards, `envs.dispatch.board.Board`, for policies that read some of the fields."""

    def __init__(self, schema: Schema, layout: Layout, options: DispatchOptions) -> None:
        place = {one.name: index for index, one in enumerate(all_fields(layout))}
        self._columns = np.array([place[name] for name in schema.observation.names], np.int64)
        self._reader = BoardReader(layout, options.weights())
        self._decoder = StateDecoder(Board)
        # The first look compiles for seconds; nobody who asks should wait for that.
        # It is read as JSON, since kernels are compiled for the very types that come of that.
        self.read(msgspec.Raw(msgspec.json.encode(_example())))

    def read(self, state: msgspec.Raw) -> tuple[NDArray[np.float64], Mask]:
        """Field values and mask of a board."""
        obs, mask = looked_at(self._reader.look, self._decoder.read(state), _field)
        return obs[self._columns], mask


def dispatch_reader(schema: Schema, env_args: dict[str, Any]) -> DispatchReader | None:
    """A reader for the policy's own number of drivers and places; None if it cannot be told."""
    options = DispatchOptions.parse(**{k: v for k, v in env_args.items() if k != "days"})
    names = frozenset(schema.observation.names)
    drivers = board = 0
    while f"driver{drivers}_present" in names:
        drivers += 1
    while f"place{board}_shown" in names:
        board += 1
    layout = Layout(drivers=drivers, board=board)
    known = {one.name for one in all_fields(layout)}
    if layout.actions != schema.action.n or not names <= known:
        return None
    return DispatchReader(schema, layout, options)


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


def _field(sentence: str) -> str:
    """Where in the board a sentence about it points."""
    named, row = _NAMED.match(sentence), _ROW.match(sentence)
    if row:
        return f".{_PARTS[row[1]]}[{row[3]}].{row[2]}"
    return f".{named[0]}" if named else ""

"""Reads boards for policies of the proof of concept, by the kernels of the environment itself."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compagnon.policy import Schema
from compagnon.worlds.codec import StateCodec
from compagnon.worlds.dispatch_poc.constants import MAX_LOAD
from compagnon.worlds.dispatch_poc.fields import observation_fields
from compagnon.worlds.dispatch_poc.options import PocOptions
from compagnon.worlds.dispatch_poc.pairs import counts
from compagnon.worlds.dispatch_poc.state import PocReader, PocState, StepInfo, action_in_words


class PocLabels:
    """What each action means on one board, by the ids of that board."""

    def __init__(self, look: StepInfo, state: PocState) -> None:
        self._look = look
        self._state = state

    def __getitem__(self, action: int) -> str:
        return action_in_words(action, self._look, self._state)


class PocCodec(StateCodec[PocState]):
    """Reads boards for policies that see some of the fields.

    Args:
        schema: of the policy.
        options: of the environment that it learnt in.
    """

    kind = PocState
    description = "a dispatch board"

    def __init__(self, schema: Schema, options: PocOptions) -> None:
        place = {one.name: index for index, one in enumerate(observation_fields(options))}
        self._columns = np.array([place[name] for name in schema.observation.names], np.int64)
        self._reader = PocReader(options)

    def look(self, state: PocState) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Field values and mask of a board."""
        look = self._reader.look(state)
        return look.obs[self._columns], look.mask

    def warm_up(self) -> PocState:
        """The first look compiles; nobody who asks should wait for that."""
        return PocState(time=0, drivers=[], bookings=[])

    def why_impossible(self, state: PocState, action: int) -> str | None:
        """Who is not there, is busy or would come too late, or what is not open."""
        look = self._reader.look(state)
        if look.mask[action]:
            return None
        place, rank = divmod(action - 1, len(look.bookings))
        driver, booking = look.drivers[place], look.bookings[rank]
        if booking >= len(state.bookings):
            return f"there are {len(state.bookings)} bookings"
        if driver >= len(state.drivers):
            return f"there are {len(state.drivers)} drivers"
        who, what = state.drivers[driver], state.bookings[booking]
        if what.taken:
            return f"booking {what.id} has a driver"
        if who.load >= MAX_LOAD:
            return f"driver {who.id} has {who.load} rides, the most there can be"
        return f"driver {who.id} would come to booking {what.id} when its window is over"

    def action_labels(self, state: PocState) -> PocLabels:
        """What the actions mean on that board."""
        return PocLabels(self._reader.look(state), state)


def poc_codec(schema: Schema, env_args: dict[str, Any]) -> PocCodec | None:
    """A codec for the policy's own drivers and slots; None if it cannot be told."""
    drivers, slots = counts(schema.observation.names)
    if not drivers or not slots:
        return None
    options = PocOptions.parse(**{**env_args, "drivers": drivers, "slots": slots})
    known = {one.name for one in observation_fields(options)}
    if options.num_actions != schema.action.n or not known.issuperset(schema.observation.names):
        return None
    return PocCodec(schema, options)

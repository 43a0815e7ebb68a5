"""Reads boards of the dispatch proof of concept; needs that world's kernels."""

import re
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from compagnon.policy import Schema
from compagnon.serving.reading import Mask
from compagnon.serving.states import StateDecoder, looked_at
from compagnon.worlds.dispatch_poc.fields import observation_fields
from compagnon.worlds.dispatch_poc.options import PocOptions
from compagnon.worlds.dispatch_poc.state import Look, PocReader, PocState, action_in_words

_FIELD = re.compile(r"^[\w.\[\]]+(?=:)")


class PocWords:
    """What each action means on one board, by the ids of that board."""

    def __init__(self, look: Look, state: PocState) -> None:
        self._look = look
        self._state = state

    def __getitem__(self, action: int) -> str:
        return action_in_words(action, self._look, self._state)


class PocStates:
    """Reads boards, `envs.dispatch_poc.state.PocState`, for policies that read some fields."""

    def __init__(self, schema: Schema, options: PocOptions) -> None:
        place = {one.name: index for index, one in enumerate(observation_fields(options))}
        self._columns = np.array([place[name] for name in schema.observation.names], np.int64)
        self._reader = PocReader(options)
        self._decoder = StateDecoder(PocState)
        # The first look compiles; nobody who asks should wait for that.
        self._reader.look(PocState(time=0, drivers=[], bookings=[]))

    def read(self, state: msgspec.Raw) -> tuple[NDArray[np.float64], Mask]:
        """Field values and mask of a board."""
        look = self._look(self._decoder.read(state))
        return look.obs[self._columns], look.mask

    def words(self, state: msgspec.Raw) -> PocWords:
        """What the actions mean on that board."""
        board = self._decoder.read(state)
        return PocWords(self._look(board), board)

    def _look(self, board: PocState) -> Look:
        return looked_at(self._reader.look, board, _field)


def poc_reader(schema: Schema, env_args: dict[str, Any]) -> PocStates | None:
    """A reader for the policy's own drivers and slots; None if it cannot be told."""
    names = frozenset(schema.observation.names)
    drivers = slots = 0
    while f"driver_{drivers}_lat" in names:
        drivers += 1
    while f"booking_{slots}_lat" in names:
        slots += 1
    if not drivers or not slots:
        return None
    options = PocOptions.parse(**{**env_args, "drivers": drivers, "slots": slots})
    known = {one.name for one in observation_fields(options)}
    if options.num_actions != schema.action.n or not names <= known:
        return None
    return PocStates(schema, options)


def _field(sentence: str) -> str:
    found = _FIELD.match(sentence)
    return f".{found[0]}" if found else ""

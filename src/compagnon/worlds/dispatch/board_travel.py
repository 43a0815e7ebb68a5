"""Where the places of a board lie, and how long it takes between them: by rule or by matrix."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.worlds.dispatch import travel as travel_times
from compagnon.worlds.dispatch.board_parts import Board, Where
from compagnon.worlds.dispatch.instance_parts import Travel

MAX_PLACES: Final = 250  # two matrices of so many fit into a request of a megabyte
MATRIX: Final = "matrix"
_MOST: Final = {"minutes": 1440.0, "km": 2000.0}  # of an entry, as the importer has it


class Places:
    """The places of a board by number: those listed first, then those given as points.

    Raises:
        InputError: a name stands there twice, or a matrix is not whole; the field is named.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._points = [place.at for place in board.places]
        self._index: dict[str, int] = {}
        for k, place in enumerate(board.places):
            if place.name in self._index:
                raise InputError(f"places[{k}].name: {place.name!r} stands there twice")
            self._index[place.name] = k
        # Before anybody counts entries: what is too large is not looked at any further.
        if len(board.places) > MAX_PLACES:
            raise InputError(
                f"places: there are {len(board.places)}; a board may list {MAX_PLACES}"
            )
        self.matrices = {name: self._matrix(name, getattr(board, name)) for name in _MOST}

    def find(self, where: Where, field: str) -> int:
        """The number of a place.

        Args:
            where: its number, its name, or, but with a matrix, a point.
            field: of the board, for what is said when it cannot be.
        """
        listed = len(self._board.places)
        if isinstance(where, str):
            if where not in self._index:
                raise InputError(f"{field}: there is no place {where!r} among the places")
            return self._index[where]
        if isinstance(where, int):
            if not 0 <= where < listed:
                raise InputError(f"{field}: it is {where}; places are 0 to {listed - 1}")
            return where
        if self._board.kind == MATRIX:
            raise InputError(
                f"{field}: with a matrix, give the number or the name of a place, not a point"
            )
        self._points.append(where)
        return len(self._points) - 1

    def travel(self) -> Travel:
        """The ways between all places found so far."""
        board = self._board
        return Travel(
            kind=board.kind,
            coordinates=np.array(self._points, np.float64).reshape(len(self._points), 2),
            speed_kmh=board.speed_kmh,
            detour=board.detour,
            speed=np.array(board.speed or [1.0] * travel_times.HOURS, np.float64),
            **self.matrices,
        )

    def _matrix(self, name: str, rows: Sequence[Sequence[float]]) -> NDArray[np.float64]:
        if self._board.kind != MATRIX:
            if rows:
                raise InputError(f'{name}: give kind "matrix" with it, or leave it out')
            return np.zeros((0, 0))
        n = len(self._board.places)
        if not n:
            raise InputError("places: a matrix needs a list of them")
        if len(rows) != n:
            raise InputError(f"{name}: it has {len(rows)} rows; it should have {n}, one a place")
        for k, row in enumerate(rows):
            if len(row) != n:
                raise InputError(
                    f"{name}[{k}]: it has {len(row)} numbers; it should have {n}, one a place"
                )
        matrix: Any = np.array(rows, np.float64)
        # Comparisons with NaN are false, so what is no number is outside, too.
        inside = (matrix >= 0) & (matrix <= _MOST[name])
        if not inside.all():
            row, column = np.argwhere(~inside)[0].tolist()
            raise InputError(
                f"{name}[{row}][{column}]: it is {matrix[row, column]:g}; it should be 0 to "
                f"{_MOST[name]:g}"
            )
        found: NDArray[np.float64] = matrix
        return found

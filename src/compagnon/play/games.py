"""Finds the game that a person names, among the worlds that have one."""

import difflib

from compagnon.errors import InputError
from compagnon.worlds import worlds
from compagnon.worlds.game import Game


def games() -> dict[str, Game]:
    """The games of the worlds that are installed, by name."""
    found = (world.game() for world in worlds())
    return {game.name: game for game in found if game is not None}


def find_game(name: str) -> Game:
    """The game of this name, in any case of letters.

    Raises:
        InputError: there is none; the message gives near names.
    """
    known = games()
    game = known.get(name.lower())
    if game is not None:
        return game
    by_id = {game.env_id.lower(): game.name for game in known.values()}
    near = difflib.get_close_matches(name.lower(), [*known, *by_id], n=2, cutoff=0.5)
    names = dict.fromkeys(by_id.get(item, item) for item in near)
    hint = f"did you mean {' or '.join(names)}?" if near else f"there are {', '.join(known)}"
    raise InputError(f"no world is called {name!r}; {hint}")

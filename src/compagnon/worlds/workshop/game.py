"""The workshop as a game: a week of it at the desk."""

from types import MappingProxyType
from typing import Final

from compagnon.worlds.game import Game
from compagnon.worlds.workshop import WORKSHOP
from compagnon.worlds.workshop.desk import WorkshopDesk

GAME: Final = Game(
    name="workshop",
    title="Workshop",
    goal="Sell P1 (2 each) and P2 (20 each); raw costs 1, late orders 0.02 a quarter.",
    env_id=WORKSHOP,
    env_args=MappingProxyType({"decision_points": True, "reward": "profit"}),
    controls=(WorkshopDesk(),),
    legend=(
        ("A D or 1-4", "choose what"),
        ("W S", "choose how many"),
        ("Enter", "do it"),
        ("Space", "wait (hold it: time runs)"),
    ),
    fps=12,
    calendar=True,
)

"""Gymnasium's own small environments as worlds: how they are called, drawn and played."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from compagnon.worlds.classics import DISCRETE_PENDULUM
from compagnon.worlds.registration import register_compiled
from compagnon.worlds.world import World

if TYPE_CHECKING:
    from compagnon.policy import Schema
    from compagnon.worlds.game import Game

_HERE: Final = "compagnon.worlds.classics"


class DiscretePendulum(World):
    """The pendulum with a few torques to choose from."""

    name = "discrete-pendulum"
    env_ids = (DISCRETE_PENDULUM,)
    compiled = True

    def register(self) -> None:
        """Register `compagnon/DiscretePendulum-v1`."""
        register_compiled(
            DISCRETE_PENDULUM,
            f"{_HERE}.discrete_pendulum:DiscretePendulumEnv",
            f"{_HERE}.discrete_pendulum:DiscretePendulumVectorEnv",
        )


@dataclass(frozen=True)
class Classic(World):
    """A world of Gymnasium's own.

    Attributes:
        name, env_ids, pooled: see `World`.
        actions: what each of several actions means.
        components: name and unit of each number of a vector.
        game_name: what the game is called in `classics.games`; empty where there is none.
    """

    name: str
    env_ids: tuple[str, ...]
    actions: tuple[str, ...] = ()
    components: tuple[tuple[str, str], ...] = ()
    game_name: str = ""
    pooled: Mapping[str, int | None] = field(default_factory=dict)

    def action_labels(self, schema: "Schema") -> Sequence[str] | None:
        """The names, where the environment has as many actions."""
        return self.actions if len(self.actions) == schema.action.n else None

    def action_components(self, schema: "Schema") -> Sequence[tuple[str, str]] | None:
        """Names and units, where the environment's vectors have as many numbers."""
        return self.components if len(self.components) == schema.action.n else None

    def kept_attributes(self) -> Mapping[type, tuple[str, ...]]:
        """Gymnasium's classic five are small enough that all they keep is known."""
        from compagnon.worlds.classics.saved_state import KEPT

        return KEPT.get(self.name, {})

    def game(self) -> "Game | None":
        """Played with the arrows."""
        from compagnon.worlds.classics import games

        found: Game | None = getattr(games, self.game_name) if self.game_name else None
        return found


_MOTORS: Final = ("hip_1", "knee_1", "hip_2", "knee_2")

# Fewer keep a second thread waiting longer than it works.
_COPIES_A_THREAD: Final = 8

WORLDS: Final[tuple[World, ...]] = (
    Classic("acrobot", ("Acrobot-v1",), pooled={"Acrobot-v1": None}),
    Classic(
        "cartpole",
        ("CartPole-v1", "CartPole-v0", "phys2d/CartPole-v1", "phys2d/CartPole-v0"),
        ("push left", "push right"),
        pooled={"CartPole-v1": None},
    ),
    Classic(
        "mountain",
        ("MountainCar-v0", "MountainCarContinuous-v0"),
        ("push left", "let roll", "push right"),
        (("force", ""),),
        "MOUNTAIN",
        pooled={"MountainCar-v0": None, "MountainCarContinuous-v0": None},
    ),
    Classic(
        "lunar",
        ("LunarLander-v3", "LunarLanderContinuous-v3", "LunarLander-v2"),
        ("do nothing", "fire left", "fire main engine", "fire right"),
        (("main_engine", ""), ("side_engines", "")),
        "LUNAR",
        pooled={"LunarLander-v3": _COPIES_A_THREAD, "LunarLanderContinuous-v3": _COPIES_A_THREAD},
    ),
    Classic(
        "pendulum",
        ("Pendulum-v1", "phys2d/Pendulum-v0"),
        components=(("torque", "N m"),),
        game_name="PENDULUM",
        pooled={"Pendulum-v1": None},
    ),
    Classic(
        "walker",
        ("BipedalWalker-v3", "BipedalWalkerHardcore-v3"),
        components=tuple((motor, "") for motor in _MOTORS),
    ),
    Classic("car", ("CarRacing-v3",), game_name="CAR"),
    DiscretePendulum(),
)

"""Gymnasium's environments as games: which keys push which way."""

from typing import Final

from compagnon.worlds.controls import DOWN, LEFT, RIGHT, UP, Axis, DiscreteKeys, VectorKeys
from compagnon.worlds.game import Game

CAR: Final = Game(
    name="car",
    title="Car",
    goal="Drive the whole track, and quickly: each tile pays, each step costs 0.1.",
    env_id="CarRacing-v3",
    controls=(
        VectorKeys(
            (
                Axis("steer", (LEFT,), (RIGHT,)),
                Axis("gas", (), (UP,)),
                Axis("brake", (), (DOWN,), strength=0.8),  # from 0.9 on the wheels lock
            )
        ),
        DiscreteKeys(
            ("NOTHING", "RIGHT", "LEFT", "GAS", "BRAKE"),
            rest=0,
            bindings=((LEFT, 2), (RIGHT, 1), (UP, 3), (DOWN, 4)),
        ),
    ),
    legend=(("A D", "steer"), ("W", "gas"), ("S", "brake")),
    fps=50,
    needs=("Box2D",),
)
MOUNTAIN: Final = Game(
    name="mountain",
    title="Mountain",
    goal="Swing up to the flag: the engine alone is too weak. Each step costs 1.",
    env_id="MountainCar-v0",
    controls=(
        DiscreteKeys(
            ("LEFT", "COAST", "RIGHT"), rest=1, bindings=((LEFT, 0), (DOWN, 1), (RIGHT, 2))
        ),
        VectorKeys((Axis("push", (LEFT,), (RIGHT,)),), gentle=frozenset((DOWN,))),
    ),
    legend=(("A D", "push left, right"), ("S", "coast (or no key)")),
    fps=30,
    relatives=("MountainCarContinuous-v0",),
)
LUNAR: Final = Game(
    name="lunar",
    title="Lunar",
    goal="Land between the flags, upright and slowly. 200 points are a landing.",
    env_id="LunarLander-v3",
    controls=(
        DiscreteKeys(
            ("NOTHING", "LEFT", "MAIN", "RIGHT"), rest=0, bindings=((LEFT, 1), (UP, 2), (RIGHT, 3))
        ),
        VectorKeys((Axis("main", (), (UP,)), Axis("side", (LEFT,), (RIGHT,)))),
    ),
    legend=(("A D", "side engines: turn"), ("W", "main engine")),
    fps=50,
    relatives=("LunarLanderContinuous-v3",),
    needs=("Box2D",),
)
PENDULUM: Final = Game(
    name="pendulum",
    title="Pendulum",
    goal="Swing it up and keep it up: what it hangs and what it swings costs.",
    env_id="Pendulum-v1",
    # A positive torque turns against the clock: to the left, once it stands.
    controls=(VectorKeys((Axis("torque", (RIGHT,), (LEFT,)),), gentle=frozenset((UP, DOWN))),),
    legend=(("A D", "turn left, right"), ("W or S", "hold too: a quarter of it")),
    fps=20,
)

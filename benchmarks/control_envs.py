"""Steps a second of the control environments through `BatchEnv`: Gymnasium, EnvPool, the ball."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from compagnon.envs import BatchEnv
from compagnon.envs.pool import served_ids
from compagnon.worlds.ball import BALL
from harness import Work, console, machine, print_machine, shortened, table, take_turns, write_json


@dataclass
class Settings:
    """Measure how fast copies step together, random actions drawn before the clock starts."""

    envs: tuple[str, ...] = ("MountainCar-v0", "Pendulum-v1", "LunarLanderContinuous-v3", BALL)
    """Which environments."""
    num_envs: tuple[int, ...] = (1, 16)
    """How many copies of each."""
    balls: tuple[int, ...] = (1024,)
    """How many copies of the ball besides."""
    rounds: int = 3
    """How often each measurement has its turn."""
    seconds: float = 1.0
    """Length of one turn."""
    quick: bool = False
    """A moment of each, to see that everything runs; the figures mean nothing."""
    json: Path | None = None
    """Also write the figures here."""


def main(settings: Settings) -> None:
    """Measure, print, and write."""
    settings = shortened(settings, balls=(16,), rounds=1, seconds=0.01)
    about = machine()
    made = contenders(settings)
    rates = take_turns(made, settings.rounds, settings.seconds)
    screen = console()
    print_machine(screen, about)
    rows = []
    for name, rate in rates.items():
        one = 1e6 / rate.median
        env_id, backend, copies = name.split(", ")
        rows.append([env_id, backend, copies, f"{one:,.2f}", f"{rate.median:,.0f}", rate.spread])
    columns = ["", "backend", "copies", "us/step", "steps/s", "slowest to fastest"]
    screen.print(table("Environment steps (median of the rounds)", columns, rows))
    figures = {name: rate.as_dict() for name, rate in rates.items()}
    write_json(settings.json, {"machine": about, "rates": figures})


def contenders(settings: Settings) -> dict[str, Work]:
    """Everything that is measured, by name."""
    made: dict[str, Work] = {}
    for env_id in settings.envs:
        backends = ["gymnasium"]
        if env_id in served_ids() and importlib.util.find_spec("envpool"):
            backends.append("envpool")
        more = settings.balls if env_id == BALL else ()
        for backend in backends:
            for copies in (*settings.num_envs, *more):
                name = f"{env_id}, {'ours' if env_id == BALL else backend}, {copies}"
                made[name] = play(BatchEnv(env_id, {}, copies, backend))
    return made


def play(env: BatchEnv) -> Work:
    """100 steps of random actions, over and over."""
    env.action_space.seed(0)
    actions = [
        np.stack([env.action_space.sample() for _ in range(env.num_envs)]) for _ in range(100)
    ]
    env.reset(list(range(env.num_envs)))

    def work() -> int:
        for action in actions:
            env.step(action)
        return 100 * env.num_envs

    return work


if __name__ == "__main__":
    main(tyro.cli(Settings))

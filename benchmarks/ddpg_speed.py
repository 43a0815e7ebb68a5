"""Steps a second of DDPG on Pendulum, one update a step: ours and Stable-Baselines3's, in turns."""

import argparse
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch and numba load their threads

import gymnasium
import numba
import numpy as np
import torch
from stable_baselines3 import DDPG
from stable_baselines3.common.noise import NormalActionNoise
from threadpoolctl import threadpool_limits

from compagnon.rl.algorithm import build_algorithm
from compagnon.rl.recipe import parse_recipe
from harness import QUICK, Work, console, machine, print_machine, table, take_turns, write_json

STEPS = 200  # of a turn's smallest part, one episode
BEFORE = 100  # steps before the first update
SIZES = {  # hidden layers of actor and critic, batch
    "2 x 64, batch 64": ([64, 64], 64),
    "2 x 64, batch 256": ([64, 64], 256),
    "400-300, batch 256 (the zoo's)": ([400, 300], 256),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="turns of each")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a turn")
    parser.add_argument("--json", type=Path, default=None, help="also write the figures here")
    parser.add_argument("--quick", action="store_true", help=QUICK)
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, 0.01
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    screen, about = console(), machine()
    print_machine(screen, about)
    contenders: dict[str, Work] = {}
    for name, (hidden, batch) in SIZES.items():
        contenders[f"{name}: ours"] = ours(hidden, batch)
        contenders[f"{name}: SB3"] = theirs(hidden, batch)
    with threadpool_limits(1, user_api="blas"):
        rates = take_turns(contenders, options.rounds, options.seconds)
    rows = []
    for name in SIZES:
        own, other = rates[f"{name}: ours"], rates[f"{name}: SB3"]
        ratio = f"{own.median / other.median:.2f}"
        rows.append([name, f"{own.median:,.0f}", f"{other.median:,.0f}", ratio])
    columns = ["networks", "ours, steps a second", "Stable-Baselines3", "ratio"]
    screen.print(table("Pendulum-v1, one update a step, one thread", columns, rows))
    figures = {name: each.as_dict() for name, each in rates.items()}
    write_json(options.json, {"machine": about, "rates": figures})


def ours(hidden: list[int], batch: int) -> Work:
    """Training with the settings that the other one has."""
    tree: dict[str, Any] = {
        "name": "speed",
        "env": {"id": "Pendulum-v1"},
        "network": {"hidden": hidden, "activation": "relu", "scale_inputs": False},
        "algorithm": {
            "kind": "ddpg",
            "gamma": 0.98,
            "batch_size": batch,
            "capacity": 200_000,
            "learning_starts": BEFORE,
            "exploration": "gaussian",
            "noise_std": 0.1,
            "repulsive_boundary": False,
            "squash": "tanh",
            "critic_state_hidden": [],
            "critic_action_hidden": [],
            "critic_hidden": hidden,
            "iteration_steps": STEPS,
        },
        "budget": {"env_steps": STEPS},
    }
    algorithm, _ = build_algorithm(parse_recipe(tree, "this benchmark"))

    def work() -> int:
        algorithm.iterate()
        return STEPS

    return work


def theirs(hidden: list[int], batch: int) -> Work:
    """The zoo's settings, but for the networks and the batch."""
    model = DDPG(
        "MlpPolicy",
        gymnasium.make("Pendulum-v1"),
        gamma=0.98,
        learning_rate=1e-3,
        buffer_size=200_000,
        learning_starts=BEFORE,
        batch_size=batch,
        train_freq=1,
        gradient_steps=1,
        action_noise=NormalActionNoise(np.zeros(1), np.full(1, 0.1)),
        policy_kwargs={"net_arch": hidden},
        device="cpu",
        seed=0,
    )

    def work() -> int:
        model.learn(STEPS, reset_num_timesteps=False)
        return STEPS

    return work


if __name__ == "__main__":
    main()

"""Do defaults learn? PPO, DQN and DDPG with no settings at all, beside Stable-Baselines3's.

Each training gets an environment, a number of steps and a seed, and nothing else. Both libraries'
last policies then play the same 100 unseen episodes greedily; ours also shows the policy that its
run kept as the best. Figures are written after every training, and one that is there is kept.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch and numba load their threads

import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import tyro
from numpy.typing import NDArray

from compagnon.envs import BatchEnv
from compagnon.evaluation.episodes import play_episodes
from compagnon.policy import Policy, Schema, load_policy
from compagnon.rl.recipe import parse_recipe
from compagnon.rl.run import BEST, LAST
from compagnon.rl.trainer import start
from harness import console, machine, print_machine, table

UNSEEN = 1_000_000  # the first of the episodes' seeds
Who = Literal["ours", "sb3"]


class Task(NamedTuple):
    """One problem: which algorithm learns what, for how long."""

    algorithm: str
    env_id: str
    steps: int

    @property
    def name(self) -> str:
        return f"{self.algorithm} {self.env_id}"


TASKS = (
    Task("ppo", "Acrobot-v1", 60_000),
    Task("ppo", "CartPole-v1", 30_000),
    Task("ppo", "LunarLander-v3", 80_000),
    Task("ppo", "LunarLanderContinuous-v3", 80_000),
    Task("ppo", "MountainCarContinuous-v0", 30_000),
    Task("ppo", "Pendulum-v1", 40_000),
    Task("ppo", "InvertedPendulum-v5", 30_000),
    Task("dqn", "Acrobot-v1", 50_000),
    Task("dqn", "CartPole-v1", 50_000),
    Task("dqn", "LunarLander-v3", 60_000),
    Task("ddpg", "LunarLanderContinuous-v3", 15_000),
    Task("ddpg", "MountainCarContinuous-v0", 10_000),
    Task("ddpg", "Pendulum-v1", 8_000),
    Task("ddpg", "InvertedPendulum-v5", 8_000),
)


@dataclass
class Settings:
    """Train with nothing but an environment, a number of steps and a seed. One thread."""

    seeds: int = 3
    """Trainings of each task and library, with the seeds 0, 1, 2, ..."""
    first_seed: int = 0
    """The first of these seeds; defaults were chosen on 100 and on."""
    only: Who | None = None
    """One library alone."""
    tasks: tuple[str, ...] = ()
    """Parts of the tasks' names, such as `ppo` or `Pendulum`; all of them without it."""
    episodes: int = 100
    """Unseen episodes that each policy plays."""
    quick: bool = False
    """A few hundred steps of each, to see that everything runs; the figures mean nothing."""
    json: Path | None = None
    """Keep the figures here, and leave out trainings whose figures it has already."""


def main() -> int:
    settings = tyro.cli(Settings, description=__doc__)
    tasks = [task for task in TASKS if all(part in task.name for part in settings.tasks)]
    kept = _read(settings.json)
    for seed in range(settings.first_seed, settings.first_seed + settings.seeds):
        for task in tasks:
            for who in ("sb3", "ours"):
                key = f"{who} {task.name} {seed}"
                if settings.only not in (None, who) or key in kept:
                    continue
                if settings.quick:
                    task = task._replace(steps=600)
                began = time.monotonic()
                found = (ours if who == "ours" else theirs)(task, seed, settings.episodes)
                kept[key] = {**found, "seconds": time.monotonic() - began, "steps": task.steps}
                print(f"{key}: {kept[key]}", file=sys.stderr, flush=True)
                _write(settings.json, kept)
    show(tasks, kept)
    return 0


# -- the two libraries --------------------------------------------------------------------------


def ours(task: Task, seed: int, episodes: int) -> dict[str, float]:
    """Mean returns of the last policy of a run without settings, and of the best that it kept."""
    recipe = parse_recipe(
        {
            "name": "defaults",
            "seed": seed,
            "threads": 1,
            "env": {"id": task.env_id},
            "algorithm": {"kind": task.algorithm},
            "budget": {"env_steps": task.steps},
        },
        task.name,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        start(recipe, path).train()
        schema = Schema.of(BatchEnv(task.env_id, {}, 1))
        return {
            name: judge(task, load_policy(str(path / name), schema), episodes)
            for name in (LAST, BEST)
        }


class SB3Policy:
    """A model of Stable-Baselines3 as a policy, played greedily."""

    def __init__(self, model: Any) -> None:
        self.name, self._model = "Stable-Baselines3", model

    def act(
        self,
        obs: NDArray[np.float32],
        action_mask: NDArray[np.bool_] | None = None,  # noqa: ARG002
        rng: np.random.Generator | None = None,  # noqa: ARG002
    ) -> NDArray[Any]:
        return np.asarray(self._model.predict(obs, deterministic=True)[0])


def theirs(task: Task, seed: int, episodes: int) -> dict[str, float]:
    """Mean return of the last policy of Stable-Baselines3's own defaults."""
    import stable_baselines3
    import torch

    torch.set_num_threads(1)
    algorithm = getattr(stable_baselines3, task.algorithm.upper())
    model = algorithm("MlpPolicy", task.env_id, seed=seed, device="cpu")
    model.learn(task.steps)
    return {LAST: judge(task, SB3Policy(model), episodes)}


def judge(task: Task, policy: Policy, episodes: int) -> float:
    """The mean return of unseen episodes, the same for everybody."""
    seeds = list(range(UNSEEN, UNSEEN + episodes))
    return float(play_episodes(task.env_id, {}, policy, seeds).returns.mean())


# -- figures ------------------------------------------------------------------------------------


def show(tasks: list[Task], kept: dict[str, Any]) -> None:
    """A line a task: the mean over seeds, and what each seed gave."""
    out, rows = console(), []
    for task in tasks:
        ours = _of("ours", task, kept, LAST), _of("ours", task, kept, BEST)
        rows.append(
            [
                f"{task.name}, {task.steps:,} steps",
                *(_words(values) for values in (_of("sb3", task, kept, LAST), *ours)),
            ]
        )
    out.print(table("Mean return (each seed)", ["", "SB3", "ours, last", "ours, best"], rows))
    print_machine(out, machine())


def _of(who: str, task: Task, kept: dict[str, Any], policy: str) -> list[float]:
    begin = f"{who} {task.name} "
    return [row[policy] for key, row in kept.items() if key.startswith(begin)]


def _words(values: list[float]) -> str:
    if not values:
        return "-"
    each = ", ".join(f"{value:,.0f}" for value in values)
    return f"{np.mean(values):,.1f} ({each})"


def _read(path: Path | None) -> dict[str, Any]:
    if path is None or not path.is_file():
        return {}
    found: dict[str, Any] = json.loads(path.read_text())["trainings"]
    return found


def _write(path: Path | None, kept: dict[str, Any]) -> None:
    if path is not None:
        path.write_text(json.dumps({"machine": machine(), "trainings": kept}, indent=1))


if __name__ == "__main__":
    sys.exit(main())

"""Trains one recipe for a search, and judges its best policy on episodes that it never saw."""

import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from compagnon.envs import BatchEnv
from compagnon.evaluation.episodes import play_episodes, seeds_from
from compagnon.policy import Schema, load_policy
from compagnon.rl.callbacks import IterationInfo
from compagnon.rl.recipe import RECIPE_FILE, Recipe
from compagnon.rl.run import BEST, LAST, LOCK_FILE, Run
from compagnon.rl.trainer import start


@dataclass
class TrialTimes:
    """Where the seconds of a trial went."""

    training: float = 0.0
    evaluating: float = 0.0

    def as_json(self, whole: float) -> dict[str, float]:
        """What a trial keeps of it, under the names that studies on disk have."""
        return {"training": self.training, "judging": self.evaluating, "whole": whole}


@dataclass
class Curve:
    """The evaluations of a training: environment steps, and the mean return."""

    steps: list[int] = field(default_factory=list)
    returns: list[float] = field(default_factory=list)


def train(
    recipe: Recipe,
    folder: Path,
    times: TrialTimes,
    evaluated: Callable[[int, float], None],
    each: Callable[[], None],
) -> Curve:
    """Run a recipe to its end in a folder of its own; whatever stood there is done again.

    Args:
        times: the seconds of training are added, whatever happens.
        evaluated: told the number of each evaluation, from 1, and its mean return; it ends the
            training by raising.
        each: called after each iteration.

    Raises:
        InputError: the recipe cannot run.
        TrainingError: something stopped being a finite number.
        KeyboardInterrupt: a signal asked to stop.
    """
    if (folder / RECIPE_FILE).is_file():
        shutil.rmtree(folder)
    curve, aside = Curve(), 0.0

    def listen(update: IterationInfo) -> None:
        nonlocal aside
        began = time.monotonic()
        try:
            if "eval/return" in update.metrics:
                curve.steps.append(update.env_steps)
                curve.returns.append(update.metrics["eval/return"])
                evaluated(len(curve.steps), curve.returns[-1])
            each()
        finally:
            aside += time.monotonic() - began

    began = time.monotonic()
    try:
        outcome = start(recipe, folder).train(listen)
    finally:
        times.training += time.monotonic() - began - aside
        _tidy(Run(folder))
    if outcome.state == "interrupted":
        raise KeyboardInterrupt
    return curve


def _tidy(run: Run) -> None:
    """Keep the recipe, the metrics, the outcome and the best policy: a trial is never resumed."""
    for path in (run.checkpoints, run.path / "tensorboard", run.path / LAST):
        shutil.rmtree(path, ignore_errors=True)
    (run.path / LOCK_FILE).unlink(missing_ok=True)


def evaluate_best(
    recipe: Recipe, folder: Path, seed: int, episodes: int, times: TrialTimes
) -> float:
    """Mean return of a run's best policy, greedy, on the episodes of seeds from `seed` on.

    Raises:
        FloatingPointError: it is not a finite number.
    """
    began = time.monotonic()
    env = (recipe.env.id, recipe.env.args)
    one = BatchEnv(*env, 1)
    policy = load_policy(str(folder / BEST), Schema.of(one))
    seeds = seeds_from(one, seed, episodes)
    mean = float(play_episodes(*env, policy, seeds, backend=recipe.env.judged_by).returns.mean())
    times.evaluating += time.monotonic() - began
    if not math.isfinite(mean):
        raise FloatingPointError(f"the mean return is {mean}")
    return mean

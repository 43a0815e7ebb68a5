"""`run`, `resume`: a recipe from wherever it stands, and a run that goes on."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from compagnon.api.experts import ExpertLike, given_expert
from compagnon.api.learners import Budget, Learner
from compagnon.envs.from_object import EnvLike, GivenEnv, register_again
from compagnon.errors import InputError
from compagnon.rl.callbacks import Callback
from compagnon.rl.recipe import (
    RECIPE_FILE,
    Recipe,
    change_recipe,
    complete_recipe,
    load_recipe,
)
from compagnon.rl.run import Run


def run(
    recipe: Recipe | str | Path,
    out: str | Path | None = None,
    *,
    changes: Mapping[str, Any] | None = None,
    callbacks: Callback | Sequence[Callback] = (),
    progress: bool = False,
) -> Learner:
    """Run a recipe, as ``compagnon learn`` does.

    Args:
        recipe: the name of one that ships, the path of a TOML file, or one built in Python.
        out: a folder for the run; without it nothing is left on disk.
        changes: dotted key -> value, such as ``{"algorithm.gamma": 0.99}``.
        callbacks, progress: see `Learner.learn`.

    Raises:
        InputError: no such recipe, a setting that does not fit, or one with variants.
        TrainingError: something stopped being a finite number.
    """
    if isinstance(recipe, Recipe):
        chosen = complete_recipe(recipe, recipe.name)
        if changes:
            chosen = change_recipe(chosen, dict(changes), recipe.name)
    else:
        chosen = load_recipe(str(recipe), dict(changes or {}))
    if chosen.variants:
        raise InputError(
            f"{chosen.name} has variants: {', '.join(chosen.variants)}; run one of them, with what "
            "it changes as changes, and variants={}"
        )
    return Learner.of_recipe(chosen).learn(callbacks=callbacks, out=out, progress=progress)


def resume(
    path: str | Path,
    budget: Budget | None = None,
    *,
    callbacks: Callback | Sequence[Callback] = (),
    progress: bool = False,
    env: EnvLike | None = None,
    expert: ExpertLike | None = None,
) -> Learner:
    """Go on with a run from its newest checkpoint, bit for bit where it stopped.

    Args:
        path: the run's folder.
        budget: so much more; None for what is left of its own.
        callbacks, progress: see `Learner.learn`.
        env: what the run learns in, where that was an object or a function of the program that
            began it. expert: the same of whom it imitates.

    Raises:
        InputError: there is no such run, or another process trains in it.
        TrainingError: something stopped being a finite number.
    """
    folder = Path(path)
    own = Run.open(folder)
    if env is not None:
        # Before the recipe is read: it names an environment that nobody knows yet.
        tree = tomllib.loads((folder / RECIPE_FILE).read_text(encoding="utf-8"))
        register_again(str(tree["env"]["id"]), env)
    recipe = own.recipe
    whom = None
    if expert is not None:
        whom = given_expert(expert, GivenEnv(recipe.env.id, recipe.env.args))
    learner = Learner.of_run(folder, whom)
    return learner.learn(budget, callbacks=callbacks, progress=progress)

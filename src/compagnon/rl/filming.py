"""Videos of training: every so many episodes, one episode of the policy as it then is."""

from contextlib import closing
from pathlib import Path

from compagnon.errors import InputError
from compagnon.policy import Policy
from compagnon.reporting.video import check_video, make_shown, record
from compagnon.rl.recipe import Recipe

FOLDER = "videos"


def check_filming(recipe: Recipe) -> None:
    """Raise InputError, before anything is trained, where a recipe's videos cannot be made."""
    if recipe.video.every_episodes == 0:
        return
    try:
        check_video(Path(f"episode.{recipe.video.format}"))
        env, _ = make_shown(recipe.env.id, recipe.env.args, "rgb_array")
        with closing(env):
            env.reset(seed=0)
            env.render()
    except (InputError, ImportError) as error:
        raise InputError(
            f"recipe {recipe.name} wants videos: {error}; video.every_episodes=0 does without"
        ) from None


def film_if_due(recipe: Recipe, policy: Policy, folder: Path, before: int, now: int) -> Path | None:
    """Film an episode if a multiple of `every_episodes` was passed; the file, or None.

    Args:
        policy: bound to the recipe's environment; played greedily.
        folder: the run's.
        before, now: training episodes that had ended before the iteration, and after it.
    """
    every = recipe.video.every_episodes
    if every == 0 or now // every == before // every:
        return None
    number = now // every * every
    path = folder / FOLDER / f"episode-{number:06d}.{recipe.video.format}"
    env, _ = make_shown(recipe.env.id, recipe.env.args, "rgb_array")
    with closing(env):
        record(env, policy, path, recipe.evaluation.seed, steps=recipe.video.steps)
    return path

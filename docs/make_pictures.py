"""Draws the pictures of these pages: `python docs/make_pictures.py ddpg --runs runs/seeds`.

That of the README is drawn from the run that `compagnon demo` leaves: `python docs/make_pictures.py
readme --runs runs`.

Those of noise are drawn from the code alone. Those of learning are drawn from the runs that
``python benchmarks/seeds.py RECIPE --out runs/seeds`` leaves, for RECIPE `ball-ddpg`,
`ball-2d-ddpg` and `pendulum-ddpg`; they are left as they are where those runs are not there.
"""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from compagnon.envs import BatchEnv, make
from compagnon.policy import Policy, Schema, load_policy
from compagnon.reporting.svg import Series, line_chart
from compagnon.rl.algorithm import build_algorithm
from compagnon.rl.exploration.noise import (
    NoisyActions,
    OrnsteinUhlenbeck,
    boundary,
    boundary_slope,
)
from compagnon.rl.run import Run

IMAGES = Path(__file__).parent / "images"
STEPS, COMPONENTS, SEED = 700, 5, 3
MOMENT = 3 * 1440 + 18 * 60  # Thursday, 18:00
RECIPES = ("pendulum-ddpg", "ball-ddpg", "ball-2d-ddpg")


def stacked(charts: Sequence[str]) -> str:
    """Charts one under the other, as one picture."""
    y, parts = 0.0, []
    for chart in charts:
        parts.append(chart.replace("<svg ", f'<svg y="{y:.0f}" ', 1))
        y += float(chart.partition('height="')[2].partition('"')[0]) + 16
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="860" height="{y:.0f}" '
        f'viewBox="0 0 860 {y:.0f}">{"".join(parts)}</svg>'
    )


def components(values: NDArray[np.float64], every: int) -> list[Series]:
    """A line for each column of (steps, D), thinned."""
    at = np.arange(0, len(values), every)
    return [Series(f"component {d}", at, values[at, d]) for d in range(values.shape[1])]


def saturation() -> str:
    """The same noise, clipped alone and repelled from the bounds."""
    charts = []
    for title, repulsion in (
        ("Clipped alone: on an excursion the action sticks to its bound", 0.0),
        ("Repulsive boundary: the same draws, and the action keeps moving", 1e-4),
    ):
        rng = np.random.default_rng(SEED)
        noisy = NoisyActions(OrnsteinUhlenbeck(1, COMPONENTS), repulsion, 0.0, 1.0)
        said = np.full((1, COMPONENTS), 0.8, np.float32)
        seen = np.concatenate([noisy(said, rng) for _ in range(STEPS)]).astype(np.float64)
        charts.append(line_chart(components(seen, 3), title, "step", title))
    return stacked(charts)


def ou_paths() -> str:
    """Two episodes of noise, and the deviation that it settles at."""
    noise, rng = OrnsteinUhlenbeck(1, COMPONENTS), np.random.default_rng(SEED)
    seen = []
    for _ in range(2):
        noise.reset(np.ones(1, np.bool_))
        seen += [noise.next(rng)[0] for _ in range(500)]
    ends, settled = np.array([0, 1000]), noise.stationary_std
    band = Series("settled deviation", ends, [0, 0], [-settled] * 2, [settled] * 2)
    title = "Ornstein-Uhlenbeck noise: two episodes of 500 steps, each from 0"
    return line_chart([*components(np.array(seen), 4), band], title, "step", title)


def smile() -> str:
    """The boundary's potential and its slope, on two ranges."""
    charts = []
    for title, function in (("b(x)", boundary), ("b'(x)", boundary_slope)):
        lines = []
        for low, high in ((-1.0, 1.0), (-1.0, 2.0)):
            x = np.linspace(low, high, 121)
            lines.append(Series(f"bounds {low:g} and {high:g}", x, function(x, low, high)))
        charts.append(line_chart(lines, title, "x", title))
    return stacked(charts)


def curves(folder: Path) -> str | None:
    """The evaluations of each recipe's runs: their mean, from the least to the most."""
    charts = []
    for name in RECIPES:
        runs = [Run.open(path) for path in sorted(folder.glob(f"{name}-[0-9]*"))]
        if not runs:
            return None
        judged = [evaluations(run) for run in runs]
        shortest = min(len(steps) for steps, _ in judged)
        steps = judged[0][0][:shortest]
        returns = np.stack([found[:shortest] for _, found in judged])
        line = Series(
            f"mean of {len(runs)} seeds, and their range",
            steps,
            returns.mean(axis=0),
            returns.min(axis=0),
            returns.max(axis=0),
        )
        title = f"{name}: mean return of an evaluation"
        charts.append(line_chart([line], title, "environment steps", title))
    return stacked(charts)


def evaluations(run: Run) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Steps and mean returns of a run's evaluations."""
    lines = [line for line in run.metrics() if "eval/return" in line]
    return (
        np.array([line["env_steps"] for line in lines], np.float64),
        np.array([line["eval/return"] for line in lines], np.float64),
    )


def breakdown(folder: Path) -> str | None:
    """The run that falls furthest below its best, and what the best that is kept is worth."""
    found = [
        (name, path, *evaluations(Run.open(path)))
        for name in RECIPES
        for path in sorted(folder.glob(f"{name}-[0-9]*"))
        if name.startswith("ball")
    ]
    if not found:
        return None
    _, path, steps, returns = max(
        found, key=lambda each: float(np.ptp(each[3][len(each[3]) // 2 :]))
    )
    kept = np.maximum.accumulate(returns)
    title = f"{path.name}: mean return of an evaluation"
    lines = [
        Series("the policy as it trains", steps, returns),
        Series("the best, kept", steps, kept),
    ]
    return line_chart(lines, title, "environment steps", title)


def ball_pictures(folder: Path) -> Image.Image | None:
    """Episodes of seed 1,000,000: the actor as it begins above, the best one below."""
    rows: list[list[Image.Image]] = [[], []]
    for name in ("ball-ddpg", "ball-2d-ddpg"):
        path = folder / f"{name}-0"
        if not path.is_dir():
            return None
        recipe = Run.open(path).recipe
        schema = Schema.of(BatchEnv(recipe.env.id, recipe.env.args, 1))
        before = build_algorithm(recipe)[1].as_policy("before").bind(schema)
        for row, policy in zip(rows, (before, load_policy(str(path), schema)), strict=True):
            row.append(episode(recipe.env.id, recipe.env.args, policy))
    wide, high = rows[0][0].size
    whole = Image.new("RGB", (2 * wide, 2 * high))
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            whole.paste(picture, (x * wide, y * high))
    return whole.quantize(64)


def episode(
    env_id: str, env_args: dict[str, object], policy: Policy, until: float = math.inf
) -> Image.Image:
    """The picture of one whole episode, or of one until so many units of its time."""
    env = make(env_id, **env_args, render_mode="rgb_array")
    obs, info = env.reset(seed=1_000_000)
    over, elapsed = False, 0.0
    while not over and elapsed < until:
        mask = info.get("action_mask")
        action = policy.act(obs[None], None if mask is None else mask[None])[0]
        obs, _, terminated, truncated, info = env.step(action)
        over, elapsed = terminated or truncated, elapsed + info.get("elapsed", 1.0)
    return Image.fromarray(env.render())


def readme(runs: Path) -> None:
    """The demo's shop on the fourth day of a week that nobody trained on."""
    recipe = Run.open(runs / "demo").recipe
    policy = load_policy(str(runs / "demo"), Schema.of(BatchEnv(recipe.env.id, recipe.env.args, 1)))
    picture = episode(recipe.env.id, recipe.env.args, policy, MOMENT)
    picture.quantize(64).save(IMAGES / "workshop.png", optimize=True)


def ddpg(runs: Path) -> None:
    """All pictures of ddpg.md."""
    drawn: dict[str, Callable[[], str | Image.Image | None]] = {
        "ddpg-saturation.svg": saturation,
        "ddpg-ou.svg": ou_paths,
        "ddpg-smile.svg": smile,
        "ddpg-curves.svg": lambda: curves(runs),
        "ddpg-breakdown.svg": lambda: breakdown(runs),
        "ddpg-ball.png": lambda: ball_pictures(runs),
    }
    for name, draw in drawn.items():
        picture = draw()
        if picture is None:
            print(f"{name}: {runs} lacks the runs for it; left as it is")
        elif isinstance(picture, str):
            (IMAGES / name).write_text(picture, encoding="utf-8")
        else:
            picture.save(IMAGES / name, optimize=True)


PAGES = {"ddpg": ddpg, "readme": readme}


def main() -> int:
    """Draw the pictures of one page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", choices=PAGES)
    parser.add_argument("--runs", type=Path, default=Path("runs/seeds"))
    options = parser.parse_args()
    PAGES[options.page](options.runs)
    return 0


if __name__ == "__main__":
    sys.exit(main())

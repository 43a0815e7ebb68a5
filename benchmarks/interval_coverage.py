"""How often intervals hold the true mean of a handful of episodes: ours beside four others.

python benchmarks/interval_coverage.py [--quick] [--episodes 12] [--seed 1]
"""

import argparse
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from compagnon.evaluation.evaluate import evaluate
from compagnon.evaluation.statistics import mean_intervals

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, int]], Floats]
RESAMPLES, BLOCK = 2_000, 500
TAILS = np.array([0.025, 0.975])


def sources() -> dict[str, tuple[Draw, float]]:
    """Laws whose mean is known: even, leaning, far-tailed, mostly nothing."""
    return {
        "normal": (lambda rng, shape: rng.normal(size=shape), 0.0),
        "uniform": (lambda rng, shape: rng.random(shape), 0.5),
        "Laplace": (lambda rng, shape: rng.laplace(size=shape), 0.0),
        "Student, 3 degrees": (lambda rng, shape: rng.standard_t(3, shape), 0.0),
        "gamma, shape 4": (lambda rng, shape: rng.gamma(4.0, 1.0, shape), 4.0),
        "exponential": (lambda rng, shape: rng.exponential(1.0, shape), 1.0),
        "log-normal, sd 0.5": (
            lambda rng, shape: rng.lognormal(0.0, 0.5, shape), float(np.exp(0.125)),
        ),
        "noise 10, a refusal of 60 in 5": (
            lambda rng, shape: rng.normal(0, 10, shape) + 60 * (rng.random(shape) < 0.2), 12.0,
        ),
        "0 in 7 of 10, else normal": (
            lambda rng, shape: rng.normal(size=shape) * (rng.random(shape) < 0.3), 0.0,
        ),
        "log-normal, sd 1": (lambda rng, shape: rng.lognormal(0.0, 1.0, shape), float(np.exp(0.5))),
        "0 in 7 of 10, else exponential": (
            lambda rng, shape: rng.exponential(size=shape) * (rng.random(shape) < 0.3), 0.3,
        ),
    }  # fmt: skip


def worlds(episodes: int) -> Iterator[tuple[str, Floats]]:
    """Paired differences of rules on many episodes: the populations that a dozen is drawn from."""
    pairs = {
        "workshop, two rules": (
            "compagnon/Workshop-v0", {}, "expert:workshop-v2", "expert:workshop-base-stock",
        ),
        "clinic-day, two rules": (
            "compagnon/Dispatch-v1", {"preset": "clinic-day"}, "expert:dispatch-insertion",
            "expert:dispatch-nearest",
        ),
        "clinic-day, two close rules": (
            "compagnon/Dispatch-v1", {"preset": "clinic-day"}, "expert:dispatch-insertion",
            "expert:dispatch-matching",
        ),
    }  # fmt: skip
    for name, (env, args, first, second) in pairs.items():
        one, other = evaluate([first, second], env, args, episodes, seed=5_000_000).scores
        yield name, other.results.returns - one.results.returns


def others(values: Floats, seed: int) -> dict[str, Floats]:
    """Intervals (K, 2) of the columns of (E, K) by four textbook methods."""
    episodes = len(values)
    mean, sd = values.mean(axis=0), values.std(axis=0, ddof=1)
    about = values - mean
    error = sd / np.sqrt(episodes)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(episodes, np.full(episodes, 1 / episodes), RESAMPLES)
    means = counts @ about / episodes
    variance = counts @ about**2 / episodes - means**2
    t = np.full(means.shape, np.nan)
    good = variance > 0.03 * sd**2
    np.divide(means * np.sqrt(episodes - 1), np.sqrt(np.abs(variance)), out=t, where=good)
    half = stats.t.ppf(TAILS[1], episodes - 1) * error
    low, high = np.nanquantile(t, TAILS, axis=0)
    ends = np.quantile(means, TAILS, axis=0)
    return {
        "percentile": np.stack([mean + ends[0], mean + ends[1]], axis=1),
        "BCa": _bca(mean, about, means),
        "Student": np.stack([mean - half, mean + half], axis=1),
        "bootstrap-t": np.stack([mean - high * error, mean - low * error], axis=1),
    }


def _bca(mean: Floats, about: Floats, means: Floats) -> Floats:
    """Bias-corrected and accelerated (Efron 1987)."""
    below = (means < 0).mean(axis=0) + (means == 0).mean(axis=0) / 2
    bias = stats.norm.ppf(np.clip(below, 1e-3, 1 - 1e-3))
    spread = np.maximum((about**2).sum(axis=0), 1e-30)
    skew = (about**3).sum(axis=0) / (6 * spread**1.5)
    found = []
    for tail in stats.norm.ppf(TAILS):
        levels = stats.norm.cdf(bias + (bias + tail) / (1 - skew * (bias + tail)))
        found.append([np.quantile(means[:, k], level) for k, level in enumerate(levels)])
    return mean[:, None] + np.array(found).T


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer trials, no worlds")
    parser.add_argument("--episodes", type=int, default=12)
    parser.add_argument("--trials", type=int, default=4_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    trials = 500 if args.quick else args.trials
    rng = np.random.default_rng(args.seed)
    methods = ("percentile", "BCa", "Student", "bootstrap-t", "ours")
    print(
        f"{args.episodes} episodes, {trials} trials: % that hold the mean / width beside Student's"
    )
    print(f"{'':32}" + "".join(f"{method:>15}" for method in methods))
    for name, (draw, true) in laws(args.quick):
        hits, widths = dict.fromkeys(methods, 0), dict.fromkeys(methods, 0.0)
        for block in range(0, trials, BLOCK):
            values = draw(rng, (args.episodes, BLOCK))
            seed = args.seed + block
            found = {**others(values, seed), "ours": mean_intervals(values, seed=seed)}
            for method, ends in found.items():
                hits[method] += int(((ends[:, 0] <= true) & (true <= ends[:, 1])).sum())
                widths[method] += float((ends[:, 1] - ends[:, 0]).sum())
        played = -(-trials // BLOCK) * BLOCK
        cells = (
            f"{100 * hits[one] / played:.1f} / {widths[one] / widths['Student']:.2f}"
            for one in methods
        )
        print(f"{name:32}" + "".join(f"{cell:>15}" for cell in cells), flush=True)


def laws(quick: bool) -> Iterator[tuple[str, tuple[Draw, float]]]:
    """The sources, and after them the worlds, which take minutes to play."""
    yield from sources().items()
    if not quick:
        for name, figures in worlds(1_500):
            yield name, (_drawn_from(figures), float(figures.mean()))


def _drawn_from(figures: Floats) -> Draw:
    return lambda rng, shape: rng.choice(figures, shape)


if __name__ == "__main__":
    main()

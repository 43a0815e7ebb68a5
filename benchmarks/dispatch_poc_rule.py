"""What each part of the proof of concept's outlook rule is worth: the rule without it, same days.

python benchmarks/dispatch_poc_rule.py
python benchmarks/dispatch_poc_rule.py --days 400 --seed 7000000
"""

import argparse
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from compagnon.envs import BatchEnv
from compagnon.evaluation.episodes import play_episodes
from compagnon.evaluation.statistics import estimate_each
from compagnon.policy import Schema
from compagnon.worlds.dispatch_poc import DISPATCH_POC
from compagnon.worlds.dispatch_poc.experts.outlook import LATER, POINTS, OutlookRule
from harness import QUICK

ARGS = {"observation": "trips"}
PARTS = {
    "the way": ("way",),
    "the time to spare": ("spare",),
    "the other open bookings": ("others",),
    "the bookings to come": LATER,
}


def main() -> None:
    """Print the rule's figures, and how they change without each part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=400)
    parser.add_argument("--seed", type=int, default=7_000_000)
    parser.add_argument("--quick", action="store_true", help=QUICK)
    given = parser.parse_args()
    if given.quick:
        given.days = 3
    seeds = list(range(given.seed, given.seed + given.days))
    schema = Schema.of(BatchEnv(DISPATCH_POC, ARGS, 1))

    def play(points: Mapping[str, float]) -> Mapping[str, NDArray[np.float64]]:
        return play_episodes(DISPATCH_POC, ARGS, OutlookRule(schema, points), seeds).kpis

    whole = play(POINTS)
    print(f"{given.days} days from seed {given.seed}, mean and 95 % interval")
    show("the whole rule", whole)
    for words, fields in PARTS.items():
        less = play({name: worth for name, worth in POINTS.items() if name not in fields})
        show(f"without {words}", {name: less[name] - whole[name] for name in KPIS})


KPIS = ("reward_per_step", "completion", "mean_distance")


def show(words: str, kpis: Mapping[str, NDArray[np.float64]]) -> None:
    """One line: the mean of each figure."""
    shown = []
    for name, figure in estimate_each({name: kpis[name] for name in KPIS}).items():
        low, high = figure.ci95
        shown.append(f"{name} {figure.mean:+.3f} ({low:+.3f} to {high:+.3f})")
    print(f"{words}: {', '.join(shown)}")


if __name__ == "__main__":
    main()

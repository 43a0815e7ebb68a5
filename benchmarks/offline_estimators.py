"""How often the intervals of off-policy estimates hold the truth, and which faulty logs are found.

python benchmarks/offline_estimators.py [--quick] [--trials 600] [--logs 300] [--seed 1]
"""

import argparse
import importlib
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from compagnon.evaluation.offline.estimate import Estimate, estimate, estimate_difference
from compagnon.evaluation.offline.logged import LoggedDecisions
from compagnon.evaluation.offline.quality import check_quality

sys.path.insert(0, str(Path(__file__).parents[1]))
# The problems that the tests solve exactly, and the faults that they plant.
problems = importlib.import_module("tests.evaluation.offline.problems")
logs = importlib.import_module("tests.evaluation.offline.logs")

GAMMA = 0.95


class Case(NamedTuple):
    name: str
    problem: Any
    units: int
    against: bool = False  # the difference from the policy that decided


def cases() -> list[Case]:
    bandit, mdp = problems.contexts(), problems.mdp()
    return [
        Case("bandit, 250 units", bandit, 250),
        Case("bandit, 250 units, challenger - champion", bandit, 250, True),
        Case("bandit, 60 units", bandit, 60),
        Case("bandit, 250 units, heavy weights", problems.contexts(sharpness=3.0, logged=2.5), 250),
        Case("episodes, 150 units", mdp, 150),
        Case("episodes, 150 units, challenger - champion", mdp, 150, True),
        Case("episodes, 40 units", mdp, 40),
        Case("episodes, 150 units, heavy weights", problems.mdp(sharpness=2.0, logged=1.5), 150),
    ]


def estimates(case: Case, logged: LoggedDecisions, seed: int) -> tuple[Estimate, ...]:
    target = case.problem.on(logged, case.problem.target)
    if case.against:
        return estimate_difference(logged, target, logged.probabilities, GAMMA, seed)
    return estimate(logged, target, GAMMA, seed)


def coverage(case: Case, trials: int, seed: int) -> Iterator[str]:
    problem = case.problem
    true = problem.value(problem.target, GAMMA)
    if case.against:
        true -= problem.value(problem.behaviour, GAMMA)
    rng = np.random.default_rng(seed)
    found: dict[str, list[Estimate]] = {}
    for trial in range(trials):
        for one in estimates(case, problem.log(case.units, rng), seed + trial):
            found.setdefault(one.name, []).append(one)
    for name, every in found.items():
        values = np.array([one.value for one in every])
        wide = np.mean([one.high - one.low for one in every])
        ess = np.mean([one.ess for one in every])
        held = np.array([one.low <= true <= one.high for one in every])
        read = np.array([one.evaluable for one in every])
        of_read = f"{100 * held[read].mean():9.1f}" if read.any() else f"{'-':>9}"
        yield (
            f"{case.name:44} {name:10}{true:8.3f}{values.mean() - true:9.3f}{values.std():8.3f}"
            f"{wide:8.3f}{ess:7.0f}{100 * held.mean():8.1f}{100 * read.mean():8.1f}{of_read}"
        )


def faults(count: int, seed: int) -> Iterator[str]:
    """Of each kind of log: how many are refused, without and with the stale model's vectors."""
    kinds = [
        ("clean, softmax", None, 4.0, False),
        ("clean, greedy with epsilon", None, 4.0, True),
        ("greedy logged as 1", "greedy as 1", 4.0, True),
        ("eps / A logged, eps / k played", "eps / A", 4.0, True),
        ("softmax before the mask", "before the mask", 4.0, False),
        ("5 % stale, greedy with epsilon", "stale", 4.0, True),
        ("5 % stale, softmax, sharp", "stale", 4.0, False),
        ("5 % stale, softmax, soft", "stale", 2.0, False),
    ]
    for name, fault, sharpness, greedy in kinds:
        rng = np.random.default_rng(seed)
        reference, _ = logs.drawn(None, rng)
        blind, told, first = 0, 0, Counter[str]()
        for _ in range(count):
            logged, stale = logs.drawn(fault, rng, sharpness, greedy)
            logged = logs.two_arms(logged, rng)
            report = check_quality(logged, {"stale": stale}, reference)
            names = {one.name for one in report.faults}
            told += bool(names)
            blind += bool(names - {"mean_weight_stale"})
            first.update(names)
        mostly = ", ".join(f"{one} {100 * n / count:.0f}" for one, n in first.most_common(3))
        yield f"{name:34}{100 * blind / count:9.1f}{100 * told / count:9.1f}   {mostly}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few trials of everything")
    parser.add_argument("--trials", type=int, default=600)
    parser.add_argument("--logs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    trials, count = (3, 3) if args.quick else (args.trials, args.logs)
    began = time.process_time()
    print(
        f"{trials:,} logs each, gamma {GAMMA}, two episodes a unit; of those: held, of the ones "
        "to be read"
    )
    print(
        f"{'':44} {'':10}{'true':>8}{'bias':>9}{'sd':>8}{'width':>8}{'ESS':>7}{'held %':>8}"
        f"{'read %':>8}{'of those':>9}"
    )
    for case in cases():
        for line in coverage(case, trials, args.seed):
            print(line, flush=True)
    print(f"\nLogs of {logs.ROWS:,} decisions, {count:,} of each kind: % refused")
    print(f"{'':34}{'blind':>9}{'told':>9}   by which tests, in % (told: by the stale vectors too)")
    for line in faults(count, args.seed):
        print(line, flush=True)
    print(f"\n{time.process_time() - began:.0f} s of one core")


if __name__ == "__main__":
    main()

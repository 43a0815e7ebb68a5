"""Compiles the kernels that most tests call, each once, before several processes test.

What is missing here compiles where a test first calls it, and perhaps in each process.
"""

import sys

from compagnon.evaluation.evaluate import evaluate
from compagnon.rl.algorithm import build_algorithm
from compagnon.worlds.ball import BALL
from compagnon.worlds.dispatch import DISPATCH
from compagnon.worlds.dispatch_poc import DISPATCH_POC
from compagnon.worlds.workshop import WORKSHOP
from tests.rl.cases import CASES

DISPATCH_RULES = ("nearest", "earliest", "least-loaded", "matching", "insertion", "regret")
POC_RULES = ("nearest", "earliest", "least-loaded", "matching")
WORKSHOP_RULES = ("v2", "base-stock", "over-producer")


def play(env_id: str, prefix: str, rules: tuple[str, ...], **env_args: object) -> None:
    """An episode of each rule of a world."""
    evaluate([f"expert:{prefix}-{rule}" for rule in rules], env_id, env_args, episodes=1)


def learn(on_dispatch: bool) -> None:
    """Some iterations of each algorithm, with the networks of that world or of all others."""
    for case in CASES.values():
        if (case.env_id == DISPATCH) == on_dispatch:
            algorithm, _ = build_algorithm(case.recipe())
            for _ in range(3):
                algorithm.iterate()


def main(part: str) -> None:
    if part == "dispatch":  # which takes as long as all others
        play(DISPATCH, "dispatch", DISPATCH_RULES, preset="clinic-day")
        learn(on_dispatch=True)
    else:
        play(WORKSHOP, "workshop", WORKSHOP_RULES)
        play(DISPATCH_POC, "dispatch-poc", POC_RULES)
        play(DISPATCH_POC, "dispatch-poc", ("outlook",), observation="trips")
        evaluate(["random"], BALL, {}, episodes=1)
        learn(on_dispatch=False)


if __name__ == "__main__":
    main(sys.argv[1])

"""As evaluated, as served by default, as served with exploration: for any trained policies.

    python benchmarks/as_served.py runs/* [--explore 0.05] [--episodes 100] [--seed 3000000]
    python benchmarks/as_served.py --quick

Each policy plays its own recorded environment on the same episodes: as `compagnon evaluate` plays
it; as `compagnon serve` plays it by default, which should be equal in every episode; sampling; and
exploring. Where a policy was exported the exported file plays as served, else its weights do. It
ends with 1 if anything that is served by default is not what was evaluated.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.evaluation.episodes import play_episodes, seeds_from
from compagnon.evaluation.labels import labels_of
from compagnon.evaluation.statistics import Estimate, estimate
from compagnon.evaluation.verdict import amount
from compagnon.policy import (
    NetworkPolicy,
    OnnxPolicy,
    Schema,
    load_artefact,
    load_onnx,
    save_policy,
)
from compagnon.policy.action_selection import Nearness, Play
from compagnon.policy.as_served import AsServed
from compagnon.policy.exported import ONNX_FILES
from compagnon.policy.loading import artefact_directory
from compagnon.policy.manifest import GaussianHead

COLUMNS = ("policy", "environment", "episodes", "as evaluated", "as served", "differ",
           "sampled costs", "exploring costs", "explored")  # fmt: skip


def row(path: Path, given: argparse.Namespace) -> tuple[list[str], bool]:
    """One policy's line of the table, and whether it is served as it was evaluated."""
    directory = artefact_directory(path)
    own = load_artefact(directory)
    manifest = own.manifest
    env = manifest.schema_.env_id, dict(manifest.provenance.env_args)
    one = BatchEnv(*env, 1)
    schema, seeds = Schema.of(one), seeds_from(one, given.seed, given.episodes)
    policy = own.bind(schema)
    deployed: NetworkPolicy | OnnxPolicy = policy
    if (directory / ONNX_FILES["fp32"]).is_file():
        deployed = load_onnx(directory).bind(schema)
    evaluated = play_episodes(*env, policy, seeds).returns
    served = play_episodes(*env, AsServed(deployed), seeds).returns
    # Vectors of an exported file differ from those of its weights in the last bits.
    same = evaluated == served
    if manifest.schema_.action.kind != "discrete":
        same = np.isclose(evaluated, served, rtol=1e-6)
    differ = int(np.count_nonzero(~same))
    nearness = Nearness(given.floor, given.margin, given.spread)
    play = Play("greedy", given.explore, nearness.of(manifest.head))
    cells = [
        str(path), env[0], f"{len(seeds):,}", amount(float(evaluated.mean()), sign=False),
        amount(float(served.mean()), sign=False), f"{differ} of {len(seeds)}",
    ]  # fmt: skip
    for way in (Play("sampled"), play):
        lost, share = cost(deployed, env, seeds, way, given, evaluated)
        cells.append(in_words(lost, labels_of(env[0]).each))
    return [*cells, share], differ == 0


def cost(
    policy: NetworkPolicy | OnnxPolicy,
    env: tuple[str, dict[str, Any]],
    seeds: list[int],
    play: Play,
    given: argparse.Namespace,
    evaluated: np.ndarray,
) -> tuple[Estimate, str]:
    """What a play earns less, of each episode, and how many decisions of one it explored."""
    counting = Counting(policy, play, given.cap, given.seed)
    found = play_episodes(*env, counting, seeds)
    explored = sum(int(one.explored_decisions.sum()) for one in counting.played)
    share = f"{explored / len(seeds):.1f} of {found.lengths.mean():,.0f}"
    return estimate(evaluated - found.returns), share


class Counting(AsServed):
    """Keeps its playings, to see what they explored."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.played: list[Any] = []

    def playing(self, env: BatchEnv) -> Any:
        """One more playing."""
        self.played.append(super().playing(env))
        return self.played[-1]


def in_words(lost: Estimate, each: str) -> str:
    """``41 a week, 35 to 47``."""
    low, high = lost.ci95
    ends = " to ".join(amount(end, sign=end < 0) for end in (low, high))
    return f"{amount(lost.mean, sign=lost.mean < 0)} {each}, {ends}"


def small_policies(folder: Path) -> list[Path]:
    """Two untrained policies, so that --quick has something to play."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.policy.networks import network, schema_of

    made = []
    for env_id, head in (("CartPole-v1", None), ("Pendulum-v1", GaussianHead())):
        path = folder / env_id
        policy = network(schema_of(env_id), head=head)
        save_policy(replace(policy, label=env_id), path)
        made.append(path)
    return made


def main(words: list[str] | None = None) -> int:
    """Print the table; 0 if everything is served as it was evaluated."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("policies", nargs="*", type=Path, help="runs or artefacts")
    parser.add_argument("--explore", type=float, default=0.05)
    parser.add_argument("--floor", type=float, default=Nearness().floor)
    parser.add_argument("--margin", type=float, default=Nearness().margin)
    parser.add_argument("--spread", type=float, default=Nearness().spread)
    parser.add_argument("--cap", type=int, default=0, help="explored decisions of an episode")
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=3_000_000)
    parser.add_argument("--quick", action="store_true", help="small policies, few episodes")
    given = parser.parse_args(words)
    good = True
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    with tempfile.TemporaryDirectory() as folder:
        if given.quick:
            given.episodes = min(given.episodes, 4)
            given.policies += small_policies(Path(folder))
        for path in given.policies:
            try:
                cells, equal = row(path, given)
            except InputError as error:
                print(f"| {path} | {error} |{' |' * (len(COLUMNS) - 2)}", flush=True)
                good = False
                continue
            good = good and equal
            print(f"| {' | '.join(cells)} |", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

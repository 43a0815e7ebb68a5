"""The service of this checkout beside another's, in turns: ratios that hold on a busy machine.

    python benchmarks/serving_turns.py POLICY OTHER [--quick] [--rounds N] [--mode M] [--json FILE]

POLICY is an exported workshop policy that both can read, OTHER the root of the other checkout. In
each round, in an order that changes, each is asked at a steady rate (`serving_load.py`, whose
latencies count from the planned arrival), as fast as 32 connections are answered, in batches of
64, and within a process of its own (`inside` of its own `benchmarks/serving.py`). A ratio is this
checkout's figure in those of the other, taken in each round; of them the median is printed, with
the quartiles. With this checkout's own root as OTHER it shows what the machine adds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from compagnon.serving.models import open_model
from harness import QUICK, console, machine, print_machine, table, write_json
from serving import bodies, load
from serving_contenders import Server, ours

INSIDE = """
import json, sys
from pathlib import Path
from compagnon.serving.models import open_model
from serving import inside
_, policy, file, count = sys.argv
bodies = Path(file).read_bytes().splitlines()
print(json.dumps(inside(open_model(Path(policy)), bodies, int(count))))
"""
MORE_IS_BETTER = ("answered a second", "batches: decisions a second")
Figures = dict[str, float]


def environment(tree: Path) -> dict[str, str]:
    """What makes Python take the package and the benchmarks of a checkout."""
    return {"PYTHONPATH": os.pathsep.join([str(tree / "src"), str(tree / "benchmarks")])}


def within(tree: Path, policy: Path, file: Path, count: int) -> Figures:
    """Microseconds of a decision in a process of its own."""
    found = subprocess.run(
        [sys.executable, "-c", INSIDE, str(policy.resolve()), str(file), str(count)],
        capture_output=True, text=True, check=True, env={**os.environ, **environment(tree)},
    )  # fmt: skip
    figures: Figures = json.loads(found.stdout)
    return figures


def turn(server: Server, tree: Path, given: argparse.Namespace, folder: Path) -> Figures:
    """One turn of a checkout."""
    single, batch = folder / "single", folder / "batch"
    steady = load(server, "/v1/decide", single, given.rate, given.seconds)
    most = load(server, "/v1/decide", single, 0, given.seconds, connections=32)
    many = load(server, "/v1/decide/batch", batch, 0, given.seconds, 64, 8)
    inside = within(tree, given.policy, single, given.count)
    return {
        f"p50 ms at {given.rate:,.0f} a second": steady["p50_ms"],
        f"p99 ms at {given.rate:,.0f} a second": steady["p99_ms"],
        f"processor us at {given.rate:,.0f} a second": steady["cpu_us"],
        "answered a second": most["decisions_s"],
        "processor us, as fast as it goes": most["cpu_us"],
        "batches: decisions a second": many["decisions_s"],
        "batches: processor us a decision": many["cpu_us"],
        "in process: decision, p50 us": inside["decide_p50_us"],
        "in process: decision, p99 us": inside["decide_p99_us"],
        "in process: body to answer, p50 us": inside["whole_p50_us"],
        "in process: in a batch of 64, us": inside["batch_64_us_a_decision"],
    }


def ratios(mine: list[Figures], theirs: list[Figures], name: str) -> tuple[float, float, float]:
    """Of the rounds' ratios the lower quartile, the median, and the upper one."""
    found = [one[name] / other[name] for one, other in zip(mine, theirs, strict=True)]
    low, middle, high = np.percentile(found, [25, 50, 75])
    return float(low), float(middle), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("policy", type=Path)
    parser.add_argument("other", type=Path, help="the root of the other checkout")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each run")
    parser.add_argument("--rate", type=float, default=500, help="requests a second")
    parser.add_argument("--count", type=int, default=4000, help="decisions within the process")
    parser.add_argument("--mode", choices=("durable", "fast"), default="durable")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help=QUICK)
    given = parser.parse_args()
    if given.quick:
        given.rounds, given.seconds, given.rate, given.count = 1, 0.2, 50, 200
    screen, about = console(), machine()
    print_machine(screen, about)
    trees = {"this": Path(__file__).resolve().parents[1], "other": given.other.resolve()}
    found: dict[str, list[Figures]] = {name: [] for name in trees}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        requests = bodies(open_model(given.policy), 448)
        (folder / "single").write_bytes(b"\n".join(requests))
        groups = [b",".join(requests[k : k + 64]) for k in range(0, len(requests), 64)]
        (folder / "batch").write_bytes(b"\n".join(b'{"decisions":[%b]}' % one for one in groups))
        servers = {}
        for which, tree in trees.items():
            (folder / which).mkdir()
            opened = ours(given.policy, folder / which, given.mode, settings=environment(tree))
            servers[which] = stack.enter_context(opened)
            load(servers[which], "/v1/decide", folder / "single", 200, given.seconds)
        for number in range(given.rounds):
            for which in list(trees) if number % 2 else list(reversed(trees)):
                found[which].append(turn(servers[which], trees[which], given, folder))
    rows = []
    for name in found["this"][0]:
        medians = (statistics.median(one[name] for one in found[w]) for w in ("other", "this"))
        low, middle, high = ratios(found["this"], found["other"], name)
        better = " (more is better)" if name in MORE_IS_BETTER else ""
        cells = [f"{one:,.1f}" for one in medians]
        rows.append([name + better, *cells, f"{middle:.2f}", f"{low:.2f} to {high:.2f}"])
    heads = ["", "other", "this", "this / other", "half of the rounds"]
    screen.print(table(f"{given.rounds} rounds, {given.mode} log", heads, rows))
    write_json(given.json, {"machine": about, "rounds": found})


if __name__ == "__main__":
    main()

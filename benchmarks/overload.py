"""What a service still does when five times as much is asked as it can do.

    python benchmarks/overload.py POLICY [--quick] [--rounds N] [--json FILE]

POLICY is an exported workshop policy. In turns: as many connections as keep it busy (the peak);
five times the peak's rate, over 1,024 connections; and 3,000 connections that ask again at once
whatever they are told. The client shares the cores with the service (`overload_load.py`). It ends
with 1 where goodput falls under nine tenths of the peak of its own round, by the median of rounds.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from compagnon.serving.models import open_model
from harness import console, machine, print_machine, table, write_json
from serving import bodies
from serving_contenders import HERE, Server, cpu_seconds, ours

KEEPS = 0.9  # of the peak
TIMES = 5.0
Figures = dict[str, float]


def load(server: Server, file: Path, seconds: float, connections: int, rate: float = 0) -> Figures:
    """One run of the client, and the service's processor time a good answer.

    What it takes to connect them all, and to tell each once that there is no room, comes before.
    """
    before = cpu_seconds(server.pid)
    words = [server.address, str(file), "--connections", str(connections)]
    words += ["--seconds", str(seconds), "--warm", str(seconds / 2), "--rate", str(rate)]
    found = subprocess.run(
        [sys.executable, str(HERE / "overload_load.py"), *words],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    figures: Figures = json.loads(found.stdout)
    spent = cpu_seconds(server.pid) - before
    return {**figures, "cpu_us": 1e6 * spent / max(1.0, figures["goodput"] * seconds * 1.5)}


def rounds(
    server: Server, file: Path, count: int, seconds: float, many: int
) -> list[list[Figures]]:
    """Peak, five times the peak, and many connections, one after the other, again and again."""
    load(server, file, min(1.0, seconds), 64)  # compiled, opened, warm
    found = []
    for _ in range(count):
        peak = load(server, file, seconds, 64)
        five = load(server, file, seconds, min(1024, many), TIMES * peak["goodput"])
        found.append([peak, five, load(server, file, seconds, many)])
    return found


def kept(found: list[list[Figures]], which: int) -> float:
    """The goodput of a load in peaks of its own round: the median of the rounds."""
    return statistics.median(
        turn[which]["goodput"] / max(1.0, turn[0]["goodput"]) for turn in found
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("policy", type=Path)
    parser.add_argument(
        "--quick", action="store_true", help="one short round, which judges nothing"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--mode", choices=("durable", "fast"), default="durable")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    count, seconds, many = given.rounds, given.seconds, 3000
    if given.quick:
        count, seconds, many = 1, 0.5, 200
    screen, about = console(), machine()
    print_machine(screen, about)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "bodies"
        file.write_bytes(b"\n".join(bodies(open_model(given.policy, "fp32"), 64)))
        with ours(given.policy, folder, given.mode) as server:
            found = rounds(server, file, count, seconds, many)
    names = ("peak: 64 connections", "five times the peak's rate", f"{many:,} connections")
    keys = ("goodput", "asked", "refused", "lost", "p50_ms", "p99_ms", "cpu_us")
    rows = [
        [name, f"{kept(found, k):.2f}"]
        + [f"{statistics.median(turn[k][key] for turn in found):,.0f}" for key in keys]
        for k, name in enumerate(names)
    ]
    heads = [
        "load",
        "of the peak",
        "good/s",
        "asked/s",
        "503/s",
        "lost",
        "p50 ms",
        "p99 ms",
        "us each",
    ]
    screen.print(table("Medians of the rounds", heads, rows))
    write_json(given.json, {"machine": about, "rounds": found})
    return 0 if given.quick or min(kept(found, 1), kept(found, 2)) >= KEEPS else 1


if __name__ == "__main__":
    raise SystemExit(main())

"""What the fast path of single decisions buys beside the plain one, on the same machine in turns.

    python benchmarks/serving_paths.py POLICY [--quick] [--rounds N] [--rate R] [--json FILE]

POLICY is an exported policy of the workshop. Three ways of the same service, with a durable log:
the plain path (uvicorn's h11, the application's routes), the fast path, and the fast path's
connection without its short cut (httptools within bounds, then the application's routes), which a
request with a query goes. In each round each is asked at a steady rate, whose latencies count from
the planned arrival, and then as fast as 32 connections are answered. The client shares the cores
with the services (`serving_load.py`). It ends with 1 where the fast path buys less than 1.3 times
in throughput or in p99, by the medians of the rounds: what buys less is not worth its code.
"""

import argparse
import contextlib
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

BUYS = 1.3
WAYS = {
    "plain path": ("plain", "/v1/decide"),
    "fast connection, plain routes": ("fast", "/v1/decide?routes"),
    "fast path": ("fast", "/v1/decide"),
}
Figures = dict[str, float]


def asked(url: str, file: Path, rate: float, seconds: float, connections: int) -> Figures:
    """One run of the client; a rate of 0 is as fast as it goes."""
    words = [url, str(file), "--rate", str(rate), "--seconds", str(seconds)]
    found = subprocess.run(
        [sys.executable, str(HERE / "serving_load.py"), *words, "--connections", str(connections)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    figures = json.loads(found.stdout)
    assert set(figures["statuses"]) == {"200"}, figures
    return {name: one for name, one in figures.items() if isinstance(one, int | float)}


def measured(server: Server, path: str, file: Path, rate: float, seconds: float) -> Figures:
    """Latencies at a steady rate, then the most that is answered a second."""
    steady = asked(server.address + path, file, rate, seconds, 64)
    before = cpu_seconds(server.pid)
    most = asked(server.address + path, file, 0, seconds, 32)
    spent = cpu_seconds(server.pid) - before
    return {
        "p50_ms": steady["p50_ms"],
        "p99_ms": steady["p99_ms"],
        "rps": most["decisions_s"],
        "cpu_us": 1e6 * spent / most["requests"],
    }


def bought(found: dict[str, list[Figures]]) -> tuple[float, float]:
    """How many times the throughput, and how many times shorter p99, the fast path has."""
    plain, fast = found["plain path"], found["fast path"]

    def median(turns: list[Figures], name: str) -> float:
        return statistics.median(turn[name] for turn in turns)

    return median(fast, "rps") / median(plain, "rps"), median(plain, "p99_ms") / median(
        fast, "p99_ms"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("policy", type=Path)
    parser.add_argument(
        "--quick", action="store_true", help="one short round, which judges nothing"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rounds, seconds, rate = given.rounds, given.seconds, given.rate
    if given.quick:
        rounds, seconds, rate = 1, 0.5, 50.0
    screen, about = console(), machine()
    print_machine(screen, about)
    found: dict[str, list[Figures]] = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        file = folder / "bodies"
        file.write_bytes(b"\n".join(bodies(open_model(given.policy, "fp32"), 64)))
        servers = {}
        for kind, words in (("plain", ["--no-fast-path"]), ("fast", [])):
            (folder / kind).mkdir()
            opened = ours(given.policy, folder / kind, "durable", words)
            servers[kind] = stack.enter_context(opened)
        for kind, path in WAYS.values():  # compiled, opened, warm
            asked(servers[kind].address + path, file, 0, min(1.0, seconds), 32)
        for turn in range(rounds):
            order = list(WAYS) if turn % 2 else list(reversed(WAYS))
            for one in order:
                kind, path = WAYS[one]
                found[one].append(measured(servers[kind], path, file, rate, seconds))
    keys = ("p50_ms", "p99_ms", "rps", "cpu_us")
    rows = [
        [one, *(f"{statistics.median(turn[key] for turn in turns):,.1f}" for key in keys)]
        for one, turns in found.items()
    ]
    heads = ["path", f"p50 ms at {rate:,.0f}/s", "p99 ms", "answered/s", "processor us each"]
    screen.print(table("Medians of the rounds", heads, rows))
    throughput, p99 = bought(found)
    screen.print(f"the fast path: {throughput:.2f} times the throughput, p99 {p99:.2f} times lower")
    write_json(given.json, {"machine": about, "rounds": found})
    return 0 if given.quick or max(throughput, p99) >= BUYS else 1


if __name__ == "__main__":
    raise SystemExit(main())

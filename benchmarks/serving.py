"""Decisions over HTTP: how long one takes, how many a second, beside plain FastAPI.

    python benchmarks/serving.py POLICY [--seconds 8] [--rates 250 500 1000 1500] [--json FILE]

POLICY is an exported workshop policy. The client is a process of its own (`serving_load.py`), on
the same machine. All contenders take turns at each rate.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from compagnon.envs import BatchEnv
from compagnon.serving.deciding import answer, decide, decide_many, likeliest, new_id
from compagnon.serving.models import Model, open_model
from compagnon.serving.reading import Reader
from compagnon.serving.wire import read_decide
from compagnon.serving.worlds import state_reader

HERE = Path(__file__).parent
LIMIT_MS = 28.0  # the roadmap's hope for one decision
COMPAGNON = "import sys; from compagnon.cli import main; sys.exit(main())"


def bodies(model: Model, count: int) -> list[bytes]:
    """Requests of moments of a week that the policy itself plays: named fields and a mask."""
    env = BatchEnv(model.manifest.schema_.env_id, model.manifest.provenance.env_args, 1)
    env.reset([1])
    policy = model.policy.bind(model.manifest.schema_)
    names = [field.name for field in env.fields]
    made = []
    for _ in range(count):
        assert env.action_mask is not None
        bits = "".join("1" if bit else "0" for bit in env.action_mask[0])
        observation = dict(zip(names, env.obs[0].astype(float).tolist(), strict=True))
        made.append(msgspec.json.encode({"observation": observation, "mask_bits": bits}))
        env.step(policy.act(env.obs, env.action_mask))
    return made


def inside(model: Model, requests: list[bytes], count: int) -> dict[str, float]:
    """Microseconds of one decision within the process: read, decided, put into words."""
    schema = model.manifest.schema_
    reader = Reader(schema, state_reader(schema, model.manifest.provenance.env_args))
    encode = msgspec.json.Encoder().encode
    whole, deciding, batch = [], [], []
    for k in range(count):
        begun = time.perf_counter_ns()
        obs, mask = reader.read(read_decide(requests[k % len(requests)]))
        name = new_id()
        before = time.perf_counter_ns()
        found = decide(model, obs, mask, name, "bench", 0.05)
        deciding.append(time.perf_counter_ns() - before)
        chance = float(found.probabilities[found.action])
        likely = likeliest(found.probabilities, 3)
        encode(answer(name, found.action, chance, likely, model.words, 3, model.sha256))
        whole.append(time.perf_counter_ns() - begun)
    import numpy as np

    many = np.stack([reader.read(read_decide(body))[0] for body in requests[:64]])
    masks = np.stack([reader.read(read_decide(body))[1] for body in requests[:64]])
    ids = [new_id() for _ in range(64)]
    for _ in range(max(1, count // 64)):
        begun = time.perf_counter_ns()
        decide_many(model, many, masks, ids, "bench", 0.05)
        batch.append((time.perf_counter_ns() - begun) / 64)
    at = lambda values, share: sorted(values)[int(share * len(values))] / 1e3  # noqa: E731
    return {
        "decide_p50_us": at(deciding, 0.5),
        "decide_p99_us": at(deciding, 0.99),
        "whole_p50_us": at(whole, 0.5),
        "whole_p99_us": at(whole, 0.99),
        "batch_64_us_a_decision": statistics.median(batch) / 1e3,
    }


@dataclass
class Server:
    """A process that serves; the seconds, by the clock and of processor, until it was ready."""

    address: str
    pid: int
    ready_s: float = 0.0
    ready_cpu_s: float = 0.0


def cpu_seconds(pid: int) -> float:
    """Processor time of all threads of a process so far: it counts no waiting for a core."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def ours(policy: Path, folder: Path, mode: str) -> Iterator["Server"]:
    """`compagnon serve`."""
    database = f"sqlite:///{folder / f'{mode}.db'}"
    words = ["serve", str(policy), "--db", database, "--mode", mode, "--port", "0", "--rate", "0"]
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", COMPAGNON, *words], stdout=subprocess.PIPE, text=True,
        stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        address = ""
        for line in process.stdout:
            found = re.search(r"listening on (http://\S+);", line)
            if found:
                address = found[1]
                break
        wait_for(f"{address}/readyz")
        took = time.perf_counter() - begun
        yield Server(address, process.pid, took, cpu_seconds(process.pid))
    finally:
        process.terminate()
        process.wait(60)


@contextlib.contextmanager
def plain(policy: Path) -> Iterator["Server"]:
    """`serving_plain.py`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, HERE / "serving_plain.py", str(policy), str(port)])
    try:
        wait_for(f"http://127.0.0.1:{port}/openapi.json")
        yield Server(f"http://127.0.0.1:{port}", process.pid)
    finally:
        process.terminate()
        process.wait(60)


def wait_for(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.02)
    raise SystemExit(f"{url} does not answer")


def load(
    server: Server, path: str, file: Path, rate: float, seconds: float, rows: int = 1
) -> dict[str, Any]:
    """One run of the client; with the server's processor time a decision."""
    before = cpu_seconds(server.pid)
    words = [
        f"{server.address}{path}",
        str(file),
        "--rate",
        str(rate),
        "--seconds",
        str(seconds),
        "--rows",
        str(rows),
    ]
    found = subprocess.run(
        [sys.executable, HERE / "serving_load.py", *words], capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    figures: dict[str, Any] = json.loads(found.stdout)
    made = figures["answered"] * int(rate * seconds) * rows
    figures["cpu_us"] = 1e6 * (cpu_seconds(server.pid) - before) / max(1, made)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("policy", type=Path)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--rates", type=float, nargs="+", default=[250, 500, 1000, 1500, 2000])
    parser.add_argument("--batches", type=float, default=350, help="of 64, a second")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    out = Console(width=110)
    folder = Path(tempfile.mkdtemp(prefix="serving-"))
    found: dict[str, Any] = {}
    try:
        model = open_model(given.policy)
        requests = bodies(model, 512)
        single, batch = folder / "single", folder / "batch"
        single.write_bytes(b"\n".join(requests))
        batch.write_bytes(
            b"\n".join(
                b'{"decisions":[' + b",".join(requests[k : k + 64]) + b"]}"
                for k in range(0, 448, 64)
            )
        )
        found["inside"] = inside(model, requests, 20_000)
        out.print("Within the process, microseconds:", found["inside"])
        with (
            ours(given.policy, folder, "durable") as durable,
            ours(given.policy, folder, "fast") as fast,
            plain(given.policy) as other,
        ):
            found["ready_s"], found["ready_cpu_s"] = durable.ready_s, durable.ready_cpu_s
            out.print(
                f"Cold start to ready: {durable.ready_s:.2f} s, of which the processor worked "
                f"{durable.ready_cpu_s:.2f} s"
            )
            contenders = {"durable log": durable, "fast log": fast, "plain FastAPI": other}
            found["single"] = run_singles(contenders, single, given, out)
            found["batch"] = {
                name: load(server, "/v1/decide/batch", batch, given.batches, given.seconds, 64)
                for name, server in list(contenders.items())[:2]
            }
        for name, one in found["batch"].items():
            out.print(f"batches of 64, {name}: {one['decisions_s']:,.0f} decisions/s of "
                      f"{one['rate']:,.0f} asked, {one['cpu_us']:.0f} us of processor each, "
                      f"statuses {one['statuses']}")  # fmt: skip
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))


def run_singles(
    contenders: dict[str, Server], file: Path, given: argparse.Namespace, out: Console
) -> dict[str, list[dict[str, Any]]]:
    """Every contender at every rate, in turns; the figures of all rounds."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
    for server in contenders.values():
        load(server, "/v1/decide", file, 200, 2)
    for rate in given.rates:
        for _ in range(given.rounds):
            for name, server in contenders.items():
                found[name].append(load(server, "/v1/decide", file, rate, given.seconds))
    table = Table(
        "service", "asked/s", "p50 ms", "p99 ms of each round", "answered", "cpu us", "statuses"
    )
    for name, rows in found.items():
        for rate in given.rates:
            here = [row for row in rows if row["rate"] == rate]
            table.add_row(
                name,
                f"{rate:,.0f}",
                f"{statistics.median(row['p50_ms'] for row in here):.1f}",
                ", ".join(f"{row['p99_ms']:,.1f}" for row in here),
                f"{min(row['answered'] for row in here):.0%}",
                f"{statistics.median(row['cpu_us'] for row in here):,.0f}",
                str({k: sum(r["statuses"].get(k, 0) for r in here) for k in here[0]["statuses"]}),
            )
    out.print(table)
    for name, rows in found.items():
        good = [
            rate for rate in given.rates
            if min(row["p99_ms"] for row in rows if row["rate"] == rate) < LIMIT_MS
        ]  # fmt: skip
        out.print(f"{name}: p99 under {LIMIT_MS:g} ms up to {max(good, default=0):,.0f} a second")
    return found


if __name__ == "__main__":
    main()

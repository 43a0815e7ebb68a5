"""Decisions over HTTP: how long one takes and how many a second, beside what others would use.

    python benchmarks/serving.py POLICY [--bento PYTHON] [--ray PYTHON] [--json FILE]

POLICY is an exported workshop policy; PYTHON is that of an environment with `bentoml onnxruntime`,
or with `ray[serve] onnxruntime`. The client is a process of its own (`serving_load.py`), on the
same machine. It takes about seven minutes and prints the tables of docs/serving.md.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from compagnon.envs import BatchEnv
from compagnon.serving.inference import Model, decide, new_id
from compagnon.serving.models import open_model
from compagnon.serving.parsing import read_decide
from compagnon.serving.service import Service
from compagnon.serving.settings import ServiceSettings
from compagnon.store.decisions import Written
from compagnon.store.secrets import Secret
from harness import QUICK, machine
from serving_contenders import HERE, Server, bento, cpu_seconds, ours, plain, ray

LIMIT_MS = 28.0  # the roadmap's hope for one decision
ENOUGH = 1.1  # a rate is found when one this many times as high does not hold
CLIENTS = 8  # that ask for batches, each for its next when the last one is answered

Figures = dict[str, Any]


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
    settings = ServiceSettings(policy="", application="bench")
    nowhere: Any = None  # nothing is logged here
    service = Service(settings, nowhere, model, Secret(1, b"s" * 32), nowhere)
    whole, deciding, batch = [], [], []
    for k in range(count):
        begun = time.perf_counter_ns()
        asked = service.begin(requests[k % len(requests)])
        service.finish(asked, Written("stored", asked.row))
        whole.append(time.perf_counter_ns() - begun)
        obs, mask = service.parser.read(asked.request)
        before = time.perf_counter_ns()
        decide(model, obs[None], mask[None], [asked.row.id], service.draw, [3])
        deciding.append(time.perf_counter_ns() - before)
    read = [service.parser.read(read_decide(body)) for body in requests[:64]]
    many, masks = (np.stack(part) for part in zip(*read, strict=True))
    ids = [new_id() for _ in read]
    for _ in range(max(1, count // 64)):
        begun = time.perf_counter_ns()
        decide(model, many, masks, ids, service.draw, [3] * len(ids))
        batch.append((time.perf_counter_ns() - begun) / len(ids))
    at = lambda values, share: sorted(values)[int(share * len(values))] / 1e3  # noqa: E731
    return {
        "decide_p50_us": at(deciding, 0.5),
        "decide_p99_us": at(deciding, 0.99),
        "whole_p50_us": at(whole, 0.5),
        "whole_p99_us": at(whole, 0.99),
        "batch_64_us_a_decision": statistics.median(batch) / 1e3,
    }


def load(
    server: Server,
    path: str,
    file: Path,
    rate: float,
    seconds: float,
    rows: int = 1,
    connections: int = 64,
    limit_ms: float | None = None,
) -> Figures:
    """One run of the client; with the server's processor time a decision."""
    before = cpu_seconds(server.pid)
    words = [f"{server.address}{path}", str(file)]
    for name, value in (
        ("rate", rate), ("seconds", seconds), ("rows", rows), ("connections", connections),
    ):  # fmt: skip
        words += [f"--{name}", str(value)]
    if limit_ms is not None:
        words += ["--limit-ms", str(limit_ms)]
    found = subprocess.run(
        [sys.executable, HERE / "serving_load.py", *words], capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    figures: Figures = json.loads(found.stdout)
    made = figures["requests"] * rows
    figures["cpu_us"] = 1e6 * (cpu_seconds(server.pid) - before) / max(1, made)
    return figures


def holds(figures: Figures) -> bool:
    """Every request was answered with 200, and 99 in 100 of them in time."""
    good = figures["statuses"].get("200", 0) == figures["planned"]
    return good and figures["p99_ms"] < LIMIT_MS


def highest_rate(server: Server, file: Path, seconds: float) -> float:
    """The highest rate that holds; one that fails is tried once more. 0 where 125 a second fail."""

    def tried(rate: float) -> bool:
        for _ in range(2):
            if holds(load(server, "/v1/decide", file, rate, seconds, limit_ms=LIMIT_MS)):
                return True
            time.sleep(1)  # what was left behind is worked off
        return False

    low, high = 0.0, 1000.0
    while tried(high):
        low, high = high, high * 1.6
    if not low:
        low, high = 125.0, 1000.0
        if not tried(low):
            return 0.0
    while high / low > ENOUGH:
        middle = round((low * high) ** 0.5)
        low, high = (middle, high) if tried(middle) else (low, middle)
    return low


def in_turns(
    contenders: dict[str, Server], file: Path, given: argparse.Namespace
) -> dict[str, list[Figures]]:
    """Every contender at every rate, in turns; the figures of all rounds."""
    found: dict[str, list[Figures]] = {name: [] for name in contenders}
    for server in contenders.values():
        load(server, "/v1/decide", file, 200, 1)
    for rate in given.rates:
        for _ in range(given.rounds):
            for name, server in contenders.items():
                found[name].append(load(server, "/v1/decide", file, rate, given.seconds))
    return found


def measure(contenders: dict[str, Server], file: Path, given: argparse.Namespace) -> Figures:
    """Latencies in turns, then the highest rate of each."""
    singles = in_turns(contenders, file, given)
    return {
        name: {
            "ready_s": server.ready_s,
            "ready_cpu_s": server.ready_cpu_s,
            "runs": singles[name],
            "highest_rate": highest_rate(server, file, given.search) if given.search else 0.0,
        }
        for name, server in contenders.items()
    }


def show_singles(services: Figures, rates: list[float]) -> None:
    print("\n| service | asked a second | answered | p50 ms | p99 ms (each round) "
          "| processor us a decision |")  # fmt: skip
    print("|---|---|---|---|---|---|")
    for rate in rates:
        for name, service in services.items():
            here = [run for run in service["runs"] if run["rate"] == rate]
            p50 = statistics.median(run["p50_ms"] for run in here)
            p99 = ", ".join(f"{run['p99_ms']:,.1f}" for run in here)
            cpu = statistics.median(run["cpu_us"] for run in here)
            share = min(run["answered"] for run in here)
            print(f"| {name} | {rate:,.0f} | {share:.0%} | {p50:,.1f} | {p99} | {cpu:,.0f} |")
    statuses: Counter[str] = Counter()
    for service in services.values():
        for run in service["runs"]:
            statuses.update(run["statuses"])
            statuses["none"] += run["planned"] - sum(run["statuses"].values())
    print(f"\nAnswers by status: {dict(+statuses)}")


def show_rates(services: Figures) -> None:
    print(f"\n| service | highest rate with p99 under {LIMIT_MS:g} ms | cold start to ready, s |")
    print("|---|---|---|")
    for name, one in services.items():
        rate = f"{one['highest_rate']:,.0f}" if one["highest_rate"] else "under 125"
        start = f"{one['ready_s']:.1f} (processor {one['ready_cpu_s']:.1f})"
        print(f"| {name} | {rate} | {start} |")


def show_batches(batches: dict[str, list[Figures]]) -> None:
    print(f"\n| batches of 64, {CLIENTS} clients | decisions a second (each round) "
          "| processor us each | statuses |")  # fmt: skip
    print("|---|---|---|---|")
    for name, runs in batches.items():
        made = ", ".join(f"{run['decisions_s']:,.0f}" for run in runs)
        cpu = statistics.median(run["cpu_us"] for run in runs)
        print(f"| {name} | {made} | {cpu:.0f} | {runs[0]['statuses']} |")


def show_machine(when: str, folder: Path) -> Figures:
    """Processor, load and what the disk takes for the flush that a durable answer waits for."""
    about = machine()
    times = []
    with (folder / "probe").open("wb") as probe:
        for _ in range(100):
            begun = time.perf_counter()
            probe.write(b"\1" * 4096)
            probe.flush()
            os.fsync(probe.fileno())
            times.append(1e3 * (time.perf_counter() - begun))
    times.sort()
    about["fsync_ms"] = {"p50": times[50], "p99": times[98]}
    print(f"\n{when}: {about['processor']}, {about['cores']} cores, load "
          f"{about['load_average']:.1f}; a write and fsync of 4 KiB takes {times[50]:.2f} ms, "
          f"p99 {times[98]:.2f}")  # fmt: skip
    return about


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("policy", type=Path)
    parser.add_argument("--seconds", type=float, default=3, help="of each run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rates", type=float, nargs="+", default=[500, 1500])
    parser.add_argument("--search", type=float, default=3, help="seconds of each rate tried")
    parser.add_argument("--bento", type=Path, help="a Python with bentoml and onnxruntime")
    parser.add_argument("--ray", type=Path, help="a Python with ray[serve] and onnxruntime")
    parser.add_argument("--folder", type=Path, help="where the databases lie, instead of TMPDIR")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help=QUICK)
    given = parser.parse_args()
    if given.quick:
        given.seconds, given.rounds, given.rates, given.search = 0.2, 1, [50.0], 0
    folder = Path(tempfile.mkdtemp(prefix="serving-", dir=given.folder))
    found: Figures = {}
    try:
        model = open_model(given.policy)
        artefact = given.policy / "best" if (given.policy / "best").is_dir() else given.policy
        requests = bodies(model, 512)
        single, batch = folder / "single", folder / "batch"
        single.write_bytes(b"\n".join(requests))
        batch.write_bytes(
            b"\n".join(
                b'{"decisions":[' + b",".join(requests[k : k + 64]) + b"]}"
                for k in range(0, 448, 64)
            )
        )
        found["before"] = show_machine("Before", folder)
        with (
            ours(given.policy, folder, "durable") as durable,
            ours(given.policy, folder, "fast") as fast,
            plain(given.policy) as other,
        ):
            three = {
                "ours, durable log": durable, "ours, fast log": fast,
                "plain FastAPI and pydantic, no log": other,
            }  # fmt: skip
            found["services"] = measure(three, single, given)
            found["batches"] = {
                name: [
                    load(server, "/v1/decide/batch", batch, 0, given.seconds, 64, CLIENTS)
                    for _ in range(given.rounds)
                ]
                for name, server in list(three.items())[:2]
            }
        found["inside"] = inside(model, requests, 200 if given.quick else 20_000)
        for name, start, python in (
            ("BentoML, no log", bento, given.bento), ("Ray Serve, no log", ray, given.ray),
        ):  # fmt: skip
            if python is None:
                print(f"\n{name}: left out, no environment with it was given")
                continue
            with start(python, artefact) as server:
                found["services"] |= measure({name: server}, single, given)
        show_singles(found["services"], given.rates)
        show_rates(found["services"])
        show_batches(found["batches"])
        print("\nWithin the process, us:", {k: round(v, 1) for k, v in found["inside"].items()})
        found["after"] = show_machine("After", folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()

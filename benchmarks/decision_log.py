"""Decisions a second that the log keeps: in groups and one by one, durable and fast."""

import contextlib
import os
import sqlite3
import tempfile
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import tyro
from rich.table import Table

from compagnon.store import chaining
from compagnon.store.database import Store
from compagnon.store.decisions import DecisionRow
from compagnon.store.factory import open_store
from compagnon.store.log import DecisionLog
from compagnon.store.migrating import upgrade
from compagnon.store.verifying import verify
from harness import console, machine, print_machine, shortened, write_json

_WAYS = ("with", "without")


@dataclass
class Settings:
    """Measure how many decisions a second are kept."""

    db: str | None = None
    """An empty database, such as postgresql://...; a fresh file of SQLite without it."""
    folder: Path = Path()
    """Where that file lies; in /dev/shm it shows what everything but the disk costs."""
    rows: int = 20_000
    """Decisions of each measurement."""
    repeats: int = 3
    """Times each is measured; the best one counts."""
    features: int = 23
    """Numbers of an observation."""
    actions: int = 201
    """Actions of the probability vector; both are the workshop's by default."""
    quick: bool = False
    """A moment of each, to see that everything runs; the figures mean nothing."""
    json: Path | None = None
    """Also write the figures here."""


def main(settings: Settings) -> None:
    settings = shortened(settings, rows=640, repeats=1)
    screen, about = console(), machine()
    print_machine(screen, about)
    with tempfile.TemporaryDirectory(dir=settings.folder) as folder:
        store = open_store(settings.db or Path(folder) / "log.db", create=True, check=False)
        upgrade(store)
        figures: dict[str, dict[str, float]] = {}
        measured = {
            "append, groups of 64": lambda run: _append(store, _rows(settings, run), 64),
            "append, one by one": lambda run: _append(store, _rows(settings, run, 20), 1),
            "log durable, 64 callers": lambda run: _callers(store, _rows(settings, run), 64),
            "log durable, 256 callers": lambda run: _callers(store, _rows(settings, run), 256),
            "log durable, batches of 64": lambda run: _batches(store, "durable", settings, run),
            "log fast, batches of 64": lambda run: _batches(store, "fast", settings, run),
        }
        given = 0
        for number, (name, measure) in enumerate(measured.items()):
            best = {"rows_per_s": 0.0}
            for repeat in range(settings.repeats):
                found = measure(number * settings.repeats + repeat)
                given += int(found["rows"])
                best = max(best, found, key=lambda f: f["rows_per_s"])
            figures[name] = best
        _require_all(store, given)  # what comes now writes rows without hashes
        figures |= _chain(store, settings, len(measured) * settings.repeats)
        if settings.db is None:
            rounds = [_plain(Path(folder), _rows(settings, -r)) for r in range(settings.repeats)]
            figures["sqlite3 alone, groups of 64"] = max(rounds, key=lambda f: f["rows_per_s"])
        fsync = _fsync(Path(folder)) if settings.db is None else float("nan")
        store.close()
    table = Table("what", "rows/s", "CPU us/row", "p50 ms", "p99 ms")
    for name, found in figures.items():
        cells = (found.get(key, float("nan")) for key in ("cpu_us", "p50_ms", "p99_ms"))
        table.add_row(name, f"{found['rows_per_s']:,.0f}", *(f"{cell:.2f}" for cell in cells))
    screen.print(table)
    screen.print(f"one write and fsync of 4 KiB on this disk: {fsync * 1e3:.2f} ms")
    screen.print(f"{given:,} decisions were given; all are there, as they were written")
    with_hashes, without = (figures[f"append, groups of 64, {w} hashes"] for w in _WAYS)
    slower = 1 - with_hashes["rows_per_s"] / without["rows_per_s"]
    screen.print(f"with the chain's hashes {slower:.1%} fewer are written a second than without")
    if settings.json is not None:
        made = {"machine": about, "figures": figures, "fsync_s": fsync, "given": given}
        write_json(settings.json, made)


def _rows(settings: Settings, run: int, divide: int = 1) -> list[DecisionRow]:
    rng = np.random.default_rng(abs(run))
    probabilities = rng.dirichlet(np.ones(settings.actions)).astype("<f8")
    mask = np.packbits(np.ones(settings.actions, bool)).tobytes()
    return [
        DecisionRow(
            f"0199-{run:+05}-{i:08}", "shop", f"customer-{i % 97}", "champion", None, "a" * 64,
            "b" * 64, rng.random(settings.features, np.float32).tobytes(), mask,
            probabilities.tobytes(), 3, None, float(probabilities[3]), int(rng.integers(2**62)),
            "sampled", 0.05, 1.7e9 + i, 60, f"{i:064x}",
            play="sampled", near=0.25, episode=f"week-{i // 1700}", others=bytes(36), secret=1,
        )
        for i in range(settings.rows // divide)
    ]  # fmt: skip


def _require_all(store: Store, given: int) -> None:
    """See that every decision that was given is there, and that all their hashes hold."""
    found = verify(store)
    if found.faults or found.decisions != given:
        raise SystemExit(f"{found.decisions:,} of {given:,} decisions are there; {found.faults}")


def _append(store: Any, rows: list[DecisionRow], size: int) -> dict[str, float]:
    times = []
    cpu, begun = process_time(), perf_counter()
    for start in range(0, len(rows), size):
        before = perf_counter()
        store.append(rows[start : start + size])
        times.append(perf_counter() - before)
    return _figures(rows, begun, cpu, times)


def _chain(store: Any, settings: Settings, run: int) -> dict[str, dict[str, float]]:
    """What the hashes of the chain cost: every other group is written without them.

    The rate is that of the median group, since what else the machine does changes all the time.
    """
    rows = _rows(settings, run, 1)
    times: dict[str, list[float]] = {"with": [], "without": []}
    ways: dict[str, Any] = {"with": chaining.next_link, "without": lambda previous, _: previous}
    try:
        for start in range(0, len(rows) - 63, 64):
            which = _WAYS[start // 64 % 2]
            chaining.next_link = ways[which]
            before = perf_counter()
            store.append(rows[start : start + 64])
            times[which].append(perf_counter() - before)
    finally:
        chaining.next_link = ways["with"]
    found = {}
    for which, some in times.items():
        p50, p99 = np.percentile(some, [50, 99])
        figures = {"rows_per_s": 64 / p50, "p50_ms": p50 * 1e3, "p99_ms": p99 * 1e3}
        found[f"append, groups of 64, {which} hashes"] = figures
    return found


def _plain(folder: Path, rows: list[DecisionRow]) -> dict[str, float]:
    """The same rows with Python's sqlite3 and nothing else: one table, one key, no look back."""
    times = []
    with contextlib.closing(sqlite3.connect(folder / "plain.db", isolation_level=None)) as raw:
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute("PRAGMA synchronous = FULL")
        columns = ", ".join(DecisionRow._fields[1:])
        raw.execute(f"CREATE TABLE IF NOT EXISTS d (id TEXT PRIMARY KEY, {columns})")
        insert = f"INSERT INTO d VALUES ({', '.join('?' * len(DecisionRow._fields))})"
        cpu, begun = process_time(), perf_counter()
        for start in range(0, len(rows), 64):
            before = perf_counter()
            raw.execute("BEGIN IMMEDIATE")
            raw.executemany(insert, rows[start : start + 64])
            raw.execute("COMMIT")
            times.append(perf_counter() - before)
        return _figures(rows, begun, cpu, times)


def _callers(store: Any, rows: list[DecisionRow], callers: int) -> dict[str, float]:
    """So many clients, each of which gives its next decision when the last one is on disk."""
    times: list[float] = []
    done = threading.Event()
    waiting = iter(rows)
    left = len(rows)
    with DecisionLog(store, linger=0.005) as log:

        def give() -> None:
            row = next(waiting, None)
            if row is None:
                return
            before = perf_counter()

            def kept(future: Future[Any]) -> None:
                nonlocal left
                assert future.result().status == "stored"
                times.append(perf_counter() - before)
                left -= 1
                if left == 0:
                    done.set()
                give()

            log.submit(row).add_done_callback(kept)

        cpu, begun = process_time(), perf_counter()
        for _ in range(callers):
            give()
        done.wait()
        return _figures(rows, begun, cpu, times)


def _batches(store: Any, mode: Any, settings: Settings, run: int) -> dict[str, float]:
    rows = _rows(settings, run)
    cpu, begun = process_time(), perf_counter()
    with DecisionLog(store, mode, bound=len(rows)) as log:
        for start in range(0, len(rows), 64):
            log.submit_many(rows[start : start + 64])
    return _figures(rows, begun, cpu, [])


def _figures(
    rows: list[DecisionRow], begun: float, cpu: float, times: list[float]
) -> dict[str, float]:
    took = perf_counter() - begun
    cpu_us = (process_time() - cpu) / len(rows) * 1e6
    found = {"rows": len(rows), "rows_per_s": len(rows) / took, "cpu_us": cpu_us}
    if times:
        found["p50_ms"], found["p99_ms"] = (np.percentile(times, [50, 99]) * 1e3).tolist()
    return found


def _fsync(folder: Path) -> float:
    """Seconds of the write that a commit cannot do without."""
    times = []
    with (folder / "probe").open("wb") as file:
        for _ in range(200):
            before = perf_counter()
            file.write(b"\1" * 4096)
            file.flush()
            os.fsync(file.fileno())
            times.append(perf_counter() - before)
    return float(np.median(times))


if __name__ == "__main__":
    main(tyro.cli(Settings))

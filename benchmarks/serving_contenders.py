"""The services that `serving.py` asks: each started as a process, asked, and ended."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
COMPAGNON = "import sys; from compagnon.cli import main; sys.exit(main())"


@dataclass
class Server:
    """A process that serves; the seconds, by the clock and of processor, until it was ready."""

    address: str
    pid: int
    ready_s: float = 0.0
    ready_cpu_s: float = 0.0


def cpu_seconds(pid: int) -> float:
    """Processor time so far of a process and of those below it: it counts no waiting for a core."""
    parents: dict[int, list[int]] = {}
    times: dict[int, float] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            parents.setdefault(int(fields[1]), []).append(int(folder.name))
            ticks = int(fields[11]) + int(fields[12])
            times[int(folder.name)] = ticks / os.sysconf("SC_CLK_TCK")
    waiting, total = [pid], 0.0
    while waiting:
        one = waiting.pop()
        total += times.get(one, 0.0)
        waiting += parents.get(one, [])
    return total


@contextlib.contextmanager
def ours(
    policy: Path,
    folder: Path,
    mode: str,
    more: Sequence[str] = (),
    settings: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """`compagnon serve`, with `more` options, and perhaps other `settings` in its environment."""
    database = f"sqlite:///{folder / f'{mode}.db'}"
    words = ["serve", str(policy), "--db", database, "--mode", mode, "--port", "0", "--rate", "0"]
    words += more
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", COMPAGNON, *words], stdout=subprocess.PIPE, text=True,
        stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONUNBUFFERED": "1", **(settings or {})},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        address = ""
        for line in process.stdout:
            found = re.search(r"listening on (http://\S+);", line)
            if found:
                address = found[1]
                break
        if not address:
            raise RuntimeError(f"this did not start: compagnon {' '.join(words)}")
        _wait_for(f"{address}/readyz", process)
        took = time.perf_counter() - begun
        yield Server(address, process.pid, took, cpu_seconds(process.pid))
    finally:
        process.terminate()
        process.wait(60)


@contextlib.contextmanager
def plain(policy: Path) -> Iterator[Server]:
    """`serving_plain.py`."""
    port = _free_port()
    words = [sys.executable, str(HERE / "serving_plain.py"), str(policy.resolve()), str(port)]
    with _other(words, port, "/openapi.json", {}) as server:
        yield server


@contextlib.contextmanager
def bento(python: Path, policy: Path) -> Iterator[Server]:
    """`serving_bento.py`, with the Python of an environment that has BentoML and onnxruntime."""
    port = _free_port()
    words = [
        *(str(python), "-m", "bentoml", "serve", "serving_bento:Decisions"),
        *("--host", "127.0.0.1", "--port", str(port)),
    ]
    settings = {"POLICY": str(policy.resolve()), "BENTOML_DO_NOT_TRACK": "True"}
    with _other(words, port, "/readyz", settings) as server:
        yield server


@contextlib.contextmanager
def ray(python: Path, policy: Path) -> Iterator[Server]:
    """`serving_ray.py`, with the Python of an environment that has ray[serve] and onnxruntime."""
    port = _free_port()
    words = [str(python), "serving_ray.py", str(policy.resolve()), str(port)]
    settings = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}  # as all others
    with _other(words, port, "/openapi.json", settings) as server:
        yield server


@contextlib.contextmanager
def _other(words: list[str], port: int, ready: str, settings: dict[str, str]) -> Iterator[Server]:
    # Not our modules: what runs in an environment of its own may have another version of Python.
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONPATH" or not settings}
    begun = time.perf_counter()
    process = subprocess.Popen(
        words, cwd=HERE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**inherited, **settings}, start_new_session=True,
    )  # fmt: skip
    try:
        _wait_for(f"http://127.0.0.1:{port}{ready}", process)
        took = time.perf_counter() - begun
        yield Server(f"http://127.0.0.1:{port}", process.pid, took, cpu_seconds(process.pid))
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        with contextlib.suppress(ProcessLookupError):  # what it started and left behind
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait_for(url: str, process: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.02)
    raise SystemExit(f"{url} does not answer")

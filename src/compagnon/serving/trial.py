"""Tries a model in a process of its own, with little time and memory, before it is let in.

A model is a program that somebody else wrote. One that never ends, or asks for more memory than
there is, would take the service with it, whatever the answers before. So a model that this machine
has not tried yet is loaded and warmed up in a child first, which may use `CPU_SECONDS` of processor
time and `MEMORY` bytes; whatever becomes of the child, the service stays. That a model passed is
noted by its hash, so that a restart tries nothing again.

    python -m compagnon.serving.trial DIRECTORY PRECISION PARENT MEMORY CPU_SECONDS WALL_SECONDS
"""

import contextlib
import hashlib
import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from compagnon.errors import InputError
from compagnon.files import make_folder, read_file
from compagnon.policy.artefact import MANIFEST_FILE
from compagnon.policy.exported import ONNX_FILES
from compagnon.policy.loading import artefact_directory
from compagnon.serving.inference import Model
from compagnon.serving.models import open_model

MEMORY: Final = 4 << 30  # bytes of address space, beside four times the model's own
CPU_SECONDS: Final = 10  # and as many more as it has `_SIZE_A_SECOND`
WALL_SECONDS: Final = 120
_SIZE_A_SECOND: Final = 20_000_000
_MAX_MODEL: Final = 1_000_000_000
_MAX_MANIFEST: Final = 10_000_000
_MAX_SAID: Final = 10_000
_LATER: Final = 5.0  # seconds after the wall clock's end, for a child that its alarm did not end

_children: set["subprocess.Popen[bytes]"] = set()
_lock = threading.Lock()


def open_tried(path: Path, precision: str = "fp32") -> Model:
    """Load, verify and warm up a policy, as `open_model`, once it has passed a trial.

    Raises:
        InputError: as `open_model`, or the trial took too much time or memory.
    """
    directory = artefact_directory(path)
    return open_model(path, precision, sha256=require_tried(directory, precision))


def require_tried(directory: Path, precision: str) -> str | None:
    """Try a model, unless that was done before; the hash of what was tried.

    None where there is no such file: `open_model` says what to do about it.

    Raises:
        InputError: why it is refused.
    """
    file = directory / ONNX_FILES.get(precision, ONNX_FILES["fp32"])  # type: ignore[call-overload]
    if not file.is_file() or not (directory / MANIFEST_FILE).is_file():
        return None
    data = read_file(file, _MAX_MODEL)
    sha256 = hashlib.sha256(data).hexdigest()
    manifest = hashlib.sha256(read_file(directory / MANIFEST_FILE, _MAX_MANIFEST)).hexdigest()
    note = _note(sha256, manifest, precision)
    if note.is_file():
        return sha256
    _try(directory, precision, len(data))
    with contextlib.suppress(OSError):  # where nothing can be noted, the next start tries again
        make_folder(note.parent, private=True)
        note.touch(0o600)
    return sha256


def end_trials() -> None:
    """End the trials that are under way, and whatever else runs in bounds."""
    with _lock:
        for child in _children:
            kill(child)


def _try(directory: Path, precision: str, size: int) -> None:
    seconds = CPU_SECONDS + size // _SIZE_A_SECOND
    wall = WALL_SECONDS + size // _SIZE_A_SECOND
    memory = MEMORY + 4 * size
    code, said = run_bounded(
        "compagnon.serving.trial", (str(directory), precision), memory, seconds, wall
    )
    fault = _fault(code, said, seconds, wall, memory)
    if fault is not None:
        raise InputError(f"{directory} is refused: {fault}")


def run_bounded(
    module: str,
    words: Sequence[str],
    memory: int,
    seconds: int,
    wall: int,
    environment: Mapping[str, str] | None = None,
    started: Callable[["subprocess.Popen[bytes]"], object] = lambda _: None,
) -> tuple[int, bytes]:
    """Run a module in a child that is bounded by `bound_child`; its exit code, and its stdout.

    Args:
        words: on its command line, before our process's number and the three bounds.
        memory: bytes. seconds: of processor time. wall: seconds.
        environment: variables that it gets besides ours; others cannot read them.
        started: is given the child, which may be ended by `kill`.
    """
    numbers = (os.getpid(), memory, seconds, wall)
    with _lock:
        child = subprocess.Popen(
            [sys.executable, "-m", module, *words, *map(str, numbers)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # so that all that it starts ends with it
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                "OPENBLAS_NUM_THREADS": "1",
                **(environment or {}),
            },
        )
        _children.add(child)
    try:
        started(child)
        said, _ = child.communicate(timeout=wall + _LATER)
    except subprocess.TimeoutExpired:
        said = b""
    finally:
        kill(child)
        child.wait()
        with _lock:
            _children.discard(child)
    return child.returncode, said


def _fault(code: int, said: bytes, seconds: int, wall: int, memory: int) -> str | None:
    """Why a trial was not passed; None if it was."""
    with contextlib.suppress(ValueError):
        answer = json.loads(said[:_MAX_SAID])
        if code == 0 and answer == {"good": True}:
            return None
        if isinstance(answer, dict) and "refused" in answer:
            return str(answer["refused"])
    return fault_of(code, "its trial", seconds, wall, memory)


def fault_of(code: int, what: str, seconds: int, wall: int, memory: int) -> str:
    """Why a child of `run_bounded` gave no answer."""
    if code == -signal.SIGXCPU:
        return f"{what} took more than {seconds} s of processor time"
    if code in (-signal.SIGALRM, -signal.SIGKILL):
        return f"{what} did not end within {wall} s, or was ended"
    return f"{what} broke off ({code}); it may use {memory / 2**30:.1f} GB of memory"


def kill(child: "subprocess.Popen[bytes]") -> None:
    """End a child with all that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)


def _note(*parts: str) -> Path:
    """Where it is noted that a model passed: with these versions, on this machine."""
    about = [*parts, version("compagnon"), version("onnxruntime"), platform.node()]
    about += [sys.version, platform.machine(), str((MEMORY, CPU_SECONDS))]
    name = hashlib.sha256(json.dumps(about).encode()).hexdigest()
    cache = os.environ.get("XDG_CACHE_HOME")
    return Path(cache or Path.home() / ".cache") / "compagnon" / "tried" / name


# ------------------------------------------------------------------ in the child


def main() -> int:
    """Load and warm up a policy within bounds, and say on stdout whether that went well."""
    directory, precision, *numbers = sys.argv[1:]
    parent, memory, seconds, wall = map(int, numbers)
    bound_child(parent, memory, seconds, wall)
    answer: dict[str, Any] = {"good": True}
    try:
        open_model(Path(directory), precision)
    except InputError as error:
        answer = {"refused": str(error)}
    except BaseException as error:  # onnxruntime's own have no common base
        said = (str(error).splitlines() or [""])[0][:500]
        limit = f"it may use {memory / 2**30:.1f} GB of memory"
        answer = {"refused": f"on a trial: {type(error).__name__} {said} ({limit})"}
    print(json.dumps(answer), flush=True)
    return 0


def bound_child(parent: int, memory: int, seconds: int, wall: int) -> None:
    """Bound this process, and end it with its parent; see `run_bounded`."""
    import resource

    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    signal.alarm(wall)
    for kind, limit in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        with contextlib.suppress(ValueError, OSError):  # a system that has no such bound
            resource.setrlimit(kind, (limit, hard))


def _end_with(parent: int) -> None:
    """Nobody waits for us once our parent is gone."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())

"""How fast each form of a policy decides: torch, compiled torch, numpy, ONNX in FP32 and INT8.

Every form gets observations and masks as arrays and gives actions as an array. The forms take turns
in short blocks, so that a machine that is busy for a while is busy for all of them.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from compagnon.onnx_export.graph import build_model
from compagnon.onnx_export.quantise import quantise
from compagnon.onnx_export.states import States, real_states
from compagnon.onnx_export.torch_policy import TorchPolicy
from compagnon.policy.artefact import WEIGHTS_FILE, load_artefact
from compagnon.policy.exported import ONNX_FILES, Precision
from compagnon.policy.loading import artefact_directory
from compagnon.policy.network import NetworkPolicy
from compagnon.policy.onnx_file import open_session
from compagnon.policy.onnx_policy import OnnxPolicy, load_onnx

BATCHES = (1, 8, 64, 1024)
EAGER, COMPILED, NUMPY = "torch eager", "torch.compile", "numpy"
FP32, INT8 = "ONNX FP32", "ONNX INT8"
_SEED = 5_000_000
_BLOCK_SECONDS = 0.02
_FEWEST_CALLS = 50

Decide = Callable[[NDArray[np.float32], NDArray[np.bool_] | None], Any]


@dataclass(frozen=True)
class Timing:
    """One form at one batch size: microseconds a call, and decisions a second at the median."""

    form: str
    batch: int
    p50_us: float
    p99_us: float
    calls: int

    @property
    def per_second(self) -> float:
        """Decisions a second, at the median call."""
        return self.batch / self.p50_us * 1e6


@dataclass(frozen=True)
class Hope:
    """What the roadmap hoped for, and what was measured."""

    what: str
    hoped: str
    measured: str


@dataclass(frozen=True)
class Bench:
    """Everything measured.

    Attributes:
        sizes: form -> bytes on disk. notes: what was left out, or not read from disk.
    """

    policy: str
    timings: list[Timing]
    sizes: dict[str, int]
    notes: list[str] = field(default_factory=list)

    def timing(self, form: str, batch: int) -> Timing | None:
        """One cell of the table; None where it was left out."""
        found = (one for one in self.timings if (one.form, one.batch) == (form, batch))
        return next(found, None)

    @property
    def hopes(self) -> list[Hope]:
        """The roadmap's figures beside these."""
        batches = sorted({timing.batch for timing in self.timings})
        one = self.timing(FP32, batches[0])
        assert one is not None
        size = self.sizes[FP32] / self.sizes[INT8]
        return [
            Hope(
                "time of a decision",
                "28 ms",
                f"{one.p50_us / 1000:.3g} ms, 99 of 100 within {one.p99_us / 1000:.3g} ms",
            ),
            Hope("ONNX against torch", "2 to 3 times as fast", self._ratio(EAGER, FP32, batches)),
            Hope("INT8 against FP32", "4 times as fast", self._ratio(FP32, INT8, batches)),
            Hope("INT8 against FP32", "4 times smaller", f"{size:.1f} times"),
            Hope("batches against single decisions", "10 times as many", self._batched(batches)),
        ]

    def _ratio(self, slow: str, fast: str, batches: list[int]) -> str:
        parts = []
        for batch in batches:
            one, other = self.timing(slow, batch), self.timing(fast, batch)
            if one is not None and other is not None:
                parts.append(f"{one.p50_us / other.p50_us:.2f} times at {batch:,}")
        return ", ".join(parts)

    def _batched(self, batches: list[int]) -> str:
        rates = {batch: self.timing(FP32, batch) for batch in batches}
        one = rates.pop(1, None)
        if one is None:
            return "not measured"
        return ", ".join(
            f"{other.per_second / one.per_second:.1f} times at {batch:,}"
            for batch, other in rates.items()
            if other is not None
        )

    def as_json(self) -> dict[str, Any]:
        """The documented JSON of ``compagnon bench --json``."""
        return {
            "policy": self.policy,
            "timings": [{**asdict(one), "per_second": one.per_second} for one in self.timings],
            "sizes": self.sizes,
            "hopes": [asdict(hope) for hope in self.hopes],
            "notes": self.notes,
        }


def bench(
    path: Path,
    env: tuple[str, dict[str, Any]] | None = None,
    batches: tuple[int, ...] = BATCHES,
    seconds: float = 1.0,
    compiled: bool = True,
    say: Callable[[str], None] | None = None,
) -> Bench:
    """Time every form of the policy at `path` on real states, each with one thread.

    Args:
        path: an artefact, or a run; where it was not exported, the ONNX forms are made in memory.
        env: what states are drawn from; None for what the policy learnt in.
        seconds: for each form at each batch size.
        compiled: with `torch.compile`, which takes a while.

    Raises:
        InputError: no artefact, or an environment that cannot be played.
    """
    tell = say or (lambda _: None)
    directory = artefact_directory(path)
    policy = load_artefact(directory)
    manifest = policy.manifest
    env = env or (manifest.schema_.env_id, dict(manifest.provenance.env_args))
    tell("real states")
    states = real_states(policy, *env, max(batches), _SEED)
    notes: list[str] = []
    weights = (directory / WEIGHTS_FILE).stat().st_size
    sizes = dict.fromkeys((EAGER, COMPILED, NUMPY), weights)
    with _one_thread():
        forms = _torch_forms(policy, states, batches, compiled, notes, tell)
        own = policy.bind(policy.schema)
        forms[NUMPY] = own.act
        for form, (made, size) in _onnx_forms(directory, policy, states, notes).items():
            forms[form], sizes[form] = made.act, size
        timings = []
        for batch in batches:
            tell(f"batches of {batch:,}")
            timings += _time(forms, states.rows(slice(0, batch)), batch, seconds)
    return Bench(str(path), timings, sizes, notes)


def _onnx_forms(
    directory: Path, policy: NetworkPolicy, states: States, notes: list[str]
) -> dict[str, tuple[OnnxPolicy, int]]:
    """Both ONNX forms and their sizes: from disk where they were exported, else made in memory."""
    found: dict[str, tuple[OnnxPolicy, int]] = {}
    called: dict[Precision, str] = {"fp32": FP32, "int8": INT8}
    model = None
    for precision, form in called.items():
        file = directory / ONNX_FILES[precision]
        if file.is_file():
            found[form] = load_onnx(directory, precision), file.stat().st_size
            continue
        notes.append(f"{file} is not there: {form} was made in memory (see `compagnon export`)")
        model = model or build_model(policy.manifest, policy.weights)
        made = model
        if precision == "int8":
            made = quantise(model, policy.manifest, "static", states)
        data = made.SerializeToString()
        session = open_session(data, file.name)
        found[form] = OnnxPolicy(policy.manifest, session, "", precision), len(data)
    return found


def _torch_forms(
    policy: NetworkPolicy,
    states: States,
    batches: tuple[int, ...],
    compiled: bool,
    notes: list[str],
    tell: Callable[[str], None],
) -> dict[str, Decide]:
    module = TorchPolicy(policy.manifest, policy.weights)
    forms = {EAGER: _by_torch(module)}
    if not compiled:
        return forms
    if not has_compiler():
        notes.append(
            "torch.compile is left out: it needs a C++ compiler (g++ or clang++), and there is none"
        )
        return forms
    try:
        decide = _by_torch(torch.compile(module, dynamic=False))
        for batch in batches:
            tell(f"torch.compile, batches of {batch:,}")
            some = states.rows(slice(0, batch))
            decide(some.obs, some.mask)
    except Exception as error:  # whatever a compiler, or the want of its headers, may raise
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        notes.append(f"torch.compile is left out, it does not work here: {first}")
    else:
        forms[COMPILED] = decide
    return forms


def has_compiler() -> bool:
    """There is a C++ compiler: the one that CXX names, or one of the usual ones."""
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "clang++", "c++"]
    return any(shutil.which(name) for name in names)


def _by_torch(module: Any) -> Decide:
    def decide(obs: NDArray[np.float32], action_mask: NDArray[np.bool_] | None) -> Any:
        mask = None if action_mask is None else torch.from_numpy(action_mask)
        with torch.inference_mode():
            return module(torch.from_numpy(obs), mask).action.numpy()

    return decide


def _time(forms: dict[str, Decide], states: States, batch: int, seconds: float) -> list[Timing]:
    """Let the forms take turns until each has had its seconds."""
    spent: dict[str, list[float]] = {form: [] for form in forms}
    for decide in forms.values():
        decide(states.obs, states.mask)
    while any(sum(times) < seconds or len(times) < _FEWEST_CALLS for times in spent.values()):
        for form, decide in forms.items():
            until = time.perf_counter() + _BLOCK_SECONDS
            while (began := time.perf_counter()) < until:
                decide(states.obs, states.mask)
                spent[form].append(time.perf_counter() - began)
    return [_timing(form, batch, times) for form, times in spent.items()]


def _timing(form: str, batch: int, seconds: list[float]) -> Timing:
    p50, p99 = np.percentile(np.array(seconds) * 1e6, [50, 99])
    return Timing(form, batch, float(p50), float(p99), len(seconds))


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread for torch and for numpy's products, as onnxruntime's sessions have."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)

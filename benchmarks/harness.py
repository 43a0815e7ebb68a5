"""What the benchmarks share: rounds that take turns, medians, tables, targets and JSON."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol, TypeVar

from rich.console import Console
from rich.table import Table

_PACKAGES = (
    "compagnon",
    "numpy",
    "numba",
    "torch",
    "gymnasium",
    "stable-baselines3",
    "sb3-contrib",
)

QUICK = "a moment of each, to see that everything runs; the figures mean nothing"


class Quick(Protocol):
    """Settings that may ask for a moment of everything."""

    quick: bool


S = TypeVar("S", bound=Quick)

# One unit of work: does it, and says how many environment steps it was.
Work = Callable[[], int]


@dataclass
class Rates:
    """Environment steps a second of one contender, one figure a round."""

    per_round: list[float] = field(default_factory=list)
    cpu_per_round: list[float] = field(default_factory=list)
    steps: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    @property
    def median(self) -> float:
        return statistics.median(self.per_round)

    @property
    def spread(self) -> str:
        """The slowest and the fastest round."""
        return f"{min(self.per_round):,.0f} to {max(self.per_round):,.0f}"

    @property
    def cpu(self) -> float:
        """Microseconds of processor time a step, all threads together."""
        return 1e6 * self.cpu_seconds / self.steps

    def times(self, other: "Rates") -> float:
        """How many times as fast as `other`: the median over rounds, each against its own."""
        pairs = zip(self.per_round, other.per_round, strict=True)
        return statistics.median(mine / theirs for mine, theirs in pairs)

    def cpu_times(self, other: "Rates") -> float:
        """The same by processor time, which the others of a busy machine do not spend."""
        pairs = zip(self.cpu_per_round, other.cpu_per_round, strict=True)
        return statistics.median(mine / theirs for mine, theirs in pairs)

    def as_dict(self) -> dict[str, Any]:
        return {"median": self.median, "cpu_us_a_step": self.cpu, **asdict(self)}


@dataclass(frozen=True)
class Target:
    """A figure that was promised; `at_most` turns the comparison round."""

    name: str
    value: float
    wanted: float
    unit: str = ""
    at_most: bool = False

    @property
    def met(self) -> bool:
        return self.value <= self.wanted if self.at_most else self.value >= self.wanted


def shortened(settings: S, **few: Any) -> S:
    """The settings as they are, or with `--quick` so few of everything."""
    return replace(settings, **few) if settings.quick else settings  # type: ignore[type-var]


def take_turns(contenders: dict[str, Work], rounds: int, seconds: float) -> dict[str, Rates]:
    """Run each contender for about `seconds` in each round, one after the other.

    A machine that slows down for a while then slows all of them, not one. Each contender works once
    before anything is timed: that is where code is compiled and memory touched for the first time.
    """
    for work in contenders.values():
        work()
    rates = {name: Rates() for name in contenders}
    for _ in range(rounds):
        for name, work in contenders.items():
            steps, began, cpu_began = 0, time.perf_counter(), time.process_time()
            while (elapsed := time.perf_counter() - began) < seconds or steps == 0:
                steps += work()
            cpu = time.process_time() - cpu_began
            rates[name].per_round.append(steps / elapsed)
            rates[name].cpu_per_round.append(steps / max(cpu, 1e-9))
            rates[name].steps += steps
            rates[name].seconds += elapsed
            rates[name].cpu_seconds += cpu
    return rates


def console() -> Console:
    """A file has no width of its own, and rich would assume 80."""
    screen = Console(highlight=False, markup=False)
    return screen if screen.is_terminal else Console(highlight=False, markup=False, width=120)


def table(title: str, columns: list[str], rows: list[list[str]]) -> Table:
    """A table whose first column is text and whose others are numbers."""
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, column in enumerate(columns):
        made.add_column(column, justify="right" if index else "left", no_wrap=True)
    for row in rows:
        made.add_row(*row)
    return made


def targets_table(targets: list[Target]) -> Table:
    rows = [
        [
            target.name,
            f"{target.value:,.3g}{target.unit}"
            if target.value < 1000
            else f"{target.value:,.0f}{target.unit}",
            f"{'at most' if target.at_most else 'at least'} {target.wanted:,g}{target.unit}",
            "met" if target.met else "missed",
        ]
        for target in targets
    ]
    return table("Targets", ["", "measured", "wanted", ""], rows)


def machine() -> dict[str, Any]:
    """What the figures depend on besides the code."""
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY", "not set"),
        "versions": versions,
    }


def print_machine(screen: Console, about: dict[str, Any]) -> None:
    names = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    screen.print(f"{about['processor']}, {about['cores']} cores; {names}", soft_wrap=True)
    if about["load_average"] > 0.5:
        screen.print(
            f"Something else runs here (load average {about['load_average']:.1f}): "
            "the figures are lower than on a quiet machine.",
            soft_wrap=True,
        )


def write_json(path: Path | None, figures: dict[str, Any]) -> None:
    if path is not None:
        path.write_text(json.dumps(figures, indent=2) + "\n")


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

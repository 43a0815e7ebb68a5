"""How far a run is, for whoever waits: a bar on a terminal, elsewhere a line an evaluation."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from compagnon.rl.algorithm import LongIterations
from compagnon.rl.callbacks import Callback, IterationInfo
from compagnon.text import interval, number

if TYPE_CHECKING:
    from compagnon.rl.trainer import Trainer

EVERY_SECONDS: Final = 60.0  # of a long iteration, after which a line says how far it is


@contextmanager
def shown(trainer: "Trainer", lines: Console | None = None) -> Iterator[Callback]:
    """Yield a callback that shows how far `trainer` is.

    Args:
        lines: where lines are written while stderr is no terminal; stderr itself without it.
    """
    errors = Console(stderr=True, markup=False, highlight=False, emoji=False)
    if not errors.is_terminal:
        if isinstance(trainer.algorithm, LongIterations):
            trainer.algorithm.under_way = _NowAndThen(trainer, errors)
        yield lambda info: _line_by_line(info, lines or errors, errors)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    with Progress(*columns, console=errors) as bar:
        task = bar.add_task("learning", total=trainer.total, figures="")
        minutes = trainer.recipe.budget.minutes

        def show(info: IterationInfo) -> None:
            total, done = info.total, float(info.iteration)
            if minutes is not None and (
                total is None or info.seconds / (60 * minutes) > done / total
            ):
                total, done = int(60 * minutes), info.seconds
            bar.update(
                task,
                completed=done,
                total=total,
                description=_phase(info),
                figures=_figures(info),
            )
            if info.evaluation is not None:
                bar.console.print(_evaluation_line(info))
            for notice in info.notices:
                bar.console.print(f"note: {notice}")

        if isinstance(trainer.algorithm, LongIterations):

            def advance(share: float) -> None:
                if minutes is None:  # else the bar may count minutes, which it is told afterwards
                    bar.update(task, completed=trainer.algorithm.iteration + share)
                bar.update(task, description=f"{trainer.algorithm.phase.replace('_', ' ')}")

            trainer.algorithm.under_way = advance
        yield show


class _NowAndThen:
    """A line a minute on how far a long iteration is, where there is no bar."""

    def __init__(self, trainer: "Trainer", lines: Console) -> None:
        self._trainer, self._lines = trainer, lines
        self._began = self._said = 0.0

    def __call__(self, share: float) -> None:
        now = time.monotonic()
        if share == 0.0:
            self._began = self._said = now
        elif now - self._said >= EVERY_SECONDS:
            self._said = now
            algorithm = self._trainer.algorithm
            left = (now - self._began) * (1.0 - share) / share
            self._lines.print(
                f"{algorithm.phase.replace('_', ' ')}, iteration {algorithm.iteration + 1}: "
                f"{share:.0%} done, about {left / 60:.0f} min left",
                soft_wrap=True,
            )


def _line_by_line(info: IterationInfo, lines: Console, errors: Console) -> None:
    if info.evaluation is not None:
        lines.print(_evaluation_line(info))
    for notice in info.notices:
        errors.print(f"note: {notice}", soft_wrap=True)


def _phase(info: IterationInfo) -> str:
    return "imitation" if info.imitating else "practice"


def _figures(info: IterationInfo) -> str:
    rate = info.env_steps / max(info.seconds, 1e-9)
    words = [f"{info.env_steps:,} steps", f"{rate:,.0f}/s"]
    for name in ("cross_entropy", "entropy"):
        if name in info.metrics:
            words.append(f"{name.replace('_', ' ')} {info.metrics[name]:.3f}")
    return ", ".join(words)


def _evaluation_line(info: IterationInfo) -> str:
    metrics = info.metrics
    words = [
        f"{info.seconds:6.0f} s  {_phase(info):9s} {info.iteration:5d}",
        f"greedy {number(metrics['eval/return']):>8s}",
    ]
    if "eval/return_sampled" in metrics:
        words.append(f"sampled {number(metrics['eval/return_sampled']):>8s}")
    if "eval/paired" in metrics:
        bounds = (metrics["eval/paired_low"], metrics["eval/paired_high"])
        words.append(f"against {number(metrics['eval/paired'])} ({interval(bounds)})")
    return "  ".join(words)

"""Runs a whole search on this machine: its jobs, the comparison, the winner and the report."""

import multiprocessing
import sys
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import optuna
import tomli_w
from sqlalchemy.exc import SQLAlchemyError

from compagnon.errors import InputError
from compagnon.files import read_file, write_file
from compagnon.rl.recipe import Recipe, change_recipe
from compagnon.rl.trainer import check_recipe
from compagnon.tuning import comparison, study
from compagnon.tuning.comparison import Comparison
from compagnon.tuning.plan import StudyPlan
from compagnon.tuning.progress import Spent, StudyProgress, spent, study_progress
from compagnon.tuning.report import write_report
from compagnon.tuning.search import Watch, Worker
from compagnon.tuning.storage import StudyStore, open_store, reason

JOURNAL, WINNER, REPORT = "study.journal", "winner.toml", "report.html"
_LOOK_SECONDS = 0.5
_SIGNED = "# Written by `compagnon tune`, and written again when its search goes on.\n"
_MAX_BYTES = 1_000_000


@dataclass(frozen=True)
class TuningResult:
    """What a search came to.

    Attributes:
        winner: the recipe of the winner, as a file that `compagnon learn` runs.
        report: the page.
    """

    comparison: Comparison
    spent: Spent
    winner: Path
    report: Path


def tune(
    plan: StudyPlan, resume: bool = False, shared: bool = False, watch: Watch | None = None
) -> TuningResult:
    """Search, compare, and write the winner and the report to the plan's folder.

    Args:
        resume: go on with a search that was begun before; its budget begins anew.
        shared: join a search that others have begun in the same storage.
        watch: told how things stand, about once a second.

    Raises:
        InputError: before anything is started, something does not fit; or no trial came to its end.
        KeyboardInterrupt: a signal asked to stop; everything is kept.
    """
    plan.check()
    check_recipe(plan.recipe)
    _check_folder(plan, resume or shared)
    store = open_store(plan.storage, plan.heartbeat)
    try:
        study.begin(plan, store, resume, shared)
        if plan.jobs > 1:
            _run_jobs(plan, store, watch)
        # With several jobs this finds nothing left to do, unless they were killed.
        Worker(plan, store, watch).run()
        return _conclude(plan, store)
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise InputError(f"{store.where} was lost ({reason(error)}); --resume goes on") from None
    finally:
        store.close()


def _check_folder(plan: StudyPlan, goes_on: bool) -> None:
    """Refuse an --out that is a file, or holds what no search wrote, before an hour of work."""
    out = plan.out
    folder = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    if not folder.is_dir():
        raise InputError(f"--out {out}: {folder} is not a folder")
    there = {path.name for path in out.iterdir()} if out.is_dir() else set()
    if not there or JOURNAL in there:
        return
    ours = WINNER in there and _is_ours(out / WINNER)
    if not goes_on or (there & {WINNER, REPORT} and not ours):
        raise InputError(f"--out {out} is not empty, and holds no search; give a new folder")


def _is_ours(winner: Path) -> bool:
    return read_file(winner, _MAX_BYTES).startswith(_SIGNED.encode())


def _run_jobs(plan: StudyPlan, store: StudyStore, watch: Watch | None) -> None:
    """Run the workers as processes, until all have ended; one that dies leaves its trial."""
    context = multiprocessing.get_context("spawn")
    jobs: list[BaseProcess] = [context.Process(target=_job, args=(plan,)) for _ in range(plan.jobs)]
    for job in jobs:
        job.start()
    try:
        while any(job.is_alive() for job in jobs):
            next(job for job in jobs if job.is_alive()).join(_LOOK_SECONDS)
            if watch is not None:
                watch(study_progress(plan, _current(plan, store)))
    except BaseException:
        # At Ctrl-C the jobs were told as well: they queue their trials again and end.
        for job in jobs:
            job.terminate()
        for job in jobs:
            job.join()
        raise


def _job(plan: StudyPlan) -> None:
    """One worker in a process of its own."""
    try:
        store = open_store(plan.storage, plan.heartbeat)
        try:
            Worker(plan, store, _end_with_parent).run()
        finally:
            store.close()
    except KeyboardInterrupt:
        sys.exit(130)
    except InputError:
        sys.exit(2)  # the process that started this one meets it too, and says so


def _end_with_parent(_: StudyProgress) -> None:
    """A job whose search was killed stops too, and queues its trial again."""
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():
        raise KeyboardInterrupt


def _current(plan: StudyPlan, store: StudyStore) -> optuna.Study:
    """The comparison once it has begun, the search before that."""
    search = study.load(plan, store)
    return comparison.find(plan, store, search) or search


def _conclude(plan: StudyPlan, store: StudyStore) -> TuningResult:
    search = study.load(plan, store)
    compared = comparison.begin(plan, store, search)
    found = comparison.read(compared)
    winner = plan.out / WINNER
    tree = _winning(plan, found).model_dump(mode="json", exclude_none=True)
    write_file(winner, _SIGNED + tomli_w.dumps(tree))
    time_spent = spent((search, compared))
    report = plan.out / REPORT
    write_report(report, plan, search, found, time_spent)
    return TuningResult(found, time_spent, winner, report)


def _winning(plan: StudyPlan, found: Comparison) -> Recipe:
    """The winner as a recipe; it says of itself whether it was shown to be better."""
    winner = found.winner
    shown = "beats the default" if found.beaten else "not shown to beat the default"
    said = {
        "name": f"{plan.recipe.name}-tuned",
        "description": f"{plan.recipe.name} with the settings of {winner.who}: {shown}",
        "variants": {},
    }
    return change_recipe(plan.recipe, {**said, **winner.changes}, plan.recipe.name)

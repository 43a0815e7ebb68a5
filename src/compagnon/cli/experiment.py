"""`experiment`: whether a new policy is better on real decisions, from the plan to the end."""

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from compagnon import output
from compagnon.arguments import CommandFunction, Force, Json, optional
from compagnon.cli.stores import DB, Db, day, me, opened
from compagnon.errors import InputError

if TYPE_CHECKING:
    from compagnon.operations.experiments import Detectable, ExperimentPlan
    from compagnon.operations.experiments.lifecycle import ExperimentReport
    from compagnon.store import Store

Name = Annotated[str, Positional, arg(metavar="NAME", help="of the experiment")]
Application = Annotated[str, arg(metavar="NAME", help="whose decisions it shares out")]


def now() -> float:
    """The time, UNIX, s."""
    return time.time()


def plan(
    file: Annotated[Path, Positional, arg(metavar="FILE", help="the plan, TOML or JSON")],
    /,
    application: Application = "default",
    past: Annotated[
        Path | None, optional("SLICE", "size it from a frozen slice, in place of the log")
    ] = None,
    db: Db = DB,
) -> int:
    """Lay an experiment down: check its plan, say what it can find, and keep it under its hash.

    $ compagnon experiment plan pooling.toml
    $ compagnon experiment plan pooling.toml --past slices/march
    """
    from compagnon.operations.experiments import lifecycle
    from compagnon.operations.experiments.plan_file import load_plan

    read = load_plan(file)
    console = output.console()
    with opened(db) as store:
        with output.busy("looking at the past"):
            found, said = _sized(store, read, application, past)
        kept = lifecycle.register(store, read, application, actor=me(), detectable=found, now=now())
    console.print(said, soft_wrap=True)
    console.print(
        f"{kept.name} is {kept.state}, {len(read.look_days)} looks from {day(read.starts_at_s)} "
        f"to {day(read.look_at(len(read.look_days)).timestamp())} UTC\nhash {kept.sha256}",
        soft_wrap=True,
    )
    return 0


def start(name: Name, /, db: Db = DB) -> int:
    """Let a planned experiment run; of an application at most one does.

    $ compagnon experiment start pooling
    """
    from compagnon.operations.experiments import lifecycle

    with opened(db) as store:
        found = lifecycle.start(store, name, actor=me(), now=now())
        shown = lifecycle.report(store, name, now())
    output.console().print(
        f"{name} runs for application {found.application}: {shown.sentence}", soft_wrap=True
    )
    for warning in shown.warnings:
        output.console().print(f"beware: {warning}", soft_wrap=True)
    output.console().print(
        "a service that runs already learns of it when it is started again", soft_wrap=True
    )
    return 0


def status(
    name: Annotated[
        str | None, Positional, optional("NAME", "the one that runs, without it")
    ] = None,
    /,
    application: Application = "default",
    json: Json = None,
    db: Db = DB,
    force: Force = False,
) -> int:
    """How an experiment stands, in one sentence that says what to do next.

    $ compagnon experiment status
    $ compagnon experiment status pooling --json pooling.json
    """
    from compagnon.operations.experiments import lifecycle

    output.claim(force, json)
    with opened(db) as store, output.busy("reading the log"):
        found = lifecycle.report(store, name or _running(store, application), now())
    _show(found)
    if json is not None:
        output.write_json(json, lifecycle.as_json(found))
    return 0


def look(name: Name, /, db: Db = DB) -> int:
    """Take the look that is due, and keep it: what it said stands.

    $ compagnon experiment look pooling
    """
    from compagnon.operations.experiments import lifecycle

    with opened(db) as store, output.busy("reading the log"):
        moment = now()
        found = lifecycle.look(store, name, actor=me(), now=moment)
        shown = lifecycle.report(store, name, moment)
    console = output.console()
    effects = ", ".join(f"{one.arm} {one.words}" for one in found.effects) or "nothing to compare"
    console.print(
        f"look {found.number} of {len(shown.plan.look_days)}: {effects}; {found.decision}",
        soft_wrap=True,
    )
    _show(shown)
    return 0


def stop(
    name: Name,
    /,
    reason: Annotated[str, arg(metavar="TEXT", help="why; it is kept with the experiment")],
    db: Db = DB,
) -> int:
    """End an experiment; no look is taken any more.

    $ compagnon experiment stop pooling --reason "it ships"
    """
    with opened(db) as store:
        from compagnon.store import experiments

        experiments.stop(store, name, reason, actor=me(), now=now())
    output.console().print(f"{name} is stopped: {reason}", soft_wrap=True)
    return 0


def _sized(
    store: "Store", plan: "ExperimentPlan", application: str, past: Path | None
) -> "tuple[Detectable | None, str]":
    """What can be told apart, and the sentence of it; where the log does not say that, why.

    Raises:
        InputError: the slice that was given says nothing of it.
    """
    from compagnon.operations import slices
    from compagnon.operations.experiments import past as sizing

    if past is not None:
        found = sizing.detectable(plan, sizing.past_of_slice(slices.load(past), plan))
        return found, found.sentence
    try:
        found = sizing.detectable(plan, sizing.past_of_log(store, plan, application, now()))
    except InputError as error:
        return None, f"what this traffic can tell apart is not known: {error}"
    return found, found.sentence


def _running(store: "Store", application: str) -> str:
    """The name of the experiment that runs.

    Raises:
        InputError: none does; names those that there are.
    """
    from compagnon.store import experiments

    found = experiments.running(store, application)
    if found is not None:
        return found.name
    known = experiments.listed(store, application)
    there = ", ".join(f"{one.name} ({one.state})" for one in known)
    raise InputError(
        f"no experiment of application {application!r} runs; "
        + (
            f"give the name of one: {there}"
            if there
            else "compagnon experiment plan FILE makes one"
        )
    )


def _show(found: "ExperimentReport") -> None:
    """The sentence, and what each arm has."""
    console = output.console()
    console.print(found.sentence, soft_wrap=True)
    if not found.arms:
        return
    metrics = [metric.name for metric in found.plan.metrics]
    rows = [
        (
            one.arm,
            *(_mean(one.means[name]) for name in metrics),
            *(f"{count:,}" for count in (one.units, one.counted, *one[4:])),
        )
        for one in found.arms
    ]
    columns = (
        "arm", *metrics, "units", "counted", "incomplete", "immature", "unknown", "alone",
        "overridden", "fallback",
    )  # fmt: skip
    console.print(output.table(columns, rows))
    for warning in found.warnings:
        console.print(f"beware: {warning}", soft_wrap=True)


def _mean(value: float) -> str:
    return output.number(value) if math.isfinite(value) else "-"


COMMANDS: dict[str, CommandFunction] = {
    "plan": plan,
    "start": start,
    "status": status,
    "look": look,
    "stop": stop,
}

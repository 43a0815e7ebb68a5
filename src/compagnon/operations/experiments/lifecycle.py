"""An experiment from its plan to its end, in a store: what may be done when, and how it stands.

Every function takes the time that it shall be, so that a month of looks is tried in a second.
"""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import numpy as np

from compagnon.errors import InputError
from compagnon.operations.experiments.from_log import Logged, decisions_of
from compagnon.operations.experiments.looks import Look, read_look, take_look
from compagnon.operations.experiments.plan import HOUR, ExperimentPlan, read_plan
from compagnon.operations.experiments.sizing import Detectable
from compagnon.operations.experiments.status import Status, status_of
from compagnon.operations.experiments.units import Units, UnitState, units_of
from compagnon.operations.slices.collecting import windows_of
from compagnon.store import Store
from compagnon.store import experiments as stored
from compagnon.store.experiments import StoredExperiment

_DAY: Final = "%Y-%m-%d %H:%M"
_UNEVEN: Final = 0.01  # shares of decisions that are left out may differ by so much, unsaid


class ArmCounts(NamedTuple):
    """What one arm has so far.

    Attributes:
        units: that were seen. counted: of these, those that are compared.
        means: by metric, of the units that are compared in it; NaN where there are none.
        incomplete, immature, unknown, alone: units that do not count now, see `Units.left_out`.
        overridden: decisions that are left out. fallback: decisions of the control, since the arm
            failed; they count.
    """

    arm: str
    units: int
    counted: int
    means: dict[str, float]
    incomplete: int
    immature: int
    unknown: int
    alone: int
    overridden: int
    fallback: int


class ExperimentReport(NamedTuple):
    """How an experiment stands.

    Attributes:
        looks: that were taken, in their order.
        sentence: with the next action. status: what it is made from; None before it was started.
        arms: none before it was started.
        warnings: sentences on what makes the figures worth less than they look.
    """

    experiment: StoredExperiment
    plan: ExperimentPlan
    looks: tuple[Look, ...]
    sentence: str
    status: Status | None
    arms: tuple[ArmCounts, ...]
    warnings: tuple[str, ...] = ()


def register(
    store: Store, plan: ExperimentPlan, application: str, *, actor: str = "",
    detectable: Detectable | None = None, now: float,
) -> StoredExperiment:  # fmt: skip
    """Store a plan, which never changes from then on.

    Args:
        detectable: what was known of it before; it goes into the event.
        now: UNIX time, s. So it is below.

    Raises:
        InputError: the name belongs to another plan, or to another application.
    """
    known = {} if detectable is None else {"detectable": asdict(detectable)}
    return stored.add(
        store, plan.name, application, plan.to_json(), actor=actor, evidence=known, now=now
    )


def plan_of(experiment: StoredExperiment) -> ExperimentPlan:
    """The plan of a stored experiment, whose hash is the one that was stored.

    Raises:
        InputError: it is not: the row was changed, or another version of the program wrote it.
    """
    plan = read_plan(experiment.plan, f"experiment {experiment.name}")
    if plan.sha256() != experiment.sha256:
        raise InputError(
            f"experiment {experiment.name}: its plan has sha256 {plan.sha256()[:12]}, and "
            f"{experiment.sha256[:12]} was stored; `compagnon db check` says what was changed"
        )
    return plan


def start(store: Store, name: str, *, actor: str = "", now: float) -> StoredExperiment:
    """Let a planned experiment run.

    Raises:
        InputError: a metric of it is no outcome's, its first look is over, another one of its
            application runs, or it is not planned.
    """
    experiment = stored.get(store, name)
    plan = plan_of(experiment)
    with store.read() as connection:
        windows = windows_of(connection, [metric.name for metric in plan.metrics])
    if experiment.state == "planned" and plan.looks_passed(now):
        raise InputError(
            f"experiment {name} should have started at {_time(plan.starts_at_s)}, and its first "
            f"look was due at {_time(plan.look_at(1).timestamp())}; lay down a plan with another "
            "name that starts later"
        )
    evidence = {"sha256": experiment.sha256, "matures_after": windows}
    return stored.start(store, name, actor=actor, evidence=evidence, now=now)


def look(store: Store, name: str, *, actor: str = "", now: float) -> Look:
    """Take the look that is due, and keep what it said.

    Raises:
        InputError: none is due, the experiment doesn't run, or its log is not as planned.
    """
    experiment = stored.get(store, name)
    if experiment.state != "running":
        state = "was not started" if experiment.state == "planned" else "was stopped"
        raise InputError(f"experiment {name} {state}; only one that runs is looked at")
    plan = plan_of(experiment)
    taken = looks_of(store, name)
    number = max(plan.looks_passed(now), max((one.number for one in taken), default=0) + 1)
    logged = decisions_of(store, plan, experiment.application, now)
    units = units_of(plan, logged.decisions, now)
    found = take_look(plan, number, units, now, taken)
    evidence = {
        "decision": found.decision,
        "arm": found.arm,
        "plan_sha256": found.plan_sha256,
        "data_sha256": found.data_sha256,
        "units": dict(zip(plan.arms, units.counts(len(plan.arms)), strict=True)),
        "overridden": dict(zip(plan.arms, logged.overridden, strict=True)),
        "fallback": dict(zip(plan.arms, logged.fallback, strict=True)),
    }
    stored.add_look(store, name, number, found.to_json(), actor=actor, evidence=evidence, now=now)
    return found


def looks_of(store: Store, name: str) -> tuple[Look, ...]:
    """The looks that were taken, in their order."""
    return tuple(read_look(one.text) for one in stored.looks_of(store, name))


def report(store: Store, name: str, now: float) -> ExperimentReport:
    """How an experiment stands; one that was stopped as it stood then, with what came since.

    Raises:
        InputError: there is none, or its log is not as planned.
    """
    experiment = stored.get(store, name)
    plan = plan_of(experiment)
    taken = looks_of(store, name)
    if experiment.started is None:
        return ExperimentReport(experiment, plan, taken, _not_started(experiment), None, ())
    logged = decisions_of(store, plan, experiment.application, now)
    # Who was stopped was given no arm after that: what was not complete then never will be.
    until = now if experiment.stopped is None else min(now, experiment.stopped)
    units = units_of(plan, logged.decisions, until)
    status = status_of(plan, units, until, taken)
    sentence = status.sentence
    if experiment.stopped is not None:
        reason = f"stopped at {_time(experiment.stopped)}: {experiment.reason}"
        sentence = f"{reason}; it was: {sentence}"
    arms = _arms(plan, units, logged)
    return ExperimentReport(
        experiment, plan, taken, sentence, status, arms, warnings_of(plan, logged)
    )


def warnings_of(plan: ExperimentPlan, logged: Logged) -> tuple[str, ...]:
    """What makes the figures worth less than they look.

    Decisions that people overrode are not like the others: an arm that people correct where it is
    worst is left with what it does well, and looks better than it is.
    """
    found = []
    counted = zip(logged.overridden, logged.counts, strict=True)
    shares = [one / max(1, count) for one, count in counted]
    if max(shares) - min(shares) > _UNEVEN:
        said = ", ".join(f"{a} {100 * b:.1f} %" for a, b in zip(plan.arms, shares, strict=True))
        found.append(
            f"decisions that people overrode are left out, by arm {said}: what is "
            "left of an arm may be the easy ones, and its figures better than it is"
        )
    if logged.window > plan.maturity_hours * HOUR:
        found.append(
            f"outcomes may come for {logged.window / HOUR:g} h, and maturity_hours is "
            f"{plan.maturity_hours:g}: each look misses the units of the last hours"
        )
    return tuple(found)


def as_json(found: ExperimentReport) -> dict[str, Any]:
    """All of it, for a file; numbers that are unknown are not finite."""
    kept = found.experiment._asdict() | {"plan": json.loads(found.experiment.plan)}
    status = found.status
    return {
        "experiment": kept,
        "sentence": found.sentence,
        "warnings": list(found.warnings),
        "verdict": None if status is None else str(status.verdict),
        "arm": None if status is None else status.arm,
        "look": None if status is None else status.look,
        "sample_ratio_p_value": None if status is None else status.sample_ratio_p_value,
        "arms": [one._asdict() for one in found.arms],
        "looks": [asdict(one) for one in found.looks],
    }


def _not_started(experiment: StoredExperiment) -> str:
    if experiment.stopped is not None:
        return f"stopped at {_time(experiment.stopped)}, never started: {experiment.reason}"
    return f"planned: compagnon experiment start {experiment.name}"


def _arms(plan: ExperimentPlan, units: Units, logged: Logged) -> tuple[ArmCounts, ...]:
    name = plan.primary.name
    ready = units.states == UnitState.READY
    known = {metric: ready & np.isfinite(values) for metric, values in units.values.items()}
    counted = {metric: _with_partner(units, there) for metric, there in known.items()}
    found = []
    for arm, words in enumerate(plan.arms):
        mine = units.arms == arm
        means = {
            metric: float(values[mine & counted[metric]].mean())
            if (mine & counted[metric]).any()
            else float("nan")
            for metric, values in units.values.items()
        }
        found.append(
            ArmCounts(
                words, int(mine.sum()), int((mine & counted[name]).sum()), means,
                int((mine & (units.states == UnitState.INCOMPLETE)).sum()),
                int((mine & (units.states == UnitState.IMMATURE)).sum()),
                int((mine & ready & ~known[name]).sum()),
                int((mine & known[name] & ~counted[name]).sum()),
                logged.overridden[arm], logged.fallback[arm],
            )
        )  # fmt: skip
    return tuple(found)


def _with_partner(units: Units, known: Any) -> Any:
    """Of units (U,) that are known, those that are compared: in pairs, both or none."""
    paired = units.pairs >= 0
    there = np.bincount(units.pairs[known & paired], minlength=1)
    alone = paired & (there[np.maximum(units.pairs, 0)] < 2)
    return known & ~alone


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime(_DAY) + " UTC"

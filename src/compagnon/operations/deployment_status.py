"""How a deployment is doing, in words: what is logged, which outcomes come, what is to be done."""

import time as clock
from typing import Final, NamedTuple

import sqlalchemy
from sqlalchemy import case, func

from compagnon.errors import InputError
from compagnon.operations.deployment import Deployment, OutcomeSpec
from compagnon.operations.experiments.lifecycle import plan_of
from compagnon.policy.action_selection import EXPLORED, FALLBACK, SAMPLED
from compagnon.serving.arms import Experiment
from compagnon.store import Store, experiments, outcomes
from compagnon.store.tables import decisions, metrics, overrides
from compagnon.store.tables import outcomes as outcomes_table

_ENOUGH: Final = 100  # mature decisions, after which an outcome that never came is an alarm
_DAY: Final = 86_400.0
_FEW: Final = 0.5  # share of outcomes that came, below which it is an alarm


class DeploymentStatus(NamedTuple):
    """What a look at a deployment found.

    Attributes:
        sentences: what is so. alarms: what somebody should look at, with what would be right.
    """

    sentences: tuple[str, ...]
    alarms: tuple[str, ...]


def define_outcomes(store: Store, deployment: Deployment) -> None:
    """Make the outcomes of a deployment known to its store.

    Raises:
        InputError: one of them has come under another window.
    """
    for one in deployment.outcomes:
        outcomes.define(store, one.name, one.seconds)


def experiment_of(store: Store, deployment: Deployment) -> Experiment | None:
    """The experiment that runs, with the deployment's policies for its arms; None where none does.

    Raises:
        InputError: an arm of the plan has no policy in the deployment, or the plan was changed.
    """
    running = experiments.running(store, deployment.application)
    if running is None:
        return None
    plan = plan_of(running)
    policies = {}
    for name in plan.arms[1:]:
        if name not in deployment.arms:
            known = ", ".join(deployment.arms) or "none"
            raise InputError(
                f"experiment {running.name} runs, and its arm {name!r} has no policy: name it "
                f"under [arms] of the deployment (there are: {known}), or stop the experiment"
            )
        policies[name] = deployment.arms[name]
    return Experiment(plan, policies, stored=True)


def deployment_status(
    store: Store, deployment: Deployment, now: float | None = None
) -> DeploymentStatus:
    """Look at the log of a deployment.

    Args:
        now: the time to judge by, seconds since 1970; the clock's without it.
    """
    moment = clock.time() if now is None else now
    ours = decisions.c.application == deployment.application
    # Under a draw, or under an arm that was drawn: either tells of what else could have been done.
    drawn = decisions.c.mode.in_((SAMPLED, EXPLORED)) | decisions.c.experiment.is_not(None)
    with store.read() as connection:
        total, last, chances, fallbacks, people = connection.execute(
            sqlalchemy.select(
                func.count(),
                func.max(decisions.c.time),
                func.count(case((drawn, 1))),
                func.count(case((decisions.c.mode == FALLBACK, 1))),
                func.count(case((overrides.c.verdict == "overridden", 1))),
            )
            .select_from(decisions.outerjoin(overrides, overrides.c.decision_id == decisions.c.id))
            .where(ours)
        ).one()
    sentences, alarms = [_logged(total, last, moment)], []
    running = experiments.running(store, deployment.application)
    if running is not None:
        sentences.append(
            f"experiment {running.name} runs: `compagnon experiment status {running.name}`"
        )
    if total and moment - last > _DAY:
        alarms.append("no decision was logged for more than a day: does the service run?")
    if people:
        sentences.append(f"people took another action in {people:,} of them ({people / total:.1%})")
    if fallbacks:
        alarms.append(
            f"an arm failed in {fallbacks:,} decisions, and the control decided: see the log of "
            "the service"
        )
    if total and not chances:
        alarms.append(
            "no decision was left to chance, so nothing can be told of other policies from this "
            "log: set service.explore, or run an experiment"
        )
    for one in deployment.outcomes:
        sentence, alarm = _outcome(store, deployment.application, one, moment)
        sentences.append(sentence)
        alarms += [] if alarm is None else [alarm]
    return DeploymentStatus(tuple(sentences), tuple(alarms))


def _logged(total: int, last: float | None, moment: float) -> str:
    if not total or last is None:
        return "no decision was logged yet"
    return f"{total:,} decisions are logged, the last one {_ago(moment - last)} ago"


def _ago(seconds: float) -> str:
    for name, length in (("days", _DAY), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {name}"
    return f"{max(0.0, seconds):.0f} s"


def _outcome(
    store: Store, application: str, one: OutcomeSpec, moment: float
) -> tuple[str, str | None]:
    """What is so of an outcome, and what should be looked at."""
    with store.read() as connection:
        window = connection.scalar(
            sqlalchemy.select(metrics.c.matures_after).where(metrics.c.name == one.name)
        )
        if window is None:
            return f"{one.name} is not defined in this store yet", None
        mature = (decisions.c.application == application) & (decisions.c.time <= moment - window)
        count = connection.scalar(
            sqlalchemy.select(func.count()).select_from(decisions).where(mature)
        )
        came, late = connection.execute(
            sqlalchemy.select(func.count(), func.count(case((outcomes_table.c.late, 1))))
            .select_from(
                outcomes_table.join(decisions, outcomes_table.c.decision_id == decisions.c.id)
            )
            .where(mature, outcomes_table.c.name == one.name)
        ).one()
    if not count:
        return f"{one.name}: no decision is old enough yet ({one.matures_after})", None
    sentence = f"{one.name} came for {came:,} of {count:,} mature decisions, {late:,} too late"
    alarm = None
    if not came and count >= _ENOUGH:
        alarm = (
            f"{one.name} never came, though {count:,} decisions are mature: does a client send "
            f"PUT /v1/outcomes/ID/{one.name}, with the id of the answer?"
        )
    elif one.missing == "missing" and count >= _ENOUGH and (came - late) / count < _FEW:
        alarm = (
            f"{one.name} came in time for {(came - late) / count:.0%} of the mature decisions; the "
            "others are in no estimate. If it is told only when something happens, say "
            'missing = "zero"'
        )
    return sentence, alarm

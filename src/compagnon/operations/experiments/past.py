"""What past decisions say of an experiment that is planned: the effect that it could tell apart.

The past is cut into units as the plan cuts the experiment: keys with their windows, or blocks in
pairs at the same hours.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from compagnon.errors import InputError
from compagnon.operations.experiments.from_log import overridden, pages
from compagnon.operations.experiments.plan import DAY, HOUR, ExperimentPlan, Switchback
from compagnon.operations.experiments.sizing import Detectable, minimum_detectable_effect
from compagnon.operations.experiments.units import Decisions, UnitState, units_of
from compagnon.operations.slices.collecting import windows_of
from compagnon.operations.slices.slice import Slice
from compagnon.policy.action_selection import FALLBACK
from compagnon.store import Store
from compagnon.store.tables import decisions

_DAYS: Final = 28.0  # of the past, or as many as the experiment has where these are more


class Past(NamedTuple):
    """Mature decisions outside of any experiment, and the UNIX time, s, before which they lie."""

    decisions: Decisions
    until: float


def past_of_log(store: Store, plan: ExperimentPlan, application: str, now: float) -> Past:
    """The last weeks before the experiment.

    Args:
        now: UNIX time, s.

    Raises:
        InputError: the primary metric is no outcome's.
    """
    name = plan.primary.name
    with store.read() as connection:
        window = windows_of(connection, [name])[name]
    until = min(now - window, plan.starts_at_s)
    since = until - max(_DAYS, plan.days) * DAY
    clause = (
        (decisions.c.application == application)
        & decisions.c.experiment.is_(None)
        & (decisions.c.time >= since)
    )
    subjects: list[str] = []
    at: list[float] = []
    values: list[float] = []
    for page in pages(store, clause, [name], until):
        for row, value in zip(page.rows, page.values[:, 0].tolist(), strict=True):
            if row.key and not overridden(row) and row.mode != FALLBACK:
                subjects.append(row.key)
                at.append(row.time)
                values.append(value)
    return _past(name, subjects, at, values, until)


def past_of_slice(content: Slice, plan: ExperimentPlan) -> Past:
    """The same from a frozen slice.

    Raises:
        InputError: it was frozen without the primary metric.
    """
    name = plan.primary.name
    if name not in content.outcome_names:
        raise InputError(
            f"the slice has no outcome {name!r}, the plan's primary metric; it has "
            f"{', '.join(content.outcome_names)}"
        )
    kept = [
        row
        for row, (key, experiment, human, mode) in enumerate(
            zip(content.key, content.experiment, content.human, content.mode, strict=True)
        )
        if key and not experiment and human != "overridden" and mode != FALLBACK
    ]
    values = content.outcomes[kept, content.outcome_names.index(name)]
    subjects = [content.key[row] for row in kept]
    return _past(name, subjects, content.time[kept], values, float(content.manifest["until"]))


def detectable(plan: ExperimentPlan, past: Past) -> Detectable:
    """The smallest effect on the primary metric that the plan finds, were the future like the past.

    Raises:
        InputError: the past is shorter than a unit, or has too few of them.
    """
    cut = _cut(replace(plan, guardrails=()), past)
    if cut is None:
        raise InputError(
            f"past: {len(past.decisions.subjects):,} mature decisions with a key and outside of "
            f"experiments; give as many as fill {plan.unit.longest_hours:g} h at least"
        )
    units = units_of(cut, past.decisions, past.until)
    values = units.values[plan.primary.name]
    counts = (units.states == UnitState.READY) & np.isfinite(values)
    days = cut.unit.information_hours(24 * cut.days) / 24
    return minimum_detectable_effect(plan, values[counts], days, units.pairs[counts])


def _cut(plan: ExperimentPlan, past: Past) -> ExperimentPlan | None:
    """The plan as if it had been carried out on the past; None where that is too short."""
    if not len(past.decisions.subjects):
        return None
    step, end = HOUR, past.until
    if isinstance(plan.unit, Switchback):  # whole pairs, at the hours of the experiment's own
        step = plan.unit.longest_hours * HOUR
        end = plan.starts_at_s - math.ceil((plan.starts_at_s - end) / step) * step
    span = min(end - float(past.decisions.at.min()), max(_DAYS, plan.days) * DAY)
    days = math.floor(span / step) * step / DAY
    if 24 * days < plan.unit.longest_hours:
        return None
    start = datetime.fromtimestamp(end - days * DAY, UTC)
    return replace(plan, starts_at=start, days=days, looks=(days,), maturity_hours=0.0)


def _past(
    name: str, subjects: Sequence[str], at: ArrayLike, values: ArrayLike, until: float
) -> Past:
    whole = np.ones(len(subjects), np.bool_)
    columns = {name: np.asarray(values, np.float64)}
    return Past(Decisions(subjects, np.asarray(at, np.float64), whole, columns), until)

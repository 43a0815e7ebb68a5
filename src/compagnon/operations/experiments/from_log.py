"""An experiment's decisions out of the log, each in the arm that the plan gives its unit.

Maturity is a matter of time alone: a decision counts once the slowest of the plan's metrics has had
its time, whether its outcomes came or not. To count the quick ones first would favour the arm whose
good news travels faster.
"""

import time as clock
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import sqlalchemy
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.operations.experiments.assignment import (
    block_numbers,
    sticky_arms,
    switchback_arms,
)
from compagnon.operations.experiments.plan import HOUR, ExperimentPlan, Sticky
from compagnon.operations.experiments.units import Decisions
from compagnon.operations.slices.collecting import outcomes_of, windows_of
from compagnon.policy.action_selection import FALLBACK
from compagnon.store import Store, paging
from compagnon.store.tables import decisions, overrides

# Between the assignment of a decision and the time that the log has, s. A decision at the end of a
# block may so be logged in the next one.
_SLACK: Final = 10.0
_COLUMNS: Final = [
    decisions.c[name] for name in ("seq", "id", "time", "key", "unit", "arm", "mode")
]


class Logged(NamedTuple):
    """What the log has of an experiment.

    Attributes:
        decisions: that may count, once they are mature.
        window: how long the slowest of the plan's outcomes may come, s.
        counts: by arm, all decisions that were logged.
        overridden: by arm, decisions that are left out since a person took another action.
        fallback: by arm, those that the control made since the arm failed. They count: to fail is
            part of what an arm does; without its hard decisions it would look better than it is.
    """

    decisions: Decisions
    window: float
    counts: tuple[int, ...]
    overridden: tuple[int, ...]
    fallback: tuple[int, ...]


class Page(NamedTuple):
    """Some decisions, n of them, with what came of each.

    Attributes:
        rows: with id, time, key, unit, arm, mode and a person's verdict.
        values: (n, K) of the outcomes that were asked for; NaN where none came in time.
    """

    rows: Sequence[Any]
    values: NDArray[np.float64]


def pages(store: Store, clause: Any, names: Sequence[str], until: float) -> Iterator[Page]:
    """Decisions in the order of the log.

    Args:
        clause: of SQL, which of them. names: K outcomes. until: the last moment, UNIX time, s.
    """
    query = (
        sqlalchemy.select(*_COLUMNS, overrides.c.verdict)
        .select_from(decisions.outerjoin(overrides, overrides.c.decision_id == decisions.c.id))
        .where(clause)
    )
    for page in paging.pages(store, query):
        rows = [row for row in page if row.time <= until]
        with store.read() as connection:
            values, _ = outcomes_of(connection, [row.id for row in rows], names)
        yield Page(rows, values)


def overridden(row: Any) -> bool:
    """Whether a person took another action than the policy."""
    return bool(row.verdict == "overridden")


def decisions_of(
    store: Store,
    plan: ExperimentPlan,
    application: str,
    now: float | None = None,
    watch: Callable[[int], object] = lambda _: None,
) -> Logged:
    """The decisions that were logged under the name of a plan.

    Args:
        now: UNIX time, s, to judge by; the clock's without it.
        watch: is told how many decisions were read.

    Raises:
        InputError: a metric that is no outcome's, or decisions that were logged with another arm
            or unit than the plan gives them.
    """
    moment = clock.time() if now is None else now
    names = [metric.name for metric in plan.metrics]
    with store.read() as connection:
        windows = windows_of(connection, names)
    mine = (decisions.c.experiment == plan.name) & (decisions.c.application == application)
    gathered = _Gathered(plan, moment, max(windows.values()))
    for page in pages(store, mine, names, moment):
        gathered.take(page)
        watch(gathered.total)
    return gathered.result(names)


class _Gathered:
    """What was read so far.

    Args:
        now: UNIX time, s. window: how long outcomes may come, s.
    """

    def __init__(self, plan: ExperimentPlan, now: float, window: float) -> None:
        self._plan, self._window, self._mature = plan, window, now - window
        self._subjects: list[str] = []
        self._at: list[NDArray[np.float64]] = []
        self._matured: list[NDArray[np.bool_]] = []
        self._values: list[NDArray[np.float64]] = []
        self._counts, self._overridden, self._fallback = (
            dict.fromkeys(plan.arms, 0) for _ in range(3)
        )
        self._wrong, self._first = 0, ""
        self.total = 0

    def take(self, page: Page) -> None:
        """Add a page."""
        rows = page.rows
        logged = np.array([row.time for row in rows], np.float64)
        at = self._checked(rows, logged)
        self.total += len(rows)
        kept = np.array([not overridden(row) for row in rows], np.bool_)
        for row in rows:
            if row.arm in self._counts:
                self._counts[row.arm] += 1
                self._overridden[row.arm] += overridden(row)
                self._fallback[row.arm] += row.mode == FALLBACK
        matured = logged <= self._mature
        values = np.where(matured[:, None], page.values, np.nan)
        self._subjects += [row.key for row, keep in zip(rows, kept, strict=True) if keep]
        self._at.append(at[kept])
        self._matured.append(matured[kept])
        self._values.append(values[kept])

    def _checked(self, rows: Sequence[Any], at: NDArray[np.float64]) -> NDArray[np.float64]:
        """The times of the rows as their units have them; counts those of another arm or unit."""
        wanted = assigned(self._plan, [row.key or "" for row in rows], at)
        found = at.copy()
        for k, (row, (unit, arm)) in enumerate(zip(rows, wanted, strict=True)):
            if row.key and (row.unit, row.arm) == (unit, arm):
                continue
            before = self._plan.assign(row.key or "", row.time - _SLACK)
            if row.key and before is not None and before[:2] == (row.unit, row.arm):
                found[k] -= _SLACK
                continue
            self._wrong += 1
            self._first = self._first or (
                f"{row.id} (unit {row.unit!r} and arm {row.arm!r}, where the plan gives {unit!r} "
                f"and {arm!r})"
            )
        return found

    def result(self, names: Sequence[str]) -> Logged:
        """All of it.

        Raises:
            InputError: some had another arm than the plan gives.
        """
        plan = self._plan
        if self._wrong:
            raise InputError(
                f"{self._wrong:,} of {self.total:,} decisions of experiment {plan.name} were not "
                f"logged as the plan assigns them, the first is {self._first}; nothing that they "
                "say can be compared: let what decides assign by this very plan"
            )
        at = np.concatenate([np.zeros(0), *self._at])
        values = np.concatenate([np.zeros((0, len(names))), *self._values])
        columns = {name: values[:, k] for k, name in enumerate(names)}
        matured = np.concatenate([np.zeros(0, np.bool_), *self._matured])
        found = Decisions(self._subjects, at, matured, columns)
        by_arm = (
            tuple(known.values()) for known in (self._counts, self._overridden, self._fallback)
        )
        return Logged(found, self._window, *by_arm)


def assigned(
    plan: ExperimentPlan, subjects: Sequence[str], at: NDArray[np.float64]
) -> list[tuple[str | None, str | None]]:
    """Unit and arm of n decisions, one by one what `ExperimentPlan.assign` gives; None outside.

    Args:
        subjects: n keys, or zones. at: (n,) UNIX time, s.
    """
    units: Sequence[str] = subjects
    if isinstance(plan.unit, Sticky):
        arms = sticky_arms(plan.salt, subjects, plan.shares)
    else:
        blocks = block_numbers(at, plan.starts_at_s, plan.unit.block_hours * HOUR)
        arms = switchback_arms(plan.salt, subjects, blocks, plan.unit.pair_lag)
        name = plan.unit.unit_name
        units = [name(zone, block) for zone, block in zip(subjects, blocks.tolist(), strict=True)]
    inside = (at >= plan.starts_at_s) & (at < plan.ends_at_s)
    return [
        (unit, plan.arms[arm]) if within else (None, None)
        for unit, arm, within in zip(units, arms.tolist(), inside.tolist(), strict=True)
    ]

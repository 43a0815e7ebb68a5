"""From decisions to one figure a unit: which unit, of which arm, and whether it may count yet.

The arm is the one that the plan gives, not the one that answered: a unit stays in its arm whatever
becomes of its decisions. Which of these count is for `from_log` to say.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compagnon.errors import InputError
from compagnon.operations.experiments.assignment import (
    block_numbers,
    in_burn_in,
    pair_numbers,
    sticky_arms,
    switchback_arms,
)
from compagnon.operations.experiments.differences import Difference
from compagnon.operations.experiments.plan import HOUR, ExperimentPlan, Metric, Switchback

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class UnitState(IntEnum):
    """Whether a unit may count: its time is over, and so are the waits for its outcomes."""

    READY = 0
    INCOMPLETE = 1
    IMMATURE = 2


@dataclass(frozen=True, eq=False)
class Decisions:
    """What the log knows of decisions, in columns of one length D.

    Attributes:
        subjects: (D,) the key, or the zone in a switchback.
        at: (D,) UNIX time, s.
        matured: (D,) whether the outcomes are all there, or their time is over.
        values: metric -> (D,); NaN where an outcome never came.
    """

    subjects: Sequence[str]
    at: Floats
    matured: NDArray[np.bool_]
    values: Mapping[str, Floats]

    def __post_init__(self) -> None:
        sizes = {"at": len(self.at), "matured": len(self.matured)}
        sizes |= {name: len(column) for name, column in self.values.items()}
        for name, size in sizes.items():
            if size != len(self.subjects):
                raise InputError(f"{name}: {size} rows, and subjects has {len(self.subjects)}")


@dataclass(frozen=True, eq=False)
class Units:
    """One row a unit that was seen, those included that may not count yet.

    Attributes:
        names: (U,) keys, or zone#block.
        arms: (U,) places in the plan's arms.
        pairs: (U,) the same number for the two blocks of a pair; -1 for keys.
        states: (U,) of `UnitState`.
        values: metric -> (U,); NaN where nothing is known of it.
    """

    names: tuple[str, ...]
    arms: Ints
    pairs: Ints
    states: NDArray[np.int8]
    values: Mapping[str, Floats]

    def counts(self, arms: int) -> tuple[int, ...]:
        """Units of each arm, whatever their state."""
        return tuple(int(one) for one in np.bincount(self.arms, minlength=arms))

    def difference(self, metric: str, treated: int = 1, control: int = 0) -> Difference:
        """Of the units that may count: in pairs where there are pairs.

        Raises:
            InputError: no such metric.
        """
        if metric not in self.values:
            raise InputError(f"no metric {metric!r} in these units: {', '.join(self.values)}")
        values = self.values[metric]
        ready = (self.states == UnitState.READY) & np.isfinite(values)
        one, other = (np.flatnonzero(ready & (self.arms == arm)) for arm in (control, treated))
        if (self.pairs < 0).all():
            return Difference(values[one], values[other])
        _, first, second = np.intersect1d(
            self.pairs[one], self.pairs[other], assume_unique=True, return_indices=True
        )
        return Difference(values[one[first]], values[other[second]], paired=True)

    def left_out(self, metric: str) -> dict[str, int]:
        """Units that don't count, by reason: incomplete, immature, unknown, without a partner."""
        ready = self.states == UnitState.READY
        known = ready & np.isfinite(self.values[metric])
        partners = np.bincount(self.pairs[known & (self.pairs >= 0)], minlength=1)
        return {
            "incomplete": int((self.states == UnitState.INCOMPLETE).sum()),
            "immature": int((self.states == UnitState.IMMATURE).sum()),
            "unknown": int((ready & ~known).sum()),
            "without a partner": int((partners == 1).sum()),
        }

    def sha256(self) -> str:
        """A hash of all that is in them, whatever their order; pairs follow from the names."""
        order = sorted(range(len(self.names)), key=lambda row: self.names[row])
        head = {"names": [self.names[row] for row in order], "metrics": sorted(self.values)}
        found = hashlib.sha256(json.dumps(head).encode())
        for column in (self.arms, self.states):
            found.update(column[order].astype("<i8").tobytes())
        for name in sorted(self.values):
            figures = self.values[name][order]
            found.update(np.where(np.isnan(figures), np.nan, figures).astype("<f8").tobytes())
        return found.hexdigest()


def units_of(plan: ExperimentPlan, decisions: Decisions, now: float) -> Units:
    """Decisions put together by the units of a plan.

    Decisions outside the experiment's time, after `now`, in a burn-in or after a key's window are
    no part of it. A unit is incomplete until its block or its window is over, and immature while
    one of its decisions is.

    Args:
        now: UNIX time, s.

    Raises:
        InputError: a metric of the plan is missing.
    """
    for metric in plan.metrics:
        if metric.name not in decisions.values:
            raise InputError(
                f"decisions: the plan's metric {metric.name!r} is missing; "
                f"there are {', '.join(decisions.values) or 'none'}"
            )
    at = np.asarray(decisions.at, np.float64)
    inside = (at >= plan.starts_at_s) & (at < min(plan.ends_at_s, np.nextafter(now, np.inf)))
    if isinstance(plan.unit, Switchback):
        return _blocks(plan, plan.unit, decisions, inside, now)
    return _keys(plan, decisions, inside, plan.unit.window_hours * HOUR, now)


def _keys(
    plan: ExperimentPlan, decisions: Decisions, inside: NDArray[np.bool_], window: float, now: float
) -> Units:
    rows = np.flatnonzero(inside)
    at = np.asarray(decisions.at, np.float64)[rows]
    keys, unit = _distinct([decisions.subjects[row] for row in rows.tolist()])
    first = np.full(len(keys), np.inf)
    np.minimum.at(first, unit, at)
    kept = at < first[unit] + window
    # After the end nobody plays its arm, so what its window would still have brought is not known.
    complete = first + window <= min(now, plan.ends_at_s)
    arms = sticky_arms(plan.salt, keys, plan.shares)
    pairs = np.full(len(keys), -1, np.int64)
    return _units(plan, decisions, keys, arms, pairs, rows[kept], unit[kept], complete)


def _blocks(
    plan: ExperimentPlan,
    kind: Switchback,
    decisions: Decisions,
    inside: NDArray[np.bool_],
    now: float,
) -> Units:
    length, burn_in = kind.block_hours * HOUR, kind.burn_in_hours * HOUR
    at = np.asarray(decisions.at, np.float64)
    rows = np.flatnonzero(inside & ~in_burn_in(at, plan.starts_at_s, length, burn_in))
    zones, zone = _distinct([decisions.subjects[row] for row in rows.tolist()])
    blocks = block_numbers(at[rows], plan.starts_at_s, length)
    both, unit = np.unique(np.stack([zone, blocks], axis=1), axis=0, return_inverse=True)
    unit_zones = [zones[place] for place in both[:, 0]]
    arms = switchback_arms(plan.salt, unit_zones, both[:, 1], kind.pair_lag)
    within, _ = pair_numbers(both[:, 1], kind.pair_lag)
    # Numbers of pairs that differ from zone to zone.
    pairs = both[:, 0] * (within.max(initial=0) + 1) + within
    over = plan.starts_at_s + (both[:, 1] + 1) * length
    complete = over <= min(now, plan.ends_at_s)
    names = [
        kind.unit_name(name, int(block)) for name, block in zip(unit_zones, both[:, 1], strict=True)
    ]
    return _units(plan, decisions, names, arms, pairs, rows, unit.reshape(-1), complete)


def _units(
    plan: ExperimentPlan,
    decisions: Decisions,
    names: Iterable[str],
    arms: Ints,
    pairs: Ints,
    rows: Ints,
    unit: Ints,
    complete: NDArray[np.bool_],
) -> Units:
    """Put rows (R,) of decisions together by `unit` (R,), their places among the names (U,)."""
    waiting = ~np.asarray(decisions.matured, np.bool_)[rows]
    immature = np.bincount(unit[waiting], minlength=len(arms)) > 0
    states = np.where(
        ~complete, UnitState.INCOMPLETE, np.where(immature, UnitState.IMMATURE, UnitState.READY)
    ).astype(np.int8)
    values = {
        metric.name: unit_values(
            np.asarray(decisions.values[metric.name], np.float64)[rows], unit, len(arms), metric
        )
        for metric in plan.metrics
    }
    return Units(tuple(names), arms, pairs, states, values)


def unit_values(values: ArrayLike, unit: Ints, units: int, metric: Metric) -> Floats:
    """The figure of each unit, (units,): mean or sum of its decisions' values, as the metric says.

    A mean is of the values that are known. A sum with an unknown value is unknown: it is not the
    sum of the rest.

    Args:
        values: (R,) of decisions; NaN where unknown. unit: (R,) the place of each one's unit.
    """
    given = np.asarray(values, np.float64)
    # Summed in an order of their own, so that the order of the log changes not even the last bit.
    order = np.lexsort((given, unit))
    given, unit = given[order], unit[order]
    known = np.isfinite(given)
    count = np.bincount(unit[known], minlength=units)
    total = np.bincount(unit[known], weights=given[known], minlength=units)
    if metric.aggregate == "sum":
        missing = np.bincount(unit[~known], minlength=units)
        return np.where((missing == 0) & (count > 0), total, np.nan)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _distinct(texts: Sequence[str]) -> tuple[list[str], Ints]:
    """The different ones in their order, and the place of each among them."""
    places: dict[str, int] = {}
    found = np.array([places.setdefault(text, len(places)) for text in texts], np.int64)
    return list(places), found

"""Plans and units that the tests of experiments share."""

from datetime import UTC, datetime
from typing import Any

import numpy as np

from compagnon.operations.experiments import (
    ExperimentPlan,
    Metric,
    Sticky,
    Switchback,
    Units,
    UnitState,
)

START = datetime(2026, 3, 2, tzinfo=UTC)
DAY = 86_400.0


def a_plan(**changes: Any) -> ExperimentPlan:
    given: dict[str, Any] = {
        "name": "late",
        "arms": ("A", "B"),
        "unit": Sticky(window_hours=24),
        "starts_at": START,
        "days": 14.0,
        "primary": Metric(name="profit", direction="up"),
        "guardrails": (Metric(name="late", direction="down", margin=0.1, label="late pick-ups"),),
        "salt": "late-2026-03",
    }
    return ExperimentPlan(**given | changes)


def a_switchback(**changes: Any) -> ExperimentPlan:
    unit = Switchback(block_hours=6, burn_in_hours=1, pair_lag=4)
    return a_plan(**{"unit": unit} | changes)


def at(day: float) -> float:
    """UNIX time so many days after the start."""
    return START.timestamp() + day * DAY


def some_units(
    control: Any, treated: Any, late: tuple[float, float] = (0.2, 0.2), states: Any = None
) -> Units:
    """Units of a sticky plan with figures of profit, and late pick-ups around two shares."""
    sizes = len(control), len(treated)
    count = sum(sizes)
    arms = np.repeat([0, 1], sizes)
    wave = 0.05 * np.cos(np.arange(count))
    return Units(
        tuple(f"key {k}" for k in range(count)),
        arms,
        np.full(count, -1),
        np.full(count, UnitState.READY, np.int8) if states is None else np.asarray(states, np.int8),
        {
            "profit": np.concatenate([control, treated]).astype(float),
            "late": np.array(late)[arms] + wave,
        },
    )

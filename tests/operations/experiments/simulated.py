"""A log of an experiment that somebody else carried out: decisions by the plan, and outcomes."""

from typing import Any

import numpy as np

from compagnon.operations.experiments import ExperimentPlan, Metric, Sticky
from compagnon.store import outcomes
from tests.operations.experiments.plans import DAY, START, a_plan
from tests.store.rows import row

HOUR = 3_600.0
NAMES = ("profit", "late")
WINDOW = 2 * HOUR  # in which outcomes come


def a_stored_plan(**changes: Any) -> ExperimentPlan:
    """Fourteen looks at customers whose figure is final after half a day."""
    given: dict[str, Any] = {
        "name": "pooling",
        "unit": Sticky(window_hours=12),
        "maturity_hours": 2,
        "expected_units": 400,
        "guardrails": (Metric(name="late", direction="down", margin=0.1, label="late pick-ups"),),
    }
    return a_plan(**given | changes)


def define(store: Any) -> None:
    for name in NAMES:
        outcomes.define(store, name, WINDOW)


def play(
    store: Any,
    plan: ExperimentPlan,
    *,
    gain: float = 0.0,
    late: float = 0.0,
    keys: int = 30,
    days: float | None = None,
    before: float = 0.0,
    application: str = "shop",
    seed: int = 0,
) -> None:
    """Log a decision of each of so many new keys a day; what is done in another arm than the
    control gains that much, and is late so much more often.

    Args:
        days: from the start on. before: days before the start, outside of the experiment.
    """
    rng = np.random.default_rng(seed)
    define(store)
    count = round(keys * ((plan.days if days is None else days) + before))
    at = START.timestamp() - before * DAY + np.arange(count) * (DAY / keys)
    noise, chance = rng.normal(20, 5, count), rng.random(count)
    rows, came = [], []
    for k in range(count):
        key = f"customer {k}"
        given = plan.assign(key, at[k])
        arm = None if given is None else given.arm
        rows.append(
            row(k, time=float(at[k]), key=key, arm=arm, unit=None if given is None else given.unit,
                experiment=None if given is None else plan.name, application=application)
        )  # fmt: skip
        treated = arm is not None and arm != plan.control
        came.append((rows[-1].id, "profit", float(noise[k] + gain * treated), at[k] + HOUR))
        came.append((rows[-1].id, "late", float(chance[k] < 0.2 + late * treated), at[k] + HOUR))
    store.append(rows)
    outcomes.put_each(store, [outcomes.Given(*one) for one in came])

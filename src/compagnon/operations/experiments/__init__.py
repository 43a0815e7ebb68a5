"""A/B tests of deployed policies: a frozen plan, units, looks, a sentence of status."""

from compagnon.operations.experiments.differences import Difference
from compagnon.operations.experiments.looks import Effect, Look, read_look, take_look
from compagnon.operations.experiments.plan import (
    Assigned,
    ExperimentPlan,
    Metric,
    Sticky,
    Switchback,
    parse_plan,
    read_plan,
)
from compagnon.operations.experiments.sizing import (
    Detectable,
    days_needed,
    minimum_detectable_effect,
)
from compagnon.operations.experiments.status import Status, Verdict, status_of
from compagnon.operations.experiments.units import Decisions, Units, UnitState, units_of

__all__ = [
    "Assigned",
    "Decisions",
    "Detectable",
    "Difference",
    "Effect",
    "ExperimentPlan",
    "Look",
    "Metric",
    "Status",
    "Sticky",
    "Switchback",
    "UnitState",
    "Units",
    "Verdict",
    "days_needed",
    "minimum_detectable_effect",
    "parse_plan",
    "read_look",
    "read_plan",
    "status_of",
    "take_look",
    "units_of",
]

"""Decisions whose outcomes have come, frozen under a hash: what everything offline is made from."""

from compagnon.operations.slices.collecting import collect
from compagnon.operations.slices.objective import Objective
from compagnon.operations.slices.slice import Slice, freeze, load

__all__ = ["Objective", "Slice", "collect", "freeze", "load"]

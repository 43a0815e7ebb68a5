"""Experts of dispatch: rules and solvers that put bookings into plans."""

from compagnon.experts.dispatch.experts import (
    earliest,
    insertion,
    least_loaded,
    matching,
    nearest,
    regret,
)
from compagnon.experts.dispatch.rolling import ortools

__all__ = ["earliest", "insertion", "least_loaded", "matching", "nearest", "ortools", "regret"]

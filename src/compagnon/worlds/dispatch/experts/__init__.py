"""Experts of dispatch: rules and solvers that put bookings into plans."""

from compagnon.worlds.dispatch.experts.experts import (
    earliest,
    insertion,
    least_loaded,
    matching,
    nearest,
    regret,
)
from compagnon.worlds.dispatch.experts.rolling import ortools

__all__ = ["earliest", "insertion", "least_loaded", "matching", "nearest", "ortools", "regret"]

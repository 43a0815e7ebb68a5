"""Experts of the dispatch proof of concept."""

from compagnon.worlds.dispatch_poc.experts.experts import (
    earliest,
    least_loaded,
    matching,
    nearest,
    outlook,
    random_unmasked,
)

__all__ = ["earliest", "least_loaded", "matching", "nearest", "outlook", "random_unmasked"]

"""Experts of the workshop."""

from compagnon.worlds.workshop.experts.experts import (
    workshop_base_stock,
    workshop_over_producer,
    workshop_v2,
)

__all__ = ["workshop_base_stock", "workshop_over_producer", "workshop_v2"]

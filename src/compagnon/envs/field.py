"""A named quantity in physical units: what an observation is made of."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Field:
    """One column of an observation.

    Attributes:
        name: stable identifier, used by policies to find their inputs in any environment.
        unit: physical unit, for people.
        low, high: closed range in physical units.
        divisor: what ``scaling="published"`` divides the physical value by.
        meaning: one line for a person.
    """

    name: str
    unit: str
    low: float
    high: float
    divisor: float = 1.0
    meaning: str = ""

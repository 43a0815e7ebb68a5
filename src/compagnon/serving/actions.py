"""What actions mean, in the words of their world: names of actions, or of a vector's numbers."""

from typing import NamedTuple

from compagnon.envs.products import ActionProduct
from compagnon.policy import Schema
from compagnon.worlds import find_world


class Component(NamedTuple):
    """One number of an action that is a vector; an infinite bound is none."""

    name: str
    unit: str
    low: float
    high: float


def action_words(schema: Schema) -> tuple[str, ...]:
    """What each action means, in words."""
    n = schema.action.n
    known = find_world(schema.env_id).action_labels(schema)
    if known is not None and len(known) == n:
        return tuple(known)
    if schema.action.factors:  # the parts, as the environment itself takes them
        parts = ActionProduct(schema.action.factors, schema.action.starts)
        return tuple(", ".join(map(str, parts.parts(action))) for action in range(n))
    return tuple(f"action {action}" for action in range(n))


def action_components(schema: Schema) -> tuple[Component, ...]:
    """What each number of a vector of actions is."""
    n, low, high = schema.action.n, schema.action.low, schema.action.high
    known = find_world(schema.env_id).action_components(schema)
    if known is None or len(known) != n:
        known = tuple((f"action_{k}", "") for k in range(n))
    return tuple(Component(*each, low[k], high[k]) for k, each in enumerate(known))

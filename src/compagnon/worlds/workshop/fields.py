"""The workshop's observation fields, their ranges, and the named sets of them."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.envs.field import Field
from compagnon.errors import InputError
from compagnon.worlds.workshop import constants

_MONEY = 1e6
_MANY = 100_000.0

# The order is that of `kernel.write_fields`. The first 23 are the published vector.
FIELDS: Final = (
    Field("time", "min", 0, constants.EPISODE_MINUTES, 10_080, "minutes since the week began"),
    Field("m1_busy", "0/1", 0, 1, 1, "M1 is working"),
    Field("m1_time_left", "min", 0, 10_000, 100, "work left on M1, set-up included"),
    Field("m2_busy", "0/1", 0, 1, 1, "M2 is working"),
    Field("m2_time_left", "min", 0, 10_000, 100, "work left on M2"),
    Field("raw", "units", 0, constants.STOCK_CAP, 50, "raw material in stock"),
    Field("p1", "units", 0, constants.STOCK_CAP, 50, "finished P1 in stock"),
    Field("p2_inter", "units", 0, constants.STOCK_CAP, 50, "half-finished P2 in stock"),
    Field("p2", "units", 0, constants.STOCK_CAP, 50, "finished P2 in stock"),
    Field("next_delivery", "min", 0, 122, 10_080, "minutes to the next delivery, 0 if none"),
    Field("backlog_p1", "units", 0, _MANY, 1_000, "P1 asked for and not yet sold"),
    Field("backlog_p2", "units", 0, _MANY, 1_000, "P2 asked for and not yet sold"),
    Field("raw_in_transit", "units", 0, _MANY, 1_000, "raw ordered and not yet delivered"),
    Field("last_family", "0-4", 0, 4, 4, "last action: P1, step 1, step 2, order, wait"),
    Field("last_k", "units", 0, 50, 50, "last action's batch size"),
    Field("last_action", "id", 0, 200, 200, "last action's number"),
    Field("minute_of_day", "min", 0, 1439, 1_440, "minutes since midnight"),
    Field("backlog_p1_value", "money", 0, 2 * _MANY, 2_000, "2 x backlog_p1"),
    Field("backlog_p2_value", "money", 0, 20 * _MANY, 20_000, "20 x backlog_p2"),
    Field("theft_risk", "0/1", 0, 1, 1, "in the hour before 23:55"),
    Field("reward_total", "reward", -_MONEY, _MONEY, 1e6, "reward since the week began"),
    Field("last_reward", "reward", -_MONEY, _MONEY, 1e5, "reward of the last step"),
    Field(
        "next_sale", "min", 1, constants.TICK_MINUTES, 15, "minutes to the next demand and sales"
    ),
    Field("m1_task", "0-2", 0, 2, 2, "what M1 makes: nothing, P1, P2 step 1"),
    Field("m1_p1_left", "units", 0, 50, 50, "P1 still to come out of M1"),
    Field("m1_p2_inter_left", "units", 0, 50, 50, "half-finished P2 still to come out of M1"),
    Field("m2_p2_left", "units", 0, 50, 50, "P2 still to come out of M2"),
    Field("m1_ready_for", "0-2", 0, 2, 2, "what M1 is set up for: nothing yet, P1, P2 step 1"),
    Field("m1_down", "0/1", 0, 1, 1, "M1 is broken down"),
    Field("m2_down", "0/1", 0, 1, 1, "M2 is broken down"),
    Field("recent_demand", "units/15 min", 0, _MANY, 10, "moving average of demand, 75 minutes"),
    Field("time_left", "min", 0, constants.EPISODE_MINUTES, 10_080, "minutes to the week's end"),
)
_INDEX = {field.name: index for index, field in enumerate(FIELDS)}

_FULL = tuple(field.name for field in FIELDS[:23])
_COMPACT = _FULL[:13]
_STATE = (
    *_COMPACT[1:],
    *("minute_of_day", "next_sale"),
    *(field.name for field in FIELDS[23:]),
)
OBSERVATION_SETS: Final[dict[str, tuple[str, ...]]] = {
    "full": _FULL,
    "compact": _COMPACT,
    "state": _STATE,
}


def select_fields(observation: str | Sequence[str]) -> tuple[Field, ...]:
    """The fields of a named set or of a list of names.

    Raises:
        InputError: an unknown set or field name, or a field named twice.
    """
    if isinstance(observation, str):
        if observation not in OBSERVATION_SETS:
            known = ", ".join(OBSERVATION_SETS)
            raise InputError(
                f"observation={observation!r} is not a set of fields: use {known}, "
                "or a list of field names (see `compagnon envs`)"
            )
        observation = OBSERVATION_SETS[observation]
    unknown = [name for name in observation if name not in _INDEX]
    if unknown:
        raise InputError(
            f"observation: no field {unknown[0]!r}; the fields are {', '.join(_INDEX)}"
        )
    if len(set(observation)) != len(observation) or not observation:
        raise InputError("observation: give at least one field, and each field once")
    return tuple(FIELDS[_INDEX[name]] for name in observation)


def kernel_columns(
    fields: Sequence[Field], scaling: str
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The kernel's (column, factor) pairs for `fields` under a scaling."""
    columns = np.array([_INDEX[field.name] for field in fields], np.int64)
    divisors = np.array([field.divisor for field in fields])
    return columns, 1.0 / divisors if scaling == "published" else np.ones_like(divisors)

"""What the service knows of particular worlds: how their states are read, what actions mean."""

import logging
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from compagnon.envs.products import ActionProduct
from compagnon.errors import InputError
from compagnon.policy import Schema
from compagnon.serving.reading import Mask, StateReader
from compagnon.serving.refusal import NAME_LETTERS, clipped, unprocessable
from compagnon.serving.wire import explain, too_deep
from compagnon.worlds.ball import BALL
from compagnon.worlds.dispatch import DISPATCH
from compagnon.worlds.dispatch_poc import DISPATCH_POC
from compagnon.worlds.workshop import WORKSHOP
from compagnon.worlds.workshop import rules as workshop_rules
from compagnon.worlds.workshop.fields import FIELDS as WORKSHOP_FIELDS
from compagnon.worlds.workshop.state import ShopState

_logger = logging.getLogger("compagnon.serving")
_GYMNASIUM: Final = {
    "CartPole": ("push left", "push right"),
    "MountainCar": ("push left", "let roll", "push right"),
    "LunarLander": ("do nothing", "fire left", "fire main engine", "fire right"),
}
# Names and units of the components of a vector.
_MOTORS: Final = ("hip_1", "knee_1", "hip_2", "knee_2")
_VECTORS: Final = {
    "Pendulum": (("torque", "N m"),),
    "MountainCarContinuous": (("force", ""),),
    "LunarLander": (("main_engine", ""), ("side_engines", "")),
    "LunarLanderContinuous": (("main_engine", ""), ("side_engines", "")),
    "BipedalWalker": tuple((motor, "") for motor in _MOTORS),
}


class Component(NamedTuple):
    """One number of an action that is a vector; an infinite bound is none."""

    name: str
    unit: str
    low: float
    high: float


class WorkshopReader:
    """Reads shops, `envs.workshop.state.ShopState`, for policies that read some of the fields."""

    def __init__(self, schema: Schema) -> None:
        place = {field.name: index for index, field in enumerate(WORKSHOP_FIELDS)}
        self._columns = np.array([place[name] for name in schema.observation.names], np.int64)
        self._known = frozenset(ShopState.__dataclass_fields__)
        self._decoder = msgspec.json.Decoder(ShopState)

    def read(self, state: msgspec.Raw) -> tuple[NDArray[np.float64], Mask]:
        """Field values and mask of a shop."""
        try:
            shop = self._decoder.decode(state)
            # Dataclasses take unknown fields silently.
            unknown = msgspec.json.decode(state, type=dict[str, Any]).keys() - self._known
        except msgspec.ValidationError as error:
            if isinstance(error.__cause__, InputError):
                sentence = str(error.__cause__)
                raise unprocessable(f"state.{sentence.split(maxsplit=1)[0]}", sentence) from None
            raise explain(error, state).under("state") from None
        except RecursionError:
            raise too_deep("state") from None
        if unknown:
            name = clipped(min(unknown), NAME_LETTERS)
            raise unprocessable(f"state.{name}", f"a shop has no {name!r}")
        return shop.values()[self._columns], shop.mask()


def state_reader(schema: Schema, env_args: dict[str, Any]) -> StateReader | None:
    """How states of the schema's world are read; None where there is no such way."""
    if schema.env_id == WORKSHOP:
        return WorkshopReader(schema)
    if schema.env_id == DISPATCH:
        try:
            from compagnon.serving.dispatch_states import dispatch_reader
        except ModuleNotFoundError as error:
            _logger.info("boards are not read without %s (extra worlds)", error.name)
            return None
        return dispatch_reader(schema, env_args)
    if schema.env_id == DISPATCH_POC:
        try:
            from compagnon.serving.poc_states import poc_reader
        except ModuleNotFoundError as error:
            _logger.info("states are not read without %s (extra worlds)", error.name)
            return None
        return poc_reader(schema, env_args)
    return None


def action_words(schema: Schema) -> tuple[str, ...]:
    """What each action means, in words."""
    n = schema.action.n
    if schema.env_id == WORKSHOP:
        return tuple(workshop_rules.describe_action(action) for action in range(n))
    if schema.env_id in (DISPATCH, DISPATCH_POC):
        return _dispatch_words(schema)
    if schema.action.factors:  # the parts, as the environment itself takes them
        parts = ActionProduct(schema.action.factors, schema.action.starts)
        return tuple(", ".join(map(str, parts.parts(action))) for action in range(n))
    known = _GYMNASIUM.get(_family(schema), ())
    return known if len(known) == n else tuple(f"action {action}" for action in range(n))


def action_components(schema: Schema) -> tuple[Component, ...]:
    """What each number of a vector of actions is."""
    n, low, high = schema.action.n, schema.action.low, schema.action.high
    known = _VECTORS.get(_family(schema), ())
    if schema.env_id == BALL:
        known = tuple((f"push_{k}", "") for k in range(n))
    if len(known) != n:
        known = tuple((f"action_{k}", "") for k in range(n))
    return tuple(Component(*each, low[k], high[k]) for k, each in enumerate(known))


def _family(schema: Schema) -> str:
    return schema.env_id.rpartition("/")[2].partition("-")[0]


def _dispatch_words(schema: Schema) -> tuple[str, ...]:
    """Both dispatch worlds: wait, then drivers x bookings, then perhaps one refusal a booking."""
    poc = schema.env_id == DISPATCH_POC
    driver, booking = (
        ("driver_{}_lat", "booking_{}_lat") if poc else ("driver{}_east", "place{}_shown")
    )
    names = frozenset(schema.observation.names)
    drivers, places = _count(names, driver), _count(names, booking)
    at = "booking" if poc else "the booking at place"
    words = ["wait"]
    words += [f"driver {d} takes {at} {j}" for d in range(drivers) for j in range(places)]
    if not poc:
        words += [f"refuse {at} {j}" for j in range(places)]
    if len(words) != schema.action.n:  # a policy that does not see every driver
        return tuple(f"action {action}" for action in range(schema.action.n))
    return tuple(words)


def _count(names: frozenset[str], pattern: str) -> int:
    count = 0
    while pattern.format(count) in names:
        count += 1
    return count

"""Somebody's own environment as the rest of the product wants it: named numbers, numbered actions.

What an environment may say of itself, as attributes of the environment or of a wrapper around it:

- ``observation_fields``: a `Field` for each number of the flattened observation, or
  ``field_names``: only their names;
- ``kpi_names``: what ``info["kpis"]`` holds when an episode ends;
- ``reward_term_names``: what ``info["reward_terms"]`` holds in each step, parts of the reward;
- ``distinct_episodes``: how many different episodes there are, where they are few;
- ``action_masks()``: what is possible now, where neither ``info["action_mask"]`` nor an
  observation's ``action_mask`` says it.
"""

from collections.abc import Mapping
from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from compagnon.envs.encoding import BadObservationError, Encoder, box_of
from compagnon.envs.field import Field
from compagnon.envs.products import ActionProduct, BadMaskError, product_of
from compagnon.errors import FaultyEnvError, InputError

MASK: Final = "action_mask"


def said(env: Any, name: str, default: Any = None) -> Any:
    """An attribute of an environment, or of a wrapper around it; `default` where it has none."""
    if isinstance(env, gymnasium.Env):
        return env.get_wrapper_attr(name) if env.has_wrapper_attr(name) else default
    return getattr(env, name, default)


def names_said(env: Any, name: str) -> tuple[str, ...]:
    """A tuple of names that an environment has under `name`; empty where it has none.

    Raises:
        InputError: they are no names, or one comes twice.
    """
    given = said(env, name, ())
    if isinstance(given, str) or not all(isinstance(one, str) and one for one in given):
        raise InputError(f"{name} is {given!r}; it should be a tuple of names")
    if len(set(given)) < len(given):
        raise InputError(f"{name} holds a name twice: {', '.join(given)}")
    return tuple(given)


class Adapter(gymnasium.Wrapper[NDArray[np.float32], Any, Any, Any]):
    """One environment whose observations are vectors and whose actions are numbers or vectors.

    Observations are new arrays. `info` holds what is understood and nothing else, always in the
    same form: ``action_mask`` (A,) bool and ``elapsed`` float where the environment says them,
    ``reward_terms`` (R,) and, in an episode's last step, ``kpis``: (K,), or a dict where the
    environment does not name them beforehand.

    Args:
        copy: which of several envs this is, for errors.

    Attributes:
        observation_fields: a `Field` a column.
        product: how actions are numbered; None for vectors.

    Raises:
        InputError: a space that is not served, or names that do not fit.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], copy: int = 0) -> None:
        super().__init__(env)
        self.copy = copy
        self._encode = Encoder(env.observation_space)
        self.observation_fields = _fields(env, self._encode.fields)
        self.observation_space = box_of(self.observation_fields)  # type: ignore[assignment]
        self.product = product_of(env.action_space)
        if self.product is not None:
            self.action_space = spaces.Discrete(self.product.n)
        self.kpi_names = names_said(env, "kpi_names")
        self.reward_term_names = names_said(env, "reward_term_names")
        self._masks = said(env, "action_masks") if self.product is not None else None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode."""
        obs, info = self.env.reset(seed=seed, options=options)
        told: dict[str, Any] = {}
        self._tell_mask(obs, info, told)
        return self._observed(obs), told

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Take one step; `action` is a number, or a vector."""
        product = self.product
        if product is not None and not product.plain:
            action = self._parts(product, int(action))
        obs, reward, terminated, truncated, info = self.env.step(action)
        told: dict[str, Any] = {}
        self._tell_mask(obs, info, told)
        if "elapsed" in info:
            told["elapsed"] = self._number(info["elapsed"], "info['elapsed']")
        if self.reward_term_names:
            told["reward_terms"] = self._values(info, "reward_terms", self.reward_term_names)
        if terminated or truncated:
            self._tell_kpis(info, told)
        reward = self._number(reward, "the reward")
        return self._observed(obs), reward, bool(terminated), bool(truncated), told

    def _observed(self, obs: Any) -> NDArray[np.float32]:
        try:
            return self._encode(obs)
        except BadObservationError as error:
            raise self._fault(str(error)) from None

    def _parts(self, product: ActionProduct, action: int) -> Any:
        parts = product.parts(action)
        space = self.env.action_space
        return parts[0] if product.single else np.array(parts, space.dtype).reshape(space.shape)

    def _tell_mask(self, obs: Any, info: dict[str, Any], told: dict[str, Any]) -> None:
        if self.product is None:
            return
        try:
            if self._encode.has_mask:
                given = self._encode.mask(obs)
            elif MASK in info:
                given = info[MASK]
            elif self._masks is not None:
                given = self._masks()
            else:
                return
            told[MASK] = self.product.mask(given)
        except (BadMaskError, BadObservationError) as error:
            raise self._fault(str(error)) from None

    def _tell_kpis(self, info: dict[str, Any], told: dict[str, Any]) -> None:
        if self.kpi_names:
            told["kpis"] = self._values(info, "kpis", self.kpi_names)
        elif "kpis" in info:
            told["kpis"] = {
                str(name): self._number(value, f"info['kpis'][{name!r}]")
                for name, value in dict(info["kpis"]).items()
            }

    def _values(
        self, info: dict[str, Any], key: str, names: tuple[str, ...]
    ) -> NDArray[np.float64]:
        """``info[key]``, by names or in their order, as an array."""
        given = info.get(key)
        if isinstance(given, Mapping):
            missing = [name for name in names if name not in given]
            if missing:
                raise self._fault(f"info[{key!r}] has no {missing[0]!r}")
            given = [given[name] for name in names]
        if given is None:
            when = "each step" if key == "reward_terms" else "an episode's last step, at least"
            raise self._fault(f"info[{key!r}] is missing; it belongs to the info of {when}")
        values = np.asarray(given, np.float64)
        if values.shape != (len(names),):
            raise self._fault(f"info[{key!r}] has shape {values.shape}, for {len(names)} names")
        return values

    def _number(self, value: Any, what: str) -> float:
        if type(value) is float:
            return value
        try:
            return float(np.asarray(value, np.float64).reshape(()))
        except (TypeError, ValueError):
            raise self._fault(f"{what} is {value!r}; it should be a number") from None

    def _fault(self, what: str) -> FaultyEnvError:
        spec = self.env.spec
        return FaultyEnvError("the environment" if spec is None else spec.id, what, self.copy)


def _fields(env: gymnasium.Env[Any, Any], own: tuple[Field, ...]) -> tuple[Field, ...]:
    """What the environment calls its numbers, or what they are called by where they stand."""
    given = said(env, "observation_fields")
    if given is not None:
        fields = tuple(given)
        if not all(isinstance(one, Field) for one in fields):
            raise InputError("observation_fields should hold compagnon.envs.Field alone")
        names: tuple[str, ...] = tuple(field.name for field in fields)
    else:
        names = names_said(env, "field_names")
        if not names:
            return own
        fields = tuple(
            Field(name, f.unit, f.low, f.high, f.divisor, f.meaning)
            for name, f in zip(names, own, strict=False)
        )
    if len(names) != len(own) or len(set(names)) < len(names):
        what = "observation_fields" if given is not None else "field_names"
        raise InputError(
            f"{what} holds {len(names)} names ({', '.join(names[:4])}, ...); the observation has "
            f"{len(own)} numbers, which need one each"
        )
    return fields

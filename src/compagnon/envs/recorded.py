"""Saves an environment in the middle of an episode, whoever wrote it: by how it came there.

A run that is resumed must be the run that was saved, and saving must not disturb it. Most
environments cannot hand out their state, and copies of objects cannot be written to disk without
trusting the file with code. But an episode follows from how it began and from the actions since: so
these are kept, and a resumed run plays them again, which is checked step for step at its end.
"""

import random
from collections.abc import Iterator
from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit

from compagnon.errors import FaultyEnvError

_MOST_NUMBERS: Final = 4096  # in what an environment carries from one episode to the next
_STEPS_KEPT: Final = 256  # after which an episode that begins is where playing again begins
_NOT_PLAIN: Final = object()


class Recorded(gymnasium.Wrapper[Any, Any, Any, Any]):
    """One environment that can be saved and put back.

    An environment with `state_dict` and `load_state_dict` of its own (plain values and arrays:
    everything that its next step depends on) is saved by them. Of any other one is kept, from the
    beginning of the episode under way, or of one shortly before it: its seed, the states of the
    random generators found in it and in its wrappers, their numbers and texts (a level of
    difficulty, a count of episodes), and the actions since.

    Args:
        env_id, copy: which environment it is, and which of several envs, for errors.

    Attributes:
        owns_state: whether it has `state_dict` and `load_state_dict`, and so can be put anywhere.
        restored: whether what was last put back was found to be what had been saved.
        fault: what the environment raised while it was put back; None where it raised nothing.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], env_id: str, copy: int = 0) -> None:
        super().__init__(env)
        self._env_id, self._copy = env_id, copy
        space = env.action_space
        discrete = isinstance(space, spaces.Discrete)
        self._dtype = np.dtype(np.int64) if discrete else np.dtype(space.dtype)
        self._shape = () if discrete else tuple(space.shape or ())
        self.owns_state = all(env.has_wrapper_attr(n) for n in ("state_dict", "load_state_dict"))
        self._seed: int | None = None
        self._begin(None)
        self._shown = b""
        self.restored = True
        self.fault: FaultyEnvError | None = None

    def _begin(self, carried: dict[str, Any] | None) -> None:
        """Keep what comes from here on; None where a seed says how it begins."""
        self._carried = carried
        self._actions = bytearray()
        self._resets: list[int] = []  # how many actions had been taken before each
        self._steps = 0
        self._return = 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        if seed is not None:
            self._seed = int(seed)
            self._begin(None)
        elif self._steps >= _STEPS_KEPT:
            self._begin({"random": _generators(self.env), "plain": _plain_values(self.env)})
        else:  # looking through everything takes longer than some episodes do
            self._resets.append(self._steps)
        obs, info = self.env.reset(seed=seed, options=options)
        self._shown = np.asarray(obs).tobytes()
        return obs, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take one step."""
        self._actions += np.asarray(action, self._dtype).tobytes()
        self._steps += 1
        obs, reward, terminated, truncated, info = self.env.step(action)
        self._return += float(reward)
        self._shown = np.asarray(obs).tobytes()
        return obs, reward, terminated, truncated, info

    @property
    def saved(self) -> dict[str, Any]:
        """Everything that the next step depends on: plain values and arrays. It changes nothing."""
        state: dict[str, Any] = {
            "seed": self._seed,
            "return": self._return,
            "shown": np.frombuffer(self._shown, np.uint8).copy(),
            "random": _generators(self.env),
        }
        if self.owns_state:
            own = self.env.get_wrapper_attr("state_dict")()
            return {**state, "own": own, "limits": [one._elapsed_steps for one in _limits(self)]}
        actions = np.frombuffer(bytes(self._actions), self._dtype).reshape(-1, *self._shape)
        resets = np.array(self._resets, np.int64)
        return {**state, "carried": self._carried, "actions": actions.copy(), "resets": resets}

    @saved.setter
    def saved(self, state: dict[str, Any]) -> None:
        put_back = self._put_back if "own" in state else self._play_again
        self.fault = None
        try:
            self.restored = put_back(state)
        except Exception as error:  # it is not where it was: whatever it says to that
            self.restored = False
            self.fault = self._named(error, state)

    def _named(self, error: Exception, state: dict[str, Any]) -> FaultyEnvError:
        """What it raised while it was put back, in a line that says where."""
        if isinstance(error, FaultyEnvError):
            words = error.what
        else:
            said = (str(error).strip().splitlines() or [""])[0]
            words = f"it raised {type(error).__name__}" + (f": {said}" if said else "")
        doing = "put back" if "own" in state else "played again"
        step = self._steps - (self._resets[-1] if self._resets else 0)
        where = f" (begun with seed {self._seed}), step {step} of its episode"
        return FaultyEnvError(self._env_id, f"{words}, as it was {doing}", self._copy, where)

    def _put_back(self, state: dict[str, Any]) -> bool:
        self.reset(seed=state["seed"])  # wrappers ask for it first
        self.env.get_wrapper_attr("load_state_dict")(state["own"])
        for limit, elapsed in zip(_limits(self), state["limits"], strict=True):
            limit._elapsed_steps = elapsed
        _set_generators(self.env, state["random"])
        self._return, self._shown = state["return"], np.asarray(state["shown"]).tobytes()
        return _same(self.env.get_wrapper_attr("state_dict")(), state["own"])

    def _play_again(self, state: dict[str, Any]) -> bool:
        self.reset(seed=state["seed"])
        if state["carried"] is not None:
            _set_plain_values(self.env, state["carried"]["plain"])
            _set_generators(self.env, state["carried"]["random"])
            self._begin(state["carried"])
            self._shown = np.asarray(self.env.reset()[0]).tobytes()
        discrete = isinstance(self.env.action_space, spaces.Discrete)
        actions, resets = state["actions"], np.bincount(state["resets"], minlength=1)
        for number in range(len(actions) + 1):
            if number < len(resets) and resets[number]:
                self.reset()
            if number < len(actions):
                self.step(int(actions[number]) if discrete else actions[number])
        return (
            self._shown == np.asarray(state["shown"]).tobytes()
            and self._return == state["return"]
            and _same(_generators(self.env), state["random"])
        )


def _layers(env: gymnasium.Env[Any, Any]) -> Iterator[Any]:
    """The wrappers from the outermost, and what they are around."""
    while isinstance(env, gymnasium.Wrapper):
        yield env
        env = env.env
    yield env


def _limits(env: gymnasium.Env[Any, Any]) -> list[Any]:
    return [layer for layer in _layers(env) if isinstance(layer, TimeLimit)]


def _generators(env: gymnasium.Env[Any, Any]) -> dict[str, Any]:
    """The states of the random generators, by where they are found."""
    found: dict[str, Any] = {}
    for place, value in _attributes(env):
        if isinstance(value, np.random.Generator):
            found[place] = value.bit_generator.state
        elif isinstance(value, np.random.RandomState):
            found[place] = value.get_state(legacy=False)
        elif isinstance(value, random.Random):
            found[place] = value.getstate()
    return found


def _set_generators(env: gymnasium.Env[Any, Any], states: dict[str, Any]) -> None:
    for place, value in _attributes(env):
        if place not in states:
            continue
        if isinstance(value, np.random.Generator):
            value.bit_generator.state = states[place]
        elif isinstance(value, np.random.RandomState):
            value.set_state(states[place])
        elif isinstance(value, random.Random):
            value.setstate(states[place])


def _attributes(env: gymnasium.Env[Any, Any]) -> Iterator[tuple[str, Any]]:
    """(place, value) of what each layer keeps, and of what the objects that it keeps do."""
    for depth, layer in enumerate(_layers(env)):
        for name, value in vars(layer).items():
            yield f"{depth}.{name}", value
            if isinstance(value, spaces.Space):  # theirs are for whoever samples them
                continue
            inside = getattr(value, "__dict__", None)
            if name == "env" or not isinstance(inside, dict) or isinstance(value, type):
                continue
            for inner, kept in inside.items():
                yield f"{depth}.{name}.{inner}", kept


def _plain_values(env: gymnasium.Env[Any, Any]) -> dict[str, Any]:
    """Copies of the plain values that each layer keeps: an episode may begin by the last one's."""
    found = {}
    for depth, layer in enumerate(_layers(env)):
        for name, value in vars(layer).items():
            copy = _plain(value, [_MOST_NUMBERS])
            if copy is not _NOT_PLAIN:
                found[f"{depth}.{name}"] = copy
    return found


def _set_plain_values(env: gymnasium.Env[Any, Any], values: dict[str, Any]) -> None:
    layers = list(_layers(env))
    for place, value in values.items():
        depth, _, name = place.partition(".")
        layer = layers[int(depth)]
        # What is an object now is made anew by the reset.
        if _plain(getattr(layer, name, None), [_MOST_NUMBERS]) is not _NOT_PLAIN:
            setattr(layer, name, _as_kept(value))


def _as_kept(value: Any) -> Any:
    """A value of `_plain` as the environment had it."""
    if isinstance(value, np.ndarray):
        return value[()] if value.ndim == 0 else value.copy()
    if type(value) in (list, tuple):
        return type(value)(_as_kept(item) for item in value)
    if type(value) is dict:
        return {key: _as_kept(item) for key, item in value.items()}
    return value


def _plain(value: Any, room: list[int]) -> Any:
    """A copy of numbers, texts and arrays, and of lists and dicts of them, if they are few.

    Numbers with a type of numpy's become arrays without dimensions, and so keep it on disk.
    """
    if isinstance(value, np.generic):
        value = np.array(value)
    if isinstance(value, np.ndarray):
        room[0] -= value.size
        fits = room[0] >= 0 and value.dtype.kind in "biuf"
        return value.copy() if fits else _NOT_PLAIN
    room[0] -= 1
    if room[0] < 0:
        return _NOT_PLAIN
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) in (list, tuple):
        parts = [_plain(item, room) for item in value]
        return _NOT_PLAIN if any(part is _NOT_PLAIN for part in parts) else type(value)(parts)
    if type(value) is dict and all(type(key) in (int, str) for key in value):
        items = {key: _plain(item, room) for key, item in value.items()}
        return _NOT_PLAIN if any(item is _NOT_PLAIN for item in items.values()) else items
    return _NOT_PLAIN


def _same(one: Any, other: Any) -> bool:
    """Whether two trees of plain values and arrays are equal, number for number."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, np.ndarray | np.generic) or isinstance(other, np.ndarray | np.generic):
        a, b = np.asarray(one), np.asarray(other)
        return a.shape == b.shape and bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f"))
    return bool(one == other)

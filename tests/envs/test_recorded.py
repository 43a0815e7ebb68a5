"""Anybody's environment is saved in the middle of an episode, undisturbed, and put back exactly."""

import os
import random
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from compagnon.envs import BatchEnv
from compagnon.errors import FaultyEnvError
from tests.rl.small import through_disk
from tests.tiers import full


class Shop(gymnasium.Env[np.ndarray, int]):
    """Stock that is sold at random; every source of chance that people use, as `chance` says."""

    def __init__(self, chance: str = "own", length: int = 40) -> None:
        self.observation_space = spaces.Box(-1e9, 1e9, (2,), np.float64)
        self.action_space = spaces.Discrete(3)
        self.chance, self.length = chance, length
        self.episodes, self.level = 0, np.float32(0.1)
        self.history: list[float] = []
        self.rng: Any = None

    def reset(self, *, seed: int | None = None, options: Any = None):
        super().reset(seed=seed)
        if seed is not None:
            made = {"python": random.Random, "legacy": np.random.RandomState}
            self.rng = made.get(self.chance, np.random.default_rng)(seed % 2**31)
        self.episodes += 1
        self.level = np.float32(self.level * 1.1)  # a curriculum
        self.history.append(float(self.level))
        self.time, self.stock = 0, 10.0
        return self._see(), {}

    def step(self, action: int):
        if self.chance == "nobody's":
            draw = int.from_bytes(os.urandom(4), "big") / 2**32
        else:
            draw = (self.np_random if self.chance == "own" else self.rng).random()
        self.time += 1
        self.stock += action - draw * float(self.level) * self.episodes
        over = self.time >= self.length + sum(self.history) % 3
        return self._see(), float(self.stock), False, over, {}

    def _see(self) -> np.ndarray:
        return np.array([self.stock, self.time])


class Kept(Shop):
    """The same, which hands out its state itself; what it does not hand out is wrong on purpose."""

    loads = 0

    def state_dict(self) -> dict[str, Any]:
        names = ("time", "stock", "episodes", "level", "history")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        type(self).loads += 1
        vars(self).update({**state, "history": list(state["history"])})
        self.level = np.float32(self.level)


class Forgetful(Kept):
    """Loses a part of what it is given."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict({**state, "stock": 0.0})


class Brittle(Shop):
    """Raises, once `breaks` says so, in its third step after the seed 12, or in each reset."""

    breaks = ""

    def reset(self, *, seed: int | None = None, options: Any = None):
        if self.breaks == "reset":
            raise OSError("the licence server is away\nmore of it")
        self.brittle = seed == 12
        return super().reset(seed=seed)

    def step(self, action: int):
        if self.breaks == "step" and self.brittle and self.time == 2:
            raise KeyError("order 7")
        return super().step(action)


class BrittleKept(Kept):
    """Cannot take what it handed out."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        raise AttributeError


KINDS = {"Shop": Shop, "Kept": Kept, "Forgetful": Forgetful}
for name, made in {**KINDS, "Brittle": Brittle, "BrittleKept": BrittleKept}.items():
    if f"tests/{name}-v0" not in gymnasium.registry:
        gymnasium.register(f"tests/{name}-v0", entry_point=made)

CHANCES = ("own", "python", "legacy", "attribute")
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{chance: ("tests/Shop-v0", {"chance": chance}) for chance in CHANCES},
    "short episodes": ("tests/Shop-v0", {"length": 3}),
    "a time limit": ("tests/Shop-v0", {"max_episode_steps": 17}),
    "its own state": ("tests/Kept-v0", {}),
    "its own state, a time limit": ("tests/Kept-v0", {"max_episode_steps": 17}),
    "Box2D": ("LunarLander-v3", {}),
    "Box2D, vectors": ("LunarLanderContinuous-v3", {}),
    "words of a game": ("Taxi-v4", {}),
}
EVERY = pytest.mark.parametrize("case", CASES)


def begun(case: str, num_envs: int = 3) -> BatchEnv:
    env_id, args = CASES[case]
    if "Lunar" in env_id:
        pytest.importorskip("Box2D")
    env = BatchEnv(env_id, args, num_envs)
    env.reset([11, 12, 13][:num_envs])
    return env


def actions_for(env: BatchEnv, steps: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    if isinstance(env.action_space, spaces.Discrete):
        return list(rng.integers(env.action_space.n, size=(steps, env.num_envs)))
    low, high = env.action_space.low, env.action_space.high
    return list(rng.uniform(low, high, (steps, env.num_envs, len(low))).astype(np.float32))


def play(env: BatchEnv, actions: list[np.ndarray]) -> list[np.ndarray]:
    seen = []
    for action in actions:
        step = env.step(action)
        seen += [np.array(part) for part in step[:7] if part is not None]
    return seen


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@EVERY
@pytest.mark.parametrize("before", [0, 1, 150, full(700)])
def test_a_restored_run_is_the_run_that_was_saved(case, before):
    """In the first episode, and after many, where only what was carried over says how it began."""
    env = begun(case)
    actions = actions_for(env, before + 150)
    play(env, actions[:before])
    state = through_disk(env.state_dict())
    obs = env.obs.copy()
    fresh = BatchEnv(*CASES[case], 3)
    assert fresh.load_state_dict(state)
    np.testing.assert_array_equal(fresh.obs, obs)
    again = through_disk(fresh.state_dict())  # what was put back can be saved again
    went_on = play(env, actions[before:])
    assert same(went_on, play(fresh, actions[before:]))
    third = BatchEnv(*CASES[case], 3)
    assert third.load_state_dict(again)
    assert same(went_on, play(third, actions[before:]))


@EVERY
def test_saving_changes_nothing(case):
    one, other = begun(case), begun(case)
    actions = actions_for(one, 120)
    for action in actions:
        one.state_dict()
        assert same(play(one, [action]), play(other, [action]))


def test_what_does_not_follow_from_seed_and_actions_begins_anew_and_says_so():
    env = BatchEnv("tests/Shop-v0", {"chance": "nobody's"}, 2)
    env.reset([1, 2])
    play(env, actions_for(env, 30))
    fresh = BatchEnv("tests/Shop-v0", {"chance": "nobody's"}, 2)
    assert not fresh.load_state_dict(through_disk(env.state_dict()))
    assert (fresh.obs[:, 1] == 0).all()  # new episodes
    assert min(fresh._seeds) > 2**40  # none that policies are compared on
    play(fresh, actions_for(fresh, 3))


@pytest.mark.parametrize("part", ["actions", "return", "random"])
def test_a_state_that_leads_elsewhere_is_noticed(part):
    env = begun("own", 1)
    play(env, actions_for(env, 30))
    state = env.state_dict()
    copy = state["copies"][0]
    if part == "actions":
        copy["actions"][7] = (copy["actions"][7] + 1) % 3
    elif part == "return":
        copy["return"] += 1e-9
    else:
        copy["random"] = begun("own", 1).state_dict()["copies"][0]["random"]
    assert not BatchEnv("tests/Shop-v0", {"chance": "own"}, 1).load_state_dict(state)


def test_its_own_state_is_used_where_it_has_one_and_checked():
    env = begun("its own state", 2)
    play(env, actions_for(env, 30))
    state = env.state_dict()
    assert all("actions" not in copy for copy in state["copies"])
    loads = Kept.loads
    assert BatchEnv("tests/Kept-v0", {}, 2).load_state_dict(state)
    assert Kept.loads == loads + 2
    assert not BatchEnv("tests/Forgetful-v0", {}, 2).load_state_dict(state)


def test_what_is_kept_does_not_grow_with_the_run():
    env = begun("short episodes", 1)
    play(env, actions_for(env, 2_000))
    (copy,) = env.state_dict()["copies"]
    assert len(copy["actions"]) <= 256 + 10


# -- what somebody's environment raises while it is put back ------------------------------------


def brittle(monkeypatch, breaks: str, env_id: str = "tests/Brittle-v0") -> BatchEnv:
    """A batch that is to be put back where `breaks` happens."""
    env = BatchEnv(env_id, {}, 3)
    env.reset([11, 12, 13])
    play(env, actions_for(env, 5))
    state = through_disk(env.state_dict())
    monkeypatch.setattr(Brittle, "breaks", breaks)
    fresh = BatchEnv(env_id, {}, 3)
    assert not fresh.load_state_dict(state)
    return fresh


def test_what_it_raises_is_told_with_env_copy_and_step_and_others_begin(monkeypatch):
    fresh = brittle(monkeypatch, "step")
    assert str(fresh.not_restored) == (
        "tests/Brittle-v0, copy 1 (begun with seed 12), step 3 of its episode: it raised KeyError: "
        "'order 7', as it was played again"
    )
    assert (fresh.obs[:, 1] == 0).all()  # new episodes, of other seeds
    play(fresh, actions_for(fresh, 5))


def test_what_its_own_loading_raises_is_told_as_well(monkeypatch):
    fresh = brittle(monkeypatch, "", "tests/BrittleKept-v0")
    assert str(fresh.not_restored) == (
        "tests/BrittleKept-v0, copy 0 (begun with seed 11), step 0 of its episode: it raised "
        "AttributeError, as it was put back"
    )


def test_where_no_episode_can_be_begun_either_that_is_one_line(monkeypatch):
    words = (
        r"^tests/Brittle-v0, copy 0 \(begun with seed 11\), step 0 of its episode: it raised "
        r"OSError: the licence server is away, as it was played again; nor could new episodes be "
        r"begun \(OSError\(.*\)\)$"
    )
    with pytest.raises(FaultyEnvError, match=words) as raised:
        brittle(monkeypatch, "reset")
    assert "\n" not in str(raised.value)


def test_nothing_is_told_of_where_nothing_was_raised():
    env = begun("own", 2)
    play(env, actions_for(env, 5))
    state = env.state_dict()
    fresh = BatchEnv("tests/Shop-v0", {"chance": "own"}, 2)
    assert fresh.load_state_dict(state)
    assert fresh.not_restored is None
    state["copies"][1]["return"] += 1.0  # elsewhere, without an exception
    assert not fresh.load_state_dict(state)
    assert fresh.not_restored is None

"""Small environments, networks and recipes that learn, run and break within seconds."""

import tempfile
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from compagnon.envs import BatchEnv
from compagnon.policy import Schema
from compagnon.rl.checkpoint import load_state, save_state
from compagnon.rl.networks.trainable import PolicyNetwork
from compagnon.rl.recipe import Recipe, parse_recipe
from compagnon.worlds.workshop import WORKSHOP

BANDIT = "tests/MaskedBandit-v0"
SAVED_BANDIT = "tests/SavedBandit-v0"
CLOCK = "tests/Clock-v0"
WALK = "tests/Walk-v0"
ECHO = "tests/Echo-v0"
CONTEXTS, ACTIONS = 4, 6
SHORT = {"decision_points": True}  # a workshop whose weeks are some 1,700 decisions


class MaskedBandit(gymnasium.Env[np.ndarray, int]):
    """One step an episode: see one of four contexts, choose among the actions that are possible.

    Args:
        pays: ``match`` pays 1 for the action numbered as the context, which is always possible;
            ``number`` pays the action's number.
        all_possible: no action is ever masked.
    """

    def __init__(self, pays: str = "match", all_possible: bool = False) -> None:
        self.pays, self.all_possible = pays, all_possible
        self.observation_space = spaces.Box(0.0, 1.0, (CONTEXTS,), np.float32)
        self.action_space = spaces.Discrete(ACTIONS)

    def reset(self, *, seed: int | None = None, options: Any = None):
        super().reset(seed=seed)
        self.context = int(self.np_random.integers(CONTEXTS))
        self.mask = self.np_random.random(ACTIONS) < 0.5
        self.mask[self.context] = True
        self.mask |= self.all_possible
        return self._see(), {"action_mask": self.mask.copy()}

    def step(self, action: int):
        assert self.mask[action], f"the masked action {action} was taken"
        reward = float(action) if self.pays == "number" else float(action == self.context)
        return self._see(), reward, True, False, {"action_mask": self.mask.copy()}

    def _see(self) -> np.ndarray:
        return np.eye(CONTEXTS, dtype=np.float32)[self.context]


class SavedBandit(MaskedBandit):
    """The same, which can be copied in the middle of an episode, where nothing is left to draw."""

    def state_dict(self) -> dict[str, Any]:
        return {"context": self.context, "mask": self.mask}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.context, self.mask = int(state["context"]), np.array(state["mask"], np.bool_)

    def redraw(self, seed: int) -> None: ...


class Clock(gymnasium.Env[np.ndarray, int]):
    """Shows the number of steps taken and pays 1 a step, for ever."""

    def __init__(self) -> None:
        self.observation_space = spaces.Box(0.0, 100.0, (1,), np.float32)
        self.action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None):
        super().reset(seed=seed)
        self.time = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: int):
        self.time += 1
        return np.full(1, self.time, np.float32), 1.0, False, False, {}


class Walk(gymnasium.Env[np.ndarray, int]):
    """Six places in a row, known through and through: what each choice is worth can be computed.

    LEFT pays 0.3 and is impossible at the first place; RIGHT costs 0.1, and pays 2 at the last
    place; JUMP, three places on, costs 0.5 and is possible at every other place.

    Args:
        ends: RIGHT at the last place ends the episode; else it leads back to the first place.
    """

    PLACES, LEFT, RIGHT, JUMP = 6, 0, 1, 2

    def __init__(self, ends: bool = True) -> None:
        self.ends = ends
        self.observation_space = spaces.Box(0.0, 1.0, (self.PLACES,), np.float32)
        self.action_space = spaces.Discrete(3)

    def possible(self, place: int) -> np.ndarray:
        return np.array([place > 0, True, place % 2 == 0])

    def lead(self, place: int, action: int) -> tuple[int, float, bool]:
        """Where an action leads, what it pays, and whether that is the end."""
        if action == self.LEFT:
            return place - 1, 0.3, False
        if action == self.JUMP:
            return (place + 3) % self.PLACES, -0.5, False
        if place < self.PLACES - 1:
            return place + 1, -0.1, False
        return (place, 2.0, True) if self.ends else (0, 2.0, False)

    def reset(self, *, seed: int | None = None, options: Any = None):
        super().reset(seed=seed)
        self.place = int(self.np_random.integers(self.PLACES))
        return self._see(), {"action_mask": self.possible(self.place)}

    def step(self, action: int):
        assert self.possible(self.place)[action], f"the masked action {action} was taken"
        self.place, reward, end = self.lead(self.place, int(action))
        return self._see(), reward, end, False, {"action_mask": self.possible(self.place)}

    def _see(self) -> np.ndarray:
        return np.eye(self.PLACES, dtype=np.float32)[self.place]

    @classmethod
    def solved(cls, gamma: float, ends: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """The value of every action (6, 3) by value iteration, and which of them are possible."""
        walk = cls(ends)
        possible = np.array([walk.possible(place) for place in range(cls.PLACES)])
        values = np.zeros(possible.shape)
        for _ in range(int(40 / (1 - gamma))):
            best = np.where(possible, values, -np.inf).max(axis=1)
            for place, action in np.argwhere(possible):
                after, reward, end = walk.lead(place, action)
                values[place, action] = reward + (0.0 if end else gamma * best[after])
        return values, possible


class Echo(gymnasium.Env[np.ndarray, np.ndarray]):
    """One step an episode: the action is to say, in its own range, what is seen in [-1, 1].

    Pays minus the mean square of the difference, in half-ranges: 0 at best, -1/3 for the middle.
    """

    LOW, HIGH = np.array([-2, 0], np.float32), np.array([2, 6], np.float32)

    def __init__(self) -> None:
        self.observation_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.action_space = spaces.Box(self.LOW, self.HIGH)

    def reset(self, *, seed: int | None = None, options: Any = None):
        super().reset(seed=seed)
        self.seen = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return self.seen.copy(), {}

    def step(self, action: np.ndarray):
        assert self.action_space.contains(np.asarray(action)), f"{action} is out of bounds"
        half = (self.HIGH - self.LOW) / 2
        said = (action - (self.LOW + self.HIGH) / 2) / half
        reward = -float(((said - self.seen) ** 2).mean())
        return self.seen.copy(), reward, True, False, {}


for env_id, entry_point in (
    (BANDIT, MaskedBandit), (SAVED_BANDIT, SavedBandit), (CLOCK, Clock), (WALK, Walk), (ECHO, Echo),
):  # fmt: skip
    if env_id not in gymnasium.registry:
        gymnasium.register(id=env_id, entry_point=entry_point)


class Fixed:
    """A policy that always chooses one action."""

    def __init__(self, action: int) -> None:
        self.action = action
        self.name = f"always {action}"

    def act(self, obs, action_mask=None, rng=None):
        return np.full(len(obs), self.action, np.int64)


def network_for(
    env_id: str = WORKSHOP,
    env_args: dict[str, Any] | None = None,
    hidden: tuple[int, ...] = (16,),
    seed: int = 0,
    **options: Any,
) -> PolicyNetwork:
    schema = Schema.of(BatchEnv(env_id, env_args or {}, 1))
    return PolicyNetwork(schema, hidden, "tanh", seed, **options)


def through_disk(tree: Any) -> Any:
    """The tree as a run that resumes would find it."""
    with tempfile.TemporaryDirectory() as folder:
        save_state(Path(folder) / "state", tree)
        return load_state(Path(folder) / "state")


PPO = {"kind": "ppo", "num_envs": 4, "rollout_steps": 16, "minibatch_size": 32, "epochs": 2}
DAGGER = {
    "kind": "dagger",
    "expert": "expert:workshop-v2",
    "num_envs": 4,
    "collect_steps": 50,
    "iterations": 6,
    "gradient_steps": 20,
    "batch_size": 64,
    "keep_share": 0.5,
    "capacity": 500,
}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "ppo": (WORKSHOP, {**PPO, "reference_coef": 0.1}),
    "dagger": (WORKSHOP, DAGGER),
    "sequence": (
        WORKSHOP,
        {"kind": "hybrid", "dagger": {**DAGGER, "iterations": 2}, "ppo": PPO},
    ),
    "alternate": (
        WORKSHOP,
        {
            "kind": "hybrid",
            "mode": "alternate",
            "ppo_per_dagger": 1,
            "dagger": {**DAGGER, "iterations": 2},
            "ppo": {**PPO, "reference_coef": 0.1},
        },
    ),
    "cartpole": ("CartPole-v1", {**PPO, "target_kl": 0.05}),
    "ppo-box": (
        "Pendulum-v1",
        {**PPO, "reference_coef": 0.1, "reward_scale": "running", "value_clip": 0.2},
    ),
    "ppo-joint": (ECHO, {**PPO, "networks": "joint", "std": "by_state", "scale_values": False}),
    "ppo-episodes": ("CartPole-v1", {**PPO, "episodes_per_env": 2, "critic_learning_rate": 1e-2}),
}


def recipe_of(kind: str = "ppo", **changes: Any) -> Recipe:
    """A small recipe; changes replace whole tables, or single keys as ``evaluation__every=1``."""
    env_id, algorithm = KINDS[kind]
    tree: dict[str, Any] = {
        "name": f"small-{kind}",
        "threads": 1,
        "env": {"id": env_id, "args": SHORT if env_id == WORKSHOP else {}},
        "network": {"hidden": [8]},
        "algorithm": dict(algorithm),
        "budget": {"iterations": 6},
        "evaluation": {"every": 3, "episodes": 1},
    }
    for key, value in changes.items():
        table, _, name = key.partition("__")
        if name:
            tree[table] = {**tree[table], name: value}
        else:
            tree[table] = value
    return parse_recipe(tree, "a test")

"""Small environments, networks and recipes that learn, run and break within seconds."""

import tempfile
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from compagnon.envs import BatchEnv
from compagnon.envs.registration import WORKSHOP
from compagnon.learning.checkpoint import load_state, save_state
from compagnon.learning.networks import PolicyNetwork
from compagnon.learning.recipe import Recipe, parse_recipe
from compagnon.policy import Schema

BANDIT = "tests/MaskedBandit-v0"
CLOCK = "tests/Clock-v0"
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


for env_id, entry_point in ((BANDIT, MaskedBandit), (CLOCK, Clock)):
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

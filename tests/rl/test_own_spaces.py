"""An environment with parts to see and parts to choose is learnt, exported and served as any."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from compagnon.evaluation.episodes import play_episodes
from compagnon.policy import load_policy
from compagnon.policy.provenance import Provenance
from compagnon.rl.algorithm import build_algorithm
from compagnon.rl.recipe import parse_recipe
from compagnon.serving.codec import action_labels
from compagnon.serving.models import open_model
from tests.serving.support import export

DOORS = "tests/Doors-v0"


class Doors(gymnasium.Env[Any, Any]):
    """One step: see which of three doors is lit; pays for choosing it with the hand that is free.

    The hand that is not free, and one of the unlit doors, cannot be chosen.
    """

    observation_space = spaces.Dict({"lit": spaces.Discrete(3), "free": spaces.MultiBinary(2)})
    action_space = spaces.MultiDiscrete([2, 3])

    def reset(self, *, seed: int | None = None, options: Any = None):
        super().reset(seed=seed)
        self.lit, self.hand = int(self.np_random.integers(3)), int(self.np_random.integers(2))
        return self._see(), {"action_mask": self._mask()}

    def step(self, action):
        assert action.shape == (2,)
        hand, door = action
        assert hand == self.hand
        assert door != (self.lit + 1) % 3
        return self._see(), float(door == self.lit), True, False, {}

    def _see(self):
        return {"lit": self.lit, "free": np.eye(2, dtype=np.int8)[self.hand]}

    def _mask(self):
        hands, doors = np.zeros(2, np.int8), np.ones(3, np.int8)
        hands[self.hand] = 1
        doors[(self.lit + 1) % 3] = 0
        return np.concatenate([hands, doors])


gymnasium.register(DOORS, entry_point=Doors)


@pytest.mark.full
@pytest.mark.parametrize("kind", ["ppo", "dqn"])
def test_parts_are_learnt_and_a_part_that_is_masked_is_never_chosen(kind, tmp_path):
    settings = {
        "ppo": {"num_envs": 16, "rollout_steps": 8, "minibatch_size": 64, "learning_rate": 1e-2},
        "dqn": {"num_envs": 16, "learning_rate": 1e-2, "learning_starts": 64, "capacity": 2000},
    }
    recipe = parse_recipe(
        {
            "name": "doors",
            "env": {"id": DOORS},
            "network": {"hidden": [16]},
            "algorithm": {"kind": kind, **settings[kind]},
            "budget": {"iterations": 25},
        },
        "doors",
    )
    algorithm, network = build_algorithm(recipe)
    for _ in range(25):
        algorithm.iterate()
    policy = network.as_policy("doors", Provenance())
    seeds = list(range(60))
    assert play_episodes(DOORS, {}, policy, seeds).returns.mean() > 0.9
    served = open_model(export(policy, tmp_path / "doors"))
    assert action_labels(served.manifest.schema_) == (
        "0, 0",
        "0, 1",
        "0, 2",
        "1, 0",
        "1, 1",
        "1, 2",
    )
    assert served.manifest.schema_.action.factors == (2, 3)
    names = served.manifest.schema_.observation.names
    assert names == ("free[0]", "free[1]", "lit=0", "lit=1", "lit=2")
    exported = load_policy(f"onnx:{tmp_path / 'doors'}", policy.schema)
    played = play_episodes(DOORS, {}, exported, seeds)
    np.testing.assert_array_equal(played.returns, play_episodes(DOORS, {}, policy, seeds).returns)

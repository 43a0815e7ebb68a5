"""A step discounts by the time that it took, the last one of an episode included."""

from typing import Any

import gymnasium
import numpy as np
import pytest

from compagnon.envs import BatchEnv
from compagnon.rl.algorithm import build_algorithm
from compagnon.rl.ppo import PPO
from compagnon.rl.recipe import parse_recipe

GAMMA = 0.9
TIMES = (2, 3, 5)  # of an episode's steps; the last one is the longest


class Visits(gymnasium.Env[np.ndarray, Any]):
    """Three steps that take 2, 3 and 5 units of time; then it ends, or is cut short."""

    def __init__(self, cut: bool = True, vectors: bool = False) -> None:
        self.observation_space = gymnasium.spaces.Box(0.0, 9.0, (1,), np.float32)
        self.action_space = (
            gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
            if vectors
            else gymnasium.spaces.Discrete(2)
        )
        self.cut = cut

    def reset(self, *, seed: int | None = None, options: Any = None):
        super().reset(seed=seed)
        self.step_number = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: Any):
        elapsed = TIMES[self.step_number]
        self.step_number += 1
        over = self.step_number == len(TIMES)
        obs = np.full(1, self.step_number, np.float32)
        return obs, 1.0, over and not self.cut, over and self.cut, {"elapsed": elapsed}


VISITS = "tests/Visits-v0"
if VISITS not in gymnasium.registry:
    gymnasium.register(VISITS, entry_point=Visits)


def built(algorithm: dict[str, Any], **args: Any) -> Any:
    tree = {
        "name": "it",
        "env": {"id": VISITS, "args": args},
        "network": {"hidden": [4], "scale_inputs": False},
        "algorithm": {"gamma": GAMMA, "num_envs": 2, **algorithm},
        "budget": {"iterations": 1},
    }
    return build_algorithm(parse_recipe(tree, "a test"))


def test_the_environment_s_times_come_through():
    env = BatchEnv(VISITS, {}, 2)
    env.reset([0, 1])
    seen = [env.step(np.zeros(2, np.int64)).duration.tolist() for _ in range(6)]
    assert seen == [[2, 2], [3, 3], [5, 5]] * 2


@pytest.mark.parametrize("cut", [True, False])
def test_ppo_s_discounts_and_bootstraps(cut):
    algorithm, network = built({"kind": "ppo", "rollout_steps": 6, "minibatch_size": 12}, cut=cut)
    assert isinstance(algorithm, PPO)
    algorithm.collector.collect()
    rollout = algorithm.rollout
    wanted = np.array([GAMMA**2, GAMMA**3, GAMMA**5] * 2)
    np.testing.assert_allclose(rollout.discounts, np.stack([wanted, wanted], 1))
    last = algorithm._values(network.read(np.full((1, 1), 3, np.float32)))[0]
    assert last != 0
    expected = np.array([0, 0, GAMMA**5 * last if cut else 0] * 2)
    np.testing.assert_allclose(rollout.bootstrap, np.stack([expected, expected], 1), rtol=1e-6)


OFF_POLICY: dict[str, dict[str, Any]] = {
    "dqn": {"kind": "dqn", "iteration_steps": 12, "learning_starts": 100},
    "ddpg": {"kind": "ddpg", "iteration_steps": 12, "learning_starts": 100},
    "ddpg, vectors": {"kind": "ddpg", "iteration_steps": 12, "learning_starts": 100},
}


@pytest.mark.parametrize("kind", OFF_POLICY)
@pytest.mark.parametrize("cut", [True, False])
@pytest.mark.parametrize("n_step", [1, 2])
def test_what_the_replay_discounts(kind, cut, n_step):
    algorithm, _ = built(
        {**OFF_POLICY[kind], "n_step": n_step}, cut=cut, vectors=kind.endswith("vectors")
    )
    algorithm.iterate()
    spans = {1: [(2,), (3,), (5,)], 2: [(2, 3), (3, 5), (5,)]}[n_step]
    ends = {1: [False, False, True], 2: [False, True, True]}[n_step]
    data, count = algorithm.replay.data, len(algorithm.replay)
    assert count == 12
    found = sorted(data.discounts[:count].tolist())
    wanted = [
        0.0 if end and not cut else GAMMA ** sum(span)
        for span, end in zip(spans, ends, strict=True)
    ]
    np.testing.assert_allclose(found, sorted(wanted * 4), rtol=1e-6)
    if cut:  # the reward of a second step comes after the time of the first one
        rewards = sorted({round(float(r), 6) for r in data.rewards[:count]})
        assert rewards == ([1.0] if n_step == 1 else [1.0, 1 + GAMMA**3, 1 + GAMMA**2])

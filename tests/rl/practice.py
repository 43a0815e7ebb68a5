"""PPO on small problems, for the tests of its parts."""

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from compagnon.envs import BatchEnv
from compagnon.rl.ppo import PPO, PPOSettings
from tests.rl.small import network_for
from tests.tiers import full

SEEDS = pytest.mark.parametrize("seed", [0, full(1), full(2)])


class Countdown(gymnasium.Env[np.ndarray, int]):
    """Shows the time, pays it, and ends after as many steps as its seed says (1 to 9)."""

    def __init__(self) -> None:
        self.observation_space = gymnasium.spaces.Box(0.0, 100.0, (1,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None):
        super().reset(seed=seed)
        self.time, self.length = 0, int(self.np_random.integers(1, 10))
        return np.zeros(1, np.float32), {}

    def step(self, action: int):
        self.time += 1
        return np.full(1, self.time, np.float32), self.time, self.time == self.length, False, {}


COUNTDOWN = "tests/Countdown-v0"
if COUNTDOWN not in gymnasium.registry:
    gymnasium.register(id=COUNTDOWN, entry_point=Countdown)


def ppo_on(
    env_id: str,
    env_args: dict[str, Any] | None = None,
    seed: int = 0,
    hidden: tuple[int, ...] = (32,),
    total: int | None = None,
    scale_inputs: bool = True,
    **settings: Any,
) -> PPO:
    chosen = PPOSettings(**settings)
    network = network_for(
        env_id, env_args, hidden, seed, scale_inputs=scale_inputs, networks=chosen.networks
    )
    env = BatchEnv(env_id, env_args or {}, chosen.num_envs)
    return PPO(chosen, network, env, seed, total)


SMALL: dict[str, Any] = {"num_envs": 8, "rollout_steps": 16, "minibatch_size": 64}
TO_LEARN: dict[str, Any] = {
    "num_envs": 32,
    "rollout_steps": 16,
    "minibatch_size": 128,
    "learning_rate": 3e-3,
    "entropy_coef": 0.01,
}


def weights(module: torch.nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in module.parameters()]


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))

"""Stable-Baselines3 with the settings that its public zoo of tuned agents lists for each task."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3 import DDPG, DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.noise import NormalActionNoise

from control_race import Contender, Judge


@dataclass(frozen=True)
class Rival:
    """An algorithm of Stable-Baselines3 with its settings.

    Attributes:
        num_envs: copies, one after the other in this process, as the zoo runs them.
        env_steps: the budget.
        settings: its arguments. noise_std: Gaussian, of the actions; 0 for none.
    """

    algorithm: type[BaseAlgorithm]
    env_id: str
    env_steps: int
    settings: dict[str, Any] = field(default_factory=dict)
    num_envs: int = 1
    noise_std: float = 0.0

    def make(self, seed: int) -> BaseAlgorithm:
        env = make_vec_env(self.env_id, n_envs=self.num_envs, seed=seed)
        settings = dict(self.settings)
        if self.noise_std > 0:
            size = env.action_space.shape
            settings["action_noise"] = NormalActionNoise(
                np.zeros(size), np.full(size, self.noise_std)
            )
        return self.algorithm("MlpPolicy", env, seed=seed, device="cpu", **settings)

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "algorithm": self.algorithm.__name__}


MOUNTAIN_CAR = Rival(
    DQN,
    "MountainCar-v0",
    120_000,
    {
        "learning_rate": 4e-3,
        "batch_size": 128,
        "buffer_size": 10_000,
        "learning_starts": 1_000,
        "gamma": 0.98,
        "target_update_interval": 600,
        "train_freq": 16,
        "gradient_steps": 8,
        "exploration_fraction": 0.2,
        "exploration_final_eps": 0.07,
        "policy_kwargs": {"net_arch": [256, 256]},
    },
)
LUNAR_LANDER = Rival(
    PPO,
    "LunarLanderContinuous-v3",
    1_000_000,
    {
        "n_steps": 1024,
        "batch_size": 64,
        "gae_lambda": 0.98,
        "gamma": 0.999,
        "n_epochs": 4,
        "ent_coef": 0.01,
    },
    num_envs=16,
)
PENDULUM = Rival(
    DDPG,
    "Pendulum-v1",
    20_000,
    {
        "learning_rate": 1e-3,
        "batch_size": 256,
        "buffer_size": 200_000,
        "learning_starts": 10_000,
        "gamma": 0.98,
        "train_freq": 1,
        "gradient_steps": 1,
        "policy_kwargs": {"net_arch": [400, 300]},
    },
    noise_std=0.1,
)


class _Greedy:
    """A model's policy, as ours are asked."""

    name = "Stable-Baselines3"

    def __init__(self, model: BaseAlgorithm) -> None:
        self._model = model

    def act(
        self,
        obs: NDArray[np.float32],
        action_mask: NDArray[np.bool_] | None = None,  # noqa: ARG002
        rng: np.random.Generator | None = None,  # noqa: ARG002
    ) -> NDArray[Any]:
        return self._model.predict(obs, deterministic=True)[0]


class _Asks(BaseCallback):
    """Lets the judge look between an update and the next step."""

    def __init__(self, judge: Judge) -> None:
        super().__init__()
        self._judge, self._going = judge, True

    def _on_rollout_start(self) -> None:
        self._ask(over=False)

    def _on_training_end(self) -> None:
        self._ask(over=True)

    def _on_step(self) -> bool:
        return self._going

    def _ask(self, over: bool) -> None:
        if self._going:
            updates = getattr(self.model, "_n_updates", 0)
            policy: Callable[[], _Greedy] = partial(_Greedy, self.model)
            self._going = self._judge.look(self.num_timesteps, updates, policy, over)


def theirs(rival: Rival) -> Contender:
    """The rival, with another seed each time."""

    def train(seed: int, judge: Judge) -> None:
        model = rival.make(seed)
        judge.start()
        model.learn(rival.env_steps, callback=_Asks(judge))
        assert model.env is not None
        model.env.close()

    return train

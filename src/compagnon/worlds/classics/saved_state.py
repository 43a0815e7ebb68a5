"""What Gymnasium's classic environments keep, so that they can be saved in mid-episode."""

from collections.abc import Mapping
from typing import Final

from gymnasium.envs.classic_control import (
    AcrobotEnv,
    CartPoleEnv,
    Continuous_MountainCarEnv,
    MountainCarEnv,
    PendulumEnv,
)

# By the name of the world: what each keeps beside `state` and its random generator.
KEPT: Final[Mapping[str, Mapping[type, tuple[str, ...]]]] = {
    "acrobot": {AcrobotEnv: ()},
    "cartpole": {CartPoleEnv: ("steps_beyond_terminated",)},
    "mountain": {Continuous_MountainCarEnv: (), MountainCarEnv: ()},
    "pendulum": {PendulumEnv: ("last_u",)},
}

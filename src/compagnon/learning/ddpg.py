"""Deep deterministic policy gradients: being written."""

from typing import Any, Literal

from compagnon.learning.networks import TrainedNetwork
from compagnon.learning.settings import AlgorithmSettings


class DDPGSettings(AlgorithmSettings):
    """Settings of DDPG."""

    serves = ("box", "discrete")
    kind: Literal["ddpg"] = "ddpg"


class ActorCritic(TrainedNetwork):
    """An actor and a critic."""


class DDPG:
    """Being written."""

    def __init__(self, *arguments: Any) -> None:
        raise NotImplementedError

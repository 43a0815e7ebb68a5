"""The base of every algorithm's settings: typed, frozen, and without unknown keys."""

from abc import abstractmethod
from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Validated settings; an unknown key is an error, not a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AlgorithmSettings(Settings):
    """Settings of an algorithm that practises in an environment.

    Attributes:
        serves: the kinds of actions that it can choose: discrete, box.
    """

    serves: ClassVar[tuple[str, ...]] = ("discrete",)

    @abstractmethod
    def iterations_for(self, env_steps: int) -> int | None:
        """Iterations until so many environment steps are taken; None where that is not known."""

"""Experts of dispatch that read the whole day, plans and all, not what an observation shows."""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.policy.protocol import Policy
from compagnon.policy.schema import Schema
from compagnon.worlds.dispatch.experts.experts import ObservationReader
from compagnon.worlds.dispatch.vector import DispatchVectorEnv


class PrivilegedPolicy(ABC):
    """A policy that must be told which day it plays, see `compagnon.policy.DayReader`.

    Raises:
        InputError: another environment.
    """

    def __init__(self, name: str, schema: Schema) -> None:
        self.name = name
        self._schema = schema
        ObservationReader(name, schema)

    @abstractmethod
    def bind(self, env: DispatchVectorEnv) -> Policy:
        """This policy for the copies of `env`, from where they stand to the end of their days."""

    def playing(self, env: BatchEnv) -> Policy:
        """See `bind`.

        Raises:
            InputError: another environment, or days that it cannot play.
        """
        if not isinstance(env.vec, DispatchVectorEnv):
            raise InputError(f"{self.name} plays the days of dispatch only, not {env.env_id}")
        return self.bind(env.vec)

    def act(
        self,
        obs: NDArray[np.float32],  # noqa: ARG002
        action_mask: NDArray[np.bool_] | None = None,  # noqa: ARG002
        rng: np.random.Generator | None = None,  # noqa: ARG002
    ) -> NDArray[np.int64]:
        """Refused: an observation does not show the plans.

        Raises:
            InputError: always.
        """
        raise InputError(
            f"{self.name} reads the whole day, not observations alone; `compagnon evaluate` lets it"
        )

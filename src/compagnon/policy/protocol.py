"""What every policy is: something that chooses actions for a batch of observations and masks."""

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from compagnon.envs import BatchEnv
from compagnon.errors import InputError


@runtime_checkable
class Policy(Protocol):
    """Chooses actions. A policy holds no state: the same input gives the same answer.

    A rule, a solver, a network and an exported model are all policies.
    """

    @property
    def name(self) -> str:
        """What people call it, and what the command line shows."""
        ...

    def act(
        self,
        obs: NDArray[np.float32],
        action_mask: NDArray[np.bool_] | None = None,
        rng: np.random.Generator | None = None,
    ) -> NDArray[Any]:
        """Choose one action a row.

        Args:
            obs: (N, F), in the schema the policy was bound to.
            action_mask: (N, A), what is possible; None where everything always is.
            rng: draws from the policy's distribution; None for the greedy choice.

        Returns:
            (N,) int64 for discrete actions, (N, D) float32 for vectors.
        """
        ...


@runtime_checkable
class StochasticPolicy(Policy, Protocol):
    """A policy over discrete actions that can say how likely each one is."""

    def probabilities(
        self, obs: NDArray[np.float32], action_mask: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64]:
        """(N, A): each row sums to 1, and is 0 wherever the mask is False."""
        ...


@runtime_checkable
class DayReader(Policy, Protocol):
    """A policy that reads more than observations: the state of the copies it plays.

    A solver that plans a whole day needs it. Whoever plays such a policy asks it for `playing`
    once the copies stand where play begins; its own `act` refuses.
    """

    def playing(self, env: BatchEnv) -> Policy:
        """The policy for these copies, until each has ended one episode.

        It may keep a plan from decision to decision; it must not write into `env`.
        """
        ...


def check_choice(obs: NDArray[np.float32], action_mask: NDArray[np.bool_] | None, who: str) -> None:
    """Refuse an observation that is not finite, and a mask that leaves nothing to choose.

    Raises:
        InputError: names the row and, for observations, the column.
    """
    if not np.isfinite(obs).all():
        row, column = np.argwhere(~np.isfinite(obs))[0]
        raise InputError(
            f"{who}: observation row {row}, column {column} is {obs[row, column]}; "
            "every observation must be a finite number"
        )
    if action_mask is not None and not action_mask.any(axis=1).all():
        row = int(np.argmin(action_mask.any(axis=1)))
        raise InputError(
            f"{who}: the action mask of row {row} allows no action; at least one must be possible"
        )

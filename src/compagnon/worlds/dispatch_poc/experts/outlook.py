"""A rule of the proof of concept: what an assignment earns, and what it leaves in reach."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.policy.groups import Groups
from compagnon.policy.protocol import check_choice
from compagnon.policy.schema import Schema
from compagnon.worlds.dispatch_poc import DISPATCH_POC
from compagnon.worlds.dispatch_poc.pairs import PAIR_NAMES

# Points for one unit of each field of a pair, found by search over days that no table shows.
POINTS: Final[Mapping[str, float]] = {
    "reward": 1.0,
    "way": -1.0,
    "spare": -1.25,
    "others": 200.0,
    "reach": 75.0,
    "reach_urgent": 250.0,
    "reach_twice": 150.0,
}
LATER: Final = ("reach", "reach_urgent", "reach_twice")
LAST_TICKS: Final = 5.0  # before the day's end, bookings to come count for less and less


class OutlookRule:
    """Takes the pair with the most points, and waits only where nothing is possible.

    Points are those of the assignment, less a little for the way and for time to spare; what it
    does to the open bookings that will still be reached; and what it does to the bookings to come
    that a driver, or two, would reach. All three stand in the observation `trips`.

    Args:
        points: for one unit of each of these fields of a pair.

    Raises:
        InputError: another environment, or another of its observations.
    """

    name = "expert:dispatch-poc-outlook"

    def __init__(self, schema: Schema, points: Mapping[str, float] = POINTS) -> None:
        own = schema.observation
        groups = Groups.of(own.names, self.name)
        wanted = tuple(points)
        if groups.words != PAIR_NAMES or not set(wanted) <= set(groups.pair):
            raise InputError(
                f"{self.name} plays {DISPATCH_POC} with observation='trips' only, "
                f"not {schema.env_id} as it is shown here"
            )
        self._size = groups.drivers, groups.places
        names = [
            PAIR_NAMES.pair.format(d, j) + field
            for field in wanted
            for d in range(groups.drivers)
            for j in range(groups.places)
        ]
        reads = own.select(["ticks_left", *names], scaling="physical")
        self._project = reads.projection_from(own, self.name)
        later = np.array([field in LATER for field in wanted])
        worth = np.array([*points.values()], np.float32)
        self._now, self._later = np.where(later, 0, worth), np.where(later, worth, 0)
        feasible = [PAIR_NAMES.pair.format(d, j) + "feasible" for d in range(groups.drivers)
                    for j in range(groups.places)]  # fmt: skip
        self._possible = own.select(feasible, scaling="physical").projection_from(own, self.name)

    def points(self, obs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Observations (B, F) -> the points of every pair, possible or not; (B, N M)."""
        read = self._project(obs)
        fields = read[:, 1:].reshape(len(read), len(self._now), -1)
        share = np.minimum(np.float32(1), read[:, :1] / np.float32(LAST_TICKS))
        worth = self._now + share * self._later
        return np.asarray(np.einsum("bf,bfp->bp", worth, fields), np.float32)

    def act(
        self,
        obs: NDArray[np.float32],
        action_mask: NDArray[np.bool_] | None = None,
        rng: np.random.Generator | None = None,  # noqa: ARG002
    ) -> NDArray[np.int64]:
        """The pair with the most points, int64 (N,); 0 where nothing is possible."""
        check_choice(obs, action_mask, self.name)
        possible = self._possible(obs) > 0.5 if action_mask is None else action_mask[:, 1:]
        points = np.where(possible, self.points(obs), np.float32(-np.inf))
        best = 1 + points.argmax(axis=1)
        return np.where(possible.any(axis=1), best, 0).astype(np.int64)

    def probabilities(
        self, obs: NDArray[np.float32], action_mask: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64]:
        """(N, A): 1 for the rule's action."""
        drivers, slots = self._size
        return np.eye(1 + drivers * slots)[self.act(obs, action_mask)]

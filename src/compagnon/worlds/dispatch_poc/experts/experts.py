"""The proof of concept's rules as policies that find their inputs by name."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.policy.basic import RandomPolicy
from compagnon.policy.protocol import check_choice
from compagnon.policy.schema import Schema
from compagnon.worlds.arguments import no_argument
from compagnon.worlds.dispatch_poc import DISPATCH_POC, constants
from compagnon.worlds.dispatch_poc.experts import rules
from compagnon.worlds.dispatch_poc.experts.outlook import OutlookRule
from compagnon.worlds.dispatch_poc.experts.rules import NEVER, PocBoards
from compagnon.worlds.matching import most_urgent_match

_DRIVER: Final = ("lat", "lon", "available", "load")
_BOOKING: Final = ("lat", "lon", "priority", "time_left")
_ALL_POSSIBLE: Final = np.zeros((0, 0), np.bool_)


class PocObservationReader:
    """Finds drivers and bookings in observations of the proof of concept, whatever its size.

    Raises:
        InputError: another environment.
    """

    def __init__(self, name: str, schema: Schema) -> None:
        own = schema.observation
        self.drivers = sum(field.endswith("_available") for field in own.names)
        self.slots = sum(field.endswith("_priority") for field in own.names)
        wanted = [
            *(f"driver_{i}_{part}" for i in range(self.drivers) for part in _DRIVER),
            *(f"booking_{j}_{part}" for j in range(self.slots) for part in _BOOKING),
            "traffic",
        ]
        fits = self.drivers and self.slots and set(wanted) <= set(own.names)
        if not fits or schema.action.n != self.drivers * self.slots + 1:
            raise InputError(f"{name} plays {DISPATCH_POC} only, not {schema.env_id}")
        self._project = own.select(wanted, scaling="physical").projection_from(own, name)

    def __call__(self, obs: NDArray[np.float32]) -> PocBoards:
        """Observations (B, F) as boards."""
        read = self._project(obs).astype(np.float64)
        split = 4 * self.drivers
        slowed = 1.0 - constants.TRAFFIC_SLOWS * read[:, -1]
        return PocBoards(
            read[:, :split].reshape(len(read), self.drivers, 4),
            read[:, split:-1].reshape(len(read), self.slots, 4),
            60.0 / (constants.FREE_SPEED * slowed),
        )


class DispatchPocRule:
    """A rule that looks at every possible pair and takes the one it likes best.

    Args:
        rule: `rules.NEAREST`, `rules.EARLIEST` or `rules.LEAST_LOADED`.
    """

    def __init__(self, name: str, rule: int, schema: Schema) -> None:
        self.name = name
        self._rule = rule
        self._read = PocObservationReader(name, schema)
        self._num_actions = schema.action.n

    def act(
        self,
        obs: NDArray[np.float32],
        action_mask: NDArray[np.bool_] | None = None,
        rng: np.random.Generator | None = None,  # noqa: ARG002
    ) -> NDArray[np.int64]:
        """The rule's action for each row, int64 (N,); it waits only where nothing is possible."""
        check_choice(obs, action_mask, self.name)
        boards = self._read(obs)
        km = _possible_km(boards, action_mask)
        actions = np.empty(len(obs), np.int64)
        rules.best_pairs(boards, km, self._rule, actions)
        return actions

    def probabilities(
        self, obs: NDArray[np.float32], action_mask: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64]:
        """(N, A): 1 for the rule's action."""
        return np.eye(self._num_actions)[self.act(obs, action_mask)]


class PocMatchingRule:
    """Batch matching: as many bookings as can be served, by the fewest kilometres in all.

    Of the matched pairs the one whose window ends first goes now; the board is matched anew for
    the next decision (the Hungarian method, `scipy.optimize.linear_sum_assignment`).
    """

    name = "expert:dispatch-poc-matching"

    def __init__(self, schema: Schema) -> None:
        self._read = PocObservationReader(self.name, schema)
        self._num_actions = schema.action.n

    def act(
        self,
        obs: NDArray[np.float32],
        action_mask: NDArray[np.bool_] | None = None,
        rng: np.random.Generator | None = None,  # noqa: ARG002
    ) -> NDArray[np.int64]:
        """The most urgent matched pair of each row, int64 (N,); 0 where nothing is possible."""
        check_choice(obs, action_mask, self.name)
        boards = self._read(obs)
        km = _possible_km(boards, action_mask)
        actions = np.zeros(len(obs), np.int64)
        for row in np.flatnonzero((km < NEVER).any(axis=(1, 2))):
            driver, slot = most_urgent_match(km[row], boards.bookings[row, :, 3], NEVER)
            actions[row] = 1 + driver * self._read.slots + slot
        return actions

    def probabilities(
        self, obs: NDArray[np.float32], action_mask: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64]:
        """(N, A): 1 for the rule's action."""
        return np.eye(self._num_actions)[self.act(obs, action_mask)]


class UnmaskedRandom:
    """Uniform over all actions, possible or not: what the roadmap's baseline played."""

    name = "expert:dispatch-poc-random-unmasked"
    ignores_mask = True

    def __init__(self, schema: Schema) -> None:
        PocObservationReader(self.name, schema)
        self._random = RandomPolicy(schema)

    def act(
        self,
        obs: NDArray[np.float32],
        action_mask: NDArray[np.bool_] | None = None,  # noqa: ARG002
        rng: np.random.Generator | None = None,
    ) -> NDArray[np.int64]:
        """Any action, int64 (N,); without `rng` a function of the row's observation."""
        return self._random.act(obs, None, rng)


def _possible_km(boards: PocBoards, action_mask: NDArray[np.bool_] | None) -> NDArray[np.float64]:
    count, drivers, _ = boards.drivers.shape
    km = np.empty((count, drivers, boards.bookings.shape[1]))
    mask = _ALL_POSSIBLE if action_mask is None else np.ascontiguousarray(action_mask)
    rules.distances(boards, mask, km)
    return km


def _rule(short: str, rule: int, schema: Schema, argument: str | None) -> DispatchPocRule:
    name = f"expert:dispatch-poc-{short}"
    no_argument(name, argument)
    return DispatchPocRule(name, rule, schema)


def nearest(schema: Schema, argument: str | None = None) -> DispatchPocRule:
    """``expert:dispatch-poc-nearest``: the pair with the shortest way."""
    return _rule("nearest", rules.NEAREST, schema, argument)


def earliest(schema: Schema, argument: str | None = None) -> DispatchPocRule:
    """``expert:dispatch-poc-earliest``: the window that ends first, by its nearest driver."""
    return _rule("earliest", rules.EARLIEST, schema, argument)


def least_loaded(schema: Schema, argument: str | None = None) -> DispatchPocRule:
    """``expert:dispatch-poc-least-loaded``: the drivers with the fewest rides, the nearest pair."""
    return _rule("least-loaded", rules.LEAST_LOADED, schema, argument)


def matching(schema: Schema, argument: str | None = None) -> PocMatchingRule:
    """``expert:dispatch-poc-matching``: the most urgent pair of the best matching."""
    no_argument(PocMatchingRule.name, argument)
    return PocMatchingRule(schema)


def outlook(schema: Schema, argument: str | None = None) -> OutlookRule:
    """``expert:dispatch-poc-outlook``: the most points, now and by what is left in reach."""
    no_argument(OutlookRule.name, argument)
    return OutlookRule(schema)


def random_unmasked(schema: Schema, argument: str | None = None) -> UnmaskedRandom:
    """``expert:dispatch-poc-random-unmasked``: any action, whatever the mask says."""
    no_argument(UnmaskedRandom.name, argument)
    return UnmaskedRandom(schema)

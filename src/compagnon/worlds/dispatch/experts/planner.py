"""The adaptive large neighbourhood search as a policy: it plans at each moment, and plays that."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.policy.protocol import Policy
from compagnon.policy.schema import Schema
from compagnon.worlds.dispatch import lifecycle, running_days, travel
from compagnon.worlds.dispatch.experts.alns import Tightness, improve
from compagnon.worlds.dispatch.experts.playing import Moment, Wishes
from compagnon.worlds.dispatch.experts.privileged import PrivilegedPolicy
from compagnon.worlds.dispatch.experts.snapshot import movable
from compagnon.worlds.dispatch.vector import DispatchVectorEnv

DEFAULT_ITERATIONS: Final = 100
MOST_ITERATIONS: Final = 1_000_000
TIGHTNESS: Final = Tightness(price=15.0, minutes=15.0)
_PROMISED: Final = 1e6  # cost of giving a promised ride to nobody: more than any plan


class AlnsPolicy(PrivilegedPolicy):
    """Large neighbourhood search at each moment of a day.

    Args:
        iterations: of the search, at each moment.
    """

    def __init__(
        self,
        name: str,
        iterations: int,
        schema: Schema,
        tightness: Tightness = TIGHTNESS,
        seed: int = 0,
    ) -> None:
        super().__init__(name, schema)
        self.iterations = iterations
        self.tightness = tightness
        self.seed = seed

    def bind(self, env: DispatchVectorEnv) -> Policy:
        """This policy for the copies of `env`, from where they stand to the end of their days."""
        return _Planning(self, env)


@dataclass(slots=True)
class _Planned:
    """What is to be done in one copy at one clock time."""

    episode: int
    now: float = -1.0
    wishes: Wishes = field(default_factory=Wishes)


class _Planning:
    """The policy, bound to the copies of one environment."""

    def __init__(self, policy: AlnsPolicy, env: DispatchVectorEnv) -> None:
        self.name = policy.name
        self._policy = policy
        self._env = env
        self._moments = [_Planned(int(row[running_days.EPISODE])) for row in env.world.counts]

    def act(
        self,
        obs: NDArray[np.float32],
        action_mask: NDArray[np.bool_] | None = None,
        rng: np.random.Generator | None = None,  # noqa: ARG002
    ) -> NDArray[np.int64]:
        """One action a copy, int64 (N,); a copy whose day is over waits."""
        if action_mask is None or len(obs) != len(self._moments):
            raise InputError(f"{self.name}: give it all {len(self._moments)} copies and their mask")
        env, view = self._env, self._env.view
        actions = np.zeros(len(obs), np.int64)
        for i, moment in enumerate(self._moments):
            w = running_days.RunningDays(*(array[i] for array in env.world))
            if int(w.counts[running_days.EPISODE]) != moment.episode:
                continue
            roads = running_days.roads_for_python(w, view.minutes, view.km)
            if moment.now != w.money[running_days.NOW]:
                moment.now = float(w.money[running_days.NOW])
                moment.wishes = self._plan(i, w, roads)
            shown = Moment(w, action_mask[i], env.layout, env.weights, roads)
            actions[i] = shown.next_action(moment.wishes)
        return actions

    def _plan(self, row: int, w: running_days.RunningDays, roads: travel.Roads) -> Wishes:
        env, policy = self._env, self._policy
        weights = env.weights
        opened = w.open[: int(w.counts[running_days.OPEN])].tolist()
        moving = movable(w, roads, weights, env.layout.board)
        pool = np.array([*opened, *moving], np.int64)
        if len(pool) == 0:
            return Wishes()
        penalty = np.full(len(pool), _PROMISED)
        for n, b in enumerate(opened):
            penalty[n] = lifecycle.decline_cost(w, b, roads, weights)
        # From what is planned for alone, so that a day is the same whoever is played beside it.
        now = np.float64(w.money[running_days.NOW]).view(np.uint64)
        seed = (int(now) ^ policy.seed) & (2**63 - 1)
        found = improve(
            env.world, row, env.view, pool, penalty, policy.tightness, policy.iterations, seed
        )
        return Wishes(dict(zip(pool.tolist(), found.drivers.tolist(), strict=True)))


def alns(schema: Schema, argument: str | None = None) -> AlnsPolicy:
    """``expert:dispatch-alns[:ITERATIONS]``: so many at each moment (100 by default).

    Raises:
        InputError: ITERATIONS is not a whole number from 1 to a million.
    """
    name = "expert:dispatch-alns" + ("" if argument is None else f":{argument}")
    iterations = DEFAULT_ITERATIONS
    if argument is not None:
        iterations = int(argument) if argument.isdecimal() and len(argument) <= 7 else 0
    if not 1 <= iterations <= MOST_ITERATIONS:
        raise InputError(
            f"{name}: ITERATIONS={argument!r} should be a whole number from 1 to {MOST_ITERATIONS}"
        )
    return AlnsPolicy(name, iterations, schema)

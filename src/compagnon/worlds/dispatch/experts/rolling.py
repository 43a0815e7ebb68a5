"""OR-Tools on a rolling horizon: a new plan at each moment, and what is planned is promised.

Nobody waits for an answer: whoever the plan has a driver for is accepted at once, since an accepted
ride may still move while its driver has not set out for it. The next plan may give it to another.

With foresight, the rides that have not been announced are planned for, too.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.policy.protocol import Policy
from compagnon.policy.schema import Schema
from compagnon.worlds.dispatch import running_days, travel
from compagnon.worlds.dispatch.experts.experts import regret
from compagnon.worlds.dispatch.experts.playing import Moment, Wishes
from compagnon.worlds.dispatch.experts.privileged import PrivilegedPolicy
from compagnon.worlds.dispatch.experts.routing import load_ortools, solve
from compagnon.worlds.dispatch.experts.snapshot import leg_tables, movable, snapshot
from compagnon.worlds.dispatch.vector import DispatchVectorEnv

DEFAULT_SECONDS: Final = 1.0


class RollingPolicy(PrivilegedPolicy):
    """OR-Tools at each moment of a day.

    Args:
        seconds: of search at each moment.
        foresight: whether it knows what will be announced and what will be cancelled.

    Raises:
        InputError: another environment, or OR-Tools is missing.
    """

    def __init__(
        self, name: str, seconds: float, schema: Schema, *, foresight: bool = False
    ) -> None:
        load_ortools()
        super().__init__(name, schema)
        self.foresight = foresight
        self.seconds = seconds

    def bind(self, env: DispatchVectorEnv) -> Policy:
        """This policy for the copies of `env`, from where they stand to the end of their days."""
        return _Rolling(self, self._schema, env)


@dataclass(slots=True)
class _Replan:
    """The plan of one copy at one clock time."""

    episode: int
    now: float = -1.0
    wishes: Wishes | None = field(default_factory=Wishes)  # None: the solver had no answer


class _Rolling:
    """The policy, bound to the copies of one environment."""

    def __init__(self, policy: RollingPolicy, schema: Schema, env: DispatchVectorEnv) -> None:
        self.name = policy.name
        self._seconds = policy.seconds
        self._foresight = policy.foresight
        self._env = env
        self._otherwise = regret(schema)
        self._moments = [_Replan(int(row[running_days.EPISODE])) for row in env.world.counts]

    def act(
        self,
        obs: NDArray[np.float32],
        action_mask: NDArray[np.bool_] | None = None,
        rng: np.random.Generator | None = None,  # noqa: ARG002
    ) -> NDArray[np.int64]:
        """One action a copy, int64 (N,); a copy whose day is over waits."""
        if action_mask is None or len(obs) != len(self._moments):
            raise InputError(f"{self.name}: give it all {len(self._moments)} copies and their mask")
        actions = np.zeros(len(obs), np.int64)
        for i, moment in enumerate(self._moments):
            w = running_days.RunningDays(*(array[i] for array in self._env.world))
            if int(w.counts[running_days.EPISODE]) != moment.episode:
                continue
            view = self._env.view
            roads = running_days.roads_for_python(w, view.minutes, view.km)
            if moment.now != w.money[running_days.NOW]:
                moment.now = float(w.money[running_days.NOW])
                moment.wishes = self._plan(w, roads)
            if moment.wishes is None:
                actions[i] = self._otherwise.act(obs[[i]], action_mask[[i]])[0]
            else:
                shown = Moment(w, action_mask[i], self._env.layout, self._env.weights, roads)
                actions[i] = shown.next_action(moment.wishes)
        return actions

    def _plan(self, w: running_days.RunningDays, roads: travel.Roads) -> Wishes | None:
        """Who is to have whom now."""
        view, weights = self._env.view, self._env.weights
        free = movable(w, roads, weights, self._env.layout.board)
        taken = snapshot(w, weights, roads, free, foresight=self._foresight)
        minutes, km = leg_tables(taken, w, view.minutes, view.km)
        planned = solve(taken, minutes, km, weights, self._seconds)
        if planned is None:
            return None
        return Wishes({plan.booking: plan.driver for plan in planned})


def ortools(schema: Schema, argument: str | None = None) -> RollingPolicy:
    """``expert:dispatch-ortools[:SECONDS]``: OR-Tools, so long at each moment (default 1 s).

    Raises:
        InputError: SECONDS is not a number from 0.01 to 3600, or OR-Tools is missing.
    """
    name = "expert:dispatch-ortools" + ("" if argument is None else f":{argument}")
    seconds = DEFAULT_SECONDS if argument is None else seconds_of(name, argument)
    return RollingPolicy(name, seconds, schema)


def seconds_of(name: str, argument: str) -> float:
    """A number of seconds after a policy's name.

    Raises:
        InputError: it is not a number from 0.01 to 3600.
    """
    try:
        seconds = float(argument)
    except ValueError:
        seconds = np.nan
    if not 0.01 <= seconds <= 3600.0:
        raise InputError(f"{name}: SECONDS={argument!r} should be a number from 0.01 to 3600")
    return seconds

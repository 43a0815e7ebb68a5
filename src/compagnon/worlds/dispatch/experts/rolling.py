"""OR-Tools on a rolling horizon: a new plan at each moment, and only what cannot wait is promised.

A promise cannot be taken back, so a booking is given to its driver when he would leave for it
before dispatch is next asked, and stays open until then. The next plan may decide otherwise.

With foresight, the rides that have not been announced are planned for, too.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.policy.protocol import Policy
from compagnon.policy.schema import Schema
from compagnon.worlds.dispatch import insertion, running_days, tables
from compagnon.worlds.dispatch.experts.experts import regret
from compagnon.worlds.dispatch.experts.privileged import PrivilegedPolicy
from compagnon.worlds.dispatch.experts.routing import Planned, load_ortools, solve
from compagnon.worlds.dispatch.experts.snapshot import leg_tables, snapshot
from compagnon.worlds.dispatch.vector import DispatchVectorEnv

DEFAULT_SECONDS: Final = 1.0
# Minutes: a door may take longer than planned, and then the next moment comes later than planned.
MARGIN: Final = 10.0


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
    """The plan of one copy at one clock time, as far as it has not been carried out."""

    episode: int
    now: float = -1.0
    promises: list[Planned] | None = None  # None: the solver had no answer
    left_out: list[int] = field(default_factory=list)  # bookings about to be lost without a plan


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
            if moment.now != w.money[running_days.NOW]:
                moment.now = float(w.money[running_days.NOW])
                self._plan(moment, w)
            if moment.promises is None:
                actions[i] = self._otherwise.act(obs[[i]], action_mask[[i]])[0]
            else:
                actions[i] = self._next(moment, w, action_mask[i])
        return actions

    def _plan(self, moment: _Replan, w: running_days.RunningDays) -> None:
        """Find what must be promised now."""
        view = self._env.view
        taken = snapshot(w, self._env.weights, self._foresight)
        minutes, km = leg_tables(taken, w, view.minutes, view.km)
        planned = solve(taken, minutes, km, self._env.weights, self._seconds)
        moment.promises, moment.left_out = None, []
        if planned is None:
            return
        finishes = [vehicle.finishes for vehicle in taken.vehicles]
        until = MARGIN + min([moment.now + view.look_again, *finishes])
        moment.promises = [plan for plan in planned if plan.leaves <= until]
        if self._foresight:  # what it leaves out makes room for what it knows will come
            return
        kept = {plan.booking for plan in planned}
        moment.left_out = [
            ride.booking
            for ride in taken.rides
            if ride.vehicle < 0
            and ride.booking not in kept
            and w.bookings[ride.booking, tables.PICKUP_BY] <= until
        ]

    def _next(self, moment: _Replan, w: running_days.RunningDays, mask: NDArray[np.bool_]) -> int:
        """The next promise that can be kept, by the driver planned or the cheapest; or wait.

        A booking that the search had no time for goes to the cheapest driver before it is lost.
        """
        layout = self._env.layout
        shown = w.open[: min(layout.board, int(w.counts[running_days.OPEN]))].tolist()
        possible = mask[1 : 1 + layout.drivers * layout.board].reshape(layout.drivers, layout.board)
        wishes = [(plan.booking, plan.driver) for plan in moment.promises or ()]
        wishes += [(booking, -1) for booking in moment.left_out]
        hidden = False
        for booking, driver in wishes:
            if booking not in shown:  # behind the board, or promised already
                hidden |= int(w.status[booking]) == running_days.OPEN
                continue
            place = shown.index(booking)
            if driver < 0 or not possible[driver, place]:
                costs = np.where(possible[:, place], w.found[booking, :, insertion.COST], np.inf)
                driver = int(costs.argmin())
            if possible[driver, place]:
                return int(1 + driver * layout.board + place)
        lost = [place for place in range(len(shown)) if not possible[:, place].any()]
        if hidden and lost:  # a ride that must be promised now stands behind one that nobody gets
            return 1 + layout.drivers * layout.board + lost[0]
        return 0


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

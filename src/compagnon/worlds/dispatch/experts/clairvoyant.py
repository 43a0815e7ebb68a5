"""The cheapest way through a small day, every decision tried: no policy can be cheaper.

The search plays the world itself, so it knows every call, delay, no-show and cancellation. Ways
that lead to the same moment are gone on from the cheapest of them alone.
`expert:dispatch-clairvoyant` is the policy that then plays what was found.
"""

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.policy.protocol import Policy
from compagnon.policy.schema import Schema
from compagnon.worlds.dispatch import plans, running_days, tables
from compagnon.worlds.dispatch.core import DispatchCore
from compagnon.worlds.dispatch.experts.privileged import PrivilegedPolicy
from compagnon.worlds.dispatch.experts.rolling import RollingPolicy, seconds_of
from compagnon.worlds.dispatch.instance import Instance
from compagnon.worlds.dispatch.kernel import WAIT
from compagnon.worlds.dispatch.options import DispatchOptions
from compagnon.worlds.dispatch.vector import DispatchVectorEnv

_EVERY = np.ones(1, np.bool_)
# What of a plan the rest of the day depends on; the others are counters and scratch.
_CODES = [column for column in range(plans.DRIVER_CODES) if column != plans.VERSION]
_STOPS = [column for column in range(plans.STOP_COLUMNS) if column != plans.BEFORE]
MAX_STEPS: Final = 200_000  # of the world, that a search may take
MAX_BOOKINGS: Final = 12  # of a day that is tried at all; most need more steps from about 6 on


@dataclass(slots=True)
class BestDay:
    """The cheapest day found.

    Attributes:
        cost: of the day, in the unit of the rewards.
        actions: that lead to it, from the first decision on.
        steps: how many the search took.
    """

    cost: float = np.inf
    actions: list[int] = field(default_factory=list)
    steps: int = 0


def best_day(
    instance: Instance, options: DispatchOptions | None = None, max_steps: int = MAX_STEPS
) -> BestDay:
    """Try every sequence of decisions; costs only grow, so what is dearer than the best is left.

    Raises:
        InputError: the day is too large for `max_steps` steps of the world.
    """
    chosen = DispatchOptions.parse() if options is None else options
    core = DispatchCore(1, chosen, [instance])
    core.seed(np.zeros(1, np.uint64), _EVERY)
    core.reset(_EVERY)
    return best_rest(core, max_steps)


def best_rest(core: DispatchCore, max_steps: int = MAX_STEPS) -> BestDay:
    """The cheapest way on from where the one copy of `core` stands, which it is left at.

    The cost is that of the whole day.

    Raises:
        InputError: what is left of the day is too large for `max_steps` steps of the world.
    """
    best = BestDay()
    _search(core, [], best, max_steps, {})
    return best


def moment_key(w: running_days.RunningDays) -> bytes:
    """Two moments of one day (`world.row`) with the same key have the same rest of the day."""
    planned = w.status == running_days.PLANNED
    moved = w.rides[:, running_days.MOVED_AT] == 1.0 + w.counts[running_days.CLOCK]
    parts: list[NDArray[np.generic]] = [
        w.money[[running_days.NOW]],
        w.status,
        w.open[: w.counts[running_days.OPEN]],
        w.rides[:, running_days.BY_DRIVER],
        planned & moved,  # it moves once at one clock time
        w.bookings[w.status == running_days.TAXI, tables.CANCEL],
    ]
    for d in range(int(w.size[tables.DRIVERS])):
        count = int(w.state[d, plans.COUNT])
        parts += [w.codes[d, :count], w.stops[d, :count, _STOPS], w.state[d, _CODES], w.times[d]]
    return blake2b(b"".join(part.tobytes() for part in parts), digest_size=16).digest()


def _search(
    core: DispatchCore, path: list[int], best: BestDay, max_steps: int, seen: dict[bytes, float]
) -> None:
    """Try every way on.

    Args:
        path: the decisions taken so far.
        seen: the moments that were gone on from, with the cost of the day until then.
    """
    saved = core.state_dict()
    board, pairs = core.layout.board, core.layout.drivers * core.layout.board
    opened = min(board, int(core.worlds.counts[0, running_days.OPEN]))

    def rank(action: int) -> int:
        # Assignments first, then to wait, moves, refusals: a good day is found early.
        if action == WAIT or action > pairs:
            return 1 if action == WAIT else 3
        return 0 if (action - 1) % board < opened else 2

    possible = sorted(np.flatnonzero(core.out.mask[0]).tolist(), key=rank)
    for action in possible:
        if best.steps >= max_steps:
            raise InputError(
                f"the day is too large to try everything: {max_steps:,} steps were not enough; "
                "give fewer bookings or drivers, or a larger max_steps"
            )
        best.steps += 1
        core.step(np.array([action], np.int64), False)
        cost = float(core.worlds.money[0, : running_days.PARTS].sum())
        if cost < best.cost - 1e-9:
            if core.out.terminated[0]:
                best.cost, best.actions = cost, [*path, action]
            else:
                key = moment_key(running_days.RunningDays(*(array[0] for array in core.worlds)))
                if cost < seen.get(key, np.inf) - 1e-9:
                    seen[key] = cost
                    _search(core, [*path, action], best, max_steps, seen)
        core.load_state_dict(saved)


class ClairvoyantPolicy(PrivilegedPolicy):
    """Plays the cheapest day there is; it knows all that will happen."""

    def bind(self, env: DispatchVectorEnv) -> Policy:
        """This policy for the copies of `env`, from where they stand to the end of their days.

        Raises:
            InputError: a day is too large to try everything.
        """
        return _Clairvoyant(self.name, env)


@dataclass(slots=True)
class _Plan:
    """What one copy is to play, and the copy of it that plays along.

    Attributes:
        core: one copy, `taken` decisions on from where it stood at first.
        decisions: of the day before the first of `actions`.
        episode: of the copy that it was made for.
    """

    core: DispatchCore
    actions: list[int]
    decisions: int
    episode: int
    taken: int = 0


class _Clairvoyant:
    """The policy, bound to the copies of one environment."""

    def __init__(self, name: str, env: DispatchVectorEnv) -> None:
        self.name = name
        self._env = env
        self._plans = [self._plan(row) for row in range(env.num_envs)]

    def _plan(self, row: int) -> _Plan:
        world = self._env.world
        bookings = int(world.size[row, tables.BOOKINGS])
        if bookings > MAX_BOOKINGS:
            raise InputError(
                f"{self.name}: a day of {bookings} bookings is too large to try everything, which "
                f"takes at most {MAX_BOOKINGS}; give a number of seconds after a colon, and "
                "OR-Tools plans, told of every request, which is no bound"
            )
        core = self._env.fork(row)
        decisions, episode = (
            int(world.counts[row, running_days.DECISIONS]),
            int(world.counts[row, running_days.EPISODE]),
        )
        return _Plan(core, best_rest(core).actions, decisions, episode)

    def act(
        self,
        obs: NDArray[np.float32],
        action_mask: NDArray[np.bool_] | None = None,
        rng: np.random.Generator | None = None,  # noqa: ARG002
    ) -> NDArray[np.int64]:
        """One action a copy, int64 (N,); a copy whose day is over waits.

        Raises:
            InputError: not all copies, or one where something else was played.
        """
        if action_mask is None or len(obs) != len(self._plans):
            raise InputError(f"{self.name}: give it all {len(self._plans)} copies and their mask")
        chosen = np.zeros(len(obs), np.int64)
        world = self._env.world
        for i, plan in enumerate(self._plans):
            if world.counts[i, running_days.EPISODE] != plan.episode:
                continue
            while plan.taken < world.counts[i, running_days.DECISIONS] - plan.decisions:
                plan.core.step(np.array([plan.actions[plan.taken]], np.int64), False)
                plan.taken += 1
            mine, theirs = plan.core.worlds._asdict(), world._asdict()
            if not all(np.array_equal(mine[name][0], theirs[name][i]) for name in mine):
                raise InputError(f"{self.name}: copy {i} has not played what was planned for it")
            chosen[i] = plan.actions[plan.taken]
        return chosen


def clairvoyant(schema: Schema, argument: str | None = None) -> ClairvoyantPolicy | RollingPolicy:
    """``expert:dispatch-clairvoyant``: the cheapest way through a small day, all of it known.

    ``expert:dispatch-clairvoyant:SECONDS`` plays days of any size: OR-Tools, so long at each
    moment, told of every ride of the day. What it finds is no bound.

    Raises:
        InputError: SECONDS is not a number from 0.01 to 3600, or OR-Tools is missing.
    """
    if argument is None:
        return ClairvoyantPolicy("expert:dispatch-clairvoyant", schema)
    name = f"expert:dispatch-clairvoyant:{argument}"
    return RollingPolicy(name, seconds_of(name, argument), schema, foresight=True)

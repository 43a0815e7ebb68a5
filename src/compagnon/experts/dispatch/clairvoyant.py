"""The cheapest way through a small day, every decision tried: no policy can be cheaper.

The search plays the world itself, so it knows every call, delay, no-show and cancellation.
"""

from dataclasses import dataclass, field

import numpy as np

from compagnon.envs.dispatch import world as W
from compagnon.envs.dispatch.core import DispatchCore
from compagnon.envs.dispatch.instance import Instance
from compagnon.envs.dispatch.options import DispatchOptions
from compagnon.errors import InputError

_EVERY = np.ones(1, np.bool_)


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
    instance: Instance, options: DispatchOptions | None = None, max_steps: int = 200_000
) -> BestDay:
    """Try every sequence of decisions; costs only grow, so what is dearer than the best is left.

    Raises:
        InputError: the day is too large for `max_steps` steps of the world.
    """
    chosen = DispatchOptions.parse() if options is None else options
    core = DispatchCore(1, chosen, [instance])
    core.seed(np.zeros(1, np.uint64), _EVERY)
    core.reset(_EVERY)
    best = BestDay()
    _search(core, [], best, max_steps)
    return best


def _search(core: DispatchCore, path: list[int], best: BestDay, max_steps: int) -> None:
    saved = core.state_dict()
    assignments = core.layout.drivers * core.layout.board
    possible = np.flatnonzero(core.out.mask[0]).tolist()
    # Assignments first, then to wait, then refusals: a good day is found early.
    possible.sort(key=lambda action: (action > assignments, action == 0))
    for action in possible:
        if best.steps >= max_steps:
            raise InputError(
                f"the day is too large to try everything: {max_steps:,} steps were not enough; "
                "give fewer bookings or drivers, or a larger max_steps"
            )
        best.steps += 1
        core.step(np.array([action], np.int64), False)
        cost = float(core.worlds.money[0, : W.PARTS].sum())
        if cost < best.cost - 1e-9:
            if core.out.terminated[0]:
                best.cost, best.actions = cost, [*path, action]
            else:
                _search(core, [*path, action], best, max_steps)
        core.load_state_dict(saved)

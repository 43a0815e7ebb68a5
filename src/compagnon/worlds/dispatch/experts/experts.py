"""The rules of dispatch as policies that find their inputs by name, on boards of any size."""

from abc import ABC, abstractmethod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.policy.protocol import check_choice
from compagnon.policy.schema import Schema
from compagnon.worlds.arguments import no_argument
from compagnon.worlds.dispatch import DISPATCH
from compagnon.worlds.dispatch.experts import rules
from compagnon.worlds.dispatch.experts.numbers import Numbers, read_numbers
from compagnon.worlds.dispatch.experts.regret import choose
from compagnon.worlds.dispatch.experts.rules import NEVER, Boards
from compagnon.worlds.matching import most_urgent_match

_USUAL: Final = Numbers()
_PAIR: Final = ("feasible", "added_cost", "approach", "slack", "boards_in")
_PLACE: Final = (
    "pickup_by", "shown", "decline_cost", "promised", "answer_price", "answer_left",
)  # fmt: skip


class ObservationReader:
    """Finds drivers, places and pairs in observations of dispatch, whatever their number.

    Attributes:
        drivers, places: how many there are.

    Raises:
        InputError: another environment.
    """

    def __init__(self, name: str, schema: Schema) -> None:
        own = schema.observation
        names = set(own.names)
        self.drivers = sum(field.endswith("_stops_ahead") for field in names)
        self.places = sum(field.endswith("_pickup_by") for field in names)
        pairs = [(i, j) for i in range(self.drivers) for j in range(self.places)]
        wanted = [
            *(f"pair{i}_{j}_{part}" for part in _PAIR for i, j in pairs),
            *(f"driver{i}_stops_ahead" for i in range(self.drivers)),
            *(f"place{j}_{part}" for part in _PLACE for j in range(self.places)),
            "behind",
        ]
        fits = bool(pairs) and names.issuperset(wanted)
        if not fits or schema.action.n != 1 + len(pairs) + self.places:
            raise InputError(f"{name} plays {DISPATCH} only, not {schema.env_id}")
        self._project = own.select(wanted, scaling="physical").projection_from(own, name)

    def __call__(self, obs: NDArray[np.float32], action_mask: NDArray[np.bool_] | None) -> Boards:
        """Observations (N, F) as boards; the mask, if there is one, says which pairs are possible.

        Without a mask it is the field `feasible` that says so.
        """
        read = self._project(obs).astype(np.float64)
        count, drivers, places = len(read), self.drivers, self.places
        pairs = drivers * places
        possible = read[:, :pairs] > 0.5
        if action_mask is not None:
            possible = action_mask[:, 1 : 1 + pairs]
        cost, approach = (
            np.where(possible, read[:, k * pairs : (k + 1) * pairs], NEVER).reshape(
                count, drivers, places
            )
            for k in (1, 2)
        )
        slack, boards_in = read[:, 3 * pairs : 4 * pairs], read[:, 4 * pairs : 5 * pairs]
        rest = read[:, 5 * pairs :]
        deadline, shown, refusal, promised, answer_price, answer_left = (
            rest[:, drivers + k * places : drivers + (k + 1) * places] for k in range(len(_PLACE))
        )
        return Boards(
            cost,
            approach,
            slack=slack.reshape(count, drivers, places),
            boards_in=boards_in.reshape(count, drivers, places),
            stops=rest[:, :drivers],
            deadline=deadline,
            shown=shown,
            behind=rest[:, -1],
            refusal=refusal,
            promised=promised,
            answer_price=answer_price,
            answer_left=answer_left,
        )


class DispatchRule(ABC):
    """A rule that puts one booking after the other into a plan, as long as any pair is possible.

    Where it has no assignment to make, it moves the planned ride that saves most, if one saves
    enough. Else it lets time pass, and declines where bookings wait behind a board of which nobody
    can take anything.
    """

    def __init__(self, name: str, schema: Schema) -> None:
        self.name = name
        self._read = ObservationReader(name, schema)
        self._num_actions = schema.action.n

    @abstractmethod
    def choose(self, boards: Boards, actions: NDArray[np.int64]) -> None:
        """Write what it does on each board into `actions` (N,)."""

    def act(
        self,
        obs: NDArray[np.float32],
        action_mask: NDArray[np.bool_] | None = None,
        rng: np.random.Generator | None = None,  # noqa: ARG002
    ) -> NDArray[np.int64]:
        """The rule's action for each row, int64 (N,); a rule has no chance in it."""
        check_choice(obs, action_mask, self.name)
        boards = self._read(obs, action_mask)
        actions = np.empty(len(obs), np.int64)
        self.choose(boards, actions)
        if action_mask is not None:  # a mask of another's making may forbid to refuse
            actions[~action_mask[np.arange(len(actions)), actions]] = 0
        return actions

    def probabilities(
        self, obs: NDArray[np.float32], action_mask: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64]:
        """(N, A): 1 for the rule's action."""
        return np.eye(self._num_actions)[self.act(obs, action_mask)]


class CompiledRule(DispatchRule):
    """A rule that a kernel can play too, see `regret.choose`.

    Args:
        rule: `rules.NEAREST` to `rules.REGRET`.
        numbers: what it weighs.
    """

    def __init__(self, name: str, rule: int, numbers: Numbers, schema: Schema) -> None:
        super().__init__(name, schema)
        self.rule = rule
        self.numbers = numbers

    def choose(self, boards: Boards, actions: NDArray[np.int64]) -> None:
        """See `regret.choose`."""
        choose(boards, self.rule, self.numbers, actions)


class MatchingRule(DispatchRule):
    """Batch matching: as many shown bookings as can be, one a driver, at the least added cost.

    Of the matched pairs the one whose deadline comes first goes now; the board is matched anew for
    the next decision (the Hungarian method, `scipy.optimize.linear_sum_assignment`).
    """

    def choose(self, boards: Boards, actions: NDArray[np.int64]) -> None:
        """The most urgent pair of each board's best matching."""
        actions[:] = -1
        cost = np.where(boards.promised[:, None] > 0.0, NEVER, boards.cost)
        places = cost.shape[2]
        for row in np.flatnonzero((cost < NEVER).any(axis=(1, 2))):
            driver, place = most_urgent_match(cost[row], boards.deadline[row], NEVER)
            actions[row] = 1 + driver * places + place
        rules.best_moves(boards, _USUAL.worth, actions)
        rules.make_way(boards, actions)


def _pair_rule(short: str, rule: int, schema: Schema, argument: str | None) -> CompiledRule:
    name = f"expert:dispatch-{short}"
    no_argument(name, argument)
    return CompiledRule(name, rule, _USUAL, schema)


def nearest(schema: Schema, argument: str | None = None) -> CompiledRule:
    """``expert:dispatch-nearest``: the pickup that a driver reaches with the least driving."""
    return _pair_rule("nearest", rules.NEAREST, schema, argument)


def earliest(schema: Schema, argument: str | None = None) -> CompiledRule:
    """``expert:dispatch-earliest``: the deadline that comes first, by its nearest driver."""
    return _pair_rule("earliest", rules.EARLIEST, schema, argument)


def least_loaded(schema: Schema, argument: str | None = None) -> CompiledRule:
    """``expert:dispatch-least-loaded``: the drivers with the fewest stops, the nearest pickup."""
    return _pair_rule("least-loaded", rules.LEAST_LOADED, schema, argument)


def insertion(schema: Schema, argument: str | None = None) -> CompiledRule:
    """``expert:dispatch-insertion``: the pair that adds the least cost."""
    return _pair_rule("insertion", rules.INSERTION, schema, argument)


def matching(schema: Schema, argument: str | None = None) -> MatchingRule:
    """``expert:dispatch-matching``: the most urgent pair of the cheapest matching."""
    no_argument("expert:dispatch-matching", argument)
    return MatchingRule("expert:dispatch-matching", schema)


def regret(schema: Schema, argument: str | None = None) -> CompiledRule:
    """``expert:dispatch-regret[:K][:KIND][:NUMBERS]``, or ``:NAME[:NUMBERS]`` of a tuned one.

    It takes the booking with the most to lose.

    K is how many drivers regret compares, 2 by default. KIND is one of `numbers.KINDS`: ``slack``
    pays for tight plans, ``weigh`` also weighs refusals and what the other bookings lose, ``hold``
    is ``slack`` that promises late, and ``opportunity`` is ``weigh`` that does. NUMBERS are changes
    of what is weighed, such as ``share=0.2,worth=2``, see `numbers.Numbers`. NAME is one of
    `numbers.TUNED`, rules that a search found.

    ``expert:dispatch-regret:FILE`` has all numbers from a file that ``search-rule`` wrote.

    Raises:
        InputError: what follows the name is none of these.
    """
    name = "expert:dispatch-regret" if argument is None else f"expert:dispatch-regret:{argument}"
    return CompiledRule(name, rules.REGRET, read_numbers(name, argument), schema)

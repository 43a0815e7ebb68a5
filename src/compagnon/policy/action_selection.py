"""What is played: a policy's own best, or a draw from it, exploring only what is nearly as good.

Training and reports judge a policy by its greedy play. The service plays with the function that
stands here, the replay of its log does, and so does the evaluation of what is served; so what was
judged and what decides cannot come apart.

- **greedy** play takes the policy's own best action. Where several are equally good, to within
  what rounding does (`policy.network.TIE`), it takes the first of them, in every program.
  **sampled** play draws from its probabilities.
- With probability `explore` a decision draws uniformly among the actions that are nearly as good
  as the best one instead. A policy with probabilities holds those nearly as good whose probability
  is at least `near` times the greatest; a policy of values those whose value falls short of the
  greatest by at most `near` times what the mean of the possible ones falls short. The best one is
  always among them; where it is the only one, there is nothing to explore.
"""

import struct
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.policy.manifest import DeterministicHead, GaussianHead, Head, ValuesHead
from compagnon.policy.protocol import Policy
from compagnon.policy.sampling import draw, explored, uniform

PlayName = Literal["greedy", "sampled"]
Mode = Literal["deterministic", "sampled", "explored"]
GREEDY: Final = "greedy"
SAMPLED: Final = "sampled"
PLAYS: Final[tuple[PlayName, ...]] = (GREEDY, SAMPLED)
DETERMINISTIC: Final = "deterministic"
EXPLORED: Final = "explored"
FALLBACK: Final = "fallback"  # of a decision that an arm failed at; no mode of `played`
COST_SEED: Final = 2_000_000  # of what tells a play's cost: apart from training and reports
STEP: Final = 0x9E3779B97F4A7C15  # SplitMix64's own, from one number of a seed to the next
_MASK64: Final = 2**64 - 1
_OTHER: Final = np.dtype([("action", "<i4"), ("preference", "<f8")])
OTHER_BYTES: Final = _OTHER.itemsize  # of each action that `others` packs
_NEVER: Final = -np.inf
_PACK: Final = struct.Struct("<id").pack  # the same as `_OTHER`, of plain numbers


class PolicyOutput(NamedTuple):
    """What a policy of A actions says of N observations.

    Attributes:
        outputs: (N, A), of its network: logits, or the values of the actions.
        action: (N,), its own best one that is possible.
        probabilities: (N, A), 0 where an action is not possible; of a policy of values 1 for the
            best one.
        valued: `outputs` are values.
    """

    outputs: NDArray[np.floating]
    action: NDArray[np.int64]
    probabilities: NDArray[np.floating]
    valued: bool

    @property
    def preferences(self) -> NDArray[np.floating]:
        """(N, A), what its actions are ranked by: values, or probabilities."""
        return self.outputs if self.valued else self.probabilities


def output_of_rule(
    policy: Policy, obs: NDArray[np.float32], mask: NDArray[np.bool_]
) -> PolicyOutput:
    """What a rule does, as a vector that is 1 there: it leaves nothing to chance.

    Raises:
        InputError: it does what is not possible, or has no answer.
    """
    action = np.asarray(policy.act(obs, mask), np.int64)
    rows = np.arange(len(obs))
    if action.shape != rows.shape or not mask[rows, action].all():
        raise InputError(f"{policy.name} took an action that is not possible")
    sure = np.zeros(mask.shape)
    sure[rows, action] = 1.0
    return PolicyOutput(sure, action, sure, valued=False)


class Play(NamedTuple):
    """How a policy is played.

    Attributes:
        name: ``greedy`` or ``sampled``.
        explore: the share of decisions that explore, from 0 to 1.
        near: how near to the best an explored action must be, see the module; for vectors see
            `policy.vector_action_selection`. None where nothing is explored.
    """

    name: PlayName = GREEDY
    explore: float = 0.0
    near: float | None = None


def what_differs(play: Play) -> str:
    """What a service does that an evaluation does not: ``exploring 5 % of the decisions``."""
    exploring = f"exploring {100 * play.explore:g} % of the decisions"
    if play.name != SAMPLED:
        return exploring
    return f"sampling and {exploring}" if play.explore else "sampling"


class Nearness(NamedTuple):
    """How near to the best an explored action must be, for each kind of policy.

    Attributes:
        floor: of a policy with probabilities: a share of the greatest one.
        margin: of a policy of values: a share of the distance between the greatest value and the
            mean of the possible ones.
        spread: of a deterministic policy of vectors: the deviation of an explored component, as a
            share of half its range. A Gaussian policy explores with its own deviations.
    """

    floor: float = 0.25
    margin: float = 0.05
    spread: float = 0.1

    def of(self, head: Head) -> float | None:
        """The one that applies to a policy with this head; None for a Gaussian one."""
        if isinstance(head, GaussianHead):
            return None
        if isinstance(head, DeterministicHead):
            return self.spread
        return self.margin if isinstance(head, ValuesHead) else self.floor


class Quota(Protocol):
    """Says how much each of the decisions that are made together may explore; asked in order."""

    def rate(self, row: int, /) -> float:
        """The share of exploration that applies to a row."""
        ...

    def explored(self, row: int, /) -> None:
        """This row explores."""
        ...


class Steady:
    """The same share for everybody."""

    def __init__(self, rate: float) -> None:
        self._rate = rate

    def rate(self, row: int, /) -> float:  # noqa: ARG002
        """The share."""
        return self._rate

    def explored(self, row: int, /) -> None:
        """Nothing is counted."""


class PlayedAction(NamedTuple):
    """One decision.

    Attributes:
        action: that was taken.
        probabilities: (A,) float64, what it was drawn from; 0 outside the mask.
        mode: ``deterministic`` where nothing was left to chance, ``explored`` where chance said to
            explore, else ``sampled``.
        rate: the share of exploration that applied; 0 where there was nothing to explore.
    """

    action: int
    probabilities: NDArray[np.float64]
    mode: Mode
    rate: float


def played(
    said: PolicyOutput,
    mask: NDArray[np.bool_],
    play: Play,
    seeds: Sequence[int],
    quota: Quota | None = None,
) -> list[PlayedAction]:
    """Decide N times.

    The first number of a seed draws from the policy, the second says whether this decision
    explores, and the third what. So the same seed without exploration gives the same decision
    wherever none was explored.

    Args:
        mask: (N, A), what is possible.
        seeds: N, see `drawing.decision_seed`.
        quota: instead of `play.explore` for everybody.

    Raises:
        InputError: outputs that are no numbers, or no action is possible.
    """
    _check(said, mask)
    base = _base(said, mask, play.name)
    if not play.explore:
        return [_own(play.name, base[row], said, row, seeds[row]) for row in range(len(mask))]
    if not 0.0 <= play.explore <= 1.0:
        raise InputError(f"explore={play.explore}: give a number from 0 to 1")
    if play.near is None:
        raise InputError("near: say how near to the best an explored action must be")
    quota = quota or Steady(play.explore)
    near = nearly_best(said, mask, play.near)
    counts = np.count_nonzero(near, axis=1).tolist()
    made = []
    for row, (seed, count) in enumerate(zip(seeds, counts, strict=True)):
        rate = quota.rate(row) if count > 1 else 0.0
        if not rate:
            made.append(_own(play.name, base[row], said, row, seed))
            continue
        probabilities = base[row] * (1.0 - rate) + near[row] * (rate / count)
        if number(seed, 1) < rate:
            quota.explored(row)
            candidates = np.flatnonzero(near[row])
            action = int(candidates[min(int(number(seed, 2) * count), count - 1)])
            made.append(PlayedAction(action, probabilities, EXPLORED, rate))
        else:
            own = _own(play.name, base[row], said, row, seed)
            made.append(PlayedAction(own.action, probabilities, SAMPLED, rate))
    return made


def number(seed: int, place: int) -> float:
    """A number in [0, 1) of a seed; the one at place 0 is `drawing.uniform`."""
    return uniform((seed + place * STEP) & _MASK64)


def nearly_best(said: PolicyOutput, mask: NDArray[np.bool_], near: float) -> NDArray[np.bool_]:
    """(N, A): the possible actions that are nearly as good as the best one, itself included."""
    preferences = np.where(mask, said.preferences, _NEVER).astype(np.float64)
    best = preferences.max(axis=1, keepdims=True)
    if said.valued:
        # Sums run from left to right, so that they are the same on every machine.
        total = np.add.accumulate(np.where(mask, said.outputs, 0.0), axis=1, dtype=np.float64)
        mean = total[:, -1:] / np.count_nonzero(mask, axis=1)[:, None]
        found = preferences >= best - near * (best - mean)
    else:
        found = preferences >= near * best
    found &= mask
    found[np.arange(len(mask)), said.action] = True
    return np.asarray(found, np.bool_)


def others(
    said: PolicyOutput, mask: NDArray[np.bool_], actions: Sequence[int], counts: Sequence[int]
) -> list[bytes]:
    """Of N decisions the possible actions, `counts` of them, that the policy likes best but for the
    one that was taken; of those that it likes as much the first comes first.

    Returns:
        N times pairs of an action and the policy's own preference, packed; see `unpacked`.
    """
    most = min(max(counts, default=0), mask.shape[1] - 1)
    if not most:
        return [b""] * len(actions)
    if len(actions) == 1:  # the hot case does with single numbers
        return [_others(said.preferences[0], mask[0], actions[0], most)]
    left = np.where(mask, said.preferences, _NEVER).astype(np.float64)
    rows = np.arange(len(left))
    left[rows, list(actions)] = _NEVER
    found = np.empty((len(left), most), _OTHER)
    for place in range(most):  # a few passes that only compare, without a sort
        best = left.argmax(axis=1)
        found["action"][:, place] = best
        found["preference"][:, place] = left[rows, best]
        left[rows, best] = _NEVER
    possible = np.minimum(np.count_nonzero(mask, axis=1) - 1, most).tolist()
    return [
        row[: min(some, count)].tobytes()
        for row, some, count in zip(found, possible, counts, strict=True)
    ]


def _others(
    preferences: NDArray[np.floating], mask: NDArray[np.bool_], action: int, count: int
) -> bytes:
    """`others` of one row, (A,)."""
    left = np.where(mask, preferences, _NEVER)
    left[action] = _NEVER
    packed = b""
    for _ in range(count):
        best = left.argmax()
        preference = float(left[best])
        if preference == _NEVER:
            break
        packed += _PACK(int(best), preference)
        left[best] = _NEVER
    return packed


def unpacked(packed: bytes) -> list[tuple[int, float]]:
    """The actions and preferences that `others` packed."""
    pairs: list[tuple[int, float]] = np.frombuffer(packed, _OTHER).tolist()
    return pairs


def _check(said: PolicyOutput, mask: NDArray[np.bool_]) -> None:
    if not np.isfinite(said.outputs).all():
        row = int(np.argmin(np.isfinite(said.outputs).all(axis=1)))
        raise InputError(f"the outputs of row {row} are not finite numbers")
    if not mask.any(axis=1).all():
        raise InputError("mask: no action is possible")


def _base(said: PolicyOutput, mask: NDArray[np.bool_], name: str) -> NDArray[np.float64]:
    """(N, A): what is drawn from without exploration."""
    if name == SAMPLED:
        return explored(said.probabilities, mask, 0.0)
    base = np.zeros(mask.shape)
    base[np.arange(len(mask)), said.action] = 1.0
    return base


def _own(
    name: PlayName, base: NDArray[np.float64], said: PolicyOutput, row: int, seed: int
) -> PlayedAction:
    """The decision of one row without exploration; `base` (A,)."""
    if name == GREEDY:
        return PlayedAction(int(said.action[row]), base, DETERMINISTIC, 0.0)
    return PlayedAction(draw(base, seed), base, SAMPLED, 0.0)

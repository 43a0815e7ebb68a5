"""Logged decisions as arrays, the one form of data that all off-policy estimators take."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compagnon.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

SUM_TOLERANCE: Final = 1e-5  # of the sum of a target's row: float32 sums of hundreds of actions
_TYPES: Final[Mapping[str, tuple[type[np.generic], int]]] = {
    "unit": (np.int64, 1),
    "episode": (np.int64, 1),
    "step": (np.int64, 1),
    "obs": (np.float32, 2),
    "action_mask": (np.bool_, 2),
    "probabilities": (np.float64, 2),
    "action": (np.int64, 1),
    "propensity": (np.float64, 1),
    "reward": (np.float64, 1),
    "terminated": (np.bool_, 1),
    "arm": (np.int64, 1),
    "time": (np.float64, 1),
}


@dataclass(frozen=True, eq=False)
class LoggedDecisions:
    """N logged decisions; a bandit is the case of episodes of length one.

    What is given is copied into the types below. The rows may come in any order. That the logged
    probabilities are sound is not asked here: `quality` tests it and says the figure.

    Attributes:
        unit: (N,) int64, what was randomised or is independent: an episode, a key, a block of a
            switchback. All decisions of an episode are of one unit.
        episode: (N,) int64.
        step: (N,) int64, the order within the episode: 0, 1, 2, ... without a gap.
        obs: (N, F) float32, what the policy saw.
        action_mask: (N, A) bool, what was possible.
        probabilities: (N, A) float64, of each action, as logged.
        action: (N,) int64, that was taken.
        propensity: (N,) float64, the logged probability of the action that was taken.
        reward: (N,) float64; NaN where the outcome is missing.
        terminated: (N,) bool, the episode is over after this decision, and nothing follows. False
            at an episode's last step means that the log ends there, and the episode does not.
        arm: (N,) int64, of the experiment.
        time: (N,) float64, seconds since 1970.

    Raises:
        InputError: a shape or a value that cannot be; it names field and row.
    """

    unit: Ints
    episode: Ints
    step: Ints
    obs: NDArray[np.float32]
    action_mask: Bools
    probabilities: Floats
    action: Ints
    propensity: Floats
    reward: Floats
    terminated: Bools
    arm: Ints
    time: Floats

    def __post_init__(self) -> None:
        for name, (kind, dimensions) in _TYPES.items():
            object.__setattr__(self, name, _array(name, getattr(self, name), kind, dimensions))
        rows = len(self.unit)
        if not rows:
            raise InputError("unit: no decision is there; give at least one row")
        for name in _TYPES:
            if len(getattr(self, name)) != rows:
                had = len(getattr(self, name))
                raise InputError(f"{name}: {had:,} rows, but unit has {rows:,}")
        if self.probabilities.shape != self.action_mask.shape:
            raise InputError(
                f"probabilities: shape {self.probabilities.shape}, but action_mask has "
                f"{self.action_mask.shape}"
            )
        self._check_values()
        self._check_episodes()

    def _check_values(self) -> None:
        refuse_rows("obs", ~np.isfinite(self.obs).all(axis=1), "give finite numbers")
        for name in ("propensity", "time"):
            values = getattr(self, name)
            refuse_rows(name, ~np.isfinite(values), "give a finite number", values)
        refuse_rows("reward", np.isinf(self.reward), "give a finite number, or NaN if missing")
        bad = ~(np.isfinite(self.probabilities) & (self.probabilities >= 0.0)).all(axis=1)
        refuse_rows("probabilities", bad, "give finite numbers, none below 0")
        refuse_rows("propensity", self.propensity < 0.0, "give none below 0", self.propensity)
        last = self.actions - 1
        outside = (self.action < 0) | (self.action > last)
        refuse_rows("action", outside, f"give a whole number from 0 to {last}", self.action)
        refuse_rows("action_mask", ~self.action_mask.any(axis=1), "at least one action is possible")

    def _check_episodes(self) -> None:
        order = self.order
        same = np.zeros(len(order), np.bool_)
        same[1:] = self.episode[order][1:] == self.episode[order][:-1]
        expected = np.zeros(len(order), np.int64)
        expected[1:] = self.step[order][:-1] + 1
        expected[~same] = 0
        wrong = _at_rows(order, self.step[order] != expected)
        refuse_rows("step", wrong, "an episode's steps are 0, 1, 2, ..., each once", self.step)
        unit, ended = self.unit[order], self.terminated[order]
        moved, late = np.zeros_like(same), np.zeros_like(same)
        moved[1:] = same[1:] & (unit[1:] != unit[:-1])
        late[1:] = same[1:] & ended[:-1]
        refuse_rows("unit", _at_rows(order, moved), "an episode belongs to one unit", self.unit)
        refuse_rows("terminated", _at_rows(order, late), "nothing follows an episode's end")

    @property
    def rows(self) -> int:
        """N, the number of decisions."""
        return len(self.unit)

    @property
    def actions(self) -> int:
        """A, the number of actions."""
        return int(self.action_mask.shape[1])

    @property
    def order(self) -> Ints:
        """(N,) the rows, sorted by episode and step."""
        return np.lexsort((self.step, self.episode)).astype(np.int64)

    @property
    def is_bandit(self) -> bool:
        """Every episode is one decision."""
        return not self.step.any()

    @property
    def unit_index(self) -> Ints:
        """(N,) which of the units, counted from 0 in the order of their numbers."""
        return np.unique(self.unit, return_inverse=True)[1].astype(np.int64)

    @property
    def units(self) -> int:
        """U, the number of units."""
        return len(np.unique(self.unit))

    def take(self, rows: ArrayLike) -> "LoggedDecisions":
        """Some rows, by number or as (N,) truth values; whole episodes, or it is refused."""
        chosen = np.asarray(rows)
        return LoggedDecisions(
            **{one.name: getattr(self, one.name)[chosen] for one in fields(self)}
        )

    def observed(self) -> "LoggedDecisions":
        """Without the episodes that miss an outcome: right only where it is missing by chance.

        Raises:
            InputError: every episode misses one.
        """
        missing = self.unobserved
        if missing.all():
            raise InputError("reward: every episode misses an outcome; wait until some are there")
        return self.take(~missing)

    @property
    def unobserved(self) -> Bools:
        """(N,) decisions of episodes that miss an outcome."""
        return np.isin(self.episode, self.episode[np.isnan(self.reward)])


def of_bandit(
    obs: ArrayLike,
    action_mask: ArrayLike,
    probabilities: ArrayLike,
    action: ArrayLike,
    reward: ArrayLike,
    unit: ArrayLike | None = None,
) -> LoggedDecisions:
    """N decisions that are each an episode of their own, as `LoggedDecisions` of one arm.

    Args:
        unit: (N,); None makes each decision a unit.
    """
    vectors = np.asarray(probabilities, np.float64)
    taken = np.asarray(action, np.int64)
    rows = np.arange(len(taken))
    if vectors.ndim != 2 or len(vectors) != len(rows):
        raise InputError(f"probabilities: shape {vectors.shape}, but action has {len(rows)} rows")
    outside = (taken < 0) | (taken >= vectors.shape[1])
    refuse_rows("action", outside, f"give 0 to {vectors.shape[1] - 1}", taken)
    given: dict[str, Any] = {
        "unit": rows if unit is None else unit,
        "obs": obs,
        "action_mask": action_mask,
        "probabilities": vectors,
        "action": taken,
        "propensity": vectors[rows, taken],
        "reward": reward,
    }
    nothing = np.zeros(len(rows))
    return LoggedDecisions(
        **given,
        episode=rows,
        step=nothing,  # type: ignore[arg-type]  # cast when it is made
        terminated=np.ones(len(rows), np.bool_),
        arm=nothing,  # type: ignore[arg-type]
        time=nothing,
    )


def checked_target(logged: LoggedDecisions, probabilities: ArrayLike, name: str) -> Floats:
    """What a policy would play on the logged obs, (N, A) float64.

    Args:
        name: of the policy, for the message.

    Raises:
        InputError: another shape, a row that does not sum to 1, or a probability of an action that
            was not possible.
    """
    found = np.asarray(probabilities, np.float64)
    if found.shape != logged.action_mask.shape:
        shape = logged.action_mask.shape
        raise InputError(f"{name}: shape {found.shape}; give {shape}, a row for each decision")
    bad = ~(np.isfinite(found) & (found >= 0.0)).all(axis=1)
    refuse_rows(name, bad, "give finite probabilities, none below 0")
    total = found.sum(axis=1)
    refuse_rows(name, np.abs(total - 1.0) > SUM_TOLERANCE, "a row should sum to 1", total)
    outside = np.where(logged.action_mask, 0.0, found).sum(axis=1)
    refuse_rows(name, outside > 0.0, "an action outside the mask should have 0", outside)
    scaled: Floats = found / total[:, None]
    return scaled


def refuse_rows(field: str, rows: ArrayLike, right: str, values: Any = None) -> None:
    """Raise `InputError` that names the first of the wrong rows, and how many there are."""
    wrong = np.asarray(rows)
    if not wrong.any():
        return
    row, count = int(np.argmax(wrong)), int(wrong.sum())
    had = "" if values is None else f" is {values[row]}"
    more = f" ({count:,} such rows)" if count > 1 else ""
    raise InputError(f"{field}, row {row}{had}: {right}{more}")


def _at_rows(order: Ints, wrong: Bools) -> Bools:
    """What was found in sorted rows, at the rows as they were given."""
    found = np.zeros(len(order), np.bool_)
    found[order] = wrong
    return found


def _array(name: str, given: Any, kind: type[np.generic], dimensions: int) -> NDArray[Any]:
    found = np.asarray(given)
    if found.ndim != dimensions:
        right = "(N,)" if dimensions == 1 else "(N, width)"
        raise InputError(f"{name}: shape {found.shape}; give {right}")
    if found.dtype.kind not in "biuf":
        raise InputError(f"{name}: {found.dtype} is no kind of number")
    if kind in (np.int64, np.bool_) and found.dtype.kind == "f":
        refuse_rows(name, found != np.floor(found), "give whole numbers", found)
    if kind is np.bool_ and found.dtype != np.bool_:
        wrong = (found != 0) & (found != 1)
        refuse_rows(name, wrong if dimensions == 1 else wrong.any(axis=1), "give True or False")
    copied = found.astype(kind)
    copied.setflags(write=False)
    return copied

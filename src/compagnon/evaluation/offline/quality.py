"""Is a log fit to be learnt from? Each fault is found by a figure, before anything is estimated."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from compagnon.errors import InputError
from compagnon.evaluation.offline.calibration import DrawTest, draw_test
from compagnon.evaluation.offline.drift import drift_of_fields, ks_threshold
from compagnon.evaluation.offline.logged import Bools, Floats, LoggedDecisions, checked_target
from compagnon.evaluation.offline.ratios import by_group, mean_of

ALARM: Final = 0.01  # of a clean log, by all tests together; each of them has its share
_DRAWS: Final = 0.006  # of that, for the tests of what was drawn
_TARGETS: Final = 0.002
_MISSING: Final = 0.001
_DRIFT: Final = 0.001
_SUM: Final = 1e-5  # float32 sums of some hundred probabilities
_EQUAL: Final = 1e-6
_PSI: Final = 0.25
_WORDS: Final = {
    "greedy_rate": "the likeliest action was taken {:,.0f} times, {:,.1f} expected",
    "surprise": "the draws are worth {:.4f} nats each, {:.4f} expected",
    "uniform_weight": "the mean weight of the uniform policy is {:.4f}, {:.4f} expected",
    "masked_exploring": "exploring, by what is masked, comes to {:,.1f}, {:,.1f} expected",
}
_PER_ROW: Final = ("surprise", "uniform_weight")


class QualityTest(NamedTuple):
    """One test.

    Attributes:
        name: in snake case.
        figure: what was measured.
        threshold: what it may be; `good` says on which side.
        good: passed.
        verdict: a sentence for a person, with the figure.
    """

    name: str
    figure: float
    threshold: float
    good: bool
    verdict: str


@dataclass(frozen=True)
class QualityReport:
    """All tests of a log, in the order in which they are worth reading."""

    tests: tuple[QualityTest, ...]

    @property
    def good(self) -> bool:
        """Every test passed."""
        return all(test.good for test in self.tests)

    @property
    def faults(self) -> tuple[QualityTest, ...]:
        """Those that failed."""
        return tuple(test for test in self.tests if not test.good)

    def refuse_unless_good(self) -> None:
        """Nothing is estimated or trained on a log that fails.

        Raises:
            InputError: a test failed; it says the figures.
        """
        if not self.good:
            raise InputError("the log is refused: " + "; ".join(one.verdict for one in self.faults))


def check_quality(
    logged: LoggedDecisions,
    targets: Mapping[str, ArrayLike] | None = None,
    reference: LoggedDecisions | None = None,
) -> QualityReport:
    """Test a log. A clean one fails with probability `ALARM` at most.

    The tests of what was drawn run on the rows whose probabilities are in order.

    Args:
        targets: by name (N, A): what other policies would play on the logged obs. Those that are
            to be estimated; the other arm's; and every earlier version that might still be
            deciding somewhere: the mean weight of its vectors is the sharpest test of that.
        reference: the log that the policy was trained on, for drift.
    """
    tests, sound = _rows(logged)
    if sound.any():
        tests += _drawn(logged, sound)
        tests += _weights(logged, sound, targets or {})
    tests += _missing(logged)
    if reference is not None:
        tests += _drift(logged, reference)
    return QualityReport(tuple(tests))


def _rows(logged: LoggedDecisions) -> tuple[list[QualityTest], Bools]:
    """What has to be true of every row, and which rows pass all of it."""
    vectors, taken = logged.probabilities, logged.propensity
    chosen = vectors[np.arange(logged.rows), logged.action]
    masked = np.where(logged.action_mask, 0.0, vectors).sum(axis=1)
    shut = ~logged.action_mask[np.arange(logged.rows), logged.action]
    faults: dict[str, tuple[Bools, str, Floats]] = {
        "sum": (np.abs(vectors.sum(axis=1) - 1) > _SUM, "sum to 1", vectors.sum(axis=1)),
        "masked": (masked > 0.0, "give masked actions 0", masked),
        "allowed": (shut, "take an action that was possible", logged.action.astype(np.float64)),
        "chosen": (np.abs(chosen - taken) > _EQUAL, "log its vector's p(action)", taken),
        "positive": ((taken <= 0.0) | (chosen <= 0.0), "take what had a probability", taken),
    }
    tests, sound = [], np.ones(logged.rows, np.bool_)
    for name, (wrong, promise, figure) in faults.items():
        count = int(wrong.sum())
        first = int(wrong.argmax())
        verdict = (
            f"{count:,} of {logged.rows:,} rows do not {promise}; the first is row {first}, with "
            f"{figure[first]:.6g}"
            if count
            else f"all {logged.rows:,} rows {promise}"
        )
        tests.append(QualityTest(f"rows_{name}", count, 0, not count, verdict))
        sound &= ~wrong
    return tests, sound


def _drawn(logged: LoggedDecisions, sound: Bools) -> Iterator[QualityTest]:
    """Sums of scores that see a wrong rate of exploring, a wrong temperature, draws by another
    policy, and exploring that was shared out among the wrong number of actions.
    """
    vectors, mask = logged.probabilities[sound], logged.action_mask[sound]
    vectors = vectors / vectors.sum(axis=1, keepdims=True)
    action = logged.action[sound]
    safe = np.where(vectors > 0.0, vectors, 1.0)
    valid = np.count_nonzero(mask, axis=1)[:, None]
    # Of several that are equally likely all count: no fault makes one of them better than another.
    greedy = (vectors >= vectors.max(axis=1, keepdims=True) - 1e-12).astype(np.float64)
    scores = {
        "greedy_rate": greedy,
        "surprise": -np.log(safe),
        "uniform_weight": 1.0 / (safe * valid),
        # What sees best that eps / A was logged where eps / k was played.
        "masked_exploring": (1.0 - greedy) * (logged.actions / valid - 1.0),
    }
    for name, score in scores.items():
        found = draw_test(score, vectors, action, lattice=float(name == "greedy_rate"))
        per = len(action) if name in _PER_ROW else 1
        words = _WORDS[name].format(found.total / per, found.expected / per)
        yield _of_draws(name, found, _DRAWS / len(scores), words)


def _weights(
    logged: LoggedDecisions, sound: Bools, targets: Mapping[str, ArrayLike]
) -> Iterator[QualityTest]:
    """The mean importance weight of each target: 1, where the log could have taken all it plays."""
    vectors = logged.probabilities[sound]
    vectors = vectors / vectors.sum(axis=1, keepdims=True)
    action, unit = logged.action[sound], np.unique(logged.unit[sound], return_inverse=True)[1]
    for name, given in targets.items():
        target = checked_target(logged, given, f"targets[{name!r}]")[sound]
        score = np.divide(target, vectors, out=np.zeros_like(target), where=vectors > 0.0)
        found = draw_test(score, vectors, action)
        weight = score[np.arange(len(action)), action]
        ratios = mean_of(by_group(weight, unit), by_group(np.ones(len(weight)), unit))
        error = float(ratios.values(np.ones((1, ratios.units)))[1][0])
        words = (
            f"the mean weight of {name} is {weight.mean():.4f} "
            f"({weight.mean() - 1.96 * error:.4f} to {weight.mean() + 1.96 * error:.4f} by units), "
            f"{found.expected / len(action):.4f} expected"
        )
        yield _of_draws(f"mean_weight_{name}", found, _TARGETS / len(targets), words)


def _of_draws(name: str, found: DrawTest, alarm: float, words: str) -> QualityTest:
    good = found.p_value >= alarm
    chance = f"by chance once in {1 / max(found.p_value, 1e-12):,.0f} logs"
    verdict = f"{words}: {'as the probabilities say' if good else f'so far off {chance}'}"
    return QualityTest(name, found.p_value, alarm, good, verdict)


def _missing(logged: LoggedDecisions) -> Iterator[QualityTest]:
    """Missing outcomes: the same share in every arm, as a comparison of unit means says."""
    gone = np.isnan(logged.reward)
    arms = np.unique(logged.arm)
    alarm = _MISSING / max(len(arms), 1)
    words, worst = [], 1.0
    for arm in arms:
        inside = logged.arm == arm
        words.append(f"{100 * gone[inside].mean():.2f} % in arm {arm}")
        if len(arms) > 1:
            worst = min(worst, _difference(logged, gone, inside))
    good = worst >= alarm
    verdict = f"outcomes missing: {', '.join(words)}" + ("" if good else ", which differ")
    yield QualityTest("missing_outcomes", worst, alarm, good, verdict)


def _difference(logged: LoggedDecisions, gone: Bools, inside: Bools) -> float:
    """The p-value of a share being the same inside and outside, by units; 1 where too few tell."""
    means, variances = [], []
    for rows in (inside, ~inside):
        unit = np.unique(logged.unit[rows], return_inverse=True)[1]
        ratios = mean_of(
            by_group(gone[rows].astype(np.float64), unit), by_group(np.ones(len(unit)), unit)
        )
        # As if one more unit missed an outcome and one more had it: an arm without any has an
        # error too.
        share = (ratios.value * ratios.units + 1) / (ratios.units + 2)
        error = float(ratios.values(np.ones((1, ratios.units)))[1][0])
        means.append(ratios.value)
        variances.append(max(error**2, share * (1 - share) / len(unit)))
    return _two_sided((means[0] - means[1]) / math.sqrt(sum(variances)))


def _drift(logged: LoggedDecisions, reference: LoggedDecisions) -> Iterator[QualityTest]:
    """Each field, beside the reference: failed where PSI and Kolmogorov-Smirnov both say so."""
    found = drift_of_fields(logged.obs, reference.obs)
    limit = ks_threshold(logged.units, reference.units, _DRIFT / max(len(found), 1))
    for field, (psi, ks) in enumerate(found):
        good = psi < _PSI or ks < limit
        verdict = (
            f"field {field}: PSI {psi:.3f} and KS {ks:.3f} beside the reference: "
            f"{'no drift' if good else f'drift (above {_PSI:g} and {limit:.3f})'}"
        )
        yield QualityTest(f"drift_field_{field}", psi, _PSI, good, verdict)


def _two_sided(z: float) -> float:
    return math.erfc(abs(z) / math.sqrt(2.0))

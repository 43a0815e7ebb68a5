"""How often experiments are wrong, and how often they find what is there, by simulation.

python benchmarks/experiment_errors.py [--quick] [--seed 1]
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from compagnon.operations.experiments import (
    Decisions,
    Difference,
    ExperimentPlan,
    Metric,
    Sticky,
    Verdict,
    minimum_detectable_effect,
    status_of,
    take_look,
    units_of,
)
from compagnon.operations.experiments.assignment import switchback_arms
from compagnon.operations.experiments.boundaries import (
    crossing_probabilities,
    next_bound,
    obrien_fleming,
    obrien_fleming_constant,
)
from compagnon.operations.experiments.confidence_sequence import multiplier
from compagnon.operations.experiments.sample_ratio import ALPHA, sample_ratio_p_value
from compagnon.operations.experiments.student import normal_quantile

Floats = NDArray[np.float64]
LOOKS, HOURLY, UNITS = 14, 336, 50  # looks; looks every hour of 14 days; units of an arm and look
MDE80 = normal_quantile(0.975) + normal_quantile(0.8)  # of one test, in its standard errors
BLOCK = 500  # replications at a time
# Of the market: blocks of 6 hours in 14 days, quarters of an hour in each, paired a day apart.
ZONES, BLOCKS, QUARTERS, LAG, AT_ONCE = 4, 56, 24, 4, 50
START = datetime(2026, 3, 2, tzinfo=UTC)


@dataclass(frozen=True)
class Row:
    """A share of replications, and what it should be."""

    what: str
    times: int
    of: int
    expected: str

    @property
    def share(self) -> float:
        return self.times / self.of

    def __str__(self) -> str:
        error = 1.96 * math.sqrt(max(self.share * (1 - self.share), 1e-9) / self.of)
        return f"{self.what:76}{self.share:8.3f} +- {error:.3f}   {self.expected}"


def z_scores(
    rng: np.random.Generator, replications: int, looks: int, units: int, effect: float = 0.0
) -> Floats:
    """Welch's statistic of each look, (R, looks), of leaning figures (gamma, shape 4) of units.

    Args:
        units: that each look adds to each arm.
        effect: of the treated, in standard errors of the difference after `LOOKS * UNITS` units.
    """
    shift = effect * 2.0 * math.sqrt(2 / (LOOKS * UNITS))  # the figures' deviation is 2
    count = units * np.arange(1, looks + 1)
    sums = []
    for moved in (0.0, shift):
        figures = rng.gamma(4.0, 1.0, (replications, looks, units)) + moved
        total, square = figures.sum(axis=2).cumsum(1), (figures**2).sum(axis=2).cumsum(1)
        sums.append((total / count, (square - total**2 / count) / (count - 1)))
    (control, v0), (treated, v1) = sums
    scores: Floats = (treated - control) / np.sqrt((v0 + v1) / count)
    return scores


def in_blocks(replications: int) -> Iterator[int]:
    for begin in range(0, replications, BLOCK):
        yield min(BLOCK, replications - begin)


def looks(rng: np.random.Generator, replications: int) -> Iterator[Row]:
    """Of even looks at one experiment: A/A, and with the effect that one test finds in 80 %."""
    fractions = tuple((k + 1) / LOOKS for k in range(LOOKS))
    c = obrien_fleming_constant(fractions)
    further = c / np.sqrt(np.arange(1, 2 * LOOKS + 1) / LOOKS)
    best_at = 2.0 * LOOKS * UNITS
    cs = np.array([multiplier(2 * UNITS * k, 0.05, best_at) for k in range(1, LOOKS + 1)])
    bounds = np.array(obrien_fleming(fractions))
    hits = dict.fromkeys(("naive", "obf", "cs", "twice", "obf power", "cs power", "fixed"), 0)
    for size in in_blocks(replications):
        same = np.abs(z_scores(rng, size, 2 * LOOKS, UNITS))
        hits["twice"] += int((same > further).any(axis=1).sum())
        same = same[:, :LOOKS]
        hits["naive"] += int((same > normal_quantile(0.975)).any(axis=1).sum())
        hits["obf"] += int((same > bounds).any(axis=1).sum())
        hits["cs"] += int((same > cs).any(axis=1).sum())
        moved = z_scores(rng, size, LOOKS, UNITS, MDE80)
        hits["obf power"] += int((moved > bounds).any(axis=1).sum())
        hits["cs power"] += int((moved > cs).any(axis=1).sum())
        hits["fixed"] += int((moved[:, -1] > normal_quantile(0.975)).sum())
    print(f"O'Brien-Fleming constant of {LOOKS} even looks at 0.05: {c:.4f}")
    a_a, a_b = f"A/A, {LOOKS} looks: ", f"effect = MDE80, {LOOKS} looks: "
    for name, what, expected in (
        ("naive", a_a + "naive peeking at 1.96", "0.22 to 0.23"),
        ("obf", a_a + "O'Brien-Fleming", "0.05"),
        ("cs", a_a + "confidence sequence", "about 0.01"),
        ("twice", f"A/A, O'Brien-Fleming of {LOOKS} looks used for {2 * LOOKS}", "0.22"),
        ("fixed", "effect = MDE80, one test at the end", "0.80"),
        ("obf power", a_b + "found by O'Brien-Fleming", "0.78"),
        ("cs power", a_b + "found by the confidence sequence", "0.49"),
    ):
        yield Row(what, hits[name], replications, expected)


def hourly(rng: np.random.Generator, replications: int) -> Iterator[Row]:
    """A confidence sequence that is looked at every hour of 14 days."""
    units = max(2, LOOKS * UNITS // HOURLY)
    ends = [2 * units * k for k in range(1, HOURLY + 1)]
    bounds = np.array([multiplier(n, 0.05, ends[-1]) for n in ends])
    bounds[:6] = np.inf  # before 12 units an arm the permutation test speaks
    times = 0
    for size in in_blocks(replications):
        scores = np.abs(z_scores(rng, size, HOURLY, units))
        times += int((scores > bounds).any(axis=1).sum())
    yield Row(f"A/A, {HOURLY} looks: confidence sequence", times, replications, "at most 0.05")


def uneven(rng: np.random.Generator, replications: int) -> Iterator[Row]:
    """Looks at even times in traffic that is not even: three times as much, or a third, midway."""
    fractions = tuple((k + 1) / LOOKS for k in range(LOOKS))
    bounds = np.array(obrien_fleming(fractions))
    spent = crossing_probabilities(fractions, obrien_fleming_constant(fractions)).sum(1).cumsum()
    for low, high, words in ((1, 3, "triples midway"), (3, 1, "falls to a third midway")):
        variance = np.repeat([low, high], LOOKS // 2).astype(float)
        seen = variance.cumsum()
        steps = rng.normal(size=(replications, LOOKS)) * np.sqrt(variance)
        scores = np.abs(steps.cumsum(1)) / np.sqrt(seen)
        spending: list[float] = []
        for k in range(LOOKS):
            spending.append(next_bound(seen[: k + 1].tolist(), spending, spent[k]))
        head = f"A/A, {LOOKS} looks, traffic {words}: "
        for used, name, expected in (
            (bounds, "bounds as planned", ""),
            (np.array(spending), "bounds by what was spent", "0.05"),
        ):
            wrong = int((scores > used).any(axis=1).sum())
            yield Row(head + name, wrong, replications, expected)


def decisions(rng: np.random.Generator, replications: int) -> Iterator[Row]:
    """Two arms of 100 keys without a difference; decisions of a key are correlated by 0.2."""
    keys, correlation = 100, 0.2
    for words, expected in (("10", "0.24"), ("about 10", "about 0.35")):
        by_decision = by_key = 0
        for _ in range(replications):
            count = np.full(2 * keys, 10) if words == "10" else rng.geometric(0.1, 2 * keys)
            own = np.repeat(rng.normal(0, math.sqrt(correlation), 2 * keys), count)
            values = own + rng.normal(0, math.sqrt(1 - correlation), len(own))
            key = np.repeat(np.arange(2 * keys), count)
            means = np.bincount(key, values) / count
            by_key += Difference(means[:keys], means[keys:]).p_value() < 0.05
            split = int(count[:keys].sum())
            by_decision += Difference(values[:split], values[split:]).p_value() < 0.05
        head = f"A/A, {words} decisions a key, correlation 0.2: "
        yield Row(head + "z-test of decisions", by_decision, replications, expected)
        yield Row(head + "test of keys", by_key, replications, "0.05 to 0.06")


def market(
    rng: np.random.Generator, treated: NDArray[np.bool_], capacity: int = 20, weight: float = 1.3
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Customers who share drivers: what one arm's policy gives to its own, the other's lack.

    Each quarter of an hour customers come and drivers become free; a waiting treated customer is
    `weight` times as likely to be the next one who is served, and a third of those not served give
    up. However many are treated, as many are served: to deploy the policy would change nothing.

    Args:
        treated: (R, T) share of those who come in each quarter that are treated, 0, 0.5 or 1.

    Returns:
        who came and who of them was served, (R, T, 2) each, by arm; counted when they leave.
    """
    replications, quarters = treated.shape
    waiting = np.zeros((replications, 2), np.int64)
    left = np.zeros((replications, quarters, 2), np.int64)
    served = np.zeros_like(left)
    busy = np.ones(replications)  # demand has good and bad hours, which all of a zone share
    for quarter in range(quarters):
        busy = np.exp(0.9 * np.log(busy) + rng.normal(0, 0.15, replications))
        coming = rng.poisson(capacity * busy)
        new = rng.binomial(coming, treated[:, quarter])
        waiting += np.stack([coming - new, new], axis=1)
        free = np.minimum(rng.poisson(capacity, replications), waiting.sum(axis=1))
        odds = weight * waiting[:, 1] / np.maximum(weight * waiting[:, 1] + waiting[:, 0], 1)
        given = np.clip(rng.binomial(free, odds), free - waiting[:, 0], waiting[:, 1])
        taken = np.stack([free - given, given], axis=1)
        waiting -= taken
        gone = rng.binomial(waiting, 1 / 3)
        waiting -= gone
        left[:, quarter], served[:, quarter] = taken + gone, taken
    return left, served


def interference(rng: np.random.Generator, replications: int) -> Iterator[Row]:
    """The market in 4 zones for 14 days, split by customer, or switched in blocks of 6 hours."""
    by_customer = switched = by_unit = 0
    for begin in range(0, replications, AT_ONCE):
        size = min(AT_ONCE, replications - begin)
        left, served = market(rng, np.full((size * ZONES, BLOCKS * QUARTERS), 0.5))
        for one in zip(_by_day(left, size), _by_day(served, size), strict=True):
            by_customer += _of_customers(*(counts.sum(axis=(0, 1)) for counts in one)) < 0.05
        arms = np.stack([_arms(begin + number) for number in range(size)])
        treated = np.repeat(arms.reshape(size * ZONES, BLOCKS), QUARTERS, axis=1)
        left, served = market(rng, treated.astype(float))
        for own, *one in zip(arms, _by_day(left, size), _by_day(served, size), strict=True):
            came, got = (_without_burn_in(counts) for counts in one)
            totals = [np.array([x[own == arm].sum() for arm in (0, 1)]) for x in (came, got)]
            switched += _of_customers(*totals) < 0.05
            by_unit += _of_units(own, got / np.maximum(came, 1)) < 0.05
    head = "shared drivers, no gain: "
    yield Row(head + "split by customer, test of customers", by_customer, replications, "> 0.20")
    yield Row(head + "switchback, test of customers", switched, replications, "")
    yield Row(head + "switchback, test of units in pairs", by_unit, replications, "0.05")


def _by_day(counts: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    return counts.reshape(size, ZONES, BLOCKS * QUARTERS, 2)


def _without_burn_in(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """(zones, quarters, arms) -> (zones, blocks), without the first hour of each block."""
    return counts.sum(axis=2).reshape(ZONES, BLOCKS, QUARTERS)[..., 4:].sum(axis=2)


def _arms(number: int) -> NDArray[np.int64]:
    names = [f"zone {zone}" for zone in range(ZONES) for _ in range(BLOCKS)]
    blocks = np.tile(np.arange(BLOCKS), ZONES)
    return switchback_arms(f"salt {number}", names, blocks, LAG).reshape(ZONES, BLOCKS)


def _of_customers(came: NDArray[np.int64], got: NDArray[np.int64]) -> float:
    """p-value of the share served, (2,) and (2,) by arm, as if each customer were a unit."""
    control, treated = (
        np.repeat([0.0, 1.0], [all_ - some, some]) for all_, some in zip(came, got, strict=True)
    )
    return Difference(control, treated).p_value()


def _of_units(arms: NDArray[np.int64], figures: Floats) -> float:
    """p-value of the figures, (zones, blocks), in the pairs of the switchback."""
    in_pairs = (ZONES, BLOCKS // (2 * LAG), 2, LAG)
    arms, figures = arms.reshape(in_pairs), figures.reshape(in_pairs)
    control, treated = (
        np.where(arms[:, :, 0] == arm, figures[:, :, 0], figures[:, :, 1]).ravel() for arm in (0, 1)
    )
    return Difference(control, treated, paired=True).p_value()


def sample_ratio(rng: np.random.Generator, replications: int) -> Iterator[Row]:
    """Counts looked at every 100 units up to 20,000, as they should be and with units lost."""
    looks, each = 200, 100
    for share, expected in ((0.5, "at most 0.001"), (0.521, "near 1")):
        counts = rng.binomial(each, share, (replications, looks)).cumsum(1)
        wrong = sum(
            any(
                sample_ratio_p_value((each * (k + 1) - int(n), int(n)), (0.5, 0.5)) < ALPHA
                for k, n in enumerate(row)
            )
            for row in counts
        )
        words = f"{100 * share:.1f} % of units in arm B, expected 50"
        yield Row(f"sample ratio, {looks} looks: {words}", wrong, replications, expected)


def whole(rng: np.random.Generator, replications: int) -> Iterator[Row]:
    """Logs of decisions through units, looks and status: 14 days, a look and two glances a day."""
    days, keys = 14, 25
    plan = ExperimentPlan(
        name="whole", arms=("A", "B"), unit=Sticky(window_hours=24), starts_at=START, days=days,
        primary=Metric(name="profit", direction="up"), salt="whole", expected_units=keys * 13,
        guardrails=(Metric(name="late", direction="down"),),
    )  # fmt: skip
    past = rng.normal(10, 2, 5_000)
    found = minimum_detectable_effect(plan, past, 5_000 / keys)
    for effect, words in ((0.0, "A/A"), (found.effect, "effect = MDE80 of the plan")):
        said = dict.fromkeys(Verdict, 0)
        for number in range(replications):
            said[_one(rng, plan, keys, effect, number)] += 1
        expected = "0.025" if not effect else "0.80"
        yield Row(f"{words}, log to status: ship", said[Verdict.SHIP], replications, expected)
        if not effect:
            wrong = said[Verdict.ROLL_BACK]
            yield Row(f"{words}, log to status: roll back", wrong, replications, "at most 0.05")


def _one(
    rng: np.random.Generator, plan: ExperimentPlan, keys: int, effect: float, number: int
) -> Verdict:
    """The end of one experiment: its own keys and salt, three decisions a key in one day."""
    count = keys * int(plan.days)
    names = np.repeat([f"{number}-{key}" for key in range(count)], 3)
    first = plan.starts_at_s + np.sort(rng.random(count)) * plan.days * 86_400
    at = (first[:, None] + np.array([0.0, 3_600.0, 7_200.0])).ravel()
    arms = np.array([assigned is not None and assigned.arm == "B" for assigned in (
        plan.assign(name, plan.starts_at_s) for name in names)])  # fmt: skip
    own = np.repeat(rng.normal(0, 1.5, count), 3)
    profit = 10 + own + rng.normal(0, math.sqrt(3 * (4 - 2.25)), 3 * count) + effect * arms
    late = (rng.random(3 * count) < 0.2).astype(float)
    log = Decisions(list(names), at, np.ones(3 * count, bool), {"profit": profit, "late": late})
    taken = []
    for k in range(len(plan.look_days)):
        for glance in (8, 16, 24):
            now = plan.starts_at_s + (k * 24 + glance) * 3_600.0
            units = units_of(plan, log, now)
            status = status_of(plan, units, now, taken)
            if status.look is not None:
                taken.append(take_look(plan, status.look, units, now, taken))
                status = status_of(plan, units, now, taken)
            if status.verdict not in (Verdict.TOO_EARLY, Verdict.NOT_STARTED):
                return status.verdict
    return status.verdict


PARTS = {
    looks: (20_000, 500),
    hourly: (10_000, 250),
    uneven: (100_000, 1_000),
    decisions: (4_000, 100),
    interference: (2_000, 10),
    sample_ratio: (1_000, 20),
    whole: (500, 3),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="few replications: to see that it runs"
    )
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    for number, (part, (many, few)) in enumerate(PARTS.items()):
        rng = np.random.default_rng([args.seed, number])
        for row in part(rng, few if args.quick else many):
            print(row, flush=True)


if __name__ == "__main__":
    main()

"""What is laid down before an experiment starts, and frozen under a hash.

Whoever chooses the metric, the unit or the moment to stop after having seen data will find
something. A plan that was hashed says what had been chosen before.
"""

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config

from compagnon.errors import InputError
from compagnon.operations.experiments.assignment import (
    block_numbers,
    in_burn_in,
    sticky_arm,
    switchback_arm,
)
from compagnon.operations.validation import explain

HOUR: Final = 3_600.0
DAY: Final = 24 * HOUR
_MOST_LOOKS: Final = 400
_MOST_DAYS: Final = 3_650
_YEARS: Final = (2000, 2200)  # in which an experiment may begin
_STRICT: Final = ConfigDict(extra="forbid", allow_inf_nan=False)


@with_config(_STRICT)
@dataclass(frozen=True, kw_only=True)
class Sticky:
    """Units are keys, such as customers: each has its arm for good. For what shares no resources.

    Attributes:
        window_hours: how long, from its first decision, a key's decisions count. After that its
            figure is final, and the key may count.
    """

    window_hours: float
    kind: Literal["sticky"] = "sticky"

    def __post_init__(self) -> None:
        _require_positive(self, "window_hours")

    @property
    def longest_hours(self) -> float:
        """What the experiment must have room for: the window of one key."""
        return self.window_hours

    def information_hours(self, hours: float) -> float:
        """Of `hours` since the start, those whose units are complete."""
        return max(0.0, hours - self.window_hours)


@with_config(_STRICT)
@dataclass(frozen=True, kw_only=True)
class Switchback:
    """Units are blocks of time in a zone: the zone changes its arm. For what shares resources.

    Attributes:
        block_hours: length of a block.
        burn_in_hours: of each block's begin, left out, while the block before still shows.
        pair_lag: how many blocks lie between the two of a pair, one of which gets each arm; with
            blocks of 6 h, 4 pairs the same hours of two days.
    """

    block_hours: float
    burn_in_hours: float = 0.0
    pair_lag: int = 1
    kind: Literal["switchback"] = "switchback"

    def __post_init__(self) -> None:
        _require_positive(self, "block_hours")
        object.__setattr__(self, "burn_in_hours", float(self.burn_in_hours))
        if not 0 <= self.burn_in_hours < self.block_hours:
            raise InputError(
                f"burn_in_hours {self.burn_in_hours:g}: should be less than a block of "
                f"{self.block_hours:g} h, or nothing of it is left"
            )
        if self.pair_lag != int(self.pair_lag) or self.pair_lag < 1:
            raise InputError(f"pair_lag {self.pair_lag}: give a whole number of blocks, 1 or more")

    @property
    def longest_hours(self) -> float:
        """What the experiment must have room for: the blocks of one pair."""
        return 2 * self.pair_lag * self.block_hours

    def information_hours(self, hours: float) -> float:
        """Of `hours` since the start, those of blocks in complete pairs."""
        groups, blocks = divmod(math.floor(hours / self.block_hours + 1e-9), 2 * self.pair_lag)
        pairs = groups * self.pair_lag + max(0, blocks - self.pair_lag)
        return 2 * self.block_hours * pairs

    @staticmethod
    def unit_name(zone: str, block: int) -> str:
        """The name of a unit in logs and tables."""
        return f"{zone}#{block}"


@with_config(_STRICT)
@dataclass(frozen=True, kw_only=True)
class Metric:
    """A figure of decisions, as the outcomes name it.

    Attributes:
        direction: whether more of it is better (``up``) or less (``down``).
        margin: how much worse a unit's figure may be on average and still count as no worse, in
            the metric's own unit; 0 or more.
        aggregate: a unit's figure is the mean of its decisions' values, or their sum.
        label: what people call it; the name, if nothing is said.
    """

    name: str
    direction: Literal["up", "down"]
    margin: float = 0.0
    aggregate: Literal["mean", "sum"] = "mean"
    label: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "margin", float(self.margin))
        if not self.name:
            raise InputError("metric: its name is empty; give that of an outcome")
        if self.direction not in ("up", "down"):
            raise InputError(f"{self.name}: direction {self.direction!r}: give 'up' or 'down'")
        if self.aggregate not in ("mean", "sum"):
            raise InputError(f"{self.name}: aggregate {self.aggregate!r}: give 'mean' or 'sum'")
        if not 0 <= self.margin < math.inf:
            raise InputError(f"{self.name}: margin {self.margin:g}: give 0 or more")

    @property
    def words(self) -> str:
        """What a sentence calls it."""
        return self.label or self.name.replace("_", " ")

    @property
    def sign(self) -> int:
        """1 where more is better, else -1."""
        return 1 if self.direction == "up" else -1


class Assigned(NamedTuple):
    """Where a decision belongs: its unit, its arm, and whether it counts (it is in no burn-in)."""

    unit: str
    arm: str
    counts: bool


@with_config(_STRICT)
@dataclass(frozen=True, kw_only=True)
class ExperimentPlan:
    """One experiment, as it was laid down before its start.

    Attributes:
        arms: names of the arms; the first is the control, with which every other is compared.
        unit: what is randomised.
        starts_at: with its time zone; blocks are counted from here.
        days: how long units are given arms.
        primary: the metric that decides. The promise of its margin is non-inferiority: with 0, an
            arm ships when it is surely better.
        guardrails: metrics that must not become worse than their margins.
        looks: days after the start at which the primary is looked at; or how many, evenly, each
            `maturity_hours` after the days that it can count.
        shares: of the arms; equal, if nothing is said.
        maturity_hours: how long a decision waits for its outcomes; looks may go on so long after
            the last day.
        alpha: how often an experiment without a difference may find one, over all its looks.
        expected_units: units, or pairs of blocks, by the end; guardrails are sharpest there.
            `sizing.minimum_detectable_effect` says it.
        salt: what makes the arms of this experiment independent of every other's.

    Raises:
        InputError: a plan that cannot be carried out; one sentence says what would be right.
    """

    name: str
    arms: tuple[str, ...]
    unit: Annotated[Sticky | Switchback, Field(discriminator="kind")]
    starts_at: datetime
    days: float
    primary: Metric
    salt: str
    guardrails: tuple[Metric, ...] = ()
    looks: int | tuple[float, ...] = 14
    shares: tuple[float, ...] = ()
    maturity_hours: float = 0.0
    alpha: float = 0.05
    expected_units: int = 1_000

    def __post_init__(self) -> None:
        for name in ("arms", "guardrails"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        equal = [1 / max(1, len(self.arms))] * len(self.arms)
        object.__setattr__(self, "shares", tuple(map(float, self.shares or equal)))
        for name in ("alpha", "maturity_hours"):
            object.__setattr__(self, name, float(getattr(self, name)))
        _require_positive(self, "days", "expected_units")
        self._check_names()
        self._check_time()
        self._check_arms()
        self._check_metrics()

    def _check_names(self) -> None:
        for name in ("name", "salt"):
            if not getattr(self, name):
                raise InputError(f"{name}: is empty; give one of the experiment's own")
        if self.expected_units != int(self.expected_units):
            raise InputError(f"expected_units {self.expected_units}: give a whole number")
        if not 0 < self.alpha < 1:
            raise InputError(f"alpha {self.alpha:g}: give a probability such as 0.05")

    def _check_time(self) -> None:
        if self.starts_at.tzinfo is None:
            raise InputError(f"starts_at {self.starts_at}: add its time zone, such as +00:00")
        if not _YEARS[0] <= self.starts_at.year <= _YEARS[1]:
            raise InputError(
                f"starts_at {self.starts_at}: give a year from {_YEARS[0]} to {_YEARS[1]}"
            )
        if self.days > _MOST_DAYS:
            raise InputError(f"days {self.days:g}: give at most {_MOST_DAYS}")
        object.__setattr__(self, "starts_at", self.starts_at.astimezone(UTC))
        hours = 24 * self.days
        if self.unit.longest_hours > hours:
            what = "key's window" if isinstance(self.unit, Sticky) else "pair of blocks"
            raise InputError(
                f"days {self.days:g}: a {what} takes {self.unit.longest_hours:g} h, longer than "
                f"the experiment's {hours:g} h; give more days or shorter units"
            )
        self._check_looks()

    def _check_looks(self) -> None:
        if not 0 <= self.maturity_hours < math.inf:
            raise InputError(f"maturity_hours {self.maturity_hours:g}: give 0 or more")
        wait = self.maturity_hours / 24
        looks = self.looks
        if isinstance(looks, int):
            count = min(max(looks, 0), _MOST_LOOKS + 1)
            looks = tuple(self.days * (k + 1) / count + wait for k in range(count))
        looks = tuple(map(float, looks))
        object.__setattr__(self, "looks", looks)
        if not 1 <= len(looks) <= _MOST_LOOKS:
            raise InputError(f"looks: give 1 to {_MOST_LOOKS} of them")
        outside = [look for look in looks if not 0 < look <= self.days + wait + 1e-9]
        if outside:
            raise InputError(
                f"looks: day {outside[0]:g} is outside of the experiment's time; "
                f"give days above 0 and up to {self.days + wait:g}"
            )
        if any(later <= earlier for earlier, later in pairwise(looks)):
            raise InputError("looks: each should be later than the one before")
        if self.information_days(looks[-1]) <= 0:
            raise InputError(
                f"looks: no unit is complete and matured by the last, day {looks[-1]:g}"
            )

    def _check_arms(self) -> None:
        if len(self.arms) < 2:
            raise InputError(
                f"arms: {len(self.arms)} given; an experiment compares 2 or more, the control first"
            )
        if len(set(self.arms)) < len(self.arms) or "" in self.arms:
            raise InputError(f"arms {', '.join(self.arms)}: give each a name of its own")
        if len(self.shares) != len(self.arms):
            raise InputError(f"shares: {len(self.shares)} for {len(self.arms)} arms; give one each")
        if not all(share > 0 for share in self.shares) or abs(sum(self.shares) - 1) > 1e-9:
            raise InputError(
                f"shares {', '.join(f'{share:g}' for share in self.shares)}: should each be above "
                f"0 and sum to 1; their sum is {sum(self.shares):g}"
            )
        if isinstance(self.unit, Switchback) and self.shares != (0.5, 0.5):
            raise InputError(
                "unit: a switchback gives each of two arms one block of every pair; "
                "give 2 arms and no shares, or a sticky unit"
            )

    def _check_metrics(self) -> None:
        names = [metric.name for metric in self.guardrails]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"guardrails: {twice} stands there twice; give it once")
        for metric in self.guardrails:
            if metric.name != self.primary.name:
                continue
            if metric.direction != self.primary.direction:
                raise InputError(
                    f"guardrails: {metric.name} is the primary metric too, with the contrary "
                    f"direction {metric.direction!r}; give both {self.primary.direction!r}"
                )
            raise InputError(
                f"guardrails: {metric.name} is the primary metric, which is guarded anyway; "
                "leave it out"
            )

    @property
    def control(self) -> str:
        """The first arm."""
        return self.arms[0]

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The primary one, then the guardrails."""
        return (self.primary, *self.guardrails)

    @property
    def starts_at_s(self) -> float:
        """UNIX time, s."""
        return self.starts_at.timestamp()

    @property
    def ends_at_s(self) -> float:
        """UNIX time, s, of the first moment after the experiment."""
        return self.starts_at_s + self.days * DAY

    @property
    def look_days(self) -> tuple[float, ...]:
        """The looks, in days after the start."""
        assert not isinstance(self.looks, int)
        return self.looks

    def information_days(self, day: float) -> float:
        """Days' worth of units that are complete and matured `day` days after the start."""
        hours = 24 * min(day - self.maturity_hours / 24, self.days)
        return self.unit.information_hours(hours) / 24

    @property
    def fractions(self) -> tuple[float, ...]:
        """The share of the last look's units that each look has, in even traffic.

        0 before any unit is ready, and as at the look before where none has been added since.
        """
        known = [self.information_days(day) for day in self.look_days]
        return tuple(one / known[-1] for one in known)

    @property
    def alpha_each(self) -> float:
        """`alpha`, shared out among the arms that are compared with the control (Bonferroni)."""
        return self.alpha / (len(self.arms) - 1)

    def look_at(self, number: int) -> datetime:
        """When a look is due; the first is number 1."""
        return self.starts_at + timedelta(days=self.look_days[number - 1])

    def looks_passed(self, now: float) -> int:
        """How many looks are due, or were, at UNIX time `now`."""
        days = (now - self.starts_at_s) / DAY
        return sum(look <= days + 1e-9 for look in self.look_days)

    def assign(self, subject: str, at: float) -> Assigned | None:
        """The arm of a decision; None before the start and after the end.

        Args:
            subject: the key; in a switchback, the zone.
            at: UNIX time of the decision, s.
        """
        if not self.starts_at_s <= at < self.ends_at_s:
            return None
        if isinstance(self.unit, Sticky):
            arm = sticky_arm(self.salt, subject, self.shares)
            return Assigned(subject, self.arms[arm], True)
        length, burn_in = self.unit.block_hours * HOUR, self.unit.burn_in_hours * HOUR
        block = int(block_numbers(at, self.starts_at_s, length))
        arm = switchback_arm(self.salt, subject, block, self.unit.pair_lag)
        counts = not bool(in_burn_in(at, self.starts_at_s, length, burn_in))
        return Assigned(self.unit.unit_name(subject, block), self.arms[arm], counts)

    def to_json(self) -> str:
        """Canonical: sorted keys, no blanks, all that was left open written out."""
        tree = asdict(self) | {"starts_at": self.starts_at.isoformat()}
        return json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    def sha256(self) -> str:
        """The hash of `to_json`: any change of the plan is another one."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


_ADAPTER: Final = TypeAdapter(ExperimentPlan)


def parse_plan(tree: Any, where: str = "plan") -> ExperimentPlan:
    """A plan from the tree of a TOML or JSON file.

    Raises:
        InputError: names `where`, the key, and what would be right.
    """
    try:
        return _ADAPTER.validate_python(tree)
    except ValidationError as error:
        raise InputError(f"{where}: {explain(error)}") from None


def read_plan(text: str, where: str = "plan") -> ExperimentPlan:
    """A plan from JSON, such as `ExperimentPlan.to_json` writes.

    Raises:
        InputError: as `parse_plan`, or text that is no JSON.
    """
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON: {error}") from None
    return parse_plan(tree, where)


def _require_positive(owner: Any, *names: str) -> None:
    for name in names:
        value = getattr(owner, name)
        if not 0 < value < math.inf:
            raise InputError(f"{name} {value}: give a number above 0")
        if name != "expected_units":
            object.__setattr__(owner, name, float(value))

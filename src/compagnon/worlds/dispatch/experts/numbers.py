"""What the regret rule weighs, as numbers: kinds with a name, text after a colon, files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from compagnon.errors import InputError
from compagnon.worlds.dispatch.insertion import TIGHT, TIGHT_MINUTES

AT_ONCE: Final = 1440.0  # minutes; a horizon that holds nothing
ENDLESS: Final = 1000.0  # cost; what nobody's patience, or hope, comes to


class Numbers(NamedTuple):
    """What a regret rule weighs (`regret.choose`).

    Attributes:
        compare: drivers that regret compares, at least 2.
        tight: cost of a plan that has no minute to spare ...
        minutes: ... and minutes to spare after which it is a third of that.
        stake: what a refusal counts, in its cost: nobody is sent who costs more, and who is not
            there costs as much. 0: nothing is weighed against refusals, and who is not there is
            endlessly dear.
        share: of what the other bookings lose without a driver, that counts against sending him.
        horizon: minutes before a driver must leave, from which on a ride is promised, where several
            could take it.
        patience: cost of the wait for an answer until then, up to which it is worth the wait.
        hope: a booking that nobody is worth sending for is declined when waiting for an answer to
            its end would cost more than this share of declining it.
        worth: that a move of a planned ride must save.
    """

    compare: float = 2.0
    tight: float = 0.0
    minutes: float = TIGHT_MINUTES
    stake: float = 0.0
    share: float = 0.0
    horizon: float = AT_ONCE
    patience: float = 0.0
    hope: float = ENDLESS
    worth: float = 1.0


class Range(NamedTuple):
    """What a number may be, and the steps in which it is searched."""

    low: float
    high: float
    step: float


# The first two of each are what a person may give; the search steps through the third range.
LIMITS: Final[Mapping[str, tuple[float, float]]] = {
    "compare": (2.0, 100.0),
    "tight": (0.0, ENDLESS),
    "minutes": (0.1, AT_ONCE),
    "stake": (0.0, 100.0),
    "share": (0.0, 10.0),
    "horizon": (0.0, AT_ONCE),
    "patience": (0.0, ENDLESS),
    "hope": (0.0, ENDLESS),
    "worth": (0.0, ENDLESS),
}
SEARCHED: Final[Mapping[str, Range]] = {
    "compare": Range(2.0, 6.0, 1.0),
    "tight": Range(0.0, 40.0, 1.0),
    "minutes": Range(3.0, 60.0, 1.0),
    "stake": Range(0.3, 2.0, 0.05),
    "share": Range(0.0, 1.0, 0.05),
    "horizon": Range(0.0, 480.0, 10.0),
    "patience": Range(0.0, 10.0, 0.25),
    "hope": Range(0.0, 0.6, 0.02),
    "worth": Range(0.0, 8.0, 0.25),
}
_SLACK: Final = Numbers(tight=TIGHT)
KINDS: Final[Mapping[str, Numbers]] = {
    "": Numbers(),
    "slack": _SLACK,
    "hold": _SLACK._replace(horizon=35.0, patience=ENDLESS),
    "weigh": _SLACK._replace(stake=1.0, share=0.3),
    "opportunity": _SLACK._replace(stake=1.0, share=0.3, horizon=35.0, patience=ENDLESS),
}
# What `compagnon search-rule` found for the days of a preset.
TUNED: Final[Mapping[str, Numbers]] = {
    "clinic": Numbers(
        compare=3.0,
        tight=12.0,
        minutes=30.0,
        stake=0.95,
        share=0.35,
        horizon=40.0,
        patience=0.0,
        hope=0.16,
        worth=0.25,
    ),
    "city": Numbers(
        compare=4.0,
        tight=40.0,
        minutes=24.0,
        stake=1.45,
        share=0.1,
        horizon=260.0,
        patience=0.0,
        hope=0.26,
        worth=0.0,
    ),
}
_MAX_BYTES: Final = 100_000


def read_numbers(name: str, argument: str | None) -> Numbers:
    """The numbers that what follows the rule's name means.

    That is ``[K[:KIND][:NUMBERS]]``, a name of `TUNED` with ``[:NUMBERS]``, or a file.

    Args:
        name: of the rule, for messages.
        argument: such as ``3``, ``3:slack``, ``3:weigh:share=0.2,worth=2``, ``clinic`` or
            ``rule.json``.

    Raises:
        InputError: says what of it cannot be, and what would be right.
    """
    if argument is None:
        return KINDS[""]
    first, _, rest = argument.partition(":")
    if first in TUNED:
        return _changed(TUNED[first], rest, name)
    if not first.isdecimal() and Path(argument).is_file():
        return load_numbers(Path(argument))
    if not (first.isdecimal() and len(first) <= 3 and 2 <= int(first) <= 100):
        raise InputError(
            f"{name}: K={first!r} should be a whole number from 2 to 100, "
            f"one of the tuned rules ({', '.join(TUNED)}), "
            "or a file written by `compagnon search-rule`"
        )
    kind, _, changed = rest.partition(":")
    if "=" in kind:
        kind, changed = "", rest
    if kind not in KINDS:
        known = ", ".join(repr(one) for one in KINDS if one)
        raise InputError(f"{name}: after K there may stand {known}, not {kind!r}")
    return _changed(KINDS[kind]._replace(compare=float(first)), changed, name)


def _changed(numbers: Numbers, changed: str, name: str) -> Numbers:
    """The numbers with others in their place, such as ``share=0.2,worth=2``."""
    values = numbers._asdict()
    for part in changed.split(",") if changed else ():
        key, _, text = part.partition("=")
        try:
            values[key] = float(text) if key in values else values[key]
        except KeyError:
            raise InputError(f"{name}: {key!r} is none of {', '.join(values)}") from None
        except ValueError:
            raise InputError(f"{name}: {key}={text!r} should be a number") from None
    return _checked(values, name)


def load_numbers(path: Path) -> Numbers:
    """The numbers of a JSON file that `search-rule` wrote.

    Raises:
        InputError: it does not hold them.
    """
    if path.stat().st_size > _MAX_BYTES:
        raise InputError(f"{path}: {path.stat().st_size:,} bytes are no numbers of a rule")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error})") from None
    if not isinstance(values, dict) or set(values) != set(Numbers._fields):
        raise InputError(f"{path}: expected an object with the keys {', '.join(Numbers._fields)}")
    return _checked(values, str(path))


def _checked(values: Mapping[str, Any], where: str) -> Numbers:
    for key, value in values.items():
        low, high = LIMITS[key]
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not low <= value <= high
        ):
            raise InputError(
                f"{where}: {key}={value!r} should be a number from {low:g} to {high:g}"
            )
    if values["compare"] != int(values["compare"]):
        raise InputError(f"{where}: compare={values['compare']:g} should be a whole number")
    if values["share"] > 0.0 and values["stake"] == 0.0:
        raise InputError(f"{where}: share={values['share']:g} says nothing without a stake above 0")
    return Numbers(**{key: float(value) for key, value in values.items()})

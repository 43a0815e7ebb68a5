"""Options that several verbs share, and how `key=value` pairs are read."""

import math
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

from tyro.conf import Positional, arg

from compagnon.errors import InputError
from compagnon.worlds.workshop import WORKSHOP

Verb = Callable[..., int]
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def optional(metavar: str, help: str) -> object:
    """How an option looks that may be left out, and has no default worth showing."""
    return arg(metavar=metavar, help=help, help_behavior_hint="")


def flag(help: str) -> object:
    """How an option looks that is either there or not."""
    return arg(help=help, help_behavior_hint="")


PolicyNames = Annotated[
    tuple[str, ...],
    Positional,
    optional(
        "POLICY...",
        "random, constant:ACTION, expert:NAME, expert:FILE.py:CLASS, or a path "
        "(see `compagnon policies`)",
    ),
]
OnePolicy = Annotated[
    str,
    Positional,
    arg(metavar="POLICY", help="a name or a path (see `compagnon policies`)"),
]
EnvArgs = Annotated[
    tuple[str, ...],
    optional("K=V...", "the environment's options, such as demand=tight (see `compagnon envs ID`)"),
]


Force = Annotated[bool, flag("write over files that are there already")]
Json = Annotated[Path | None, optional("FILE", "write the figures as JSON; - prints them alone")]
Page = Annotated[Path | None, optional("FILE.html", "write a page to read")]


@dataclass(frozen=True)
class Where:
    """What is played."""

    env: Annotated[
        str | None,
        optional("ID", "any Gymnasium id, or MODULE:ID; without it, the one a run learnt in"),
    ] = None
    env_args: EnvArgs = ()

    def resolve(self, *policies: str) -> tuple[str, dict[str, Any]]:
        """The environment and its options.

        Without --env it is the one that the first trained policy of `policies` learnt in, options
        and all; --env-args then change single options. Where all are rules, it is the workshop.
        """
        given = read_pairs(self.env_args, "--env-args")
        if self.env is not None:
            return self.env, given
        from compagnon.policy.loading import recorded_env

        for policy in policies:
            recorded = recorded_env(policy)
            if recorded is not None:
                return recorded[0], {**recorded[1], **given}
        return WORKSHOP, given


@dataclass(frozen=True)
class Play:
    """How much is played, and where the figures go."""

    episodes: Annotated[int, arg(metavar="N", help="every policy plays the same N episodes")] = 100
    seed: Annotated[int, arg(metavar="S", help="they have the seeds S to S + N - 1")] = 1_000_000
    sampled: Annotated[bool, flag("draw actions instead of taking the best one")] = False
    json: Json = None
    report: Page = None
    force: Force = False


def check_seed(seed: int) -> None:
    """Refuse a seed that the environments' 64 bits cannot hold."""
    if not 0 <= seed < 2**63:
        raise InputError(f"--seed {seed}: give a whole number from 0 to 2^63 - 1")


def without_window() -> None:
    """Let Gymnasium draw with pygame where there is no screen, and say nothing about it."""
    import os

    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")


class Budget(NamedTuple):
    """A time in seconds, or a number of environment steps; the other one is None."""

    seconds: float = math.nan
    steps: int | None = None


def read_budget(text: str, option: str) -> Budget:
    """``25s``, ``5m``, ``5h`` and ``2d`` are times; ``2e6`` or ``1000 steps`` is steps.

    Raises:
        InputError: it is neither, or not above 0.
    """
    words, steps = text.lower().strip(), ""
    if words.endswith("steps"):
        words, steps = words.removesuffix("steps"), "steps"
    unit = None if steps else _SECONDS.get(words[-1:])
    try:
        value = float(words if unit is None else words[:-1])
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf or (unit is None and not 1 <= value <= 2**53):
        raise InputError(
            f"{option} {text}: give a time such as 25s, 5m or 5h, or steps such as 2e6"
        )
    return Budget(steps=int(value)) if unit is None else Budget(value * unit)


def read_time(text: str, option: str) -> float:
    """Seconds, in the words of `read_budget`.

    Raises:
        InputError: it is no time.
    """
    try:
        found = read_budget(text, option)
    except InputError:
        found = Budget(steps=0)
    if found.steps is not None:
        raise InputError(f"{option} {text}: give a time such as 90s, 20m, 2h or 7d")
    return found.seconds


def read_pairs(pairs: Iterable[str], option: str) -> dict[str, Any]:
    """``("demand=tight", "setup_minutes=5")`` as a dictionary.

    A value is read as TOML if it is a number, a truth value, a quoted string or an array; anything
    else is the text itself.

    Raises:
        InputError: a word that is no pair, a key given twice, or a broken array or quoted string.
    """
    read: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        key = key.strip()
        if not equals or not key:
            raise InputError(f"{option}: {pair!r} is not KEY=VALUE, such as demand=tight")
        if key in read:
            raise InputError(f"{option}: {key} is given twice")
        read[key] = _read_value(key, value.strip(), option)
    return read


def _read_value(key: str, text: str, option: str) -> Any:
    try:
        table = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        if text[:1] in ("[", '"', "'"):
            raise InputError(
                f"{option}: the value of {key}, {text}, is not TOML; an array of names is "
                f"""'{key}=["raw", "p1"]', in quotes for the shell"""
            ) from None
        return text
    value = table["value"]
    plain = len(table) == 1 and isinstance(value, bool | int | float | str | list)
    return value if plain else text

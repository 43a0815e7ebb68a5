"""What the arguments of every command have in common: how options look, and how pairs are read."""

import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import arg

from compagnon.errors import InputError

CommandFunction = Callable[..., int]


def optional(metavar: str, help: str) -> object:
    """How an option looks that may be left out, and has no default worth showing."""
    return arg(metavar=metavar, help=help, help_behavior_hint="")


def flag(help: str) -> object:
    """How an option looks that is either there or not."""
    return arg(help=help, help_behavior_hint="")


EnvArgs = Annotated[
    tuple[str, ...],
    optional("K=V...", "the environment's options, such as demand=tight (see `compagnon envs ID`)"),
]
Force = Annotated[bool, flag("write over files that are there already")]
Json = Annotated[Path | None, optional("FILE", "write the figures as JSON; - prints them alone")]
Page = Annotated[Path | None, optional("FILE.html", "write a page to read")]


def check_seed(seed: int) -> None:
    """Refuse a seed that the environments' 64 bits cannot hold."""
    if not 0 <= seed < 2**63:
        raise InputError(f"--seed {seed}: give a whole number from 0 to 2^63 - 1")


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

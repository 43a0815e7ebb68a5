"""Reads the plan of an experiment from a file: TOML as people write it, JSON as it is kept."""

import tomllib
from pathlib import Path
from typing import Final

from compagnon.errors import InputError
from compagnon.files import read_text
from compagnon.operations.experiments.plan import ExperimentPlan, parse_plan, read_plan

_MOST: Final = 1_000_000  # bytes


def load_plan(path: Path) -> ExperimentPlan:
    """The plan of a file that ends with ``.toml`` or ``.json``.

    Raises:
        InputError: names the file, the key, and what would be right.
    """
    text = read_text(path, _MOST, "a plan is TOML, or JSON")
    if path.suffix.lower() == ".json":
        return read_plan(text, str(path))
    try:
        tree = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not TOML: {error}") from None
    return parse_plan(tree, str(path))

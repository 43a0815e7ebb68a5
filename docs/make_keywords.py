"""Rewrites the keywords that editors and type checkers see: `python docs/make_keywords.py`.

The settings of an algorithm are a pydantic model, which checks them; `cp.PPO(env, **settings)`
takes the same ones as keywords. With ``--check`` nothing is written, and the exit code is 1 if the
file differs from the settings.
"""

import subprocess
import sys
import textwrap
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from compagnon.rl.recipe import (
    CheckpointSpec,
    EvaluationSpec,
    NetworkSpec,
    Recipe,
    VideoSpec,
)
from compagnon.rl.registry import settings_by_kind
from compagnon.rl.settings import AlgorithmSettings

TARGET = Path(__file__).parents[1] / "src" / "compagnon" / "api" / "keywords.py"
HEAD = '''"""The keywords of `cp.PPO` and its like, for editors and type checkers.

Written by `docs/make_keywords.py` from the settings, which check what is given; a test holds them
equal.
"""

from collections.abc import Sequence
from typing import Any, Literal, TypedDict
'''
TABLES: dict[str, type[BaseModel]] = {
    "network": NetworkSpec,
    "evaluation": EvaluationSpec,
    "checkpoint": CheckpointSpec,
    "video": VideoSpec,
}
PLAIN = ("name", "description", "device", "threads")
# What the Python side takes by another way: the algorithm is the class, the expert an argument.
ELSEWHERE = ("kind", "expert")


def class_name(model: type[BaseModel]) -> str:
    """``PPOSettings`` -> ``PPOKeywords``."""
    return model.__name__.removesuffix("Settings").removesuffix("Spec") + "Keywords"


def written(annotation: Any) -> str:
    """A type as it is written."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return written(parts[0])
    if origin is dict:
        return "dict[str, Any]"
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, parts)).replace(chr(39), chr(34))}]"
    if origin in (types.UnionType, Union):
        return " | ".join(written(part) for part in parts)
    if origin is tuple:
        return f"Sequence[{written(parts[0])}]"
    if annotation is type(None):
        return "None"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return class_name(annotation)
    return str(annotation.__name__)


def lines_of(model: type[BaseModel], names: Iterator[str] | None = None) -> Iterator[str]:
    """A line a setting, with what it is above it."""
    hints = get_type_hints(model, include_extras=True)
    for name in names or iter(model.model_fields):
        if issubclass(model, AlgorithmSettings) and name in ELSEWHERE:
            continue
        said = model.model_fields[name].description or ""
        yield from (f"    # {line}" for line in textwrap.wrap(said, 92))
        yield f"    {name}: {written(hints[name])}"


def text() -> str:
    """The whole file."""
    parts = [HEAD]

    def add(name: str, docstring: str, lines: Iterator[str], base: str = "TypedDict") -> None:
        body = "\n".join(lines)
        parts.append(f'class {name}({base}, total=False):\n    """{docstring}"""\n\n{body}\n')

    for name, model in TABLES.items():
        add(class_name(model), f"The recipe's table `{name}`.", lines_of(model))
    shared = [
        *lines_of(Recipe, iter(PLAIN)),
        *(f"    {k}: {class_name(v)}" for k, v in TABLES.items()),
    ]
    shared.append("    # who steps the environment in training; it is always judged by gymnasium")
    shared.append('    backend: Literal["gymnasium", "envpool", "processes"]')
    add("LearnerKeywords", "What every algorithm takes beside its own settings.", iter(shared))
    for kind, model in settings_by_kind().items():
        base = "LearnerKeywords"
        docstring = f"The settings of `{kind}`; see `{model.__name__}`."
        if kind in ("ppo", "dagger"):  # those that are made of both take these as tables
            add(class_name(model).replace("Keywords", "Table"), docstring, lines_of(model))
        lines = lines_of(model)
        if kind in ("hybrid", "expert_iteration"):
            lines = (line.replace("PPOKeywords", "PPOTable") for line in lines)
            lines = (line.replace("DaggerKeywords", "DaggerTable") for line in lines)
        if kind in ("ppo", "dagger"):
            table = class_name(model).replace("Keywords", "Table")
            parts.append(
                f'class {class_name(model)}({table}, {base}, total=False):\n    """{docstring}"""\n'
            )
        else:
            add(class_name(model), docstring, lines, base)
    joined = "\n\n".join(parts)
    made = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(TARGET), "-"],
        input=joined,
        capture_output=True,
        text=True,
        check=True,
        cwd=TARGET.parents[3],
    )
    return made.stdout


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        sys.exit(int(TARGET.read_text() != text()))
    TARGET.write_text(text())

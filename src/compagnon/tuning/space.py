"""Search spaces: which settings of a recipe are searched, and over what ranges, read from TOML."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from compagnon.errors import InputError
from compagnon.files import read_text
from compagnon.rl.recipe import Recipe, change_recipe
from compagnon.rl.registry import find_algorithm
from compagnon.rl.settings import Settings

if TYPE_CHECKING:
    from optuna import Trial

_MAX_BYTES = 1_000_000
_DIGITS = 6  # of a float: what the winner's recipe shows, and so what every trial is given
_SEARCHED = ("algorithm", "network")


class FloatRange(Settings):
    """A real number between two bounds, both included."""

    kind: Literal["float"]
    low: float
    high: float
    log: bool = Field(False, description="search its logarithm")
    complement: bool = Field(False, description="search 1 less the value, as for a discount")

    @model_validator(mode="after")
    def _ordered(self) -> "FloatRange":
        low = self.searched[0]
        if not self.low < self.high:
            raise ValueError(f"low = {self.low} must be below high = {self.high}")
        if self.log and low <= 0:
            what = f"1 - high = {low:.6g}" if self.complement else f"low = {low}"
            raise ValueError(f"a logarithm needs {what} above 0")
        return self

    @property
    def searched(self) -> tuple[float, float]:
        """The bounds of what the sampler draws."""
        if not self.complement:
            return self.low, self.high
        return _rounded(1 - self.high), _rounded(1 - self.low)

    def examples(self) -> tuple[Any, ...]:
        """The values that stand for the range when it is checked: its two ends."""
        return self.low, self.high

    def suggest(self, trial: "Trial", name: str) -> float:
        """Draw what the sampler searches."""
        return trial.suggest_float(name, *self.searched, log=self.log)

    def value(self, drawn: Any) -> float:
        """The recipe's value of what was drawn."""
        value = _rounded(1 - drawn if self.complement else drawn)
        return min(max(value, self.low), self.high)


class IntRange(Settings):
    """A whole number between two bounds, both included."""

    kind: Literal["int"]
    low: int
    high: int
    log: bool = Field(False, description="search its logarithm")

    @model_validator(mode="after")
    def _ordered(self) -> "IntRange":
        if not self.low < self.high:
            raise ValueError(f"low = {self.low} must be below high = {self.high}")
        if self.log and self.low < 1:
            raise ValueError(f"a logarithm needs low = {self.low} above 0")
        return self

    def examples(self) -> tuple[Any, ...]:
        """The values that stand for the range when it is checked: its two ends."""
        return self.low, self.high

    def suggest(self, trial: "Trial", name: str) -> int:
        """Draw what the sampler searches."""
        return trial.suggest_int(name, self.low, self.high, log=self.log)

    def value(self, drawn: Any) -> int:
        """The recipe's value of what was drawn."""
        return int(drawn)


class ChoiceRange(Settings):
    """One of several values; an array counts as one."""

    kind: Literal["choice"]
    values: tuple[Any, ...]

    @model_validator(mode="after")
    def _different(self) -> "ChoiceRange":
        if len(self.values) < 2 or len(set(self.labels)) < len(self.values):
            raise ValueError("values: give two or more, each once")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """The values as text: a storage takes no arrays."""
        return tuple(json.dumps(value) for value in self.values)

    def examples(self) -> tuple[Any, ...]:
        """The values that stand for the range when it is checked: all of them."""
        return self.values

    def suggest(self, trial: "Trial", name: str) -> str:
        """Draw what the sampler searches."""
        return trial.suggest_categorical(name, self.labels)

    def value(self, drawn: Any) -> Any:
        """The recipe's value of what was drawn."""
        return self.values[self.labels.index(drawn)]


Range = Annotated[FloatRange | IntRange | ChoiceRange, Field(discriminator="kind")]
_TABLE: TypeAdapter[dict[str, FloatRange | IntRange | ChoiceRange]] = TypeAdapter(dict[str, Range])


class Space:
    """The ranges of a search, by dotted key of the recipe.

    Args:
        ranges: dotted key -> range, in the order in which they are drawn.
    """

    def __init__(self, ranges: Mapping[str, FloatRange | IntRange | ChoiceRange]) -> None:
        self.ranges = dict(ranges)

    def __iter__(self) -> Iterator[str]:
        return iter(self.ranges)

    @staticmethod
    def _name(key: str, one: FloatRange | IntRange | ChoiceRange) -> str:
        """What the sampler and the storage call a range."""
        return f"1 - {key}" if isinstance(one, FloatRange) and one.complement else key

    def suggest(self, trial: "Trial") -> dict[str, Any]:
        """Draw every range for a trial; the changes of the recipe that they make."""
        drawn = {
            name: one.suggest(trial, name)
            for key, one in self.ranges.items()
            for name in (self._name(key, one),)
        }
        return self.changes(drawn)

    def changes(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The changes of the recipe that a trial's parameters stand for.

        A parameter that is missing, as in a trial that was cut short, changes nothing.
        """
        return {
            key: one.value(params[self._name(key, one)])
            for key, one in self.ranges.items()
            if self._name(key, one) in params
        }

    def as_json(self) -> dict[str, Any]:
        """The ranges as plain values, to keep and to compare."""
        return {key: one.model_dump(mode="json") for key, one in self.ranges.items()}


def load_space(recipe: Recipe, path: Path | None = None) -> Space:
    """The space that ships for the recipe's algorithm, or that of a file, checked for the recipe.

    Raises:
        InputError: names the file and the key, and what would be right.
    """
    kind = recipe.algorithm.kind
    if path is None:
        where = f"the space of {kind}"
        shipped = files(__package__).joinpath("spaces", f"{kind}.toml")
        text = find_algorithm(kind).space
        if not text and shipped.is_file():
            text = shipped.read_text(encoding="utf-8")
        if not text:
            raise InputError(f"{where}: {kind} brings none; write one, and give it as --space")
    else:
        where = str(path)
        text = read_text(path, _MAX_BYTES, "a space is TOML")
    try:
        tree = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not TOML: {error}") from None
    return parse_space(tree, recipe, where)


def parse_space(tree: dict[str, Any], recipe: Recipe, where: str) -> Space:
    """Validate a space's tree against the recipe that is to be searched."""
    tree = dict(_flat(tree))
    if not tree:
        raise InputError(f"{where}: a space needs a range, such as [algorithm.learning_rate]")
    for key in tree:
        _check_key(key, where)
    try:
        space = Space(_TABLE.validate_python(tree))
    except ValidationError as error:
        raise InputError(f"{where}: {_explain(error)}") from None
    for key, one in space.ranges.items():
        for value in one.examples():
            try:
                change_recipe(recipe, {key: value}, recipe.name)
            except InputError as error:
                reason = str(error).removeprefix(f"{recipe.name}: ")
                raise InputError(f"{where}: {key} = {value!r} makes no recipe: {reason}") from None
    return space


def _flat(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """``[algorithm.gamma]`` and ``["algorithm.gamma"]`` alike: one entry a range."""
    for key, value in tree.items():
        if isinstance(value, dict) and value and "kind" not in value and "low" not in value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _check_key(key: str, where: str) -> None:
    first, _, rest = key.partition(".")
    if first == "env":
        raise InputError(
            f"{where}: {key} cannot be searched: the environment is the task, not a setting"
        )
    if first not in _SEARCHED or not rest:
        raise InputError(
            f"{where}: {key} cannot be searched; keys begin with algorithm. or network., such as "
            "algorithm.learning_rate"
        )
    if key == "algorithm.kind":
        raise InputError(f"{where}: {key} cannot be searched: each algorithm has its own settings")


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    loc = [str(part) for part in first["loc"]]
    key, rest = loc[0], [part for part in loc[1:] if part not in ("float", "int", "choice")]
    where = ".".join([key, *rest])
    if first["type"] in ("union_tag_not_found", "union_tag_invalid"):
        return f'{key}: give kind = "float", "int" or "choice"'
    if first["type"] == "extra_forbidden":
        return f"{where}: this kind of range has no such key"
    return f"{where}: {first['msg'].removeprefix('Value error, ')}"


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")

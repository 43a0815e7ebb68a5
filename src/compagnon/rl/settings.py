"""The base of every algorithm's settings: typed, frozen, without unknown keys, sure of resuming."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.fields import FieldInfo

from compagnon.envs.options import NO_TRUTH, truth_for_a_number
from compagnon.rl.problem_defaults import ProblemFacts

T = TypeVar("T")


@dataclass(frozen=True)
class OnResume:
    """What a setting says of itself: whether a run that is resumed may have another value of it."""

    may_change: bool


# Fixed: a checkpoint holds what was made with the value (arrays, rewards, labels), or it is used
# once, so that another one would be ignored. Free: the next iteration reads it anew.
Fixed = Annotated[T, OnResume(may_change=False)]
Free = Annotated[T, OnResume(may_change=True)]


class Settings(BaseModel):
    """Validated settings; an unknown key is an error, not a silent default.

    Each field is `Fixed` or `Free`, or settings of its own.

    Attributes:
        renamed: old name -> name now; what was written with an old one is read as before.
    """

    renamed: ClassVar[Mapping[str, str]] = {}
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _by_names_now(cls, given: Any) -> Any:
        if not isinstance(given, dict) or not cls.renamed.keys() & given.keys():
            return given
        for old, now in cls.renamed.items():
            if old in given and now in given:
                raise ValueError(f"{old}: is called {now} now, which is given too; give that alone")
        return {cls.renamed.get(name, name): value for name, value in given.items()}

    @model_validator(mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, given: Any) -> Any:
        for name, value in given.items() if isinstance(given, dict) else ():
            field = cls.model_fields.get(name)
            if field is not None and truth_for_a_number(value, field.annotation):
                raise ValueError(f"{name}: {NO_TRUTH}")
        return given


def set_key(model: type[Settings], tree: dict[str, Any], parts: Sequence[str], value: Any) -> None:
    """Set one key of a tree that `model` will read; an old name of it, or in it, counts as the new.

    Args:
        parts: of the dotted key.

    Raises:
        TypeError: a part on the way is a value, not a table; it names the part.
    """
    kind: Any = model
    for place, part in enumerate(parts):
        renamed = kind.renamed if _is_settings(kind) else {}
        name = renamed.get(part, part)
        for old in [old for old, now in renamed.items() if now == name and old in tree]:
            tree[name] = tree.pop(old)
        if place == len(parts) - 1:
            tree[name] = value
            return
        tree = tree.setdefault(name, {})
        if not isinstance(tree, dict):
            raise TypeError(part)
        field = kind.model_fields.get(name) if _is_settings(kind) else None
        kind = None if field is None else field.annotation


def _is_settings(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Settings)


def may_change(field: FieldInfo) -> bool | None:
    """Whether a resumed run may have another value; None where the field does not say."""
    said = [mark.may_change for mark in field.metadata if isinstance(mark, OnResume)]
    return said[-1] if said else None


def forbidden_changes(
    own: Settings, wanted: Settings, where: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """The settings that differ and may not: (dotted key, value then, value now)."""
    for name, field in type(own).model_fields.items():
        before: Any = getattr(own, name)
        now: Any = getattr(wanted, name, None)
        if isinstance(before, Settings) and isinstance(now, type(before)):
            yield from forbidden_changes(before, now, f"{where}{name}.")
        elif isinstance(before, Settings):  # another algorithm: its kind says so
            yield f"{where}{name}.kind", getattr(before, "kind", None), getattr(now, "kind", None)
        elif before != now and not may_change(field):
            yield f"{where}{name}", before, now


class AlgorithmSettings(Settings):
    """Settings of an algorithm, and what a recipe and a trainer need to know of it before torch.

    Attributes:
        kind: what a recipe calls the algorithm; each one's own is a `Literal`.
        serves: the kinds of actions that it can choose: discrete, box.
        ends_after: the setting that says after how many iterations it ends by itself, if it does.
        expert_key, num_envs_key: the dotted settings that name whom it imitates, and how many
            envs it trains in; None where it has none.
        network_defaults: of a perceptron, where the recipe leaves them open.
    """

    serves: ClassVar[tuple[str, ...]] = ("discrete",)
    ends_after: ClassVar[str | None] = None
    expert_key: ClassVar[str | None] = None
    num_envs_key: ClassVar[str | None] = None
    network_defaults: ClassVar[Mapping[str, Any]] = {}

    kind: Fixed[str]

    def iterations_for(self, env_steps: int) -> int | None:  # noqa: ARG002
        """Iterations until so many environment steps are taken; None where that is not known."""
        return None

    @property
    def own_iterations(self) -> int | None:
        """Iterations after which it ends by itself; None where it goes on."""
        return None if self.ends_after is None else int(getattr(self, self.ends_after))

    @property
    def imitated(self) -> str | None:
        """Whom it imitates by name, "" for the usual expert of the world; None for nobody."""
        return None

    def imitation(self, iterations: int | None) -> "AlgorithmSettings | None":  # noqa: ARG002
        """Its imitation alone, which a diagnosis looks at; None where it imitates nobody.

        Args:
            iterations: that the budget allows, where it says so.
        """
        return None

    @classmethod
    def complete(cls, problem: ProblemFacts, given: dict[str, Any]) -> None:
        """Put into its table of a recipe what is left open and depends on the problem."""

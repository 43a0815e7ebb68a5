"""The base of every algorithm's settings: typed, frozen, without unknown keys, sure of resuming."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.fields import FieldInfo

from compagnon.envs.options import NO_TRUTH, truth_for_a_number

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
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, given: Any) -> Any:
        for name, value in given.items() if isinstance(given, dict) else ():
            field = cls.model_fields.get(name)
            if field is not None and truth_for_a_number(value, field.annotation):
                raise ValueError(f"{name}: {NO_TRUTH}")
        return given


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
    """Settings of an algorithm that practises in an environment.

    Attributes:
        serves: the kinds of actions that it can choose: discrete, box.
    """

    serves: ClassVar[tuple[str, ...]] = ("discrete",)

    @abstractmethod
    def iterations_for(self, env_steps: int) -> int | None:
        """Iterations until so many environment steps are taken; None where that is not known."""

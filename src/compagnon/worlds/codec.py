"""How a world's own states are read: from a state to what a policy sees, and what it may do."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

State = TypeVar("State")
_FIELD: Final = re.compile(r"^[\w.\[\]]+(?=:| is )")


class ActionLabels(Protocol):
    """What each action means."""

    def __getitem__(self, action: int, /) -> str:
        """In words."""
        ...


class StateCodec(ABC, Generic[State]):
    """Reads states of one world for a policy that sees some of its fields.

    A state is a dataclass whose fields are numbers, texts, truth values, dataclasses and lists of
    these; whoever decodes JSON into one refuses fields that it does not have.

    Attributes:
        kind: the dataclass.
        description: what a state is, for the description of a service.
        example: a state as JSON has it, for that description.
    """

    kind: type[State]
    description: ClassVar[str] = "a state; the fields and the mask follow from it"
    example: ClassVar[Mapping[str, Any] | None] = None

    @abstractmethod
    def look(self, state: State) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The policy's fields in physical units, (F,), and what is possible, (A,).

        Raises:
            InputError: the state cannot be; the sentence begins with the field that is wrong.
        """

    def warm_up(self) -> State | None:
        """A state to look at before anybody asks, where the first look takes long."""
        return None

    def field_of(self, sentence: str) -> str:
        """Where in the state a sentence of `look` points, such as ``drivers[0].lat``, or nothing.

        By itself a sentence begins with the field: ``raw is 60; it should be 0 to 50``, or
        ``drivers[0].lat: it should be 45 to 46``.
        """
        found = _FIELD.match(sentence)
        return found[0] if found else ""

    def action_labels(self, state: State) -> ActionLabels | None:  # noqa: ARG002
        """What the actions mean in this state, where that depends on it."""
        return None

    def why_impossible(self, state: State, action: int) -> str | None:  # noqa: ARG002
        """Why an action is masked in this state; None if it is not, or where that is not known."""
        return None

    def candidate_costs(self, state: State) -> NDArray[np.float64] | None:  # noqa: ARG002
        """What each action costs beside the others, (A,), NaN where that is not known.

        None where the world cannot tell; the unit is that of the reward, less being better.
        """
        return None

    def draw(self, state: State) -> str | None:  # noqa: ARG002
        """The state as one SVG element for a page; None where nobody can draw it."""
        return None

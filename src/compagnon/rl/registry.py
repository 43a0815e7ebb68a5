"""The algorithms that can be named in a recipe: ours, installed packages', and a program's own.

An algorithm is an `AlgorithmEntry`: the settings that a recipe is checked by, and the function that
builds it, imported when something is trained (reading a recipe needs no torch). A package brings
its own by an entry point of the group ``compagnon.algorithms``; a program calls `register`.
"""

import functools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, Protocol

from compagnon.errors import InputError, describe
from compagnon.rl.settings import AlgorithmSettings

GROUP: Final = "compagnon.algorithms"
_IMITATION: Final = "compagnon.rl.diagnosis.pages:diagnose_imitation"
# Kind -> its settings, the function that builds it, the one that diagnoses it if there is one.
_OWN: Final[dict[str, tuple[str, str, str | None]]] = {
    "dqn": ("compagnon.rl.dqn_settings:DQNSettings", "compagnon.rl.dqn:build", None),
    "ppo": ("compagnon.rl.ppo_settings:PPOSettings", "compagnon.rl.ppo:build", None),
    "ddpg": ("compagnon.rl.ddpg_settings:DDPGSettings", "compagnon.rl.ddpg:build", None),
    "dagger": (
        "compagnon.rl.dagger_settings:DaggerSettings", "compagnon.rl.dagger:build", _IMITATION,
    ),
    "hybrid": (
        "compagnon.rl.hybrid_settings:HybridSettings", "compagnon.rl.hybrid:build", _IMITATION,
    ),
    "expert_iteration": (
        "compagnon.rl.expert_iteration_settings:ExpertIterationSettings",
        "compagnon.rl.expert_iteration:build",
        None,
    ),
}  # fmt: skip
_registered: dict[str, "AlgorithmEntry"] = {}


class DiagnosisReport(Protocol):
    """What a diagnosis found, ready to be shown."""

    def show(self, console: Any) -> None:
        """Print it on a `rich.console.Console`."""
        ...

    def as_json(self) -> dict[str, Any]:
        """Its figures."""
        ...

    def page(self, command: Sequence[str]) -> str:
        """It as HTML, with what was typed to get it."""
        ...


class Diagnoser(Protocol):
    """Finds out what is wrong with a recipe's learning, and which change mends it."""

    def __call__(
        self, recipe: Any, quick: bool, episodes: int | None, progress: Callable[[str], None]
    ) -> DiagnosisReport:
        """Diagnose.

        Args:
            recipe: a `Recipe` of the algorithm. quick: train and play less.
            episodes: that every policy plays, if that is wanted otherwise.
            progress: told what is worked on.
        """
        ...


@dataclass(frozen=True)
class AlgorithmEntry:
    """An algorithm that a recipe can name.

    Attributes:
        settings: its ``kind`` is a `Literal` with one name.
        build: makes it of a `BuildPlan`; or ``module:function``, which is imported then.
        space: TOML of what `tune` searches where nobody gives a space; "" for none.
        diagnose: what `compagnon diagnose` does with its recipes, likewise; None for nothing.
    """

    settings: type[AlgorithmSettings]
    build: str | Callable[[Any], Any]
    space: str = ""
    diagnose: str | Diagnoser | None = None

    @property
    def kind(self) -> str:
        """What a recipe calls it."""
        return str(self.settings.model_fields["kind"].default)

    def builder(self) -> Callable[[Any], Any]:
        """The function that builds it, imported now."""
        return _load(self.build) if isinstance(self.build, str) else self.build


def register(entry: AlgorithmEntry) -> None:
    """Let recipes name an algorithm of this program.

    Raises:
        InputError: the name is taken by another one.
    """
    taken = {**_own(), **_installed(), **_registered}.get(entry.kind)
    if taken is not None and taken.settings.__qualname__ != entry.settings.__qualname__:
        raise InputError(
            f"an algorithm is called {entry.kind!r} already ({taken.settings.__name__}); give "
            f"{entry.settings.__name__} another kind"
        )
    _registered[entry.kind] = entry


def algorithms() -> dict[str, AlgorithmEntry]:
    """Kind -> algorithm, ours first."""
    return {**_own(), **_installed(), **_registered}


def find_algorithm(kind: str) -> AlgorithmEntry:
    """The algorithm of a kind.

    Raises:
        InputError: nobody brings it; names those that there are.
    """
    found = algorithms()
    if kind not in found:
        raise InputError(f"algorithm.kind: should be {kinds_in_words()}, got {kind!r}")
    return found[kind]


def find_diagnoser(kind: str) -> Diagnoser:
    """What diagnoses the recipes of a kind, imported now.

    Raises:
        InputError: nothing does; names the kinds that have a diagnosis.
    """
    found = find_algorithm(kind).diagnose
    if found is None:
        others = " and ".join(k for k, entry in algorithms().items() if entry.diagnose is not None)
        raise InputError(f"there is no diagnosis of {kind}; there is one of {others}")
    diagnoser: Diagnoser = _load(found) if isinstance(found, str) else found
    return diagnoser


def kinds_in_words() -> str:
    """``'dqn', 'ppo' or 'hybrid'``."""
    *others, last = map(repr, algorithms())
    return f"{', '.join(others)} or {last}"


def settings_by_kind() -> dict[str, type[AlgorithmSettings]]:
    """Kind -> settings, ours first."""
    return {kind: entry.settings for kind, entry in algorithms().items()}


@functools.cache
def _own() -> dict[str, AlgorithmEntry]:
    return {
        kind: AlgorithmEntry(_load(where), build, diagnose=diagnose)
        for kind, (where, build, diagnose) in _OWN.items()
    }


@functools.cache
def _installed() -> dict[str, AlgorithmEntry]:
    """Those of other packages; one that fails is named in a warning, and the others are found."""
    found: dict[str, AlgorithmEntry] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        entry = _of_package(point)
        if entry is not None and entry.kind not in _OWN:
            found[entry.kind] = entry
    return found


def _of_package(point: EntryPoint) -> AlgorithmEntry | None:
    try:
        entry = point.load()
        if not isinstance(entry, AlgorithmEntry):
            raise TypeError(f"it is {type(entry).__name__}, and should be an AlgorithmEntry")
        _ = entry.kind
    except Exception as error:  # another package's code: anything may be wrong with it
        warnings.warn(
            f"the algorithm {point.name} = {point.value} cannot be used: {describe(error)}",
            stacklevel=4,
        )
        return None
    return entry


def _load(where: str) -> Any:
    module, _, name = where.partition(":")
    return getattr(import_module(module), name)

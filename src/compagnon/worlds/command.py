"""A world's own verbs on the command line."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Command:
    """One verb.

    Attributes:
        run: its arguments are the verb's, as tyro reads them; its docstring is the verb's help, and
            what it returns the exit code.
        extra: of this package, which brings what the verb needs; empty for none.
        packages: modules that tell whether it is installed.
    """

    run: Callable[..., int]
    extra: str = ""
    packages: tuple[str, ...] = ()


@dataclass(frozen=True)
class CommandGroup:
    """Several verbs behind one word, such as ``data import`` and ``data check``."""

    help: str
    commands: Mapping[str, Command] = field(default_factory=dict)

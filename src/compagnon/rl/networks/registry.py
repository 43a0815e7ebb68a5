"""What a recipe may say of networks, without torch; and networks of one's own, by their names.

One's own is any `torch.nn.Module` that maps (B, inputs) to (B, outputs), and a factory ``(inputs,
outputs, **options) -> module`` makes it. A recipe names it as ``module:function``, or by the name
that `register_network` gave it or an installed package's entry point of the group
``compagnon.networks`` has.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final, Literal

from compagnon.errors import InputError, describe

Networks = Literal["separate", "joint"]
Norm = Literal["none", "layer", "batch"]
Std = Literal["fixed", "learnt", "by_state"]

GROUP: Final = "compagnon.networks"
NetworkFactory = Callable[..., Any]
_registered: dict[str, NetworkFactory] = {}


def register_network(name: str, factory: NetworkFactory) -> None:
    """Let recipes name a network of this program.

    Args:
        factory: called with the numbers of inputs and outputs, and the recipe's `network.options`.
    """
    _registered[name] = factory


def known_networks() -> list[str]:
    """The names of networks that are registered or installed."""
    return sorted({*_registered, *(point.name for point in entry_points(group=GROUP))})


def is_known(kind: str) -> bool:
    """Whether a recipe may name it: registered, installed, or ``module:function``."""
    return ":" in kind or kind in known_networks()


def find_network(kind: str, where: str = "network.kind") -> NetworkFactory:
    """The factory that a kind stands for, imported now.

    Args:
        where: the key of the recipe that names it.

    Raises:
        InputError: nobody brings it, or it cannot be imported.
    """
    if kind in _registered:
        return _registered[kind]
    for point in entry_points(group=GROUP):
        if point.name == kind:
            return point.load()  # type: ignore[no-any-return]
    module, _, name = kind.partition(":")
    try:
        found = getattr(import_module(module), name)
    except Exception as error:  # somebody's module: anything may be wrong with it
        raise InputError(
            f"{where} {kind!r} cannot be imported ({describe(error)}); it should be "
            "module:function, of a module that Python finds"
        ) from None
    if not callable(found):
        raise InputError(f"{where} {kind!r} is no function that makes a module")
    return found  # type: ignore[no-any-return]

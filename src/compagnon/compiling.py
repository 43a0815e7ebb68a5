"""A first run compiles kernels for a minute, and says so while it does.

Numba tells of each compilation; kernels that it finds in its cache are not compiled, and nothing is
said. It is listened to from the moment that somebody imports it: a program that needs no kernel
does not wait for it.
"""

import importlib.abc
import importlib.machinery
import sys
import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

PATIENCE = 1.0  # seconds of compiling that nobody notices
SAID = (
    "compiling the kernels of this installation, once: it takes about a minute, and later runs "
    "begin at once"
)


_listeners: list[Callable[[str], None]] = []


def tell_of_compiling(tell: Callable[[str], None]) -> None:
    """Have `tell` told, once in a process, when compiling has taken noticeably long and goes on."""
    first = not _listeners
    _listeners[:] = [tell]
    if not first:
        return
    if "numba" in sys.modules:
        _listen()
    else:
        sys.meta_path.insert(0, _WhenImported("numba", _listen))


class _WhenImported(importlib.abc.MetaPathFinder):
    """Finds one module as Python would, and does something once it is imported."""

    def __init__(self, name: str, then: Callable[[], None]) -> None:
        self._name = name
        self._then = then

    def find_spec(
        self, fullname: str, path: Any, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_then(module: ModuleType) -> None:
                execute(module)
                if self in sys.meta_path:
                    sys.meta_path.remove(self)
                    self._then()

            spec.loader.exec_module = execute_then  # type: ignore[method-assign]
        return spec


class _Spent:
    """Adds up the time spent compiling, and tells once it has become noticeable."""

    def __init__(self) -> None:
        self._depth = 0
        self._spent = 0.0
        self._began = 0.0
        self._timer: threading.Timer | None = None
        self._said = False

    def start(self) -> None:
        """A kernel is compiled from here on; it may call another one, which is too."""
        self._depth += 1
        if self._depth > 1 or self._said:
            return
        self._began = time.monotonic()
        self._timer = threading.Timer(max(0.0, PATIENCE - self._spent), self._say)
        self._timer.daemon = True
        self._timer.start()

    def end(self) -> None:
        """It is compiled."""
        self._depth -= 1
        if self._depth or self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        self._spent += time.monotonic() - self._began

    def _say(self) -> None:
        if not self._said:
            self._said = True
            for tell in _listeners:
                tell(SAID)


def _listen() -> None:
    from numba.core import event

    spent = _Spent()

    class Listener(event.Listener):
        def on_start(self, event: Any) -> None:  # noqa: ARG002
            spent.start()

        def on_end(self, event: Any) -> None:  # noqa: ARG002
            spent.end()

    event.register("numba:compile", Listener())  # type: ignore[no-untyped-call]

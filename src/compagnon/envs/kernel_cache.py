"""Keeps compiled functions on disk under all that they are made of, so that none is ever stale.

Numba's own cache looks at the file of a function alone. Change a constant that a function *calls
into*, and yesterday's figures come out; move a class that an argument is of, and the cache cannot
even be read. Here a file is named by a hash of the function's code, its options, every value that
it reads and every function that it calls, as they stand in memory, and by the types it was compiled
for. What has changed has another name, and what cannot be read is compiled again.
"""

import builtins
import contextlib
import enum
import glob
import hashlib
import os
import pickle
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

import numba
import numpy as np
from numba.core import sigutils, types
from numba.core.caching import _CacheLocator
from numba.core.compiler import CompileResult
from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaWarning
from numba.core.serialize import dumps
from numba.misc.appdirs import AppDirs

from compagnon.files import write_file

_UNUSED: Final = 7 * 86_400.0  # seconds after which another version of a function is removed
# What comes with these changes with their versions alone, and is known by its name.
_VERSIONED: Final = frozenset(sys.stdlib_module_names) | {"llvmlite", "numba", "numpy"}
_VERSIONS: Final = (sys.version_info[:2], numba.__version__, np.__version__)
_PLAIN: Final = (bool, int, float, complex, str, bytes, type(None), type(...))


class UnknownValueError(TypeError):
    """A function reads something of which nobody can tell whether it has changed."""


def fingerprint(function: FunctionType) -> str:
    """What a function computes, as 64 hexadecimal digits: all that can be reached from its code.

    Values under the names that it reads count as they stand now, modules by those of their names
    that the code reads. A change of a comment changes nothing.

    Raises:
        UnknownValueError: names what is neither a function, a number, a text, an array, a tuple, an
            enumeration, nor a part of numpy, numba or Python.
    """
    walk = _Walk()
    walk.function(function)
    return walk.digest()


class _Walk:
    """Hashes what can be reached from code; each function once, so that circles end."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        # What was met: when, and the thing itself, so that its id is given to no other.
        self._met: dict[object, tuple[int, object]] = {}

    def digest(self) -> str:
        return self._hash.hexdigest()

    def _meet(self, key: object, value: object) -> None:
        self._met[key] = (len(self._met), value)

    def say(self, *words: object) -> None:
        """Words that are told alike in every process."""
        self._hash.update(repr(words).encode("utf-8", "surrogatepass"))

    def function(self, function: FunctionType) -> None:
        self.say("function", function.__module__, function.__qualname__)
        self.value(function.__defaults__)
        self.value(tuple(sorted((function.__kwdefaults__ or {}).items())))
        names = tuple(_names(function.__code__))
        for cell in function.__closure__ or ():
            try:
                self.value(cell.cell_contents, names)
            except ValueError:  # nothing was put into it yet
                self.say("empty")
        self._code(function.__code__)
        for name in names:
            if name in function.__globals__:
                self.say("name", name)
                self.value(function.__globals__[name], names)

    def _code(self, code: CodeType) -> None:
        self.say(code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_flags)
        for const in code.co_consts:
            if isinstance(const, CodeType):
                self._code(const)
            else:
                self.value(const)

    def value(self, value: Any, names: tuple[str, ...] = ()) -> None:
        """Whatever compiled code may find under a name; of a module, what `names` names."""
        if type(value) in _PLAIN:
            self.say(type(value).__name__, value)
        elif isinstance(value, np.generic | np.ndarray):
            self.say(type(value).__name__, repr(value.dtype), value.shape, value.strides)
            self._hash.update(value.tobytes())
        elif isinstance(value, enum.Enum):
            self.say("member", type(value).__module__, type(value).__qualname__, value.name)
            self.value(value.value)
        elif isinstance(value, tuple):
            self.class_(type(value))
            for item in value:
                self.value(item)
        elif isinstance(value, frozenset | set):
            self.say("set", sorted(map(repr, value)))
        elif isinstance(value, ModuleType):
            self._module(value, names)
        elif isinstance(value, types.Type):
            self.numba_type(value)
        elif isinstance(value, type):
            self.class_(value)
        elif id(value) in self._met:
            self.say("again", self._met[id(value)][0])
        else:
            self._meet(id(value), value)
            self._callable(value)

    def _module(self, module: ModuleType, names: tuple[str, ...]) -> None:
        self.say("module", module.__name__)
        met = (id(module), names)
        if _is_versioned(module.__name__) or met in self._met:
            return
        self._meet(met, module)
        for name in names:
            if name in vars(module):
                self.say("name", name)
                # The name may be that of a field, which something else in the module bears too.
                with contextlib.suppress(UnknownValueError):
                    self.value(vars(module)[name], names)

    def class_(self, cls: type) -> None:
        """A class that compiled code may know: a named tuple, an enumeration, a number's."""
        self.say("class", cls.__module__, cls.__qualname__)
        if issubclass(cls, enum.Enum):
            for member in cls:
                self.value(member)
        elif hasattr(cls, "_fields"):
            self.say(cls._fields)
            self.value(tuple(getattr(cls, "_field_defaults", {}).items()))
        elif not _is_versioned(cls.__module__):
            raise UnknownValueError(f"the class {cls.__module__}.{cls.__qualname__}")

    def _callable(self, value: Any) -> None:
        if isinstance(value, Dispatcher):
            for option, setting in sorted(value.targetoptions.items()):
                self.say("option", option)
                self.value(setting)
            self.value(tuple(sorted(value.locals.items())))
            self.function(value.py_func)
            return
        made_by = getattr(value, "_defn", None)  # an intrinsic: what writes the instructions
        function = value if made_by is None else made_by
        module = getattr(function, "__module__", None) or ""
        name = getattr(function, "__qualname__", None) or getattr(function, "__name__", "")
        if isinstance(value, np.ufunc) or (_is_versioned(module) and name):
            self.say("known", type(value).__name__, module, name)
        elif isinstance(function, FunctionType):
            self.function(function)
        else:
            raise UnknownValueError(f"a {type(value).__module__}.{type(value).__qualname__}")

    def numba_type(self, kind: Any) -> None:
        """The type of an argument; the fields of a named tuple are no part of its name."""
        if isinstance(kind, types.BaseNamedTuple):
            self.class_(kind.instance_class)  # type: ignore[attr-defined]
        if isinstance(kind, types.BaseTuple):
            self.say(len(kind))
            for item in kind:  # type: ignore[attr-defined]
                self.numba_type(item)
        elif isinstance(kind, types.Dispatcher):
            self.value(kind.dispatcher)
        else:
            self.say(type(kind).__name__, str(kind))


def _names(code: CodeType) -> Iterator[str]:
    """The names that code reads, of values and of attributes, functions within it included."""
    yield from code.co_names
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _names(const)


def _is_versioned(module: str) -> bool:
    return module.partition(".")[0] in _VERSIONED or module == builtins.__name__


class KernelCache:
    """The compiled forms of one function, as a dispatcher of numba's asks for them.

    It looks where numba looks: in ``NUMBA_CACHE_DIR`` if that is set; else in the ``__pycache__``
    beside the source, which may come with an installation that cannot be written to, then in the
    user's own cache. A form is one file of its own, so processes that compile at the same time do
    not meet. Nothing is computed or read before the function is first called.
    """

    def __init__(self, function: FunctionType) -> None:
        self._function = function
        self._source = Path(function.__code__.co_filename).absolute()
        qualname = function.__qualname__.replace("<", "").replace(">", "")
        self._base = f"{self._source.stem}.{qualname}"
        self._told = False

    @property
    def cache_path(self) -> str | None:
        """The first folder that is looked into."""
        return next((str(folder) for folder in self._folders()), None)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The form for a signature; None where there is none that can be used."""
        target_context.refresh()
        name = self._name(sig, target_context.codegen())
        for folder in self._folders() if name else ():
            # Whatever is wrong with a file, the function itself is at hand.
            with contextlib.suppress(Exception):
                path = folder / name
                found = CompileResult._rebuild(target_context, *pickle.loads(path.read_bytes()))
                with contextlib.suppress(OSError):
                    os.utime(path)  # so that it is known to be in use
                return found
        return None

    def save_overload(self, sig: Any, compiled: Any) -> None:
        """Keep a form, in the first folder that takes it; without one it is compiled each time."""
        name = self._name(sig, compiled.codegen)
        if not name:
            return
        if compiled.library.has_dynamic_globals or not all(
            one.can_cache for one in compiled.lifted
        ):
            self._tell("it holds an address, or a loop that was taken out of it")
            return
        data = dumps(compiled._reduce())
        for folder in self._folders():
            with contextlib.suppress(OSError):
                write_file(folder / name, data)
                self._tidy(folder, name)
                return

    def flush(self) -> None:
        """Nothing: what is compiled again is written over."""

    def _name(self, sig: Any, codegen: Any) -> str:
        """The file of a signature on this processor, or nothing where it is not to be kept."""
        try:
            whole = fingerprint(self._function)
            walk = _Walk()
            arguments, returned = sigutils.normalize_signature(sig)
            for kind in (*arguments, *([] if returned is None else [returned])):
                walk.numba_type(kind)
            walk.say(codegen.magic_tuple(), _VERSIONS)
        except UnknownValueError as unknown:
            self._tell(f"it reads {unknown}, and nobody could tell whether that has changed")
            return ""
        return f"{self._base}-{whole[:20]}-{walk.digest()[:20]}.nbc"

    def _folders(self) -> Iterator[Path]:
        if not self._source.is_file():  # typed at a prompt
            return
        theirs = _CacheLocator.get_suitable_cache_subpath(str(self._source))
        if numba.config.CACHE_DIR:  # type: ignore[attr-defined]
            yield Path(numba.config.CACHE_DIR) / theirs  # type: ignore[attr-defined]
            return
        yield self._source.parent / "__pycache__"
        yield Path(AppDirs("numba", appauthor=False).user_cache_dir) / theirs

    def _tidy(self, folder: Path, name: str) -> None:
        """Remove what other versions of the function have left and nobody used for a week."""
        mine = name.rpartition("-")[0]
        before = time.time() - _UNUSED
        for path in folder.glob(f"{glob.escape(self._base)}-*"):
            if not path.name.startswith(mine):
                with contextlib.suppress(OSError):
                    if path.stat().st_mtime < before:
                        path.unlink()

    def _tell(self, why: str) -> None:
        if not self._told:
            self._told = True
            warnings.warn_explicit(
                f"{self._function.__qualname__} is compiled anew in every process: {why}",
                NumbaWarning,
                str(self._source),
                self._function.__code__.co_firstlineno,
            )

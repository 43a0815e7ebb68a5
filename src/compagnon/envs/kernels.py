"""How a world is compiled, and shared among threads, where every microsecond counts."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, ParamSpec, TypeVar, overload

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.dispatcher import Dispatcher
from numba.extending import intrinsic
from numpy.typing import NDArray

from compagnon.envs.kernel_cache import KernelCache

_P = ParamSpec("_P")
_R = TypeVar("_R")
_OPTIONS: Final[dict[str, Any]] = {"error_model": "numpy", "_nrt": False}


@overload
def cached_njit(function: Callable[_P, _R], /) -> Callable[_P, _R]: ...


@overload
def cached_njit(**options: Any) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]: ...


def cached_njit(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Numba's ``njit(cache=True)``, whose cache sees changes in what the function calls and reads.

    Args:
        options: as `numba.njit` takes them.
    """
    if function is None:
        return partial(cached_njit, **options)
    compiled = numba.njit(**options)(function)
    if isinstance(compiled, Dispatcher):  # else compiling is switched off
        compiled._cache = KernelCache(compiled.py_func)  # type: ignore[attr-defined]
    return compiled


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function that only reads and writes the arrays that it is given.

    A view of an array (a row of a table) usually counts who holds it, with an atomic instruction at
    its begin and at its end. In functions of a microsecond that is most of the time. The arrays
    that a step is given outlive the step, so nothing has to be counted.

    Such a function makes no array, and returns none to Python or to a function compiled
    in the usual way: there, a view would be released that nobody held.
    """
    return cached_njit(**_OPTIONS)(function)


def kernel_inline(function: Callable[..., Any]) -> Any:
    """Compile a kernel into every place where it is called.

    A call hands over each array as seven numbers or more; for a function of many arrays that is
    short and often called, that takes longer than what it does.
    """
    return cached_njit(forceinline=True, **_OPTIONS)(function)


def kernel_entry(function: Callable[..., Any]) -> Any:
    """Compile a kernel that Python calls; while it runs, other threads of Python do too."""
    return cached_njit(nogil=True, **_OPTIONS)(function)


def _prefetch(typing_context: Any, array: Any, offset: Any) -> Any:  # noqa: ARG001
    """Ask for the memory `offset` bytes into an array without waiting for it."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        pointer = builder.gep(builder.bitcast(data, cgutils.voidptr_t), [args[1]])
        whole = ir.IntType(32)
        form = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, whole, whole, whole])
        ask = builder.module.declare_intrinsic("llvm.prefetch", [cgutils.voidptr_t], form)
        builder.call(ask, [pointer, whole(0), whole(3), whole(1)])  # to read, to keep, data
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


prefetch: Any = intrinsic(_prefetch)


class Threads:
    """Shares the rows of a batch among as many threads as numba is allowed.

    A parallel loop of numba's would do the same, but has the whole kernel compiled once more.

    Args:
        worth: for fewer rows than this, waking threads takes longer than they save.
    """

    def __init__(self, worth: int) -> None:
        self._worth = worth
        self._pool: ThreadPoolExecutor | None = None

    def share(self, work: Callable[[NDArray[np.int64]], None], rows: NDArray[np.int64]) -> None:
        """Call `work` (a `kernel_entry`) with disjoint parts of `rows` that together are all.

        The caller's own thread takes one part.
        """
        threads = numba.get_num_threads() if len(rows) >= self._worth else 1
        first, *others = np.array_split(rows, threads)
        if others and self._pool is None:
            self._pool = ThreadPoolExecutor(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
        waiting = [self._pool.submit(work, part) for part in others] if self._pool else []
        work(first)
        for result in waiting:
            result.result()

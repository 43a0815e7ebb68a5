"""Compiled functions are found again on disk while nothing that they are made of changes."""

import ast
import importlib
import os
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import NamedTuple

import numba
import pytest
from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaWarning
from numba.extending import intrinsic

import compagnon
from compagnon.envs.kernel_cache import KernelCache, UnknownValueError, fingerprint
from compagnon.envs.kernels import cached_njit

ROOT = Path(compagnon.__file__).parent

# -- the fingerprint ------------------------------------------------------------------------------

SOURCE = """
import enum
import math
import numpy as np
from typing import NamedTuple
from numba import njit

PRICES = np.array([1.0, 2.0])
VAT = 0.2
UNUSED = 1

class Day(enum.IntEnum):
    MONDAY = 0
    SUNDAY = 6

class Shelf(NamedTuple):
    stock: int
    ordered: int = 0

@njit
def tax(money):
    '''Of some money.'''
    return VAT * money

def total(stock, closed=False):
    shelf = Shelf(stock, stock)
    rest = sum([shelf.stock for _ in range(3)])
    return 0.0 if closed == Day.SUNDAY else tax(PRICES[0] * math.sqrt(rest) + np.float64(2))
"""


def made(source: str) -> types.FunctionType:
    """`total` of a module with that source."""
    module = types.ModuleType("shop")
    exec(compile(source, "shop.py", "exec"), vars(module))
    return module.total


def test_the_same_source_has_the_same_fingerprint_whatever_is_said_about_it():
    told = SOURCE.replace("UNUSED = 1", "UNUSED = 2  # nothing reads it").replace("\n\n", "\n\n\n")
    assert fingerprint(made(told)) == fingerprint(made(SOURCE))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("VAT = 0.2", "VAT = 0.25"),  # what a callee reads
        ("VAT = 0.2", "VAT = np.float32(0.2)"),
        ("[1.0, 2.0]", "[1.0, 3.0]"),
        ("[1.0, 2.0]", "[1, 2]"),
        ("SUNDAY = 6", "SUNDAY = 0"),
        ("stock: int\n    ordered: int = 0", "ordered: int\n    stock: int = 0"),
        ("ordered: int = 0", "ordered: int = 1"),
        ("@njit\n", "@njit(fastmath={'nsz', 'reassoc'})\n"),
        ("VAT * money", "VAT + money"),
        ("math.sqrt", "math.exp"),
        ("np.float64", "np.float32"),
        ("closed=False", "closed=True"),
        ("for _ in range(3)", "for _ in range(4)"),
    ],
)
def test_whatever_changes_the_result_changes_the_fingerprint(old, new):
    assert old in SOURCE
    assert fingerprint(made(SOURCE.replace(old, new))) != fingerprint(made(SOURCE))


def test_what_a_closure_a_module_and_an_intrinsic_hold_counts():
    constants = types.ModuleType("shop.constants")
    constants.LIMIT, constants.other = 3, constants  # a circle

    def maker(bonus, length):
        def instructions(context, builder, signature, args):
            return context.get_constant(numba.types.int64, length)

        @intrinsic
        def written(typing_context):
            return numba.types.int64(), instructions

        def inner(x):
            return max([min(y, constants.LIMIT) for y in x]) + bonus + written()

        return fingerprint(inner)

    first = maker(1, 2)
    assert maker(1, 2) == first
    assert maker(2, 2) != first
    assert maker(1, 3) != first
    constants.LIMIT = 4
    assert maker(1, 2) != first


def test_functions_that_call_each_other_end():
    @numba.njit
    def even(n):
        return n == 0 or odd(n - 1)

    @numba.njit
    def odd(n):
        return n != 0 and even(n - 1)

    assert fingerprint(even.py_func) != fingerprint(odd.py_func)


@pytest.mark.parametrize(
    "held", [{"a": 1}, object(), type("Plain", (), {})], ids=["dict", "object", "class"]
)
def test_what_nobody_can_tell_of_is_named(held):
    def reads(x):
        return held or x

    with pytest.raises(UnknownValueError, match=r"dict|object|Plain"):
        fingerprint(reads)


def test_a_field_of_the_same_name_as_something_in_a_module_is_no_obstacle():
    tables = types.ModuleType("shop.tables")
    tables.LIMIT, tables.stock = 3, {"bread": 1}

    def reads(shelf):
        return min(tables.LIMIT, shelf.stock)

    first = fingerprint(reads)
    tables.LIMIT = 4
    assert fingerprint(reads) != first


def kernels():
    """Every compiled function of the package."""
    for path in sorted(ROOT.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
        if "compagnon.envs.kernels import" in path.read_text():
            for found in vars(importlib.import_module(name)).values():
                if isinstance(found, Dispatcher) and found.__module__ == name:
                    yield found


def test_every_kernel_of_the_package_can_be_kept():
    found = {kernel.__qualname__: kernel for kernel in kernels()}
    assert len(found) > 150
    assert all(isinstance(kernel._cache, KernelCache) for kernel in found.values())
    assert len({fingerprint(kernel.py_func) for kernel in found.values()}) == len(found)


# -- in one process -------------------------------------------------------------------------------


class Pair(NamedTuple):
    """Two numbers."""

    first: float
    second: float


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of one's own."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def again(function):
    """The function as another process would meet it: nothing of it is compiled."""
    return cached_njit(function.py_func)


@cached_njit
def double(x):
    return 2 * x


@cached_njit
def difference(pair):
    return pair.first - double(pair.second)


def hits(function):
    return sum(function.stats.cache_hits.values()), sum(function.stats.cache_misses.values())


def test_a_function_that_nobody_calls_costs_nothing(cache):
    again(double)
    assert not cache.exists()


def test_a_form_is_kept_for_each_type_of_arguments(cache):
    first = again(double)
    assert (first(2), first(2.5)) == (4, 5.0)
    assert hits(first) == (0, 2)
    second = again(double)
    assert (second(3), second(3.5)) == (6, 7.0)
    assert hits(second) == (2, 0)
    assert second.stats.cache_path == str(next(cache.iterdir()))


def test_fields_that_have_changed_places_are_another_type(cache, monkeypatch):
    assert again(difference)(Pair(5.0, 1.0)) == 3.0

    class Other(NamedTuple):
        second: float
        first: float

    Other.__qualname__, Other.__name__ = "Pair", "Pair"  # as an edit of the file would have it
    second = again(difference)
    assert second(Other(second=1.0, first=5.0)) == 3.0
    assert hits(second) == (0, 1)


@pytest.mark.parametrize(
    "rest", [b"", b"\x80\x05", b"cgone.module\nPair\n."], ids=["", "torn", "gone"]
)
def test_a_file_that_cannot_be_read_is_compiled_and_written_again(cache, rest):
    assert again(double)(2) == 4
    [file] = cache.rglob("*.nbc")
    file.write_bytes(rest)
    second = again(double)
    assert second(3) == 6
    assert hits(second) == (0, 1)
    third = again(double)
    assert third(3) == 6
    assert hits(third) == (1, 0)


def test_what_other_versions_left_goes_once_nobody_has_used_it_for_a_week(cache):
    again(double)(2)
    [folder] = cache.iterdir()
    now, week = time.time(), 7 * 86_400
    for name, age in (
        ("test_kernel_cache.double-0123-45.nbc", week + 60),
        ("test_kernel_cache.double-77.py311.1.nbc", week + 60),  # of numba's own cache
        ("test_kernel_cache.double-0124-45.nbc", week - 60),
        ("test_kernel_cache.doubled-0123-45.nbc", week + 60),  # of another function
    ):
        (folder / name).write_bytes(b"")
        os.utime(folder / name, (now - age, now - age))
    [mine] = [path for path in folder.iterdir() if path.stat().st_size]
    os.utime(mine, (now - week - 60, now - week - 60))
    again(double)(2)  # is in use
    assert mine.stat().st_mtime > now - 60
    again(double)(2.5)
    left = {path.name for path in folder.iterdir() if not path.stat().st_size}
    assert left == {"test_kernel_cache.double-0124-45.nbc", "test_kernel_cache.doubled-0123-45.nbc"}
    assert mine.exists()


def test_what_cannot_be_told_is_compiled_each_time_and_said(cache, recwarn):
    table = numba.typed.Dict.empty(numba.types.int64, numba.types.int64)

    @cached_njit
    def reads(x):
        return len(table) + x

    cached = KernelCache(reads.py_func)
    assert cached.load_overload((numba.types.int64,), reads.targetctx) is None
    [told] = [one for one in recwarn if one.category is NumbaWarning]
    assert "reads is compiled anew in every process" in str(told.message)
    assert "numba.typed.typeddict.Dict" in str(told.message)
    assert not cache.exists()


# -- a package of somebody's ----------------------------------------------------------------------

KERNEL = """
from compagnon.envs.kernels import cached_njit
from shop import prices
from shop.shelf import Shelf

@cached_njit
def worth(shelf):
    return prices.price(shelf.stock) + shelf.bonus
"""
PRICES = """
from compagnon.envs.kernels import cached_njit

UNIT = 10.0

@cached_njit
def price(stock):
    return UNIT * stock
"""
SHELF = """
from typing import NamedTuple

class Shelf(NamedTuple):
    stock: float
    bonus: float
"""
RUN = """
import sys
from shop import kernel
from shop.shelf import Shelf
found = [kernel.worth(Shelf(stock=float(k), bonus=float(k))) for k in (1, 2)]
if "whole" in sys.argv:
    found.append(kernel.worth(Shelf(stock=3, bonus=3)))
print(*found, sum(kernel.worth.stats.cache_misses.values()))
"""


@pytest.fixture
def shop(tmp_path):
    """A package with kernels; called, it runs them in a process of its own."""
    package = tmp_path / "site" / "shop"
    package.mkdir(parents=True)
    for name, text in (("__init__", ""), ("kernel", KERNEL), ("prices", PRICES), ("shelf", SHELF)):
        (package / f"{name}.py").write_text(text)
    given = [str(tmp_path / "site"), str(ROOT.parent), os.environ.get("PYTHONPATH", "")]
    home = tmp_path / "home"
    home.mkdir()
    environment = {
        **{name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"},
        "PYTHONPATH": os.pathsep.join(filter(None, given)),
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",  # an edit within a second would not be seen by Python
    }

    class Shop:
        folder = package
        cache = package / "__pycache__"
        users_cache = home

        def start(self, *words):
            return subprocess.Popen(
                [sys.executable, "-c", RUN, *words],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
            )  # fmt: skip

        def __call__(self, *words):
            process = self.start(*words)
            said, _ = process.communicate(timeout=120)
            assert process.returncode == 0, said
            return [float(word) for word in said.split()]

        def edit(self, name, old, new):
            text = (package / name).read_text()
            assert old in text
            (package / name).write_text(text.replace(old, new))

    return Shop()


def test_a_constant_of_a_callee_in_another_file_changes_the_result(shop, monkeypatch):
    monkeypatch.syspath_prepend(shop.folder.parent)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def worth():
        for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
            monkeypatch.delitem(sys.modules, name)
        kernel, shelf = (importlib.import_module(f"shop.{name}") for name in ("kernel", "shelf"))
        return kernel.worth(shelf.Shelf(1.0, 1.0)), hits(kernel.worth)

    assert worth() == (11.0, (0, 1))
    shop.edit("prices.py", "UNIT = 10.0", "UNIT = 20.0")
    assert worth() == (21.0, (0, 1))
    shop.edit("kernel.py", "from shop import prices", "from shop import prices  # a comment")
    assert worth() == (21.0, (1, 0))


@pytest.mark.full
def test_a_constant_of_a_callee_changes_the_result_in_the_next_process(shop):
    assert shop() == [11.0, 22.0, 1]
    shop.edit("prices.py", "UNIT = 10.0", "UNIT = 20.0")
    assert shop() == [21.0, 42.0, 1]
    shop.edit("prices.py", "UNIT = 20.0", "UNIT = 10.0  # as it was")
    assert shop() == [11.0, 22.0, 0]  # what was compiled for it is there still


@pytest.mark.full
def test_numbas_own_cache_would_give_what_it_was(shop):
    """Should this fail, numba has learnt to look at callees, and may be left to it again."""
    for name in ("kernel.py", "prices.py"):
        shop.edit(name, "from compagnon.envs.kernels import cached_njit", "from numba import njit")
        shop.edit(name, "@cached_njit", "@njit(cache=True)")
    assert shop() == [11.0, 22.0, 1]
    shop.edit("prices.py", "UNIT = 10.0", "UNIT = 20.0")
    assert shop() == [11.0, 22.0, 0]


@pytest.mark.full
def test_a_module_that_has_moved_and_a_class_that_has_another_name_are_compiled_again(shop):
    assert shop() == [11.0, 22.0, 1]
    (shop.folder / "shelf.py").rename(shop.folder / "shelves.py")
    shop.edit("shelves.py", "class Shelf(", "class Shelves(")
    shop.edit("kernel.py", "from shop.shelf import Shelf", "from shop.shelves import Shelves")
    (shop.folder / "shelf.py").write_text("from shop.shelves import Shelves as Shelf")
    assert shop() == [11.0, 22.0, 1]
    assert shop() == [11.0, 22.0, 0]


@pytest.mark.full
def test_a_package_that_cannot_be_written_to_keeps_its_forms_in_the_users_cache(shop):
    shop.cache.write_text("no folder, and none can be made")
    assert shop() == [11.0, 22.0, 1]
    assert list(shop.users_cache.rglob("kernel.worth-*.nbc"))
    assert shop() == [11.0, 22.0, 0]


@pytest.mark.full
def test_forms_that_came_with_a_package_are_taken_where_it_cannot_be_written_to(shop):
    assert shop() == [11.0, 22.0, 1]
    [form] = shop.cache.glob("kernel.worth-*.nbc")
    before = form.read_bytes()
    for path in shop.cache.iterdir():
        path.chmod(0o444)
    shop.cache.chmod(0o555)
    assert shop() == [11.0, 22.0, 0]
    assert form.read_bytes() == before
    assert not list(shop.users_cache.rglob("kernel.worth-*"))


@pytest.mark.full
def test_without_any_place_to_keep_them_functions_work(shop):
    shop.cache.write_text("")
    shop.users_cache.rmdir()
    shop.users_cache.write_text("")
    assert shop() == [11.0, 22.0, 1]


@pytest.mark.full
def test_processes_that_compile_at_the_same_time_do_not_meet(shop):
    """Half of them compile a second form meanwhile: neither is lost, nor taken for the other."""
    running = [shop.start(*["whole"] * (k % 2)) for k in range(4)]
    for k, process in enumerate(running):
        said, _ = process.communicate(timeout=240)
        assert process.returncode == 0, said
        assert [float(word) for word in said.split()][:-1] == [11.0, 22.0, *[33.0] * (k % 2)]
    assert shop("whole") == [11.0, 22.0, 33.0, 0]
    assert not list(shop.cache.glob(".*")), "drafts are left"


# -- everybody keeps to it ------------------------------------------------------------------------


def uses_numbas_own(source: str) -> bool:
    """Whether a module asks numba itself to keep what it compiles."""
    return any(
        isinstance(node, ast.keyword) and node.arg == "cache" and getattr(node.value, "value", True)
        for node in ast.walk(ast.parse(source))
    )


def test_no_kernel_of_the_package_is_kept_by_numbas_own_cache():
    sources = {path: path.read_text() for path in ROOT.rglob("*.py") if "njit" in path.read_text()}
    assert len(sources) > 15
    assert not [str(path) for path, source in sources.items() if uses_numbas_own(source)]


def test_a_kernel_that_numba_would_keep_is_found():
    assert uses_numbas_own("@njit(cache=True)\ndef f(): ...")
    assert not uses_numbas_own("@cached_njit(inline='always')\ndef f(): ...")

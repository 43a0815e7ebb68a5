"""No module of the package needs, at once or later, one that needs it."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import compagnon

PACKAGE = Path(compagnon.__file__).parent


def modules_of(package: Path) -> dict[str, Path]:
    found = {}
    for file in package.rglob("*.py"):
        parts = file.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """(module, name) of every import, within functions as well; not of those for types alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from ((one.name, "") for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are written whole here"
            yield from ((str(node.module), one.name) for one in node.names)
        yield from imported(node)


def order(package: Path) -> list[str]:
    """The modules, each after those that it needs.

    Raises:
        CycleError: there is no such order; it names the circle.
    """
    modules = modules_of(package)
    needs: dict[str, set[str]] = {}
    for name, file in modules.items():
        given = imported(ast.parse(file.read_text(encoding="utf-8")))
        wanted = (f"{m}.{n}" if f"{m}.{n}" in modules else m for m, n in given)
        needs[name] = {one for one in wanted if one in modules and one != name}
    return list(TopologicalSorter(needs).static_order())


def test_imports_of_the_package_make_no_circle():
    found = order(PACKAGE)
    assert len(found) > 300
    assert found.index("compagnon.envs.processes") < found.index("compagnon.envs.batch")


@pytest.mark.parametrize("later", ["", "def late():\n    "])
def test_a_circle_is_found_wherever_its_imports_stand(tmp_path, later):
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "low.py").write_text(f"{later}from shop import middle\n")
    (package / "middle.py").write_text("import shop.high\n")
    (package / "high.py").write_text(f"{later}from shop.low import thing\n")
    with pytest.raises(CycleError) as raised:
        order(package)
    assert {"shop.low", "shop.middle", "shop.high"} == set(raised.value.args[1])
    types = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from shop import middle\n"
    (package / "low.py").write_text(types)
    assert order(package).index("shop.low") < order(package).index("shop.high")

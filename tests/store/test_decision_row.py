"""The columns of a decision stand once; everything else follows from there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import compagnon
from compagnon.store import chaining, replay
from compagnon.store.decision_row import FIELDS, FLOATS, REPLAYED, DecisionRow
from compagnon.store.tables import decisions

PACKAGE = Path(compagnon.__file__).parent
LIST = Path("store/decision_row.py")
# Written, read back, chained, compared by a replay and shown.
TRIES = """
import sys
from compagnon.store import open_store
from compagnon.store.chaining import group_link, next_link
from compagnon.store.decision_row import SHOWN
from compagnon.store.log import find
from compagnon.store.replay import first_difference
from compagnon.store.tables import metadata
from tests.store.rows import row

store = open_store(sys.argv[1], create=True, check=False)
with store.write() as connection:
    metadata.create_all(connection)
red = row(1, colour="red")
assert [one.status for one in store.append([red])] == ["stored"]
found = find(store, red.id)
assert found == red, found
assert next_link(b"p", [red]) == group_link(b"p", [found]) != next_link(b"p", [row(1)])
assert first_difference(red, row(1, colour="blue")) == "colour"
assert ("shade", "colour", str | None) in SHOWN
print("good")
"""


def test_a_column_more_is_one_edit(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "compagnon", ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "compagnon" / LIST
    last = "    secret: Annotated[int | None, Stored(Integer())] = None\n"
    more = '    colour: Annotated[str | None, Stored(_MODE, replayed=True, shown="shade")] = None\n'
    text = file.read_text()
    assert text.count(last) == 1
    file.write_text(text.replace(last, last + more))
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    done = subprocess.run(
        [sys.executable, "-c", TRIES, f"sqlite:///{tmp_path / 'd.db'}"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "good\n"), done.stderr


def test_no_other_file_lists_them():
    said = {file: set(re.findall(r"\w+", file.read_text())) for file in PACKAGE.rglob("*.py")}
    rare = {name for name in FIELDS if "_" in name}
    lists = {
        str(file.relative_to(PACKAGE))
        for file, words in said.items()
        if len(rare & words) > 2 * len(rare) / 3 and "migrations" not in file.parts
    }
    assert lists == {str(LIST)}


def test_what_follows_from_the_list():
    assert tuple(FIELDS) == DecisionRow._fields
    assert [c.name for c in decisions.columns][1 : len(FIELDS) + 1] == list(FIELDS)
    required = {c.name for c in decisions.columns if not c.nullable}
    assert {"id", "application", "features", "seed"} < required
    assert not required & {"key", "arm", "mask", "action", "secret", "chain"}
    assert set(FLOATS) == {"probability", "time", "epsilon", "log_density", "near"}
    assert REPLAYED[0] == "seed"
    assert not set(REPLAYED) & {"id", "time", "latency_us", "request_sha256", "features"}
    assert replay.REPLAYED is REPLAYED
    assert chaining.FLOATS is FLOATS

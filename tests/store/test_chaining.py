"""A chain's link is the same of what is given as of what a database gives back."""

import math
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compagnon.store import chaining
from compagnon.store.decisions import DecisionRow
from tests.store.rows import row

FLOATS = ("probability", "time", "epsilon", "log_density", "near")
LATER = DecisionRow._fields[DecisionRow._fields.index("shadow") :]
numbers = st.sampled_from(
    [0.25, 0.0, -0.0, -1.5, math.nan, math.inf, -math.inf, 5e-324, 1e300, 3, 0, -7, None]
)


@st.composite
def decisions(draw):
    """Decisions whose numbers are whatever a driver takes, some with columns of later versions."""
    changes = {name: draw(numbers) for name in draw(st.sets(st.sampled_from(FLOATS)))}
    later = {"play": "greedy", "episode": "e", "others": b"abc", "secret": 1}
    for name in draw(st.sets(st.sampled_from(list(later)))):
        changes[name] = later[name]
    return row(draw(st.integers(0, 99)), **changes)


def read_back(rows):
    """What SQLite gives back, by its own columns of floating point numbers and others."""
    columns = [f"{name} {'REAL' if name in FLOATS else 'BLOB'}" for name in DecisionRow._fields]
    database = sqlite3.connect(":memory:")
    database.execute(f"CREATE TABLE kept ({', '.join(columns)})")
    places = ", ".join("?" * len(columns))
    database.executemany(f"INSERT INTO kept VALUES ({places})", rows)
    found = database.execute("SELECT * FROM kept ORDER BY rowid").fetchall()
    database.close()
    return found


@given(st.lists(decisions(), min_size=1, max_size=4))
def test_the_link_of_what_is_written_is_that_of_what_is_read_back(rows):
    assert chaining.next_link(b"p" * 32, rows) == chaining.group_link(b"p" * 32, read_back(rows))


@pytest.mark.parametrize("name", FLOATS)
def test_a_number_that_was_changed_gives_another_link(name):
    rows = [row(1, near=0.5, log_density=-2.0), row(2)]
    changed = [rows[0]._replace(**{name: math.nextafter(getattr(rows[0], name), 1e9)}), rows[1]]
    for made in (chaining.next_link, chaining.group_link):
        assert made(b"p" * 32, changed) != made(b"p" * 32, rows)


def test_a_column_that_is_there_and_empty_is_not_one_that_was_left_out():
    """Columns that nothing stands in count where others follow, and not at the end."""
    one = row(1)
    assert one[-1] is None
    link = chaining.next_link(b"p" * 32, [one])
    assert link == chaining.group_link(b"p" * 32, [one[: -len(LATER)]])  # an earlier version's
    assert link != chaining.next_link(b"p" * 32, [one._replace(others=b"")])
    assert link != chaining.next_link(b"q" * 32, [one])

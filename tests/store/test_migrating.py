"""Migrations lead to the tables that the program describes; another version is told apart."""

import threading

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from compagnon.errors import InputError
from compagnon.store import migrating
from compagnon.store.decisions import FIELDS
from compagnon.store.factory import open_store
from compagnon.store.log import find
from compagnon.store.tables import VERSION, decisions, metadata
from tests.store.rows import row
from tests.waiting import joined


def test_migrations_lead_to_the_description(store):
    assert migrating.drift(store) == []
    migrating.require_no_drift(store)
    with store.read() as connection:
        names = set(inspect(connection).get_table_names())
    assert names == set(metadata.tables) | {"alembic_version"}


def test_checks_and_constraints_are_those_of_the_description(store):
    # Alembic compares neither of them.
    with store.read() as connection:
        for table in metadata.tables.values():
            found = inspect(connection)
            checks = {check["name"] for check in found.get_check_constraints(table.name)}
            said = {c.name for c in table.constraints if type(c).__name__ == "CheckConstraint"}
            assert checks == said


def test_the_version_is_the_last_migration():
    scripts = ScriptDirectory(str(migrating.FOLDER))
    assert scripts.get_heads() == [VERSION]
    assert isinstance(Config(), Config)


def test_a_row_has_the_columns_of_the_table_in_their_order():
    names = ("seq", *FIELDS, "chain", "place", "link")
    assert names == tuple(column.name for column in decisions.columns)


def test_upgrading_twice_changes_nothing(store):
    assert migrating.upgrade(store) == (VERSION, VERSION)


def test_two_that_upgrade_at_once_do_not_stumble(address):
    stores = [open_store(address, create=True, check=False) for _ in range(2)]
    errors: list[Exception] = []

    def run(store) -> None:
        try:
            migrating.upgrade(store)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    joined(threads)
    assert errors == []
    assert stores[1].version() == VERSION
    for store in stores:
        store.close()


def test_a_database_of_the_first_version_keeps_its_decisions(address):
    store = open_store(address, create=True, check=False)
    old = row(7)
    names = FIELDS[: FIELDS.index("distribution")]
    with store.write() as connection:
        command.upgrade(migrating.config_for(connection), "0001")
        listed = ", ".join(f'"{name}"' for name in names)
        values = ", ".join(f":{name}" for name in names)
        connection.execute(
            text(f"insert into decisions ({listed}) values ({values})"),
            {name: getattr(old, name) for name in names},
        )
    with pytest.raises(InputError, match=r"version 0001, .* needs 0007: run compagnon db upgrade"):
        open_store(address)
    assert migrating.upgrade(store) == ("0001", "0007")
    assert migrating.drift(store) == []
    assert find(store, old.id) == old
    assert (old.distribution, old.log_density) == (None, None)
    assert (old.play, old.near, old.episode, old.others, old.secret) == (None,) * 5
    played = row(9, play="greedy", near=0.25, episode="monday", others=b"\1" * 12, secret=1)
    assert store.append([played])[0].status == "stored"
    assert find(store, played.id) == played
    vector = row(
        8, mask=None, probabilities=b"", action=None, action_vector=b"\0" * 8,
        distribution=b"\1" * 32, log_density=-812.5, probability=0.0,
    )  # fmt: skip
    assert store.append([vector])[0].status == "stored"
    assert find(store, vector.id) == vector
    store.close()


@pytest.mark.parametrize(
    ("version", "word"),
    [("0000", "is at version 0000, this program needs 0007: run compagnon db upgrade --db"),
     ("9999", "made by a newer compagnon; this one knows up to 0007")],
)  # fmt: skip
def test_another_version_is_refused(store, version, word):
    with store.write() as connection:
        connection.execute(text(f"update alembic_version set version_num = '{version}'"))
    with pytest.raises(InputError, match=word):
        open_store(store.address)
    if version == "9999":
        with pytest.raises(InputError, match="newer"):
            migrating.upgrade(store)


def test_a_database_without_tables_is_refused(address):
    open_store(address, create=True, check=False).close()
    with pytest.raises(InputError, match=r"has no tables yet.*run compagnon db upgrade"):
        open_store(address)


def test_tables_changed_by_hand_are_named(store):
    with store.write() as connection:
        connection.execute(text("alter table outcomes add column extra integer"))
    with pytest.raises(InputError, match=r"1 differences .* remove_column of .*extra"):
        migrating.require_no_drift(store)

"""Secrets: made once, the same for whoever asks, kept by a backup, and none that is no secret."""

import threading

import pytest
from sqlalchemy.exc import IntegrityError

from compagnon.store import secrets
from compagnon.store.backup import backup, restore
from compagnon.store.factory import open_store
from compagnon.store.migrating import upgrade
from compagnon.store.tables import secrets as table


def test_the_first_use_makes_one_and_every_later_one_finds_it(store):
    assert secrets.known(store) == {}
    first = secrets.current(store)
    assert (first.number, len(first.value)) == (1, 32)
    assert secrets.current(store) == first
    again = open_store(store.address)
    assert secrets.current(again) == first
    assert secrets.known(again) == {1: first.value}
    again.close()


def test_two_stores_have_two_secrets(store, tmp_path):
    other = open_store(tmp_path / "other.db", create=True, check=False)
    upgrade(other)
    assert secrets.current(other).value != secrets.current(store).value
    other.close()


def test_processes_that_ask_at_once_get_the_same(store):
    stores = [open_store(store.address) for _ in range(4)]
    found = []
    threads = [
        threading.Thread(target=lambda one=one: found.append(secrets.current(one)))
        for one in stores
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 4
    assert len(set(found)) == 1
    for one in stores:
        one.close()


def test_the_newest_is_used_and_the_older_ones_stay(store):
    first = secrets.current(store)
    with store.write() as connection:
        connection.execute(table.insert().values(number=2, value=b"2" * 32, created=1.0))
    assert secrets.current(store) == secrets.Secret(2, b"2" * 32)
    assert secrets.known(store) == {1: first.value, 2: b"2" * 32}


def test_a_backup_keeps_them(store, tmp_path):
    secret = secrets.current(store)
    backup(store, tmp_path / "copy")
    other = open_store(tmp_path / "other.db", create=True, check=False)
    restore(other, tmp_path / "copy", None)
    assert secrets.current(other) == secret
    other.close()


def test_a_short_one_is_no_secret(store):
    with pytest.raises(IntegrityError), store.write() as connection:
        connection.execute(table.insert().values(number=1, value=b"short", created=1.0))

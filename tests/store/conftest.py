"""A store on each database, with its tables made."""

import pytest

from compagnon.store.migrating import upgrade
from compagnon.store.opening import open_store
from tests.postgres import postgres

__all__ = ["postgres"]


@pytest.fixture(params=["sqlite", "postgres"])
def address(request, tmp_path):
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'log.db'}"
    return request.getfixturevalue("postgres")


@pytest.fixture
def store(address, tmp_path):
    with_files = open_store(address, files=tmp_path / "models", create=True, check=False)
    upgrade(with_files)
    yield with_files
    with_files.close()


@pytest.fixture
def sqlite_store(tmp_path):
    store = open_store(tmp_path / "log.db", create=True, check=False)
    upgrade(store)
    yield store
    store.close()

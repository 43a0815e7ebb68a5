"""A store on each database, with its tables made."""

import shutil

import pytest

from compagnon.store.factory import open_store
from compagnon.store.migrating import upgrade
from tests.postgres import postgres
from tests.tiers import full

__all__ = ["postgres"]


@pytest.fixture(params=["sqlite", full("postgres")])
def address(request, tmp_path):
    """An empty database of each kind; that the second does as the first is in the full tier."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'log.db'}"
    return request.getfixturevalue("postgres")


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A file of SQLite with the tables; a copy of it costs less than the migrations."""
    path = tmp_path_factory.mktemp("made") / "log.db"
    store = open_store(path, create=True, check=False)
    upgrade(store)
    store.close()
    return path


@pytest.fixture
def store(address, tmp_path, made):
    if address.startswith("sqlite"):
        shutil.copyfile(made, tmp_path / "log.db")
    opened = open_store(address, files=tmp_path / "models", check=False)
    upgrade(opened)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_store(tmp_path, made):
    shutil.copyfile(made, tmp_path / "log.db")
    opened = open_store(tmp_path / "log.db")
    yield opened
    opened.close()

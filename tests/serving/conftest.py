"""A service on each database, asked as a client asks it but without a socket."""

import shutil
from pathlib import Path

import pytest

from compagnon.serving.settings import ServiceSettings
from tests.serving.client import Client, served
from tests.serving.support import exported
from tests.tiers import full


@pytest.fixture(scope="session", autouse=True)
def _noted_elsewhere(tmp_path_factory):
    """What passed a trial is not noted among the notes of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _untried(request, monkeypatch):
    """Services within the tests' process take our own models without a trial, which takes long."""
    if request.module.__name__ != "tests.serving.test_trial":
        monkeypatch.setattr("compagnon.serving.trial._try", lambda *_: None)


# What these say of decisions is asked over HTTP, on either path.
ON_BOTH_PATHS = (
    "test_bad_requests", "test_decide", "test_masks", "test_question", "test_reasons",
    "test_vectors", "test_poc_states", "test_dispatch_states",
)  # fmt: skip


def pytest_generate_tests(metafunc):
    if "_way" in metafunc.fixturenames:
        on_both = metafunc.module.__name__.rpartition(".")[2] in ON_BOTH_PATHS
        metafunc.parametrize("_way", ["plain", "fast"] if on_both else ["app"], indirect=True)


@pytest.fixture(autouse=True)
def _way(request, monkeypatch):
    """How `Client` asks."""
    monkeypatch.setattr("tests.serving.client.WAYS", [request.param])


@pytest.fixture(scope="session")
def _artefact(tmp_path_factory) -> Path:
    return exported(tmp_path_factory.mktemp("policies") / "workshop")


@pytest.fixture
def artefact(_artefact, tmp_path) -> Path:
    """An exported workshop policy, of this test's own."""
    return shutil.copytree(_artefact, tmp_path / "policy")


@pytest.fixture(params=["sqlite", full("postgres")])
def db(request, tmp_path) -> str:
    """The address of an empty database with the tables of this version."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'decisions.db'}"
    from compagnon.store import open_store
    from compagnon.store.migrating import upgrade

    address = request.getfixturevalue("postgres")
    store = open_store(address, check=False)
    upgrade(store)
    store.close()
    return address


@pytest.fixture
def sqlite(tmp_path) -> str:
    return f"sqlite:///{tmp_path / 'decisions.db'}"


@pytest.fixture
def client(artefact, db):
    """A client of a durable service on each database."""
    with served(ServiceSettings(policy=str(artefact), db=db)) as client:
        yield client


@pytest.fixture
def local(artefact, sqlite):
    """A client of a durable service on SQLite, for what no database changes."""
    with served(ServiceSettings(policy=str(artefact), db=sqlite)) as client:
        yield client


__all__ = ["Client"]

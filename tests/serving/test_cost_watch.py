"""What a play costs is also known of models that are promoted while the service runs."""

import json
import logging
import os
import subprocess
import sys

import pytest

from compagnon.serving import cost_watch, costs, trial
from compagnon.serving.settings import ServiceSettings
from compagnon.store import open_store, registry
from compagnon.store.migrating import upgrade
from tests.serving.client import served
from tests.serving.support import exported
from tests.waiting import wait_until

MORE = {"explore": 0.2, "cost_episodes": 4, "watch_seconds": 3600}


@pytest.fixture
def registered(tmp_path, sqlite):
    """A registry of two policies of CartPole; the first is champion."""
    store = open_store(sqlite, create=True, check=False)
    upgrade(store)
    paths = [exported(tmp_path / f"v{k}", "CartPole-v1", scale=1.0 - 0.5 * k) for k in range(2)]
    found = [registry.add(store, path, model="cart") for path in paths]
    registry.move(store, "cart", "champion", found[0].sha256)
    yield store, found
    store.close()


def promoted(client, store, version):
    registry.move(store, "cart", "champion", version.sha256)
    assert client.run(client.parts.reloader.look())


def known(client):
    """The cost, once it is known."""
    wait_until(lambda: "being measured" not in client.get("/v1/policy")["cost"], 120)
    return client.get("/v1/policy")["cost"]


def test_a_model_that_is_promoted_later_is_measured_and_that_is_said(registered, sqlite, caplog):
    store, (_, second) = registered
    settings = ServiceSettings(policy="registry:cart", db=sqlite, **MORE)
    with served(settings) as client, caplog.at_level(logging.INFO, "compagnon.serving"):
        before = client.get("/v1/policy")["cost"]
        assert before == (
            "what exploring 20 % of the decisions costs was not measured: not at its start"
        )
        promoted(client, store, second)
        words = known(client)
        assert words.startswith("exploring 20 % of the decisions ")
        assert words.endswith("4 episodes of CartPole-v1)")
        assert f"model {second.sha256[:12]}: {words}" in [one.message for one in caplog.records]
    # The very figure that is measured where such a service starts, and kept for it.
    said: list[str] = []
    assert costs.cost_words(settings, said.append) == words
    assert said == []
    (store.files / ".as_served" / second.sha256 / costs.FILE).unlink()
    assert costs.cost_words(settings, said.append) == words
    assert len(said) == 1


def test_greedy_play_costs_nothing_and_nothing_is_begun(registered, sqlite, monkeypatch):
    monkeypatch.setattr(cost_watch, "run_bounded", lambda *_: pytest.fail("it was measured"))
    store, (_, second) = registered
    with served(ServiceSettings(policy="registry:cart", db=sqlite, watch_seconds=3600)) as client:
        promoted(client, store, second)
        assert client.get("/v1/policy")["cost"] is None


def test_where_it_shall_not_be_measured_that_is_said(registered, sqlite, monkeypatch):
    monkeypatch.setattr(cost_watch, "run_bounded", lambda *_: pytest.fail("it was measured"))
    store, (_, second) = registered
    settings = ServiceSettings(policy="registry:cart", db=sqlite, **{**MORE, "cost_episodes": 0})
    with served(settings) as client:
        promoted(client, store, second)
        assert known(client).endswith("was not measured (--cost-episodes 0)")


@pytest.mark.parametrize(
    ("code", "said", "words"),
    [
        (-24, b"", "it took more than 900 s of processor time"),
        (-9, b"", "it did not end within 3600 s, or was ended"),
        (1, b"no json", "it broke off (1); it may use 8.0 GB of memory"),
        (0, b"[]", "it broke off (0)"),
    ],
)
def test_a_measurement_that_breaks_off_says_how(registered, sqlite, monkeypatch, code, said, words):
    monkeypatch.setattr(cost_watch, "run_bounded", lambda *_: (code, said))
    store, (_, second) = registered
    with served(ServiceSettings(policy="registry:cart", db=sqlite, **MORE)) as client:
        promoted(client, store, second)
        assert f"costs was not measured: {words}" in known(client)
        assert client.decide(observation=[0.0] * 4)["model"] == second.sha256


def test_what_is_measured_of_a_model_that_decides_no_more_is_ended(registered, sqlite, monkeypatch):
    store, (first, second) = registered
    monkeypatch.setattr(cost_watch, "run_bounded", lambda *given: _sleeping(given[-1]))
    children.clear()
    with served(ServiceSettings(policy="registry:cart", db=sqlite, **MORE)) as client:
        promoted(client, store, second)
        wait_until(lambda: len(children) == 1)
        assert children[0].poll() is None
        promoted(client, store, first)
        wait_until(lambda: children[0].poll() is not None)
        wait_until(lambda: len(children) == 2)
        assert children[1].poll() is None
    wait_until(lambda: children[1].poll() is not None)  # and with the service


children = []


def _sleeping(started):
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    children.append(child)
    started(child)
    return child.wait(600), b""


@pytest.mark.full
def test_the_child_is_bounded_and_reads_no_secret_from_its_command_line(
    registered, sqlite, monkeypatch
):
    """What it is started with is what `main` understands."""
    commands = []
    real = subprocess.Popen

    def spied(command, **options):
        commands.append((command, options["env"]))
        return real(command, **options)

    monkeypatch.setattr(trial.subprocess, "Popen", spied)
    store, (_, second) = registered
    with served(ServiceSettings(policy="registry:cart", db=sqlite, **MORE)) as client:
        promoted(client, store, second)
        known(client)
    ((command, environment),) = commands
    assert command[:3] == [sys.executable, "-m", "compagnon.serving.cost_watch"]
    directory, _, sha256, parent, *bounds = command[3:]
    assert directory == str(store.files / second.sha256)
    assert (sha256, parent) == (second.sha256, str(os.getpid()))
    assert bounds == ["8589934592", "900", "3600"]
    assert sqlite not in " ".join(command)
    assert json.loads(environment["COMPAGNON_SETTINGS"])["db"] == sqlite


def test_of_several_processes_the_first_measures_for_all(registered, sqlite, monkeypatch):
    """The others take what it kept."""
    monkeypatch.setattr(cost_watch, "run_bounded", lambda *_: pytest.fail("it was measured twice"))
    monkeypatch.setattr(cost_watch, "_LOOK_SECONDS", 0.01)
    store, (_, second) = registered
    settings = ServiceSettings(policy="registry:cart", db=sqlite, worker=1, **MORE)
    with served(settings) as client:
        promoted(client, store, second)
        assert "it is being measured" in client.get("/v1/policy")["cost"]
        model = client.parts.service.model
        words = costs.measured_words(settings, model, costs.place_of(settings, store, model))
        assert known(client) == words

"""A database that stalls, is locked or moved under a service: said soon; and the end comes."""

import asyncio
import json
import os
import re
import signal
import threading
import time
from pathlib import Path

import httpx
import psycopg
import pytest

from compagnon.serving import repository
from compagnon.serving.settings import ServiceSettings
from compagnon.store import open_store, outcomes
from compagnon.store.migrating import upgrade
from tests.gate import gate
from tests.serving.client import SHOP, served
from tests.serving.processes import burst, serving
from tests.serving.test_processes import check_log, shop

__all__ = ["gate"]


@pytest.fixture
def made(gate):
    """A gate to a database that has its tables."""
    store = open_store(gate.address, check=False)
    upgrade(store)
    store.close()
    return gate


def ready(client, status):
    """Wait until the service says so by itself."""
    end = time.monotonic() + 60
    while (response := client.ask("GET", "/readyz")).status_code != status:
        assert time.monotonic() < end
        time.sleep(0.01)
    return response.json()


def names_nothing(text, gate):
    return not re.search(rf"postgres|127\.0\.0\.1|{gate.port}|secret|search_path", text)


@pytest.mark.parametrize("way", ["stall", "lock", "shut"])
@pytest.mark.full
def test_a_database_that_does_not_answer_is_503_and_not_ready(
    artefact, made, postgres, monkeypatch, way
):
    monkeypatch.setattr(repository, "PATIENCE", 0.5)
    with served(ServiceSettings(policy=str(artefact), db=made.address)) as client:
        client.decide(id="a")
        lock = psycopg.connect(postgres)
        if way == "lock":
            lock.execute("LOCK TABLE decisions IN ACCESS EXCLUSIVE MODE")
        else:
            getattr(made, way)()
        answers = [
            client.ask("POST", "/v1/decide", json={"state": SHOP, "id": "b"}),
            client.ask("PUT", "/v1/outcomes/a/profit", json={"value": 1}),
            client.ask("GET", "/v1/decisions/a"),
            client.ask("GET", "/readyz"),
        ]
        for response in answers:
            assert response.status_code == 503
            assert response.headers["retry-after"] == "1"
            assert names_nothing(response.text, made)
        assert answers[-1].json()["last_commit_seconds"] >= 0
        lock.close()
        if way != "lock":
            getattr(made, {"stall": "flow", "shut": "open"}[way])()
        assert ready(client, 200)["status"] == "ready"
        client.decide(id="b")
        assert client.ask("PUT", "/v1/outcomes/a/profit", json={"value": 1}).status_code == 200


def test_lookups_before_a_stalled_database_take_no_thread_from_the_rest(
    artefact, made, monkeypatch
):
    """In fast mode an id that a client chose is looked up first, however long that takes."""
    monkeypatch.setattr(repository, "PATIENCE", 120.0)
    with served(ServiceSettings(policy=str(artefact), db=made.address, mode="fast")) as client:
        client.decide(id="known")

        async def check():
            service = client.parts.service
            asked = [
                service.begin(json.dumps({"state": SHOP, "id": f"n{k}"}).encode())
                for k in range(40)
            ]
            made.stall()
            found = [asyncio.create_task(service.found(one.row)) for one in asked]
            for _ in range(40):  # more than the loop has threads
                assert await asyncio.to_thread(lambda: 7) == 7
            assert not any(one.done() for one in found)
            made.flow()
            return await asyncio.gather(*found)

        assert client.run(check()) == [None] * 40
        assert client.decide(id="known", state=SHOP)["id"] == "known"


def test_a_file_that_was_moved_is_503_and_names_no_path(local, sqlite):
    path = Path(sqlite.removeprefix("sqlite:///"))
    local.decide(id="a")
    path.rename(path.with_suffix(".old"))
    for method, where, body in (
        ("POST", "/v1/decide", {"state": SHOP}),
        ("PUT", "/v1/outcomes/a/profit", {"value": 1}),
        ("GET", "/v1/decisions/a", None),
        ("GET", "/readyz", None),
    ):
        response = local.ask(method, where, json=body)
        assert response.status_code == 503
        assert "deleted, moved or replaced" in response.text
        assert str(path.parent) not in response.text
    path.with_suffix(".old").rename(path)
    ready(local, 200)
    local.decide(id="b")


def test_outcomes_are_bounded_and_hold_nothing_else_up(local, monkeypatch):
    gate, real = threading.Event(), outcomes.put_each

    def held(store, given):
        assert gate.wait(60)
        return real(store, given)

    monkeypatch.setattr(outcomes, "put_each", held)
    monkeypatch.setattr(local.parts.repository.outcomes, "_bound", 20)
    local.decide(id="a")

    async def many():
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(local.parts.app), base_url="http://127.0.0.1:8000"
        ) as client:
            put = [
                asyncio.create_task(client.put(f"/v1/outcomes/a/n{k}", json={"value": k}))
                for k in range(200)
            ]
            waiting = set(put)
            while len(waiting) > 40:  # a group of twenty at most is being written, twenty wait
                _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            assert (await client.get("/readyz")).status_code == 200
            assert (await client.get("/v1/decisions/a")).status_code == 200
            body = {"state": SHOP, "id": "b"}
            assert (await client.post("/v1/decide", json=body)).status_code == 200
            gate.set()
            return [await one for one in put]

    answers = local.run(many())
    refused = [one for one in answers if one.status_code != 200]
    assert len(answers) - len(refused) <= 21 + 64
    assert len(refused) >= 100
    assert {(one.status_code, one.headers["retry-after"]) for one in refused} == {(503, "1")}
    assert "outcomes wait to be written" in refused[0].text


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["durable", "fast"])
def test_a_service_before_a_stalled_database_ends_in_time(artefact, made, mode):
    with serving(str(artefact), "--db", made.address, "--mode", mode) as process:
        answered, _ = asyncio.run(burst(process.address, 50, shop))
        assert len(answered) == 50
        made.stall()
        # Without an id of their own, which fast mode would have to look up first.
        later, _ = asyncio.run(burst(process.address, 3, lambda _: {"state": SHOP}))
        assert len(later) == (3 if mode == "fast" else 0)
        begun = time.monotonic()
        process.popen.send_signal(signal.SIGTERM)
        code = process.popen.wait(60)
        assert time.monotonic() - begun < 20 + 5 + 5  # drain time, grace, and a busy machine
        said = "".join(process.lines)
        if mode == "durable":
            assert code == 0
        else:
            assert code == 1
            assert "answered decisions could not be written, and are lost" in said
    made.flow()
    if mode == "durable":
        assert check_log(made.address, answered) == 0


@pytest.mark.slow
def test_a_worker_that_dies_while_the_database_is_away_comes_back(artefact, made):
    """And the service with it: the others go on."""
    with serving(str(artefact), "--db", made.address, "--workers", "3") as process:
        asyncio.run(burst(process.address, 50, shop))
        workers = Path(f"/proc/{process.popen.pid}/task/{process.popen.pid}/children")
        before = workers.read_text().split()
        assert len(before) == 3
        made.shut()
        os.kill(int(before[0]), signal.SIGKILL)
        end = time.monotonic() + 120
        while "".join(process.lines).count("another is started") < 3:
            assert time.monotonic() < end
            assert process.popen.poll() is None
            time.sleep(0.1)
        assert set(before[1:]) <= set(workers.read_text().split())
        made.open()
        lines = len(process.lines)
        while len(workers.read_text().split()) < 3 or "another is started" in "".join(
            process.lines[lines:]
        ):
            lines = len(process.lines)
            assert time.monotonic() < end
            time.sleep(3)
        answered, refused = asyncio.run(burst(process.address, 50, lambda k: shop(100 + k)))
        assert (len(answered), refused) == (50, [])
        assert process.end() == 0

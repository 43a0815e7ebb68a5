"""Models change under way: nothing is dropped or mixed, and what is wrong is refused."""

import asyncio
import gc
import os
import shutil
from pathlib import Path

import httpx
import msgspec
import numpy as np
import pytest

from compagnon.errors import InputError
from compagnon.serving.settings import ServiceSettings
from compagnon.store import keys, open_store, registry
from compagnon.store.migrating import upgrade
from tests.serving.client import SHOP, listening, served
from tests.serving.support import exported

JSON = {"content-type": "application/json"}


@pytest.fixture
def versions(tmp_path):
    """Two versions of a policy, exported."""
    return [exported(tmp_path / f"v{k}", scale=1.0 - 0.5 * k) for k in range(2)]


@pytest.fixture
def registered(versions, db):
    """A registry with both; the first is champion."""
    store = open_store(db, create=True, check=False)
    upgrade(store)
    found = [registry.add(store, path, model="shop") for path in versions]
    registry.move(store, "shop", "champion", found[0].sha256)
    yield store, found
    store.close()


def settings(db, store, **more):
    return ServiceSettings(policy="registry:shop", db=db, watch_seconds=3600, **more)


@pytest.fixture
def client(registered, db, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # where PostgreSQL's model files lie
    with served(settings(db, registered[0])) as client:
        yield client


def look(client, again=False):
    return client.run(client.parts.reloader.look(again=again))


@pytest.fixture(autouse=True)
def _here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def test_the_champion_is_served_and_followed(client, registered):
    store, (first, second) = registered
    assert client.decide()["model"] == first.sha256
    assert not look(client)
    registry.move(store, "shop", "champion", second.sha256)
    assert look(client)
    assert client.decide()["model"] == second.sha256
    registry.rollback(store, "shop")
    assert look(client)
    assert client.decide()["model"] == first.sha256
    assert client.parts.service.metrics.models_loaded == 1  # nobody holds the others any more


def test_a_tampered_model_is_refused_and_the_champion_stays(client, registered):
    store, (first, second) = registered
    file = store.files / second.sha256 / "policy.onnx"
    registry.move(store, "shop", "champion", second.sha256)
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    assert not look(client)
    assert not look(client)
    assert "was changed" in client.get("/v1/policy")["refused"]
    assert b"compagnon_model_refusals_total 1.0" in client.ask("GET", "/metrics").content
    assert client.decide()["model"] == first.sha256
    shutil.rmtree(file.parent)
    assert not look(client, again=True)
    assert "missing" in client.parts.service.refused
    assert client.decide()["model"] == first.sha256


def test_files_changed_with_their_record_are_refused(client, registered, versions):
    store, (first, second) = registered
    folder = store.files / second.sha256
    registry.move(store, "shop", "champion", second.sha256)
    third = exported(versions[0].parent / "v3", scale=0.1)
    for name in ("policy.onnx", "policy.json", "export.json", "weights.safetensors"):
        if (third / name).exists():
            shutil.copy(third / name, folder / name)
    assert not look(client)
    assert client.decide()["model"] == first.sha256


def test_a_model_of_another_schema_is_refused(client, registered, tmp_path):
    store, (first, _) = registered
    other = exported(tmp_path / "compact", env_args={"observation": "compact"})
    found = registry.add(store, other, model="shop")
    registry.move(store, "shop", "champion", found.sha256)
    assert not look(client)
    assert "something else" in client.get("/v1/policy")["refused"]
    assert client.decide()["model"] == first.sha256


def test_a_repeated_id_keeps_its_answer_over_a_swap(client, registered):
    store, (_, second) = registered
    before = client.decide(id="a")
    registry.move(store, "shop", "champion", second.sha256)
    assert look(client)
    assert client.decide(id="a") == before
    assert client.decide(409, id="a", state={**SHOP, "raw": 2})


def test_the_registry_is_watched(registered, db):
    store, (first, second) = registered
    watching = ServiceSettings(policy="registry:shop", db=db, watch_seconds=0.01)
    with served(watching) as client:
        assert client.decide()["model"] == first.sha256
        registry.move(store, "shop", "champion", second.sha256)
        assert any(client.decide()["model"] == second.sha256 for _ in range(2000))


def test_an_admin_may_have_it_looked_at(client, registered):
    store, (first, second) = registered
    _, text = keys.create(store, "admin")
    client.parts.auth.learn(client.parts.repository.keys())
    client.headers["authorization"] = f"Bearer {text}"
    path = "/v1/admin/reload"
    assert client.ask("POST", path).json() == {"model": first.sha256, "changed": False}
    registry.move(store, "shop", "champion", second.sha256)
    assert client.ask("POST", path).json() == {"model": second.sha256, "changed": True}
    registry.move(store, "shop", "champion", first.sha256)
    (store.files / first.sha256 / "policy.onnx").write_bytes(b"x")
    refused = client.ask("POST", path)
    assert refused.status_code == 409
    assert "was changed" in refused.json()["error"]


def test_a_model_without_a_champion_names_the_command(db):
    store = open_store(db, create=True, check=False)
    upgrade(store)
    store.close()
    with (
        pytest.raises(InputError, match="compagnon registry promote"),
        served(ServiceSettings(policy="registry:shop", db=db)),
    ):
        pass


def test_a_path_is_looked_at_when_told(artefact, sqlite, tmp_path):
    with served(ServiceSettings(policy=str(artefact), db=sqlite)) as client:
        before = client.decide()["model"]
        assert not look(client, again=True)
        shutil.rmtree(artefact)
        exported(artefact, scale=0.5)
        assert look(client, again=True)
        assert client.decide()["model"] != before
        shutil.rmtree(artefact)
        assert not look(client, again=True)
        assert client.decide()


class Load:
    """Asks a service again and again over HTTP while its model changes, and checks each answer."""

    def __init__(self, client, artefacts):
        self.client, self.artefacts = client, artefacts
        service, source = client.parts.service, client.parts.source
        obs, mask = service.parser.read(_request())
        self.expected = {}
        for path in artefacts:
            source._path = path
            model = source.load("")
            self.expected[model.sha256] = model.say(obs[None], mask[None]).probabilities[0]
        self.served = dict.fromkeys(self.expected, 0)
        self.refused = []
        self.ending = False

    async def ask(self, http, address):
        while not self.ending:
            body = b'{"state":%s}' % _shop()
            response = await http.post(f"{address}/v1/decide", content=body, headers=JSON)
            if response.status_code == 200:
                check_answer(response.content, self.expected)
                self.served[response.json()["model"]] += 1
            else:
                self.refused.append(response)

    async def swap(self, swaps, each):
        service, source = self.client.parts.service, self.client.parts.source
        try:
            for k in range(swaps):
                source._path = self.artefacts[(k + 1) % 2]
                service.swap(await asyncio.to_thread(source.load, ""))
                await asyncio.sleep(0)
                each(k)
        finally:  # else the others would ask for ever
            self.ending = True

    async def run(self, address, swaps, each):
        async with httpx.AsyncClient(timeout=60) as http:
            asking = [self.ask(http, address) for _ in range(4)]
            await asyncio.gather(self.swap(swaps, each), *asking)


def check_swaps(artefacts, sqlite, swaps, each=lambda k: None):
    """Nothing is dropped, nothing is mixed, and no model outlives its last request."""
    settings = ServiceSettings(policy=str(artefacts[0]), db=sqlite, rate=0, play="sampled")
    with served(settings) as client, listening(client) as address:
        load = Load(client, artefacts)
        client.run_long(load.run(address, swaps, each))
        assert load.refused == []
        assert min(load.served.values()) > 0  # both models answered
        assert client.parts.service.swaps == swaps
        assert client.parts.service.metrics.models_loaded <= 2
        return sum(load.served.values())


def _shop():
    return msgspec.json.encode(SHOP)


def _request():
    from compagnon.serving.parsing import read_decide

    return read_decide(b'{"state":%s}' % _shop())


def check_answer(body, expected):
    answer = msgspec.json.decode(body)
    own = expected[answer["model"]].astype(np.float64)
    own /= own.sum()
    for one in [answer, *answer["alternatives"]]:
        assert one["probability"] == pytest.approx(own[one["action"]], rel=1e-6)


def test_swaps_under_load_mix_nothing(versions, sqlite):
    check_swaps(versions, sqlite, swaps=20)


@pytest.mark.slow
def test_a_thousand_swaps_under_load_leave_memory_flat(versions, sqlite):
    swaps = int(os.environ.get("COMPAGNON_SWAPS", "1000"))
    sizes = []

    def each(k):
        if k % 10 == 9:
            gc.collect()
            sizes.append(resident())

    answers = check_swaps(versions, sqlite, swaps, each)
    begun, ended = np.median(sizes[len(sizes) // 10 :][:5]), np.median(sizes[-5:])
    print(f"{swaps} swaps, {answers} answers, {begun / 1e6:.1f} to {ended / 1e6:.1f} MB")
    assert ended < 1.05 * begun


def resident():
    """Bytes of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_an_answer_that_mixes_models_would_be_seen(versions, sqlite):
    with served(ServiceSettings(policy=str(versions[0]), db=sqlite, play="sampled")) as client:
        answer = client.ask("POST", "/v1/decide", json={"state": SHOP}).content
        model = client.parts.service.model
        obs, mask = client.parts.service.parser.read(_request())
        right = model.say(obs[None], mask[None]).probabilities[0]
        check_answer(answer, {model.sha256: right})
        with pytest.raises(AssertionError):
            check_answer(answer, {model.sha256: np.roll(right, 1) * mask})

"""Models change under way: nothing is dropped or mixed, and what is wrong is refused."""

import asyncio
import shutil

import numpy as np
import pytest

from compagnon.serving.settings import Settings
from compagnon.store import open_store, registry
from compagnon.store.migrating import upgrade
from tests.serving.client import SHOP, served
from tests.serving.support import exported

ROWS = {"observation": None}


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
    return Settings(policy="registry:shop", db=db, watch_seconds=3600, **more)


@pytest.fixture
def client(registered, db, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # where PostgreSQL's model files lie
    with served(settings(db, registered[0])) as client:
        yield client


def look(client, again=False):
    return client.run(client.parts.keeper.look(again=again))


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
    assert "was changed" in client.get("/v1/policy")["refused"]
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


def test_a_path_is_looked_at_when_told(artefact, sqlite, tmp_path):
    with served(Settings(policy=str(artefact), db=sqlite)) as client:
        before = client.decide()["model"]
        assert not look(client, again=True)
        shutil.rmtree(artefact)
        exported(artefact, scale=0.5)
        assert look(client, again=True)
        assert client.decide()["model"] != before
        shutil.rmtree(artefact)
        assert not look(client, again=True)
        assert client.decide()


def check_swaps(artefacts, sqlite, swaps, waves):
    """Swap under load; every answer's probability is its own model's, and memory stays flat."""
    with served(Settings(policy=str(artefacts[0]), db=sqlite, rate=0)) as client:
        service, source = client.parts.service, client.parts.source
        models = {}
        for path in artefacts:
            source._path = path
            model = source.load("")
            models[model.sha256] = model
        obs, mask = service.reader.read(_request())
        expected = {
            name: model.probabilities(obs[None], mask[None])[0] for name, model in models.items()
        }
        del models, model
        answers = []

        async def ask(count):
            for _ in range(count):
                answers.append(await service.decide(b'{"state":%s}' % _shop()))

        async def run():
            asking = [asyncio.create_task(ask(waves)) for _ in range(4)]
            for k in range(swaps):
                source._path = artefacts[(k + 1) % 2]
                fresh = await asyncio.to_thread(source.load, "")
                service.swap(fresh)
                del fresh
            await asyncio.gather(*asking)

        client.run(run())
        assert len(answers) == 4 * waves
        assert service.metrics.models_loaded <= 2
        for one in answers:
            check_answer(one, expected)
        assert service.swaps == swaps
    return answers


def _shop():
    import msgspec

    return msgspec.json.encode(SHOP)


def _request():
    from compagnon.serving.wire import read_decide

    return read_decide(b'{"state":%s}' % _shop())


def check_answer(body, expected):
    import msgspec

    answer = msgspec.json.decode(body)
    own = expected[answer["model"]].astype(np.float64)
    own /= own.sum()
    possible = own > 0
    explored = 0.95 * own + 0.05 / possible.sum() * possible
    for one in [answer, *answer["alternatives"]]:
        assert one["probability"] == pytest.approx(explored[one["action"]], rel=1e-6)


def test_swaps_under_load_mix_nothing(versions, sqlite):
    answers = check_swaps(versions, sqlite, swaps=20, waves=60)
    assert len({one[-66:] for one in answers}) == 2  # both models answered


def test_an_answer_that_mixes_models_would_be_seen(versions, sqlite):
    with served(Settings(policy=str(versions[0]), db=sqlite)) as client:
        answer = client.ask("POST", "/v1/decide", json={"state": SHOP}).content
        model = client.parts.service.model
        obs, mask = client.parts.service.reader.read(_request())
        right = model.probabilities(obs[None], mask[None])[0]
        check_answer(answer, {model.sha256: right})
        with pytest.raises(AssertionError):
            check_answer(answer, {model.sha256: np.roll(right, 1) * mask})

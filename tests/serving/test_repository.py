"""Outcomes, replays, and a log that cannot be written for a while."""

import time

import numpy as np
import pytest

from compagnon.errors import InputError
from compagnon.policy.sampling import decision_seed, draw, explored
from compagnon.serving import costs
from compagnon.serving.replaying import loader
from compagnon.serving.repository import Repository
from compagnon.serving.settings import ServiceSettings
from compagnon.store import StoreUnavailable, open_store
from compagnon.store.replay import pages, replay
from compagnon.store.tables import decisions
from tests.serving.client import SHOP, served
from tests.serving.support import exported


def put(client, decision_id, name, value, status, **more):
    path = f"/v1/outcomes/{decision_id}/{name}"
    response = client.ask("PUT", path, json={"value": value, **more})
    assert response.status_code == status, response.text
    return response.json()


def test_an_outcome_is_kept_once(client):
    client.decide(id="a")
    first = put(client, "a", "profit", 12.5, 200)
    assert first == {**first, "id": "a", "name": "profit", "value": 12.5, "late": False}
    assert put(client, "a", "profit", 12.5, 200) == first
    assert put(client, "a", "profit", 13.0, 409)["field"] == "value"
    assert put(client, "a", "hours", 13.0, 200)["value"] == 13.0


def test_a_late_outcome_is_kept_and_flagged(client):
    client.decide(id="a")
    assert put(client, "a", "profit", 1.0, 200, time=4e9)["late"]


def test_outcomes_that_cannot_be(client):
    client.decide(id="a")
    assert put(client, "none", "profit", 1.0, 404)["field"] == "id"
    assert put(client, "a", "a b", 1.0, 422)["field"] == "name"
    assert put(client, "a", "profit", "x", 422)["field"] == "value"
    assert put(client, "a", "profit", 1.0, 422, time=1e308)["field"] == "time"
    assert put(client, "a", "profit", 1.0, 422, time=-1)["field"] == "time"
    response = client.ask("PUT", "/v1/outcomes/a/profit", content=b'{"value": NaN}')
    assert response.json()["field"] == "value"
    response = client.ask("PUT", "/v1/outcomes/a/profit", content=b'{"value": 1, "x": 2}')
    assert response.json()["field"] == "x"


def decided(client, count=150):
    bodies = [{"id": f"d{k}", "state": {**SHOP, "raw": k % 50, "time": k}} for k in range(count)]
    for start in range(0, count, 70):  # batches that are no multiple of what a replay takes
        body = {"decisions": bodies[start : start + 70]}
        assert client.ask("POST", "/v1/decide/batch", json=body).status_code == 200
    client.decide(id="alone")


@pytest.fixture
def drawing(artefact, db):
    """A client of a service that samples, and explores nearly always."""
    settings = ServiceSettings(
        policy=str(artefact), db=db, play="sampled", explore=0.9, explore_floor=0.0
    )
    with served(settings) as client:
        yield client


@pytest.mark.parametrize("play", ["greedy", "sampled"])
@pytest.mark.parametrize("explore", [0.0, 0.4])
def test_every_logged_decision_is_made_again_bit_for_bit(artefact, db, play, explore):
    settings = ServiceSettings(policy=str(artefact), db=db, play=play, explore=explore)
    with served(settings) as client:
        decided(client)
        store = client.parts.repository.store
        found = replay(store, loader(store, [artefact]))
        assert (found.checked, found.same) == (151, 151)
        assert found.good
        rows = [row for page in pages(store) for row in page]
        assert {row.play for row in rows} == {play}
        assert ("explored" in {row.mode for row in rows}) == (explore > 0)


def store_again(store, row, before):
    """Put a row from before in the place of one, as the answer to the same question."""
    with store.write() as connection:
        connection.execute(decisions.delete().where(decisions.c.id == row.id))
    made = before._replace(id=row.id, request_sha256=row.request_sha256)
    store.append([made])
    return made


def test_rows_from_before_replay_as_they_were_drawn(local, artefact):
    """Uniform exploration of what is possible, the seed a plain hash, drawn by the policy."""
    decided(local, 40)
    store = local.parts.repository.store
    model = local.parts.service.model
    new = [row for page in pages(store) for row in page]
    old = []
    for row in new:
        obs = np.frombuffer(row.features, np.float32)[None]
        mask = np.unpackbits(np.frombuffer(row.mask, np.uint8), count=201).astype(bool)
        p = explored(model.say(obs, mask[None]).probabilities[0], mask, 0.05)
        seed = decision_seed(f"old-{row.id}", "default")
        action = draw(p, seed)
        before = row._replace(
            id=f"old-{row.id}", probabilities=p.tobytes(), action=action, seed=seed,
            probability=float(p[action]), mode="sampled", epsilon=0.05, play=None, near=None,
            episode=None, others=None, secret=None,
        )  # fmt: skip
        old.append(before)
    store.append(old)
    found = replay(store, loader(store, [artefact]))
    assert (found.checked, found.same) == (82, 82)
    # Asked again today, one is answered as it stands there, without what was not logged.
    request = {"id": new[0].id, "state": {**SHOP, "raw": 0, "time": 0}}
    asked = store_again(store, new[0], old[0])
    local.decide(409, **{**request, "alternatives": 4})
    answer = local.decide(**request)
    assert (answer["id"], answer["action"]) == (asked.id, old[0].action)
    assert answer["probability"] == old[0].probability
    assert [one["probability"] for one in answer["alternatives"]] == [
        one["preference"] for one in answer["alternatives"]
    ]


@pytest.mark.parametrize(
    "column",
    ["probabilities", "features", "seed", "epsilon", "mask", "play", "mode", "others", "secret"],
)
def test_a_changed_log_does_not_replay(drawing, artefact, column):
    client = drawing
    decided(client, 3)
    store = client.parts.repository.store
    row = client.parts.service.log.find("d1")
    value = getattr(row, column)
    if isinstance(value, bytes):
        kind = np.float32 if column == "features" else np.uint8
        array = np.frombuffer(value, kind).copy()
        array[0] += 1
        value = array.tobytes()
    elif isinstance(value, str):
        value = {"sampled": "greedy", "explored": "sampled"}[value]
    else:
        value = value + 0.1 if column == "epsilon" else value + 1
    with store.write() as connection:
        changed = decisions.update().where(decisions.c.id == "d1").values({column: value})
        connection.execute(changed)
    found = replay(store, loader(store, [artefact]))
    assert [one.id for one in found.differences] == ["d1"]
    assert not found.good


def test_a_model_that_is_not_there_is_named(local, artefact, tmp_path):
    local.decide()
    store = local.parts.repository.store
    other = exported(tmp_path / "other", scale=0.5)
    found = replay(store, loader(store, [other]))
    assert not found.good
    ((sha256, (reason, count)),) = found.unknown.items()
    assert sha256 == local.parts.service.model.sha256
    assert count == 1
    assert "registry" in reason
    (artefact / "policy.onnx").unlink()
    with pytest.raises(InputError, match="compagnon export"):
        loader(store, [artefact])


def ready_again(client):
    """By itself: the log looks after its database without any decision."""
    end = time.monotonic() + 60
    while client.ask("GET", "/readyz").status_code != 200:
        assert time.monotonic() < end
        time.sleep(0.01)
    return True


def test_a_log_that_cannot_be_written_says_503_and_recovers(client, monkeypatch):
    store = client.parts.repository.store
    real = {name: getattr(type(store), name) for name in ("append", "probe")}

    def full(self, *_, **__):
        raise StoreUnavailable("me@host: no space left on device", "no space left")

    for name in real:
        monkeypatch.setattr(type(store), name, full)
    response = client.ask("POST", "/v1/decide", json={"state": SHOP, "id": "a"})
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    health = client.ask("GET", "/readyz")
    assert health.status_code == 503
    for said in (response.json()["error"], health.json()["reason"]):
        assert "no space left" in said
        assert "me@host" not in said
    monkeypatch.setattr(type(store), "probe", real["probe"])
    assert ready_again(client)
    monkeypatch.setattr(type(store), "append", real["append"])
    first = client.decide(id="a")
    assert client.decide(id="a") == first
    health = client.get("/readyz")
    assert health["status"] == "ready"
    assert health["last_commit_seconds"] >= 0


def test_a_disk_that_is_full_loses_nothing_and_recovers(local):
    store = local.parts.repository.store
    pages = store._raw.execute("PRAGMA page_count").fetchone()[0]
    store._raw.execute(f"PRAGMA max_page_count = {pages + 6}")
    answered = {}
    for k in range(200):
        response = local.ask("POST", "/v1/decide", json={"state": SHOP, "id": f"a{k}"})
        if response.status_code != 200:
            break
        answered[f"a{k}"] = response.json()
    assert response.status_code == 503
    assert "full" in response.json()["error"]
    assert local.ask("GET", "/readyz").status_code == 503
    real, seen = store.probe, []
    store.probe = lambda failed: seen.append(failed) or real(failed)
    end = time.monotonic() + 60
    while len(seen) < 2:  # looked again, and the disk is still full
        assert time.monotonic() < end
        time.sleep(0.01)
    assert "full" in local.ask("GET", "/readyz").json()["reason"]
    store._raw.execute("PRAGMA max_page_count = 1000000")
    assert ready_again(local)
    answered[f"a{k}"] = local.decide(id=f"a{k}")
    for name, answer in answered.items():
        assert local.decide(id=name) == answer


def test_a_database_of_another_version_names_the_command(artefact, db):
    store = open_store(db, create=True, check=False)
    from compagnon.store.migrating import upgrade

    upgrade(store)
    with store.write() as connection:
        connection.exec_driver_sql("update alembic_version set version_num = '0000'")
    store.close()
    with (
        pytest.raises(InputError, match="compagnon db upgrade"),
        served(ServiceSettings(policy=str(artefact), db=db)),
    ):
        pass


def test_two_services_of_one_sqlite_file_are_refused(local, artefact, sqlite):
    with (
        pytest.raises(InputError, match="one SQLite file"),
        served(ServiceSettings(policy=str(artefact), db=sqlite)),
    ):
        pass


def test_a_policy_that_was_not_exported_names_the_command(artefact, sqlite):
    (artefact / "policy.onnx").unlink()
    with (
        pytest.raises(InputError, match="compagnon export"),
        served(ServiceSettings(policy=str(artefact), db=sqlite)),
    ):
        pass


def test_several_workers_need_postgresql(artefact, sqlite):
    with pytest.raises(InputError, match="SQLite has one writer"):
        ServiceSettings(policy=str(artefact), db=sqlite, workers=2)


@pytest.mark.parametrize(
    ("option", "value"),
    [("explore", 1.5), ("explore_floor", -0.1), ("explore_cap", -1), ("play", "best"),
     ("port", 70_000), ("workers", 0), ("rate", -1)],
)  # fmt: skip
def test_settings_that_cannot_be(option, value):
    with pytest.raises(InputError, match=f"--{option.replace('_', '-')}"):
        ServiceSettings(policy="p", **{option: value})


@pytest.mark.parametrize("name", ["keys", "drawing"])
def test_a_store_that_is_away_at_the_start_is_said(artefact, sqlite, monkeypatch, name):
    def away(*_):
        raise StoreUnavailable("log.db: the disk is full", "the disk is full")

    monkeypatch.setattr(Repository, name, away)
    with (
        pytest.raises(InputError, match=r"^log\.db: the disk is full$"),
        served(ServiceSettings(policy=str(artefact), db=sqlite)),
    ):
        pass


def test_a_store_that_is_away_before_a_cost_is_measured_is_said(monkeypatch):
    def away(_):
        raise StoreUnavailable("log.db: the disk is full", "the disk is full")

    monkeypatch.setattr(costs, "open_service_store", away)
    with pytest.raises(InputError, match=r"^log\.db: the disk is full$"):
        costs.cost_words(ServiceSettings(policy="registry:shop", explore=0.1))

"""Keys by scope, rates a key, and who may ask without a key."""

import asyncio

import pytest

from compagnon.errors import InputError
from compagnon.serving import lifespan
from compagnon.serving.auth import Authenticator, Bucket
from compagnon.serving.errors import ApiError
from compagnon.serving.repository import StorePool
from compagnon.serving.settings import ServiceSettings
from compagnon.store import keys, open_store
from compagnon.store.errors import StoreUnavailable
from compagnon.store.keys import Keyring
from compagnon.store.migrating import upgrade
from tests.serving.client import SHOP, served


@pytest.fixture
def keyed(artefact, db):
    """A client of a service with keys, and the keys' texts by scope."""
    store = open_store(db, create=True, check=False)
    upgrade(store)
    made = {scope: keys.create(store, scope) for scope in ("decide", "outcomes", "admin")}
    with served(ServiceSettings(policy=str(artefact), db=db)) as client:
        yield client, {scope: text for scope, (_, text) in made.items()}, store, made
    store.close()


def ask(client, key, method="POST", path="/v1/decide", **options):
    options.setdefault("json", {"state": SHOP} if method == "POST" else None)
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    return client.ask(method, path, headers=headers, **options)


def test_each_scope_opens_its_own_routes(keyed):
    client, texts, _, _ = keyed
    routes = {
        ("POST", "/v1/decide"): "decide",
        ("POST", "/v1/decide/batch"): "decide",
        ("GET", "/v1/policy"): "decide",
        ("GET", "/openapi.json"): "decide",
        ("GET", "/v1/decisions/none"): "decide",
        ("PUT", "/v1/outcomes/none/profit"): "outcomes",
        ("POST", "/v1/admin/reload"): "admin",
        ("GET", "/metrics"): "admin",
    }
    for (method, path), needed in routes.items():
        for scope, text in texts.items():
            status = ask(client, text, method, path).status_code
            if scope in (needed, "admin"):
                assert status not in (401, 403), (path, scope)
            else:
                assert status == 403, (path, scope)
        refused = ask(client, None, method, path)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"


def test_health_needs_no_key(keyed):
    client = keyed[0]
    assert ask(client, None, "GET", "/healthz").status_code == 200
    assert ask(client, None, "GET", "/readyz").status_code == 200


def test_wrong_keys(keyed):
    client, texts, _, _ = keyed
    right = texts["decide"]
    for wrong in (right[:-1], right + "x", right.swapcase(), "", "x", "\xff", right.split("_")[2]):
        headers = {"authorization": f"Bearer {wrong}".encode("latin-1")}
        response = client.ask("POST", "/v1/decide", json={"state": SHOP}, headers=headers)
        assert response.status_code == 401
    response = client.ask("POST", "/v1/decide", headers={"authorization": f"Basic {right}"})
    assert response.status_code == 401


def test_a_revoked_key_opens_nothing_and_nothing_opens_for_all(keyed):
    client, texts, store, made = keyed
    for key, _ in made.values():
        keys.revoke(store, key.id)
    client.parts.auth.learn(client.parts.repository.keys())
    assert ask(client, texts["decide"]).status_code == 401
    assert ask(client, None).status_code == 401


def test_a_key_made_under_way_is_learnt_and_closes_the_door(artefact, db):
    with served(ServiceSettings(policy=str(artefact), db=db)) as client:
        assert ask(client, None).status_code == 200
        store = client.parts.repository.store
        _, text = keys.create(store, "decide")
        client.parts.auth.learn(client.parts.repository.keys())
        assert ask(client, None).status_code == 401
        assert ask(client, text).status_code == 200


def test_without_keys_only_this_machine_may_be_served(artefact, sqlite):
    settings = ServiceSettings(policy=str(artefact), db=sqlite, host="0.0.0.0")
    with pytest.raises(InputError, match="compagnon keys create"), served(settings):
        pass


def test_without_keys_a_name_from_elsewhere_is_refused(local):
    response = local.ask("POST", "/v1/decide", json={"state": SHOP}, headers={"host": "evil.org"})
    assert response.status_code == 403
    for name in ("localhost", "localhost:8000", "127.0.0.1:1", "[::1]:8000"):
        response = local.ask("POST", "/v1/decide", json={"state": SHOP}, headers={"host": name})
        assert response.status_code == 200
    assert local.ask("POST", "/v1/admin/reload").status_code == 403


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_a_bucket_holds_one_second_and_says_when_to_come_back():
    clock = Clock()
    bucket = Bucket(10.0, clock)
    bucket.take(10)
    with pytest.raises(ApiError) as refused:
        bucket.take(1)
    assert (refused.value.status, refused.value.retry_after) == (429, 1)
    clock.now += 0.5
    bucket.take(5)
    with pytest.raises(ApiError):
        bucket.take(1)
    clock.now += 100.0
    bucket.take(10)  # never more than a second's worth
    with pytest.raises(ApiError) as refused:
        bucket.take(11)
    assert refused.value.status == 413


def test_each_key_has_its_own_rate():
    auth = Authenticator(2.0, Keyring({}), clock=Clock())
    auth.take("a", 2)
    auth.take("b", 2)
    for name in ("a", "b"):
        with pytest.raises(ApiError):
            auth.take(name, 1)
    Authenticator(0.0, Keyring({})).take("a", 10**6)  # no limit


def test_the_rate_holds_over_http_and_batches_count_whole(artefact, sqlite):
    with served(ServiceSettings(policy=str(artefact), db=sqlite, rate=5.0)) as client:
        body = {"decisions": [{"state": SHOP}] * 5}
        assert client.ask("POST", "/v1/decide/batch", json=body).status_code == 200
        response = client.ask("POST", "/v1/decide/batch", json=body)
        assert response.status_code == 429
        assert int(response.headers["retry-after"]) >= 1
        assert client.parts.repository.log.committed == 5


def test_more_requests_than_may_wait_are_told_to_come_back(artefact, sqlite):
    with served(ServiceSettings(policy=str(artefact), db=sqlite, max_pending=1)) as client:
        client.parts.app._active = 1
        response = client.ask("POST", "/v1/decide", json={"state": SHOP})
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        client.parts.app._active = 0
        assert client.ask("POST", "/v1/decide", json={"state": SHOP}).status_code == 200


def test_a_store_whose_keys_were_all_revoked_stays_closed_after_a_restart(artefact, db):
    settings = ServiceSettings(policy=str(artefact), db=db)
    with served(settings) as client:
        assert ask(client, None).status_code == 200
        assert client.parts.auth.open
    store = open_store(db)
    key, text = keys.create(store, "decide")
    keys.revoke(store, key.id)
    for remove in (False, True):
        if remove:  # by hand: the events still say that there was one
            with store.write() as connection:
                connection.exec_driver_sql("delete from keys")
        with served(settings) as client:
            assert not client.parts.auth.open
            assert ask(client, None).status_code == 401
            assert ask(client, text).status_code == 401
    _, fresh = keys.create(store, "decide")
    with served(settings) as client:
        assert ask(client, fresh).status_code == 200
    store.close()


def test_keys_are_looked_for_again_after_whatever_fault(monkeypatch, caplog):
    monkeypatch.setattr(lifespan, "_KEY_SECONDS", 0.0)
    fresh = Keyring({}, True)
    faults = [StoreUnavailable("away"), ValueError("a row that cannot be read")]

    class Repository:
        watchers = StorePool("test-watcher", 1, 1)

        def keys(self):
            if faults:
                raise faults.pop(0)
            return fresh

    async def watched():
        learnt = asyncio.get_running_loop().create_future()

        class Learns:
            def learn(self, keys):
                if not learnt.done():
                    learnt.set_result(keys)

        task = asyncio.create_task(lifespan._watch_keys(Learns(), Repository()))
        found = await asyncio.wait_for(learnt, 20)
        task.cancel()
        Repository.watchers.close()
        return found

    assert asyncio.run(watched()) is fresh
    assert [record.message for record in caplog.records] == ["looking for keys failed"]

"""Without keys, no other web page may ask, by whatever way; and no head says two things."""

import pytest

from compagnon.serving import service as service_module
from compagnon.serving.settings import ServiceSettings
from compagnon.store import keys
from tests.serving.client import SHOP, served
from tests.serving.sockets import answer, connected, request

WAYS = ("/v1/decide", "/v1/decide?long")
PLACES = ("/metrics", "/readyz", "/healthz", "/v1/policy", "/openapi.json", "/")


@pytest.fixture
def raw(local):
    """A connection to a service, and the service."""
    with connected(local) as connection:
        yield connection, local


def said(path, head, version="1.1"):
    """The bytes of a request with exactly these lines as its head."""
    whole = request(path, version)
    first, _, rest = whole.partition(b"\r\n")
    _, _, rest = rest.partition(b"\r\n")  # without its host
    return first + b"\r\n" + head.encode() + rest


def ask(raw, path, head, version="1.1"):
    raw[0].sendall(said(path, head, version))
    status, _, body = answer(raw[0])
    return status, body.get("field")


@pytest.mark.parametrize("path", WAYS)
def test_a_head_says_one_host(raw, path):
    good = "host: localhost\r\n"
    assert ask(raw, path, good)[0] == 200
    assert ask(raw, path, "") == (400, "host")
    assert ask(raw, path, good + good) == (400, "host")
    assert ask(raw, path, good + "Host: evil.example\r\n") == (400, "host")
    twice = "authorization: Bearer a\r\n" * 2
    assert ask(raw, path, good + twice) == (400, "authorization")
    assert ask(raw, path, good + "content-type: text/plain\r\n") == (400, "content-type")
    assert ask(raw, path, "", version="1.0")[0] == 200  # which has none


@pytest.mark.parametrize(
    "host",
    ["evil.example", "[::1].evil.example", "localhost.evil.example", "localhost:80:80", "",
     "127.0.0.1.", "127.0.0.1@evil.example", "localhost:x", "[::1", "0.0.0.0"],
)  # fmt: skip
def test_a_host_that_only_looks_like_this_machine_is_refused(raw, host):
    for path in WAYS:
        assert ask(raw, path, f"host: {host}\r\n") == (403, "host"), path


def test_every_route_looks_at_the_host_and_the_page(raw):
    connection, _ = raw
    for path in PLACES:
        for head, status in (
            ("host: localhost:8000", 200),
            ("host: evil.example", 403),
            ("host: localhost\r\norigin: http://evil.example", 403),
            ("host: localhost\r\nsec-fetch-site: cross-site", 403),
            ("host: localhost\r\nhost: localhost", 400),
            ("x: y", 400),
        ):
            connection.sendall(f"GET {path} HTTP/1.1\r\n{head}\r\n\r\n".encode())
            found, headers, _ = answer(connection)
            assert found == status, (path, head)
            assert ("x-frame-options", "DENY") in headers


@pytest.mark.parametrize("path", WAYS)
def test_a_web_page_from_elsewhere_can_not_ask(raw, path):
    host = "host: 127.0.0.1:8000\r\n"
    before = raw[1].parts.repository.log.committed
    for line, field in (
        ("origin: http://evil.example", "origin"),
        ("origin: null", "origin"),
        ("origin: http://127.0.0.1:9000", "origin"),
        ("origin: https://127.0.0.1:8000", "origin"),
        ("origin: http://127.0.0.1:8000.evil.example", "origin"),
        ("sec-fetch-site: cross-site", "sec-fetch-site"),
        ("sec-fetch-site: same-site", "sec-fetch-site"),
    ):
        assert ask(raw, path, f"{host}{line}\r\n") == (403, field), line
    assert raw[1].parts.repository.log.committed == before
    assert ask(raw, path, f"{host}origin: http://127.0.0.1:8000\r\n")[0] == 200
    assert ask(raw, path, f"{host}sec-fetch-site: same-origin\r\n")[0] == 200


def test_with_keys_a_page_that_has_one_may_ask(artefact, sqlite):
    with served(ServiceSettings(policy=str(artefact), db=sqlite)) as client:
        _, text = keys.create(client.parts.repository.store, "decide")
        client.parts.auth.learn(client.parts.repository.keys())
        headers = {"authorization": f"Bearer {text}", "origin": "https://shop.example"}
        headers |= {"host": "decide.example", "sec-fetch-site": "cross-site"}
        response = client.ask("POST", "/v1/decide", json={"state": SHOP}, headers=headers)
        assert response.status_code == 200


@pytest.mark.parametrize(
    "path", ["/v1/decide", "/v1/decide?long", "/v1/decide/batch", "/v1/outcomes/a/profit"]
)
def test_a_body_says_that_it_is_json(raw, path):
    method = "PUT" if "outcomes" in path else "POST"
    connection, _ = raw
    for kind, status in (
        ("", 415),
        ("content-type: text/plain\r\n", 415),
        ("content-type: text/plain; application/json\r\n", 415),
        ("content-type: application/x-www-form-urlencoded\r\n", 415),
        ("content-type: application/jsonx\r\n", 415),
        ("content-type: Application/JSON; charset=utf-8\r\n", 422),
        ("content-type: application/json\r\n", 422),
    ):
        connection.sendall(
            f"{method} {path} HTTP/1.1\r\nhost: localhost\r\n{kind}content-length: 2\r\n\r\n"
            "{}".encode()
        )
        found, _, body = answer(connection)
        assert found == status, kind
        assert (body["field"] == "content-type") == (status == 415)


def test_the_page_says_how_to_ask(raw):
    connection, local = raw
    connection.sendall(b"GET / HTTP/1.1\r\nhost: localhost:8000\r\n\r\n")
    status, headers, body = answer(connection)
    assert status == 200
    headers = dict(headers)
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    text = body.decode()
    assert "http://localhost:8000/v1/decide" in text
    assert '<a href="/openapi.json">' in text
    assert local.parts.service.model.sha256[:12] in text
    assert "<script" not in text
    assert "<style" not in text


def test_the_page_tells_a_stranger_nothing_of_the_policy(artefact, sqlite):
    with served(ServiceSettings(policy=str(artefact), db=sqlite)) as client:
        keys.create(client.parts.repository.store, "decide")
        client.parts.auth.learn(client.parts.repository.keys())
        response = client.ask("GET", "/", headers={"host": '"><b>evil'})
        assert response.status_code == 200
        assert client.parts.service.model.sha256[:12] not in response.text
        assert "compagnon/Workshop" not in response.text
        assert "<b>" not in response.text
        assert "Bearer KEY" in response.text


@pytest.mark.parametrize("path", ["/v1/decide", "/v1/decide?long", "/v1/policy"])
def test_an_unexpected_error_is_counted_and_answered_like_any_other(raw, path, monkeypatch):
    connection, local = raw

    def broken(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(service_module.Service, "begin", broken)
    monkeypatch.setattr("compagnon.serving.app.policy_info", broken)
    if "policy" in path:
        connection.sendall(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
    else:
        connection.sendall(request(path))
    status, headers, body = answer(connection)
    assert (status, body) == (500, b"Internal Server Error")
    assert ("x-content-type-options", "nosniff") in headers
    counted = local.ask("GET", "/metrics").text
    assert local.parts.app.active == 0
    route = "other" if "policy" in path else "/v1/decide"
    assert f'route="{route}",status="500"}} 1.0' in counted

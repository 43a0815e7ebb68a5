"""The fast path of single decisions says what the plain one says, which is there without it."""

import importlib.util
import json
import re
import socket
import sys
from pathlib import Path

import pytest
import uvicorn

from compagnon.cli import main
from compagnon.serving import fast_path
from compagnon.serving.app import Application
from compagnon.serving.fast_path.protocol import DecisionProtocol
from compagnon.serving.settings import ServiceSettings
from compagnon.store.decisions import Written
from compagnon.store.errors import StoreUnavailable
from tests.serving.client import SHOP, served
from tests.serving.sockets import answer, connected, request
from tests.waiting import wait_until

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def long_ways(monkeypatch):
    """Paths of the requests that went the long way."""
    seen = []
    call = Application.__call__

    async def counted(self, scope, receive, send):
        seen.append(scope["path"])
        await call(self, scope, receive, send)

    monkeypatch.setattr(Application, "__call__", counted)
    return seen


@pytest.fixture
def raw(local):
    """A connection to a service, and the service."""
    with connected(local) as connection:
        yield connection, local


@pytest.fixture
def plain(local):
    """A connection to the same service on the plain path."""
    with connected(local, fast_path=False) as connection:
        yield connection


def ask(connection, **options):
    connection.sendall(request(**options))
    return answer(connection)


def test_every_path_says_the_same(raw, plain, long_ways):
    connection, _ = raw
    short = ask(connection, id="one", state=SHOP)
    assert long_ways == []
    long = ask(connection, path="/v1/decide?x", id="one", state=SHOP)
    assert long_ways == ["/v1/decide"]
    assert short[0] == long[0] == 200
    assert short[2] == long[2]
    assert [name for name, _ in short[1]] == [name for name, _ in long[1]]
    other = ask(plain, id="one", state=SHOP)
    assert len(long_ways) == 2
    assert (other[0], other[2]) == (200, short[2])
    assert short[1][1:] == long[1][1:] == other[1][1:]  # all but the date


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"state": {**SHOP, "raw": 99}}, 422),
        ({"state": SHOP, "id": "one", "alternatives": 0}, 409),
        ({"state": SHOP, "key": "x" * 70_000}, 422),
    ],
)
def test_every_path_refuses_the_same(raw, plain, body, status):
    connection, _ = raw
    assert ask(connection, id="one", state=SHOP)[0] == 200
    short, long = ask(connection, **body), ask(connection, path="/v1/decide?x", **body)
    other = ask(plain, **body)
    assert short[0] == long[0] == other[0] == status
    assert short[1][1:] == long[1][1:] == other[1][1:]
    assert short[2] == long[2] == other[2]


def test_a_body_that_is_too_large_closes_the_connection(artefact, sqlite):
    settings = ServiceSettings(policy=str(artefact), db=sqlite, max_body=1000)
    with served(settings) as client, connected(client) as connection:
        status, headers, body = ask(connection, state=SHOP, key="x" * 1000)
        assert (status, ("connection", "close") in headers) == (413, True)
        assert "1,000 bytes" in body["error"]
        assert connection.recv(100) == b""


def test_too_many_at_a_time_are_told_to_come_back(raw, plain):
    connection, local = raw
    local.parts.app._active = local.parts.service.settings.max_pending
    status, headers, _ = ask(plain)
    assert (status, dict(headers)["retry-after"]) == (503, "1")
    status, headers, _ = ask(connection)
    assert (status, dict(headers)["retry-after"]) == (503, "1")
    local.parts.app._active = 0
    assert ask(connection)[0] == ask(plain)[0] == 200
    wait_until(lambda: local.parts.app.active == 0)


def test_a_key_is_asked_for(raw, plain):
    connection, local = raw
    local.parts.auth._open = False
    for one in (connection, plain):
        status, headers, _ = ask(one)
        assert (status, dict(headers)["www-authenticate"]) == (401, "Bearer")
        assert ask(one, headers="authorization: Bearer none\r\n")[0] == 401


@pytest.mark.parametrize(
    "head",
    [
        {"version": "1.0"},
        {"headers": "connection: close\r\n"},
        {"path": "/v1/decide?x=1"},
    ],
)
def test_what_is_unusual_goes_the_long_way(raw, long_ways, head):
    assert ask(raw[0], **head)[0] == 200
    assert long_ways == ["/v1/decide"]


def test_another_method_goes_the_long_way(raw, long_ways):
    raw[0].sendall(b"PUT /v1/decide HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n")
    assert answer(raw[0])[0] == 405
    assert long_ways == ["/v1/decide"]


def test_whoever_waits_for_leave_to_send_gets_it(raw, long_ways):
    connection, _ = raw
    whole = request(headers="expect: 100-continue\r\n")
    head, _, body = whole.partition(b"\r\n\r\n")
    connection.sendall(head + b"\r\n\r\n")
    assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
    connection.sendall(body)
    assert answer(connection)[0] == 200
    assert long_ways == ["/v1/decide"]


@pytest.mark.parametrize("cut", [1, 30, 90, -5])
def test_a_request_in_two_parts_is_answered(raw, cut):
    connection, _ = raw
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    whole = request()
    for _ in range(3):
        connection.sendall(whole[:cut])
        connection.sendall(whole[cut:])
        assert answer(connection)[0] == 200


def test_a_body_that_is_not_whole_goes_the_long_way_which_waits_for_it(raw, long_ways):
    connection, _ = raw
    whole = request()
    connection.sendall(whole[:-5])
    wait_until(lambda: long_ways)
    connection.sendall(whole[-5:])
    assert answer(connection)[0] == 200
    assert ask(connection)[0] == 200
    assert long_ways == ["/v1/decide"]


def test_chunks_are_read(raw):
    connection, _ = raw
    body = json.dumps({"state": SHOP}).encode()
    head = b"POST /v1/decide HTTP/1.1\r\nhost: localhost\r\n"
    head += b"content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    parts = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:9], body[9:]))
    connection.sendall(head + parts + b"0\r\n\r\n")
    assert answer(connection)[0] == 200


def test_requests_that_come_together_are_answered_in_their_order(raw):
    connection, _ = raw
    ids = [f"p{k}" for k in range(20)]
    connection.sendall(b"".join(request(id=one, state=SHOP) for one in ids))
    data = b""
    while data.count(b'"id":') < len(ids):
        more = connection.recv(65536)
        assert more
        data += more
    assert re.findall(rb'"id":"(p\d+)"', data) == [one.encode() for one in ids]
    assert ask(connection)[0] == 200


def test_a_client_that_left_harms_nobody(raw):
    connection, local = raw
    service = local.parts.service
    log, held = service.log, []

    class Held:
        def give(self, rows, done):
            held.append((rows, done))

    service.log = Held()
    connection.sendall(request())
    wait_until(lambda: held)
    connection.close()
    (row,), done = held.pop()

    async def answered():
        done([Written("stored", row)])

    local.run(answered())
    service.log = log
    assert local.parts.app.active == 0
    assert local.decide()["action"] >= 0


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StoreUnavailable("host: the disk is full", "the disk is full"), 503),
        (RuntimeError("bug"), 500),
    ],
)
def test_a_decision_that_cannot_be_logged_is_not_answered_as_one(raw, error, status):
    connection, local = raw
    service = local.parts.service
    log = service.log

    class Failing:
        def give(self, rows, done):
            done(error)

    service.log = Failing()
    found, headers, body = ask(connection)
    assert found == status
    assert ("disk is full" in str(body)) == (status == 503)
    assert (("connection", "close") in headers) == (status == 500)
    service.log = log
    assert local.parts.app.active == 0


def test_an_id_of_the_database_is_seen_in_fast_mode(artefact, sqlite):
    settings = ServiceSettings(policy=str(artefact), db=sqlite, mode="fast")
    with served(settings) as client, connected(client) as connection:
        first = ask(connection, id="one", state=SHOP)
        log = client.parts.repository.log
        wait_until(lambda: not log.pending)
        assert ask(connection, id="one", state=SHOP)[2] == first[2]
        assert ask(connection, id="one", state={**SHOP, "raw": 1})[0] == 409
        assert log.conflicts == 0


def test_whoever_asks_no_more_is_hung_up_on(local, monkeypatch):
    made = DecisionProtocol.connection_made

    def impatient(self, transport):
        made(self, transport)
        self.timeout_keep_alive = 0.05

    monkeypatch.setattr(DecisionProtocol, "connection_made", impatient)
    with connected(local) as connection:
        assert ask(connection)[0] == 200
        assert connection.recv(100) == b""


# Without it


def went_plain(client, long_ways, caplog, **options):
    """Whether a decision goes the plain path, and what the log says of that."""
    caplog.set_level("INFO", "compagnon.serving")
    with connected(client, **options) as connection:
        assert ask(connection)[0] == 200
    said = [one.message for one in caplog.records if "plain path" in one.message]
    return bool(long_ways), said


def test_with_the_uvicorn_that_it_was_tested_with_it_is_taken(local, long_ways, caplog):
    assert uvicorn.__version__ in fast_path.TESTED_UVICORN
    assert went_plain(local, long_ways, caplog) == (False, [])


def test_with_another_uvicorn_requests_go_the_plain_path(local, long_ways, caplog, monkeypatch):
    monkeypatch.setattr(uvicorn, "__version__", "99.1.0")
    plain, said = went_plain(local, long_ways, caplog)
    assert plain
    assert len(said) == 1
    assert "this is 99.1.0" in said[0]
    assert fast_path.TESTED_UVICORN[0] in said[0]


def test_without_its_parser_requests_go_the_plain_path(local, long_ways, caplog, monkeypatch):
    monkeypatch.delitem(sys.modules, "compagnon.serving.fast_path.protocol")
    monkeypatch.delitem(sys.modules, "compagnon.serving.fast_path.connection")
    monkeypatch.setitem(sys.modules, "httptools", None)
    plain, said = went_plain(local, long_ways, caplog)
    assert plain
    assert said == ["requests go the plain path: the fast one needs httptools"]


def test_switched_off_requests_go_the_plain_path(local, long_ways, caplog):
    plain, said = went_plain(local, long_ways, caplog, fast_path=False)
    assert plain
    assert said == ["requests go the plain path: the fast one is switched off"]


def test_the_command_line_switches_it_off(monkeypatch, artefact, sqlite):
    seen = []
    monkeypatch.setattr("compagnon.serving.lifespan.serve", lambda *given: seen.append(given[0]))
    words = ["serve", str(artefact), "--db", sqlite]
    main(words)
    main([*words, "--no-fast-path"])
    assert [one.fast_path for one in seen] == [True, False]
    assert ServiceSettings.from_json(seen[1].to_json()).fast_path is False


def test_nothing_else_knows_how_uvicorn_is_made():
    folder = Path(fast_path.__file__).parent
    for file in folder.parent.rglob("*.py"):
        if file.parent != folder:
            words = file.read_text()
            assert "httptools" not in words, file
            assert file.name == "server.py" or "fast_path.protocol" not in words, file


@pytest.mark.slow  # it starts two services and some clients
def test_the_benchmark_runs(artefact, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    file = BENCHMARKS / "serving_paths.py"
    spec = importlib.util.spec_from_file_location("serving_paths", file)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "serving_paths", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, "argv", ["serving_paths.py", str(artefact), "--quick"])
    assert module.main() == 0
    assert "times the throughput" in capsys.readouterr().out
    one = {"rps": 1000.0, "p99_ms": 4.0}
    assert module.bought({"plain path": [one], "fast path": [{"rps": 1500.0, "p99_ms": 2.0}]}) == (
        1.5,
        2.0,
    )

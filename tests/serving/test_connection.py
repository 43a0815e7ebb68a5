"""Whatever a connection sends before it is known has a size and a time, on every path."""

import contextlib
import re
import socket
import threading
import time

import pytest

from compagnon.serving import app, server
from compagnon.serving import connection as plain
from compagnon.serving.fast_path import connection as fast
from compagnon.serving.fast_path.protocol import DecisionProtocol
from compagnon.serving.settings import ServiceSettings
from compagnon.store import keys
from tests.serving.client import SHOP, served
from tests.serving.sockets import answer, connected, request
from tests.waiting import wait_until

WAYS = ("/v1/decide", "/v1/decide?long")
GET = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n"


@pytest.fixture(params=["fast", "plain"])
def path_kind(request):
    return request.param


@pytest.fixture
def raw(local, path_kind):
    """A connection to a service, and the service."""
    with connected(local, fast_path=path_kind == "fast") as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connection, local


def read_all(connection):
    """What comes until the server closes."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while more := connection.recv(65536):
            data += more
    return data


def send_endlessly(connection, data, most):
    """Send the same again until the server has closed; the bytes that it took."""
    sent = 0
    with contextlib.suppress(ConnectionError, TimeoutError):
        while sent < most:
            connection.sendall(data)
            sent += len(data)
    return sent


def statuses(data):
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", data)]


@pytest.fixture
def raw_fast(local):
    """The same of the fast path."""
    with connected(local) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connection, local


def patch(monkeypatch, name, value):
    """Change a bound of both paths, where they have it."""
    monkeypatch.setattr(app, name, value, raising=False)
    monkeypatch.setattr(plain, name, value, raising=False)
    monkeypatch.setattr(fast, name, value, raising=False)


# Heads


def test_a_small_head_after_a_large_body_is_taken(raw):
    connection, _ = raw
    for path in WAYS:
        whole = request(path=path, state=SHOP, key="x" * 200_000)
        connection.sendall(whole)
        assert answer(connection)[0] == 422
        head = request()
        connection.sendall(head[:20])
        connection.sendall(head[20:])
        assert answer(connection)[0] == 200


@pytest.mark.parametrize(
    "head",
    [
        b"x: " + b"y" * 70_000,
        b"x" * 70_000,
        b"x: y\r\n" * 101,
        b"".join(b"x%d: %s\r\n" % (k, b"y" * 1000) for k in range(80)),
    ],
    ids=["a long value", "a long name", "many headers", "many long headers"],
)
@pytest.mark.parametrize("end", [b"\r\n\r\n", b""], ids=["whole", "without end"])
def test_a_head_has_a_size(raw, path_kind, head, end):
    connection, _ = raw
    with contextlib.suppress(ConnectionError):
        connection.sendall(GET + head + end + b" " * (70_000 if not end else 0))
    status, headers, body = answer(connection)
    # h11 looks at what a line is before it looks at how long it is.
    assert status == 431 or (status == 400 and path_kind == "plain" and b":" not in head)
    assert ("connection", "close") in headers
    assert ("x-content-type-options", "nosniff") in headers
    assert body["error"]


def test_a_path_has_a_size(raw):
    raw[0].sendall(b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n")
    assert answer(raw[0])[0] == 431


def test_a_hundred_headers_are_taken(raw):
    raw[0].sendall(GET + b"x: y\r\n" * 99 + b"\r\n")
    assert answer(raw[0])[0] == 200


def test_a_head_has_a_time_however_steadily_it_comes(local, path_kind, monkeypatch):
    patch(monkeypatch, "HEAD_SECONDS", 0.2)
    with connected(local, fast_path=path_kind == "fast") as connection:
        connection.settimeout(0.05)
        connection.sendall(GET)
        data, sent = b"", 0
        while not data and sent < 200:
            connection.sendall(b"x: y\r\n")
            sent += 1
            with contextlib.suppress(TimeoutError):
                data = connection.recv(1000)
        assert statuses(data) == [408]
    with connected(
        local, fast_path=path_kind == "fast"
    ) as connection:  # who says nothing is told nothing
        assert connection.recv(100) == b""


# Trailers and bodies


def chunked(path="/v1/decide", body=b"", method=b"POST"):
    head = b"%s %s HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n" % (
        method,
        path.encode(),
    )
    part = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
    return head + b"transfer-encoding: chunked\r\n\r\n" + part + b"0\r\n"


@pytest.mark.parametrize("start", [chunked("/healthz", method=b"GET"), chunked(), chunked("/x")])
@pytest.mark.parametrize("trailer", [b"x: y\r\n", b"y" * 1000])
def test_trailers_have_a_size(raw, start, trailer):
    connection, _ = raw
    connection.sendall(start)
    sent = send_endlessly(connection, trailer * (4000 // len(trailer)), 20_000_000)
    assert sent < 10_000_000  # what fits into the buffers of both sides, and little more


def test_trailers_of_a_usual_size_are_dropped(raw):
    connection, _ = raw
    body = request().partition(b"\r\n\r\n")[2]
    connection.sendall(chunked(body=body) + b"checksum: 1\r\n\r\n")
    assert answer(connection)[0] == 200
    connection.sendall(request())
    assert answer(connection)[0] == 200


@pytest.mark.parametrize("path", WAYS)
def test_a_trailer_is_no_header(artefact, sqlite, path, path_kind):
    body = request().partition(b"\r\n\r\n")[2]
    with served(ServiceSettings(policy=str(artefact), db=sqlite)) as client:
        _, text = keys.create(client.parts.repository.store, "decide")
        client.parts.auth.learn(client.parts.repository.keys())
        with connected(client, fast_path=path_kind == "fast") as connection:
            trailer = f"authorization: Bearer {text}\r\n\r\n".encode()
            connection.sendall(chunked(path, body) + trailer)
            assert answer(connection)[0] == 401
            connection.sendall(request(path, headers=f"authorization: Bearer {text}\r\n"))
            assert answer(connection)[0] == 200


def test_more_beside_a_body_than_in_it_is_refused(raw):
    connection, _ = raw
    connection.sendall(chunked()[:-3] + b"1;" + b"x" * 70_000)
    assert answer(connection)[0] == 431


def test_a_body_that_nobody_waits_for_is_not_taken_for_ever(local, path_kind, monkeypatch):
    patch(monkeypatch, "LINGER_SECONDS", 0.1)
    for start in (
        b"POST /v1/policy HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000000\r\n\r\n",
        chunked("/v1/policy")[:-3],
    ):
        with connected(local, fast_path=path_kind == "fast") as connection:
            connection.sendall(start)
            status, headers, _ = answer(connection)
            assert status == 405
            assert ("connection", "close") in headers
            assert connection.recv(100) == b""  # and it hangs up
            assert send_endlessly(connection, b"1\r\nx\r\n" * 1000, 20_000_000) < 10_000_000


def test_the_small_rest_of_a_body_that_was_refused_is_waited_for(local, path_kind, monkeypatch):
    options = {"fast_path": path_kind == "fast"}
    with connected(local, **options) as connection:
        connection.sendall(
            b"POST /v1/policy HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\n"
        )
        assert answer(connection)[0] == 405
        connection.sendall(b"12345" + request())
        assert answer(connection)[0] == 200
    patch(monkeypatch, "BODY_SECONDS", 0.05)
    patch(monkeypatch, "HEAD_SECONDS", 0.05)
    patch(monkeypatch, "LINGER_SECONDS", 0.05)
    with connected(local, **options) as connection:
        connection.sendall(
            b"POST /v1/policy HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\n1"
        )
        assert answer(connection)[0] == 405
        connection.sendall(b"2")
        assert not statuses(read_all(connection)) or path_kind == "plain"  # it says why


def test_after_the_rest_of_a_body_nobody_waits_for_ever(local, monkeypatch):
    patch(monkeypatch, "HEAD_SECONDS", 0.1)
    with connected(local, fast_path=False) as connection:
        connection.sendall(
            b"POST /v1/policy HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\n1"
        )
        assert answer(connection)[0] == 405
        connection.sendall(b"2345")
        assert connection.recv(100) == b""
    with connected(local, fast_path=False) as connection:  # who asks as usual is waited for
        connection.sendall(request())
        assert answer(connection)[0] == 200
        connection.settimeout(0.5)
        with pytest.raises(TimeoutError):
            connection.recv(100)


# Several requests


def test_pipelined_requests_wait_outside(raw_fast, monkeypatch):
    connection, _ = raw_fast
    most = [0, 0]
    start = DecisionProtocol._start_asgi_task

    def counted(self, cycle, app):
        most[0] = max(most[0], len(self.pipeline))
        most[1] = max(most[1], len(self._held))
        start(self, cycle, app)

    monkeypatch.setattr(DecisionProtocol, "_start_asgi_task", counted)
    one, count = GET + b"\r\n", 2000
    sender = threading.Thread(target=connection.sendall, args=(one * count,))
    sender.start()
    found, tail = 0, b""
    while found < count:
        tail += connection.recv(1 << 20)
        found += tail.count(b"HTTP/1.1 200 OK")
        tail = tail[-14:]
    sender.join(60)
    assert most[0] <= fast.MAX_WAITING + fast._SLICE // len(one) + 1
    assert most[1] <= 2 * 262_144  # as much as one read brings, and one more


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.full
def test_on_the_plain_path_they_wait_outside_too(local, monkeypatch, large):
    most = [0]
    received = plain.PlainProtocol.data_received

    def counted(self, data):
        received(self, data)
        body = 0 if self.cycle is None else len(self.cycle.body)
        most[0] = max(most[0], len(self.conn.trailing_data[0]) + body)

    monkeypatch.setattr(plain.PlainProtocol, "data_received", counted)
    one = request(state=SHOP, key="x" * 900_000) if large else GET + b"\r\n"
    status, count = (b"422", 6) if large else (b"200", 20_000)
    with connected(local, fast_path=False) as connection:
        sender = threading.Thread(target=connection.sendall, args=(one * count,))
        sender.start()
        found, tail = 0, b""
        while found < count:
            tail += connection.recv(1 << 20)
            found += tail.count(b"HTTP/1.1 " + status)
            tail = tail[-11:]
        sender.join(60)
    assert most[0] <= 3 * 262_144  # as much as a read or two bring, of what is 1 MB and more


def test_a_pipelined_large_body_waits_outside(raw_fast, monkeypatch):
    connection, local = raw_fast
    held = []
    log = local.parts.service.log

    class Held:
        def give(self, rows, done):
            held.append((rows, done))

    local.parts.service.log = Held()
    seen = []
    parse = DecisionProtocol._parse

    def parsed(self, data):
        taken = parse(self, data)
        seen.append(sum(len(cycle.body) for cycle, _ in self.pipeline))
        return taken

    monkeypatch.setattr(DecisionProtocol, "_parse", parsed)
    large = request(state=SHOP, key="x" * 900_000)
    connection.sendall(request())
    wait_until(lambda: held)
    sender = threading.Thread(target=connection.sendall, args=(large + request(),))
    sender.start()
    # A read brings some of it, more or less; after that, or after 65,536 bytes, no more is read.
    wait_until(lambda: seen and seen[-1] > 0)
    time.sleep(0.2)
    local.parts.service.log = log
    rows, done = held.pop()
    local.loop.call_soon_threadsafe(log.give, rows, done)
    sender.join(60)
    connection.shutdown(socket.SHUT_WR)
    assert statuses(read_all(connection)) == [200, 422, 200]
    assert max(seen) <= 65_536 + 2 * fast._SLICE


@pytest.mark.parametrize("path", WAYS)
def test_what_is_no_request_is_refused_after_the_answers_before_it(raw, path_kind, path):
    connection, _ = raw
    connection.sendall(request(path) + b"nonsense\r\n\r\n")
    data = read_all(connection)
    # The fast path has read it by then, and lets the answer be the last one.
    assert statuses(data) == ([200] if path_kind == "fast" else [200, 400])
    assert b"connection: close" in data


def test_what_is_no_request_is_told_so(raw):
    raw[0].sendall(b"nonsense\r\n\r\n")
    status, headers, body = answer(raw[0])
    assert status == 400
    assert dict(headers)["content-security-policy"]
    assert "HTTP/1.1" in body["error"]
    assert raw[0].recv(100) == b""


@pytest.mark.parametrize("path", WAYS)
def test_a_body_that_breaks_ends_the_connection(raw, path):
    raw[0].sendall(chunked(path)[:-3] + b"zz\r\n")
    assert statuses(read_all(raw[0])) == [400]


def test_an_offer_to_upgrade_is_declined_and_hides_no_request(raw, path_kind):
    connection, local = raw
    fast_path = path_kind == "fast"
    connection.sendall(GET + b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\n\r\n")
    if not fast_path:  # h11 knows where such a request ends, and the connection goes on
        connection.shutdown(socket.SHUT_WR)
    assert statuses(read_all(connection)) == [200]
    with connected(local, fast_path=fast_path) as other:
        hidden = GET + b"\r\n"
        other.sendall(
            b"POST /v1/decide HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            b"connection: upgrade\r\nupgrade: h2c\r\ncontent-length: %d\r\n\r\n"
            % len(hidden)
            + hidden
        )
        if not fast_path:
            other.shutdown(socket.SHUT_WR)
        assert statuses(read_all(other)) == [422]


# Those who stop sending, or reading, or were too many


@pytest.mark.parametrize("path", WAYS)
@pytest.mark.parametrize("count", [1, 3, 40])
def test_who_has_said_all_still_gets_the_answers(raw, path, count):
    connection, local = raw
    connection.sendall(request(path) * count)
    connection.shutdown(socket.SHUT_WR)
    assert statuses(read_all(connection)) == [200] * count
    assert local.parts.repository.log.committed == count


@pytest.mark.parametrize("path", WAYS)
def test_half_a_request_is_neither_answered_nor_logged(raw, path):
    connection, local = raw
    connection.sendall(request(path) + request(path)[:-3])
    connection.shutdown(socket.SHUT_WR)
    assert statuses(read_all(connection)) == [200]
    assert local.parts.repository.log.committed == 1


def test_who_does_not_read_is_hung_up_on(raw, monkeypatch):
    connection, _ = raw
    patch(monkeypatch, "WRITE_SECONDS", 0.1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    ask = b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n"
    assert send_endlessly(connection, ask * 100, 200_000_000) < 200_000_000


def test_who_is_one_too_many_is_told_to_come_back(artefact, sqlite, path_kind):
    settings = ServiceSettings(policy=str(artefact), db=sqlite)
    options = {"max_connections": 2, "fast_path": path_kind == "fast"}
    with served(settings) as client, connected(client, **options) as first:
        host, port = first.getpeername()
        first.sendall(request())
        assert answer(first)[0] == 200
        with socket.create_connection((host, port), 20) as second:
            second.sendall(GET)  # it is in the middle of a request
            with socket.create_connection((host, port), 20) as third:
                assert first.recv(100) == b""  # the one that is idle makes room
                third.sendall(request()[:-1])
                with socket.create_connection((host, port), 20) as fourth:
                    status, headers, body = answer(fourth)
                    assert (status, dict(headers)["retry-after"]) == (503, "1")
                    assert "connections" in body["error"]
                    assert fourth.recv(100) == b""
                third.sendall(request()[-1:])
                assert answer(third)[0] == 200


def test_of_far_too_many_the_last_are_told_nothing(artefact, sqlite, path_kind, monkeypatch):
    patch(monkeypatch, "MOST_LEAVING", 1)
    patch(monkeypatch, "LINGER_SECONDS", 20.0)
    settings = ServiceSettings(policy=str(artefact), db=sqlite)
    options = {"max_connections": 1, "fast_path": path_kind == "fast"}
    with served(settings) as client, connected(client, **options) as first:
        first.sendall(GET)  # it is in the middle of a request
        with (
            socket.create_connection(first.getpeername(), 20) as second,
            socket.create_connection(first.getpeername(), 20) as third,
        ):
            assert answer(second)[0] == 503
            # The plain path closes at once whom it has told, so that few are leaving at a time.
            with contextlib.suppress(ConnectionResetError):
                assert statuses(third.recv(100)) in ([[]] if path_kind == "fast" else [[], [503]])
            second.close()


@pytest.mark.parametrize(
    ("soft", "hard", "room", "then"),
    [(20_000, 20_000, 4096, None), (1024, 20_000, 4096, 4608), (1024, 2048, 1536, 2048),
     (100, 200, 1, 200)],
)  # fmt: skip
def test_there_are_no_more_connections_than_files(monkeypatch, soft, hard, room, then):
    set_to = []
    monkeypatch.setattr(server.resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(server.resource, "setrlimit", lambda _, limits: set_to.append(limits))
    assert server.room_for(4096) == room
    assert set_to == ([(then, hard)] if then else [])


@pytest.mark.parametrize("path", WAYS)
def test_a_connection_stays_open_as_long_as_was_said(artefact, sqlite, path, path_kind):
    settings = ServiceSettings(policy=str(artefact), db=sqlite)
    assert settings.keep_alive == 75.0
    options = {"keep_alive": 0.2, "fast_path": path_kind == "fast"}
    with served(settings) as client, connected(client, **options) as connection:
        connection.sendall(request(path))
        assert answer(connection)[0] == 200
        assert connection.recv(100) == b""

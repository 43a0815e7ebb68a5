"""Requests byte by byte, over a socket of one's own."""

import contextlib
import json
import socket

from tests.serving.client import SHOP, listening


@contextlib.contextmanager
def connected(client, **options):
    """A connection to a service."""
    with listening(client, **options) as address:
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            yield connection


def request(path="/v1/decide", version="1.1", headers="", **body):
    content = json.dumps(body or {"state": SHOP}).encode()
    head = f"POST {path} HTTP/{version}\r\nhost: localhost\r\ncontent-length: {len(content)}\r\n"
    return f"{head}content-type: application/json\r\n{headers}\r\n".encode() + content


def answer(connection):
    """(status, headers, body) of the next answer."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        assert more, data
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = [tuple(line.split(": ", 1)) for line in lines[1:]]
    length = int(dict(headers)["content-length"])
    while len(body) < length:
        more = connection.recv(65536)
        assert more, body
        body += more
    assert len(body) == length
    return int(lines[0].split(" ")[1]), headers, json.loads(body) if body[:1] == b"{" else body

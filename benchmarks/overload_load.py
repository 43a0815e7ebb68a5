"""A cheap client of `overload.py`: many connections, rude ones; one line of JSON at the end.

It knows epoll and nothing of HTTP but the status, since it shares the cores with the service. With
a rate, requests are due at steady moments and take any connection that is free; without one, each
connection asks again as soon as it is answered, whatever it was told.
"""

import argparse
import json
import select
import socket
import time
from collections import deque
from pathlib import Path
from urllib.parse import urlsplit


class Client:
    """So many connections to one service."""

    def __init__(self, host: str, port: int, connections: int, requests: list[bytes]) -> None:
        self.requests = requests
        self.poll = select.epoll()
        self.sockets: dict[int, socket.socket] = {}
        self.free: deque[int] = deque()
        self.asked: dict[int, float] = {}  # when each that waits asked
        self.address = (host, port)
        self.good = self.refused = self.other = self.lost = self.sent = 0
        self.latencies: list[float] = []
        for _ in range(connections):
            self.connect()

    def connect(self) -> None:
        made = socket.create_connection(self.address, timeout=20)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setblocking(False)
        self.sockets[made.fileno()] = made
        self.poll.register(made, select.EPOLLIN)
        self.free.append(made.fileno())

    def ask(self, number: int) -> None:
        self.asked[number] = time.perf_counter()
        try:
            self.sockets[number].send(self.requests[self.sent % len(self.requests)])
        except OSError:
            self.lose(number)
        self.sent += 1

    def lose(self, number: int) -> None:
        self.lost += 1
        self.asked.pop(number, None)
        self.poll.unregister(number)
        self.sockets.pop(number).close()

    def hear(self, seconds: float) -> None:
        """Take the answers that are there, or come within so long."""
        for number, _ in self.poll.poll(max(0.0, seconds), 512):
            try:
                data = self.sockets[number].recv(65536)
            except OSError:
                data = b""
            if not data:
                self.lose(number)
                continue
            status = data[9:12]
            if status == b"200":
                self.good += 1
                self.latencies.append(time.perf_counter() - self.asked.pop(number, 0.0))
            else:
                self.refused += status == b"503"
                self.other += status != b"503"
                self.asked.pop(number, None)
            self.free.append(number)

    def run(self, rate: float, seconds: float, warm: float) -> dict[str, float]:
        """Ask for `warm` seconds that are not counted, then for those that are."""
        self.ask_for(rate, warm)
        self.good = self.refused = self.other = self.lost = self.sent = 0
        self.latencies.clear()
        took = self.ask_for(rate, seconds)
        found = sorted(self.latencies) or [0.0]
        return {
            "goodput": self.good / took,
            "asked": self.sent / took,
            "refused": self.refused / took,
            "other": self.other,
            "lost": self.lost,
            "p50_ms": 1e3 * found[len(found) // 2],
            "p99_ms": 1e3 * found[int(0.99 * len(found))],
        }

    def ask_for(self, rate: float, seconds: float) -> float:
        begun = now = time.perf_counter()
        planned = 0
        while now < begun + seconds:
            due = int((now - begun) * rate) - planned if rate else len(self.free)
            for _ in range(min(due, len(self.free))):
                self.ask(self.free.popleft())
            # Who finds every connection taken is not asked for: nobody waits outside for long.
            planned += due
            self.hear(0.002 if rate else 0.01)
            now = time.perf_counter()
        return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("bodies", type=Path, help="a file with one JSON body a line")
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--warm", type=float, default=0.0, help="seconds before, not counted")
    parser.add_argument("--connections", type=int, default=64)
    given = parser.parse_args()
    url = urlsplit(given.url)
    head = "POST /v1/decide HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    requests = [
        f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
        for body in given.bodies.read_bytes().splitlines()
    ]
    client = Client(str(url.hostname), int(url.port or 80), given.connections, requests)
    print(json.dumps(client.run(given.rate, given.seconds, given.warm)))


if __name__ == "__main__":
    main()

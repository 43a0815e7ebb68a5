"""An open-loop client: requests leave when they are due, whether or not others were answered.

Latency counts from the planned moment, so that a server which stops for a second is charged for
everybody who came in that second. It runs as a process of its own and prints one line of JSON.
With --rate 0 it is a closed loop instead: each connection asks again once it is answered.
"""

import argparse
import asyncio
import json
import time
from collections import Counter, deque
from pathlib import Path
from urllib.parse import urlsplit

_END = b"\r\n\r\n"


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, load: "Load") -> None:
        self.load = load
        self.transport: asyncio.Transport | None = None
        self.planned = 0.0
        self.buffer = b""

    def connection_made(self, transport) -> None:
        self.transport = transport

    def ask(self, planned: float, request: bytes) -> None:
        self.planned, self.buffer = planned, b""
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, end, body = self.buffer.partition(_END)
        if not end:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(body) >= length:
            self.load.answered(self, int(head[9:12]))

    def connection_lost(self, exc) -> None:  # noqa: ARG002
        self.load.lost += 1


class Load:
    """Requests at a steady rate over a pool of connections."""

    def __init__(
        self, requests: list[bytes], rate: float, seconds: float, limit: float | None = None
    ) -> None:
        self.requests, self.rate, self.seconds = requests, rate, seconds
        self.limit = limit or float("inf")
        self.over = 0  # answers that took longer than that
        self.idle: deque[Connection] = deque()
        self.waiting: deque[tuple[float, bytes]] = deque()
        self.latencies: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.lost = 0
        self.planned = 0
        self.seconds_taken = 0.0
        self.late = 0.0  # of the client itself: how far behind its plan it ever was

    def answered(self, connection: Connection, status: int) -> None:
        latency = time.perf_counter() - connection.planned
        self.latencies.append(latency)
        self.over += latency > self.limit
        self.statuses[status] += 1
        if self.waiting:
            connection.ask(*self.waiting.popleft())
        else:
            self.idle.append(connection)

    async def run(self, host: str, port: int, connections: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            _, made = await loop.create_connection(lambda: Connection(self), host, port)
            self.idle.append(made)
        if not self.rate:
            await self.run_closed()
            return
        total = int(self.rate * self.seconds)
        begun = time.perf_counter() + 0.05
        sent = 0
        while sent < total and self.over <= 0.01 * total:
            now = time.perf_counter()
            due = min(total, int((now - begun) * self.rate) + 1) if now >= begun else 0
            while sent < due:
                planned = begun + sent / self.rate
                self.late = max(self.late, now - planned)
                request = self.requests[sent % len(self.requests)]
                if self.idle:
                    self.idle.popleft().ask(planned, request)
                else:
                    self.waiting.append((planned, request))
                sent += 1
            await asyncio.sleep(max(0.0, min(0.001, begun + sent / self.rate - now)))
        deadline = time.perf_counter() + (5 if self.limit == float("inf") else 1)
        while len(self.latencies) < sent and time.perf_counter() < deadline:
            await asyncio.sleep(0.01)
        self.planned = total
        self.seconds_taken = time.perf_counter() - begun

    async def run_closed(self) -> None:
        begun = time.perf_counter()
        while (now := time.perf_counter()) < begun + self.seconds:
            # Whoever is answered takes the next at once; this only keeps enough of them waiting.
            while len(self.waiting) < 1000:
                request = self.requests[self.planned % len(self.requests)]
                self.waiting.append((now, request))
                self.planned += 1
            while self.idle:
                self.idle.popleft().ask(*self.waiting.popleft())
            await asyncio.sleep(0.01)
        self.planned -= len(self.waiting)
        self.waiting.clear()
        while len(self.latencies) < self.planned and time.perf_counter() < begun + 30:
            await asyncio.sleep(0.001)
        self.seconds_taken = time.perf_counter() - begun


def figures(load: Load, rows: int) -> dict[str, object]:
    found = sorted(load.latencies) or [float("inf")]
    at = lambda share: 1e3 * found[min(len(found) - 1, int(share * len(found)))]  # noqa: E731
    return {
        "rate": load.rate * rows,
        "p50_ms": at(0.5),
        "p99_ms": at(0.99),
        "max_ms": at(1.0),
        "planned": load.planned,
        "requests": len(load.latencies),
        "answered": len(load.latencies) / load.planned,
        "decisions_s": len(load.latencies) * rows / load.seconds_taken,
        "statuses": dict(load.statuses),
        "client_late_ms": 1e3 * load.late,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="where to POST")
    parser.add_argument("bodies", type=Path, help="a file with one JSON body a line")
    parser.add_argument("--rate", type=float, default=500, help="requests a second")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--limit-ms", type=float, help="stop once p99 must be above this")
    parser.add_argument("--rows", type=int, default=1, help="decisions in one request")
    given = parser.parse_args()
    url = urlsplit(given.url)
    path = f"{url.path}?{url.query}" if url.query else url.path
    head = f"POST {path} HTTP/1.1\r\nhost: {url.netloc}\r\ncontent-type: application/json\r\n"
    requests = [
        f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
        for body in given.bodies.read_bytes().splitlines()
    ]
    limit = given.limit_ms and given.limit_ms / 1e3
    load = Load(requests, given.rate, given.seconds, limit)
    try:
        import uvloop

        factory = uvloop.new_event_loop
    except ImportError:
        factory = None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(load.run(url.hostname, url.port, given.connections))
    print(json.dumps(figures(load, given.rows)))


if __name__ == "__main__":
    main()

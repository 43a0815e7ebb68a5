"""A synchronous client of a service that runs in a thread of this process."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from compagnon.serving.arms import Experiment
from compagnon.serving.lifespan import RunningService, address_of, running
from compagnon.serving.server import Server, listen
from compagnon.serving.settings import ServiceSettings
from tests.waiting import joined

# How clients ask: the application itself, or over HTTP (`fast`, `plain`), which conftest says.
WAYS = ["app"]
SHOP = {"time": 600, "raw": 12, "p1": 3, "p2_inter": 4, "p2": 0, "backlog_p1": 5}


@dataclass
class Client:
    """Asks a service in its own loop."""

    parts: RunningService
    loop: asyncio.AbstractEventLoop
    stack: contextlib.ExitStack
    headers: dict[str, str] = field(default_factory=dict)
    over: dict[str, httpx.Client] = field(default_factory=dict)

    def run(self, coroutine: Any) -> Any:
        """Run a coroutine where the service runs."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def run_long(self, coroutine: Any) -> Any:
        """Run one that takes its time."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(3600)

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {**self.headers, **options.pop("headers", {})}
        if "content" in options:
            headers = {"content-type": "application/json", **headers}
        if WAYS[-1] != "app" and isinstance(options.get("content", b""), bytes | str):
            return self.over_http(WAYS[-1]).request(method, path, headers=headers, **options)

        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self.parts.app, raise_app_exceptions=True)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://127.0.0.1:8000"
            ) as client:
                return await client.request(method, path, headers=headers, **options)

        return self.run(asked())

    def over_http(self, way: str) -> httpx.Client:
        """A connection to a server in front of the service, on the fast path or the plain one."""
        if way not in self.over:
            address = self.stack.enter_context(listening(self, fast_path=way == "fast"))
            made = httpx.Client(base_url=address, timeout=60, trust_env=False)
            self.over[way] = self.stack.enter_context(made)
        return self.over[way]

    def decide(self, status: int = 200, **body: Any) -> Any:
        """Ask for a decision (of a shop, unless something else is given); the answer's JSON."""
        if not body.keys() & {"observation", "state"}:
            body["state"] = SHOP
        response = self.ask("POST", "/v1/decide", json=body)
        assert response.status_code == status, response.text
        return response.json()

    def get(self, path: str, status: int = 200) -> Any:
        response = self.ask("GET", path)
        assert response.status_code == status, response.text
        return response.json()


@contextlib.contextmanager
def served(settings: ServiceSettings, experiment: Experiment | None = None) -> Iterator[Client]:
    """A service for as long as the block lasts."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    service = running(settings, experiment)
    try:
        parts = asyncio.run_coroutine_threadsafe(service.__aenter__(), loop).result(60)
        try:
            with contextlib.ExitStack() as stack:
                yield Client(parts, loop, stack)
        finally:
            asyncio.run_coroutine_threadsafe(service.__aexit__(None, None, None), loop).result(60)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        joined(thread)
        loop.close()


@contextlib.contextmanager
def listening(client: Client, **options: Any) -> Iterator[str]:
    """The address of a server in front of a client's service; `options` are its own."""
    made = listen("127.0.0.1", 0)
    server = Server(client.parts.app, 5, lambda: None, lambda: None, **options)
    serving = asyncio.run_coroutine_threadsafe(server.serve(sockets=[made]), client.loop)
    try:
        yield address_of(made)
    finally:
        client.loop.call_soon_threadsafe(server.end)
        serving.result(30)
        made.close()

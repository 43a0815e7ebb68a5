"""Puts a service together, runs it, and takes it apart again; one process or several."""

import asyncio
import contextlib
import gc
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final

from compagnon.errors import InputError
from compagnon.serving import routes, signals
from compagnon.serving.guard import Guard
from compagnon.serving.http import Front
from compagnon.serving.keeper import Keeper
from compagnon.serving.records import Records, open_records
from compagnon.serving.server import Server, listen, new_loop
from compagnon.serving.service import Service
from compagnon.serving.settings import Settings
from compagnon.serving.sources import Source, source_of
from compagnon.serving.vectors import service_of
from compagnon.store.errors import StoreUnavailable

_KEY_SECONDS: Final = 1.0  # between two looks at the keys
_RESTART_SECONDS: Final = 1.0
_logger = logging.getLogger("compagnon.serving")


@dataclass(frozen=True, slots=True)
class Running:
    """A service that answers.

    Attributes:
        front: the ASGI application.
        source: where its models come from.
    """

    front: Front
    service: Service
    guard: Guard
    keeper: Keeper
    records: Records
    source: Source


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """Open the store, load the model, and serve for as long as the block lasts.

    Raises:
        InputError: the database, the policy or the address cannot be used.
    """
    loop = asyncio.get_running_loop()
    store = await asyncio.to_thread(open_records, settings)
    try:
        source = source_of(settings, store)
        version = await asyncio.to_thread(source.find)
        model = await asyncio.to_thread(source.load, version)
        records = Records(store, settings, loop.call_soon_threadsafe)
    except BaseException:
        store.close()
        raise
    try:
        keys = await asyncio.to_thread(records.keys)
        require_keys(settings, len(keys))
        guard = Guard(settings.rate, keys, settings.loopback)
        service = service_of(settings, records.log, model)
        del model  # the service lets go of it when another takes its place; so must we
        keeper = Keeper(service, source.find, source.load, settings.watch_seconds, version)
        front = Front(service, guard, routes.build(service, guard, records, keeper))
        watching = [asyncio.create_task(_watch_keys(guard, records))]
        if settings.model_name is not None:
            keeper.start()
        try:
            yield Running(front, service, guard, keeper, records, source)
        finally:
            service.draining = True
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
            await keeper.stop()
    finally:
        await asyncio.to_thread(records.close)


def require_keys(settings: Settings, keys: int) -> None:
    """Refuse to let anybody but this machine ask without a key."""
    if not keys and not settings.loopback:
        raise InputError(
            f"--host {settings.host} lets other machines ask, and there is no key: make one with "
            f"`compagnon keys create --scope decide --db {settings.db}`, or serve 127.0.0.1"
        )


async def _watch_keys(guard: Guard, records: Records) -> None:
    """Learn of keys that are made or revoked; while the store is silent, keep what is known."""
    while True:
        await asyncio.sleep(_KEY_SECONDS)
        with contextlib.suppress(StoreUnavailable):
            guard.learn(await asyncio.to_thread(records.keys))


def serve(settings: Settings, ready: Callable[[str, Running | None], None]) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        ready: is told the address once it listens; with several workers without a `Running`.

    Raises:
        InputError: the port, the database, the policy or the address cannot be used.
    """
    with signals.held():
        made = listen(settings.host, settings.port)
        try:
            if settings.workers == 1:
                run_loop(serve_on(settings, made, ready))
            else:
                _Workers(settings, made).run(ready)
        finally:
            made.close()


def run_loop(main: Any) -> None:
    """Run a coroutine on the fastest loop there is."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main)


async def serve_on(
    settings: Settings, made: socket.socket, ready: Callable[[str, Running | None], None]
) -> None:
    """Serve on a socket that listens, until a signal."""
    async with running(settings) as parts:
        tasks: set[asyncio.Task[bool]] = set()

        def ending() -> None:
            parts.service.draining = True

        def reload() -> None:
            task = asyncio.create_task(parts.keeper.look(again=True))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = Server(
            parts.front, settings.drain_seconds, ending, reload,
            settings.keep_alive, settings.max_connections,
        )  # fmt: skip
        # What was made so far lives as long as the process: no collection need look at it again.
        gc.collect()
        gc.freeze()
        ready(address_of(made), parts)
        await server.serve(sockets=[made])


def address_of(made: socket.socket) -> str:
    """``http://HOST:PORT`` of a socket."""
    host, port = made.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Workers:
    """Several processes on one socket; one that dies is started again."""

    def __init__(self, settings: Settings, made: socket.socket) -> None:
        self._settings = settings
        self._socket = made
        self._processes: list[subprocess.Popen[bytes]] = []
        self._ending = False
        self._ready, self._tells = os.pipe()  # a worker writes one byte once it answers

    def run(self, ready: Callable[[str, Running | None], None]) -> None:
        """Start them, keep them, and end with them."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.signal(signal.SIGHUP, lambda *_: self._tell(signal.SIGHUP))
        signals.release()
        self._processes = [self._start() for _ in range(self._settings.workers)]
        waiting = self._settings.workers
        while not self._ending:
            if waiting <= 0:
                time.sleep(0.2)
            elif select.select([self._ready], [], [], 0.2)[0]:
                waiting -= len(os.read(self._ready, 64))
                if waiting <= 0:
                    ready(address_of(self._socket), None)
            self._tend()
        self._wait()

    def _tend(self) -> None:
        """Start again what died; end when a worker says that it cannot be."""
        for place, process in enumerate(self._processes):
            code = process.poll()
            if code is None or self._ending:
                continue
            if code == 2:  # what it was given cannot be used; it has said why
                self._end()
                self._wait()
                raise InputError("a worker could not be started")
            _logger.error("worker %d ended with %d; another is started", process.pid, code)
            time.sleep(_RESTART_SECONDS)
            self._processes[place] = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        descriptor = self._socket.fileno()
        numbers = (descriptor, self._tells, os.getpid())
        with signals.held():  # the worker lets them through once its handler stands
            return subprocess.Popen(
                [sys.executable, "-m", "compagnon.serving.worker", *map(str, numbers)],
                pass_fds=(descriptor, self._tells),
                # Not on the command line, where every user of the machine could read a password.
                env={**os.environ, "COMPAGNON_SETTINGS": self._settings.to_json()},
            )

    def _end(self, *_: object) -> None:
        self._ending = True
        self._tell(signal.SIGTERM)

    def _tell(self, number: int) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(number)

    def _wait(self) -> None:
        deadline = time.monotonic() + self._settings.drain_seconds + 15
        for process in self._processes:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()

"""Puts a service together, runs it, and takes it apart again; one process or several."""

import asyncio
import contextlib
import functools
import gc
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from compagnon.errors import InputError
from compagnon.policy.loading import artefact_directory
from compagnon.serving import routes, signals
from compagnon.serving.cost_watch import CostWatch
from compagnon.serving.ending import GRACE, Ending, ending
from compagnon.serving.guard import Guard
from compagnon.serving.http import Front
from compagnon.serving.keeper import Keeper
from compagnon.serving.records import Records, open_records
from compagnon.serving.server import Server, listen, new_loop
from compagnon.serving.service import Service
from compagnon.serving.settings import Settings
from compagnon.serving.sources import Source, source_of
from compagnon.serving.starting import require_keys
from compagnon.serving.vectors import service_of
from compagnon.serving.workers import Workers
from compagnon.store.errors import StoreUnavailable

_KEY_SECONDS: Final = 1.0  # between two looks at the keys
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
    if settings.model_name is None:  # a policy that is not there leaves no database behind
        artefact_directory(settings.path)
    try:
        store = await asyncio.to_thread(open_records, settings)
    except StoreUnavailable as error:
        raise InputError(str(error)) from None
    try:
        source = source_of(settings, store)
        version = await asyncio.to_thread(source.find)
        model = await asyncio.to_thread(source.load, version)
        records = Records(store, settings, loop.call_soon_threadsafe)
    except StoreUnavailable as error:
        store.close()
        raise InputError(str(error)) from None
    except BaseException:
        store.close()
        raise
    try:
        try:
            keys = await asyncio.to_thread(records.keys)
            secret, explored = await asyncio.to_thread(records.drawing, settings)
        except StoreUnavailable as error:
            raise InputError(str(error)) from None
        require_keys(settings, len(keys), store.where)
        guard = Guard(settings.rate, keys, settings.loopback)
        service = service_of(settings, records.log, model, secret, records.lookups, explored)
        del model  # the service lets go of it when another takes its place; so must we
        find = functools.partial(records.watchers.read, source.find)
        cost = CostWatch(service, store)
        await cost.begin()
        keeper = Keeper(service, find, source.load, settings.watch_seconds, version, cost.swapped)
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
            await cost.stop()
    finally:
        await asyncio.to_thread(records.close)


async def _watch_keys(guard: Guard, records: Records) -> None:
    """Learn of keys that are made or revoked; while the store is silent, keep what is known."""
    while True:
        await asyncio.sleep(_KEY_SECONDS)
        try:
            guard.learn(await records.watchers.read(records.keys))
        except StoreUnavailable:
            pass  # it is said where decisions are logged
        except Exception:  # the next look may do better; without one a revoked key would stay
            _logger.exception("looking for keys failed")


def serve(settings: Settings, ready: Callable[[str, Running | None], None]) -> bool:
    """Serve until SIGTERM or SIGINT; whether no worker lost what it had answered in fast mode.

    One process says what it lost by its log, which `ready` is told.

    Args:
        ready: is told the address once it listens; with several workers without a `Running`.

    Raises:
        InputError: the port, the database, the policy or the address cannot be used.
    """
    with signals.held():
        made = listen(settings.host, settings.port)
        try:
            if settings.workers == 1:
                run_to_the_end(settings, made, ready)
            else:
                workers = Workers(settings, made)
                workers.run(lambda: ready(address_of(made), None))
                return not workers.lost
            return True
        finally:
            made.close()


def run_to_the_end(
    settings: Settings, made: socket.socket, ready: Callable[[str, Running | None], None]
) -> None:
    """Serve on a socket that listens, until a signal; then end in time, whatever hangs.

    The runner waits for every thread of its loop, so the clock runs until that is over.
    """
    with ending() as clock, asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(serve_on(settings, made, ready, clock))


async def serve_on(
    settings: Settings,
    made: socket.socket,
    ready: Callable[[str, Running | None], None],
    clock: Ending,
) -> None:
    """Serve on a socket that listens, until a signal; `clock` is started by it."""
    async with running(settings) as parts:
        tasks: set[asyncio.Task[bool]] = set()

        def end() -> None:
            parts.service.draining = True
            parts.records.end_by(time.monotonic() + settings.drain_seconds)
            clock.start(settings.drain_seconds + GRACE)

        def reload() -> None:
            task = asyncio.create_task(parts.keeper.look(again=True))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = Server(
            parts.front, settings.drain_seconds, end, reload,
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

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
from compagnon.serving import signals
from compagnon.serving.app import Application, build_router
from compagnon.serving.arms import Experiment
from compagnon.serving.auth import Authenticator
from compagnon.serving.cost_watch import CostWatch
from compagnon.serving.model_source import ModelSource, source_of
from compagnon.serving.reloader import Reloader
from compagnon.serving.repository import Repository, open_service_store
from compagnon.serving.server import Server, listen, new_loop, require_keys
from compagnon.serving.service import Service
from compagnon.serving.settings import ServiceSettings
from compagnon.serving.signals import GRACE, Ending, ending
from compagnon.serving.workers import Workers
from compagnon.store import experiments
from compagnon.store.errors import StoreUnavailable

_KEY_SECONDS: Final = 1.0  # between two looks at the keys
_logger = logging.getLogger("compagnon.serving")


@dataclass(frozen=True, slots=True)
class RunningService:
    """A service that answers.

    Attributes:
        app: the ASGI application.
        source: where its models come from.
    """

    app: Application
    service: Service
    auth: Authenticator
    reloader: Reloader
    repository: Repository
    source: ModelSource


@contextlib.asynccontextmanager
async def running(
    settings: ServiceSettings, experiment: Experiment | None = None
) -> AsyncIterator[RunningService]:
    """Open the store, load the model, and serve for as long as the block lasts.

    Args:
        experiment: which arms decide; its models stay until the service ends.

    Raises:
        InputError: the database, the policy or the address cannot be used.
    """
    loop = asyncio.get_running_loop()
    if settings.model_name is None:  # a policy that is not there leaves no database behind
        artefact_directory(settings.path)
    try:
        store = await asyncio.to_thread(open_service_store, settings)
    except StoreUnavailable as error:
        raise InputError(str(error)) from None
    try:
        source = source_of(settings, store)
        version = await asyncio.to_thread(source.find)
        model = await asyncio.to_thread(source.load, version)
        repository = Repository(store, settings, loop.call_soon_threadsafe)
    except StoreUnavailable as error:
        store.close()
        raise InputError(str(error)) from None
    except BaseException:
        store.close()
        raise
    try:
        try:
            keys = await asyncio.to_thread(repository.keys)
            secret, explored = await asyncio.to_thread(repository.drawing, settings)
        except StoreUnavailable as error:
            raise InputError(str(error)) from None
        require_keys(settings, len(keys), store.where)
        auth = Authenticator(settings.rate, keys, settings.loopback)
        service = Service(settings, repository.log, model, secret, repository.lookups, explored)
        if experiment is not None:
            service.arms = await asyncio.to_thread(
                experiment.open, model, settings, service.metrics.fell_back
            )
        del model  # the service lets go of it when another takes its place; so must we
        find = functools.partial(repository.watchers.ask, source.find)
        cost = CostWatch(service, store)
        await cost.begin()
        reloader = Reloader(
            service, find, source.load, settings.watch_seconds, version, cost.swapped
        )
        app = Application(service, auth, build_router(service, auth, repository, reloader))
        watching = [asyncio.create_task(_watch_keys(auth, repository))]
        if experiment is not None and experiment.stored:
            watching.append(asyncio.create_task(_watch_experiment(service, repository)))
        if settings.model_name is not None and experiment is None:
            reloader.start()
        try:
            yield RunningService(app, service, auth, reloader, repository, source)
        finally:
            service.draining = True
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
            await reloader.stop()
            await cost.stop()
    finally:
        await asyncio.to_thread(repository.close)


async def _watch_keys(auth: Authenticator, repository: Repository) -> None:
    """Learn of keys that are made or revoked; while the store is silent, keep what is known."""
    while True:
        await asyncio.sleep(_KEY_SECONDS)
        try:
            auth.learn(await repository.watchers.ask(repository.keys))
        except StoreUnavailable:
            pass  # it is said where decisions are logged
        except Exception:  # the next look may do better; without one a revoked key would stay
            _logger.exception("looking for keys failed")


async def _watch_experiment(service: Service, repository: Repository) -> None:
    """Learn that the experiment was stopped; while the store is silent, it goes on."""
    arms = service.arms
    assert arms is not None
    while not arms.stopped:
        await asyncio.sleep(_KEY_SECONDS)
        try:
            running = await repository.watchers.ask(
                experiments.running, repository.store, service.settings.application
            )
            if running is None or running.name != arms.assigner.name:
                arms.stopped = True
                _logger.info("experiment %s was stopped: the control decides", arms.assigner.name)
        except StoreUnavailable:
            pass  # it is said where decisions are logged
        except Exception:  # the next look may do better
            _logger.exception("looking for the experiment failed")


def serve(
    settings: ServiceSettings,
    ready: Callable[[str, RunningService | None], None],
    experiment: Experiment | None = None,
) -> bool:
    """Serve until SIGTERM or SIGINT; whether no worker lost what it had answered in fast mode.

    One process says what it lost by its log, which `ready` is told.

    Args:
        ready: is told the address once it listens; with several workers without a `RunningService`.
        experiment: which arms decide; for one process.

    Raises:
        InputError: the port, the database, the policy or the address cannot be used.
    """
    with signals.held():
        made = listen(settings.host, settings.port)
        try:
            if settings.workers == 1:
                run_to_the_end(settings, made, ready, experiment)
            else:
                workers = Workers(settings, made)
                workers.run(lambda: ready(address_of(made), None))
                return not workers.lost
            return True
        finally:
            made.close()


def run_to_the_end(
    settings: ServiceSettings,
    made: socket.socket,
    ready: Callable[[str, RunningService | None], None],
    experiment: Experiment | None = None,
) -> None:
    """Serve on a socket that listens, until a signal; then end in time, whatever hangs.

    The runner waits for every thread of its loop, so the clock runs until that is over.
    """
    with ending() as clock, asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(serve_on(settings, made, ready, clock, experiment))


async def serve_on(
    settings: ServiceSettings,
    made: socket.socket,
    ready: Callable[[str, RunningService | None], None],
    clock: Ending,
    experiment: Experiment | None = None,
) -> None:
    """Serve on a socket that listens, until a signal; `clock` is started by it."""
    async with running(settings, experiment) as parts:
        tasks: set[asyncio.Task[bool]] = set()

        def end() -> None:
            parts.service.draining = True
            parts.repository.end_by(time.monotonic() + settings.drain_seconds)
            clock.start(settings.drain_seconds + GRACE)

        def reload() -> None:
            task = asyncio.create_task(parts.reloader.look(again=True))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = Server(
            parts.app, settings.drain_seconds, end, reload,
            settings.keep_alive, settings.max_connections, settings.fast_path,
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

"""The HTTP server: what it listens on, our signals, and an end that loses nothing."""

import asyncio
import contextlib
import errno
import logging
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Final

import uvicorn

from compagnon.errors import InputError
from compagnon.serving import signals
from compagnon.serving.connection import BoundedState, PlainProtocol
from compagnon.serving.fast_path import fast_protocol
from compagnon.serving.http import MAX_HEAD, App
from compagnon.serving.repository import open_service_store
from compagnon.serving.settings import ServiceSettings
from compagnon.store.keys import keyring

_logger = logging.getLogger("compagnon.serving")
_BACKLOG: Final = 4096  # connections that wait to be taken; the kernel may allow fewer
_OTHER_FILES: Final = 512  # open at a time beside connections: the store, models, who is sent away


class Server(uvicorn.Server):
    """A server that ends on SIGTERM or SIGINT when the requests under way are answered.

    Args:
        app: the application.
        drain_seconds: what requests under way get.
        keep_alive: seconds that a connection stays open without a request.
        max_connections: clients at a time.
        fast_path: single decisions go the fast path, where it can be used.
        ending: is called when the end begins. reload: is called on SIGHUP.
    """

    def __init__(
        self,
        app: App,
        drain_seconds: float,
        ending: Callable[[], None],
        reload: Callable[[], None],
        keep_alive: float = 75.0,
        max_connections: int = 4_096,
        fast_path: bool = True,
    ) -> None:
        if not fast_path:
            _logger.info("requests go the plain path: the fast one is switched off")
        config = uvicorn.Config(
            app,
            http=(fast_protocol() if fast_path else None) or PlainProtocol,
            h11_max_incomplete_event_size=MAX_HEAD,
            loop="none",
            lifespan="off",
            ws="none",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_graceful_shutdown=max(1, round(drain_seconds)),
            timeout_keep_alive=keep_alive,  # type: ignore[arg-type]  # it is a plain delay
        )
        super().__init__(config)
        self.server_state = BoundedState(room_for(max_connections))
        self._ending = ending
        self._reload = reload

    def end(self) -> None:
        """Take no more connections, answer what is under way, then return from `serve`."""
        if not self.should_exit:
            self._ending()
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Our handlers; uvicorn's would kill the process again after a clean end."""
        loop = asyncio.get_running_loop()
        handlers = {
            signal.SIGTERM: self.end, signal.SIGINT: self.end, signal.SIGHUP: self._reload,
        }  # fmt: skip
        try:
            for number, handler in handlers.items():
                loop.add_signal_handler(number, handler)
        except (ValueError, RuntimeError):  # not the main thread, as in tests
            yield
            return
        signals.release()
        try:
            yield
        finally:
            signals.hold()  # what waits is still to be written
            for number in handlers:
                loop.remove_signal_handler(number)


def room_for(connections: int) -> int:
    """How many connections there may be: each takes one of the files that a process may open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHER_FILES
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    more = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
    return max(1, more - _OTHER_FILES)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        InputError: the port is in use, or the address is none of this machine's.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror:
        raise InputError(f"--host {host}: there is no such address") from None
    made = socket.socket(family, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind(address)
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            raise InputError(
                f"port {port} of {host} is in use: stop what listens there, or give another --port"
            ) from None
        if error.errno == errno.EACCES:
            raise InputError(
                f"port {port} of {host} may not be used; give one above 1023"
            ) from None
        raise InputError(f"--host {host}: {error.strerror}") from None
    made.setblocking(False)
    return made


def new_loop() -> asyncio.AbstractEventLoop:
    """An event loop, uvloop's where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def check_place(settings: ServiceSettings) -> None:
    """Refuse an address or a database that cannot be used.

    Raises:
        InputError: the port is taken, there is no key, or another process logs to the same file.
        StoreUnavailable: the database is away.
    """
    listen(settings.host, settings.port).close()
    store = open_service_store(settings)
    try:
        require_keys(settings, len(keyring(store)), store.where)
        with store.only_log():
            pass
    finally:
        store.close()


def require_keys(settings: ServiceSettings, keys: int, where: str) -> None:
    """Refuse to let anybody but this machine ask without a key.

    Args:
        where: the database, without a password.

    Raises:
        InputError: names the command that makes a key.
    """
    if not keys and not settings.loopback:
        raise InputError(
            f"--host {settings.host} lets other machines ask, and there is no key: make one with "
            f"`compagnon keys create --scope decide --db {where}`, or serve 127.0.0.1"
        )

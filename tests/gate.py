"""A way to a PostgreSQL server that can be shut, stalled, and opened again."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import psycopg
import pytest


class Gate:
    """Forwards what connections send, as long as it flows."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []
        self._flowing = threading.Event()
        self._flowing.set()
        self.port = 0
        self.address = ""
        self.open()

    def open(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def shut(self) -> None:
        """Connections break, and none is taken."""
        assert self._listener is not None
        for sock in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        self._open.clear()

    def stall(self) -> None:
        """Connections are taken and kept, and nothing comes through."""
        self._flowing.clear()

    def flow(self) -> None:
        """What waited comes through."""
        self._flowing.set()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(self._to)
                self._open += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._flowing.wait(600)
                target.sendall(data)
        for sock in (source, target):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def gate(postgres: str) -> Iterator[Gate]:
    """A gate before the server of the tests; `address` leads through it."""
    info = psycopg.conninfo.conninfo_to_dict(postgres)
    made = Gate(str(info.get("host", "127.0.0.1")), int(info.get("port", 5432)))
    scheme, _, rest = postgres.partition("://")
    user, _, tail = rest.partition("@")
    path = tail.partition("/")[2]
    made.address = f"{scheme}://{user}@127.0.0.1:{made.port}/{path}"
    yield made
    made.flow()
    with contextlib.suppress(OSError):
        made.shut()

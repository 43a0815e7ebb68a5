"""Several processes on one socket; one that dies is started again, ever later if it cannot stay."""

import logging
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from compagnon.errors import InputError
from compagnon.serving import signals
from compagnon.serving.settings import ServiceSettings
from compagnon.serving.signals import GRACE

FIRST_SECONDS: Final = 1.0  # before a worker that died is started again; twice as long each time
LAST_SECONDS: Final = 30.0  # the longest of these pauses
_LOOK_SECONDS: Final = 0.2
_UNUSABLE: Final = 2  # how a worker ends when what it was given cannot be used
LOST: Final = 3  # and when decisions that it answered in fast mode could not be written
_logger = logging.getLogger("compagnon.serving")


@dataclass
class _Worker:
    """One of the processes, and what became of those before it."""

    process: "subprocess.Popen[bytes] | None" = None
    pause: float = FIRST_SECONDS
    start_at: float = 0.0


class Workers:
    """Starts processes, keeps them, and ends with them.

    Args:
        settings: of the service.
        made: the socket that they share.

    Attributes:
        lost: at the end one of them could not write all that it had answered; it said so itself.
    """

    def __init__(self, settings: ServiceSettings, made: socket.socket) -> None:
        self._settings = settings
        self._socket = made
        self._workers = [_Worker() for _ in range(settings.workers)]
        self.lost = self._ending = False
        self._served = False  # all of them answered once: what they were given can be used
        self._ready, self._tells = os.pipe()  # a worker writes its number once it answers

    def run(self, ready: Callable[[], None]) -> None:
        """Serve until SIGTERM or SIGINT.

        Args:
            ready: is called once all of them answer.

        Raises:
            InputError: what they were given cannot be used, before all answered for the first time.
        """
        for kind in (signal.SIGTERM, signal.SIGINT):
            signal.signal(kind, self._end)
        signal.signal(signal.SIGHUP, lambda *_: self._tell(signal.SIGHUP))
        signals.release()
        missing = set(range(len(self._workers)))
        while not self._ending:
            self._tend()
            for number in self._answering():
                self._workers[number].pause = FIRST_SECONDS
                missing.discard(number)
            if not missing and not self._served and not self._ending:
                self._served = True
                ready()
        self._wait()

    def _answering(self) -> bytes:
        """The numbers of those that began to answer; it waits a little for them."""
        if select.select([self._ready], [], [], _LOOK_SECONDS)[0]:
            return os.read(self._ready, 64)
        return b""

    def _tend(self) -> None:
        """Start those that do not run, when it is time."""
        for number, worker in enumerate(self._workers):
            if self._ending:
                return
            if worker.process is not None:
                code = worker.process.poll()
                if code is None:
                    continue
                self._ended(worker, worker.process.pid, code)
            if time.monotonic() >= worker.start_at:
                worker.process = self._start(number)
                if self._ending:  # the signal came meanwhile
                    self._tell(signal.SIGTERM)

    def _ended(self, worker: _Worker, pid: int, code: int) -> None:
        if code == _UNUSABLE and not self._served:  # it has said why
            self._end()
            self._wait()
            raise InputError("a worker could not be started")
        # Later the same code means that something is away for a while, such as the database.
        worker.process = None
        worker.start_at = time.monotonic() + worker.pause
        _logger.error(
            "worker %d ended with %d; another is started in %g s", pid, code, worker.pause
        )
        worker.pause = min(2 * worker.pause, LAST_SECONDS)

    def _start(self, number: int) -> "subprocess.Popen[bytes]":
        descriptor = self._socket.fileno()
        numbers = (descriptor, self._tells, os.getpid(), number)
        settings = replace(self._settings, worker=number)
        with signals.held():  # the worker lets them through once its handler stands
            return subprocess.Popen(
                [sys.executable, "-m", "compagnon.serving.worker", *map(str, numbers)],
                pass_fds=(descriptor, self._tells),
                # Not on the command line, where every user of the machine could read a password.
                env={**os.environ, "COMPAGNON_SETTINGS": settings.to_json()},
            )

    def _end(self, *_: object) -> None:
        self._ending = True
        self._tell(signal.SIGTERM)

    def _tell(self, number: int) -> None:
        for worker in self._workers:
            if worker.process is not None and worker.process.poll() is None:
                worker.process.send_signal(number)

    def _wait(self) -> None:
        deadline = time.monotonic() + self._settings.drain_seconds + 2 * GRACE
        for worker in self._workers:
            if worker.process is None:
                continue
            try:
                code = worker.process.wait(max(0.0, deadline - time.monotonic()))
                self.lost = self.lost or code == LOST
            except subprocess.TimeoutExpired:
                worker.process.kill()

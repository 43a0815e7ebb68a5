"""Processes that die: started again ever later; only the first start may end the service."""

import os
import signal
import socket
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from compagnon.errors import InputError
from compagnon.serving import worker as worker_module
from compagnon.serving import workers as workers_module
from compagnon.serving.settings import ServiceSettings
from compagnon.serving.workers import Workers

NEVER = "import time; time.sleep(600)"


class Scripted(Workers):
    """Workers that do what a script says; the n-th start of each gets the n-th script."""

    def __init__(self, scripts, made):
        super().__init__(ServiceSettings(policy="p", db="postgresql://x", workers=2), made)
        self.scripts = scripts
        self.starts = []

    def _start(self, number):
        self.starts.append(number)
        script = self.scripts(number, self.starts.count(number))
        if script is None:
            self._end()
            script = ""
        code = f"import os; TELLS = {self._tells}; ME = {number}\n{script}"
        return subprocess.Popen([sys.executable, "-S", "-c", code], pass_fds=(self._tells,))


READY = "os.write(TELLS, bytes([ME]))\n"


@pytest.fixture
def made(monkeypatch):
    kinds = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {kind: signal.getsignal(kind) for kind in kinds}
    assert threading.current_thread() is threading.main_thread()
    monkeypatch.setattr(workers_module, "FIRST_SECONDS", 0.01)
    with socket.socket() as listening:
        yield listening
    for kind, handler in before.items():
        signal.signal(kind, handler)


def test_what_cannot_be_used_ends_the_first_start(made):
    service = Scripted(lambda number, _: "os._exit(2)" if number else NEVER, made)
    with pytest.raises(InputError, match="could not be started"):
        service.run(lambda: pytest.fail("it was never ready"))
    assert all(one.process is None or one.process.poll() is not None for one in service._workers)


def test_later_the_same_is_a_worker_that_comes_back(made, caplog):
    told = []

    def scripts(number, start):
        if number == 0:
            return READY + NEVER
        # Ready once, then the database is away for three starts, then another is ready.
        if start in (1, 5):
            return READY
        return None if start == 7 else "os._exit(2)"

    service = Scripted(scripts, made)
    service._workers[0].pause = service._workers[1].pause = 0.01
    service.run(lambda: told.append(True))
    assert told == [True]
    assert service.starts.count(0) == 1  # the other one went on
    pauses = [record.args[2] for record in caplog.records if "another is started" in record.msg]
    # After each time that it was ready the pauses begin anew; else they double.
    assert pauses == [0.01, 0.02, 0.04, 0.08, 0.01, 0.02]


@pytest.mark.parametrize("code", [0, workers_module.LOST])
def test_what_one_of_them_lost_is_known_at_the_end(made, code):
    leaves = f"import signal, time\nsignal.signal(15, lambda *_: os._exit({code}))\n"
    service = Scripted(lambda number, _: (leaves if number else "") + READY + NEVER, made)
    service.run(service._end)
    assert service.lost == bool(code)


@pytest.mark.parametrize("lost", [0, 12])
def test_a_worker_says_how_much_it_lost(monkeypatch, capsys, lost):
    parts = SimpleNamespace(repository=SimpleNamespace(log=SimpleNamespace(lost=lost)))
    told, tells = os.pipe()
    monkeypatch.setattr(worker_module, "run_to_the_end", lambda *given: given[2]("", parts))
    monkeypatch.setattr(worker_module, "_end_with", lambda _: None)
    monkeypatch.setattr(worker_module.logging, "basicConfig", lambda **_: None)
    settings = ServiceSettings(policy="p", db="postgresql://x", workers=2, mode="fast")
    monkeypatch.setenv("COMPAGNON_SETTINGS", settings.to_json())
    with socket.socket() as listening:
        numbers = (listening.detach(), tells, os.getppid(), 1)
    monkeypatch.setattr(worker_module.sys, "argv", ["worker", *map(str, numbers)])
    assert worker_module.main() == (workers_module.LOST if lost else 0)
    assert os.read(told, 10) == b"\x01"
    said = capsys.readouterr().err
    assert ("12 answered decisions could not be written, and are lost" in said) == bool(lost)
    os.close(told)
    os.close(tells)

"""One of several processes that serve the same socket; started by `running`, not by people."""

import logging
import os
import socket
import sys
import threading
import time

from compagnon.errors import InputError
from compagnon.serving.lifespan import RunningService, run_to_the_end
from compagnon.serving.settings import ServiceSettings
from compagnon.serving.workers import LOST
from compagnon.store import DecisionLog


def main() -> int:
    """Serve; the arguments are numbers: a socket, a pipe to say ready, our parent, and ours."""
    descriptor, tells, parent, place = (int(number) for number in sys.argv[1:5])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    settings = ServiceSettings.from_json(os.environ.pop("COMPAGNON_SETTINGS"))
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    logs: list[DecisionLog] = []

    def ready(_: str, parts: RunningService | None) -> None:
        if parts is not None:
            logs.append(parts.repository.log)
        _say(tells, place)

    try:
        made = socket.socket(fileno=descriptor)
        run_to_the_end(settings, made, ready)
    except InputError as error:
        print(f"compagnon: {error}", file=sys.stderr)
        return 2
    lost = sum(log.lost for log in logs)
    if lost:
        said = f"{lost:,} answered decisions could not be written, and are lost"
        print(f"compagnon: process {os.getpid()}: {said}", file=sys.stderr)
    return LOST if lost else 0


def _say(tells: int, place: int) -> None:
    os.write(tells, bytes([place]))


def _end_with(parent: int) -> None:
    """A parent that was killed cannot say so: end when it is gone."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os.kill(os.getpid(), 15)


if __name__ == "__main__":
    sys.exit(main())

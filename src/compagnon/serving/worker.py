"""One of several processes that serve the same socket; started by `running`, not by people."""

import logging
import os
import socket
import sys
import threading
import time

from compagnon.errors import InputError
from compagnon.serving.running import run_loop, serve_on
from compagnon.serving.settings import Settings


def main() -> int:
    """Serve; the arguments are the numbers of a socket, of a pipe to say ready, of our parent."""
    descriptor, tells, parent = (int(number) for number in sys.argv[1:4])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    settings = Settings.from_json(os.environ.pop("COMPAGNON_SETTINGS"))
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    try:
        made = socket.socket(fileno=descriptor)
        run_loop(serve_on(settings, made, lambda *_: _say(tells)))
    except InputError as error:
        print(f"compagnon: {error}", file=sys.stderr)
        return 2
    return 0


def _say(tells: int) -> None:
    os.write(tells, b"1")


def _end_with(parent: int) -> None:
    """A parent that was killed cannot say so: end when it is gone."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os.kill(os.getpid(), 15)


if __name__ == "__main__":
    sys.exit(main())

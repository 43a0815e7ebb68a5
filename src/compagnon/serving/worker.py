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
    """Serve on the socket whose number is the first argument; the second is our parent's."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    settings = Settings.from_json(os.environ.pop("COMPAGNON_SETTINGS"))
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    try:
        run_loop(serve_on(settings, socket.socket(fileno=descriptor), lambda *_: None))
    except InputError as error:
        print(f"compagnon: {error}", file=sys.stderr)
        return 2
    return 0


def _end_with(parent: int) -> None:
    """A parent that was killed cannot say so: end when it is gone."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os.kill(os.getpid(), 15)


if __name__ == "__main__":
    sys.exit(main())

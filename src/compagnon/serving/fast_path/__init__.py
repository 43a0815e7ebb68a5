"""A faster way for single decisions, beside the plain one: optional, and pinned to what it extends.

`connection` bounds what uvicorn's own httptools protocol takes, `protocol` answers a plain
`POST /v1/decide` that came whole without a scope, a task or messages; everything else goes through
the application. All of it extends what uvicorn keeps to itself, so it is used with the versions
that it was tested with alone. Without it every request goes the plain path (`serving.connection`,
`serving.app`), with the same answers and the same bounds. `benchmarks/serving_paths.py` says what
it buys.
"""

import asyncio
import logging
from typing import Final

import uvicorn

TESTED_UVICORN: Final = ("0.54.0",)
_logger = logging.getLogger("compagnon.serving")


def fast_protocol() -> type[asyncio.Protocol] | None:
    """What a server's connections are made of; None, and a line in the log, where it can't be."""
    if uvicorn.__version__ not in TESTED_UVICORN:
        tested = ", ".join(TESTED_UVICORN)
        _logger.warning(
            "requests go the plain path: the fast one was tested with uvicorn %s, this is %s",
            tested,
            uvicorn.__version__,
        )
        return None
    try:
        from compagnon.serving.fast_path.protocol import DecisionProtocol
    except ImportError as error:
        _logger.warning("requests go the plain path: the fast one needs %s", error.name)
        return None
    return DecisionProtocol

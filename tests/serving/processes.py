"""Services as processes of their own, as people start them; and a client that only counts."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

SOURCE = str(Path(__file__).parents[2] / "src")


@dataclass
class Process:
    """A running `compagnon serve`."""

    popen: "subprocess.Popen[str]"
    address: str = ""
    lines: list[str] = field(default_factory=list)

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait(30)

    def end(self) -> int:
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(60)


def start(*words: str) -> "subprocess.Popen[str]":
    code = "import sys; from compagnon.cli import main; sys.exit(main())"
    more = os.environ.get("PYTHONPATH", "")
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{SOURCE}{os.pathsep}{more}", "PYTHONUNBUFFERED": "1"},
    )


@contextlib.contextmanager
def serving(*words: str) -> Iterator[Process]:
    """`compagnon serve WORDS` on a free port, once it listens; killed at the block's end."""
    process = Process(start("serve", *words, "--port", "0"))
    assert process.popen.stdout is not None
    try:
        for line in process.popen.stdout:
            process.lines.append(line)
            found = re.search(r"listening on (http://\S+);", line)
            if found:
                process.address = found[1]
                break
        assert process.address, "".join(process.lines)
        reader = threading.Thread(
            target=lambda: process.lines.extend(process.popen.stdout or ()), daemon=True
        )
        reader.start()
        yield process
    finally:
        if process.popen.poll() is None:
            process.kill()


async def burst(address: str, count: int, bodies, together: int = 16, after=None):
    """Ask many at a time; the (body, answer) pairs that were answered with 200, and the others.

    A connection that breaks ends one asker. `after` is called after so many answers as its key.
    """
    answered, refused, left = [], [], iter(range(count))

    async def ask(client):
        for k in left:
            body = bodies(k)
            try:
                response = await client.post(f"{address}/v1/decide", json=body)
            except httpx.HTTPError:
                return
            if response.status_code == 200:
                answered.append((body, response.json()))
                if after is not None:
                    after(len(answered))
            else:
                refused.append(response)

    async with httpx.AsyncClient(timeout=30) as client:
        await asyncio.gather(*(ask(client) for _ in range(together)))
    return answered, refused

"""What it costs to refuse a body: time and memory for bodies of every shape, at four sizes.

    python benchmarks/refusals.py [--quick] [--boards] [--json FILE]

A request is read as the service reads it, without HTTP: wire, state, observation, mask. It ends
with 1 where work or memory grows faster than the body does.
"""

import argparse
import itertools
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from compagnon.envs import BatchEnv
from compagnon.policy import Schema
from compagnon.serving import parsing
from compagnon.serving.errors import ApiError
from compagnon.serving.parsing import RequestParser
from compagnon.serving.states import state_reader
from compagnon.worlds.dispatch import DISPATCH
from compagnon.worlds.workshop import WORKSHOP
from harness import console, machine, print_machine, table, write_json

SIZES = (10_000, 49_000, 100_000, 1_000_000)  # up to 50,000 the wrong entry is looked for
MOST_BYTES = 60  # of memory at a time for a byte of the body
GROWS = 3.0  # the cost of a byte may be so many times that at the size before, and
ENOUGH_MS = 20.0  # so much more in all: noise, and what a collection costs

Shape = Callable[[int], bytes]
Read = Callable[[bytes], object]


@dataclass
class Cost:
    """Of one body that was refused, or taken."""

    bytes: int
    status: int
    milliseconds: float
    peak_bytes: int


def _obs(inner: bytes) -> bytes:
    return b'{"mask_ids":[0],"observation":' + inner + b"}"


def _state(inner: bytes, after: bytes = b"") -> bytes:
    return b'{"state":' + inner + after + b"}"


def _many(item: bytes, size: int) -> bytes:
    return b",".join([item] * max(1, size // (len(item) + 1)))


def _keys(size: int) -> bytes:
    return b",".join(b'"k%06d":0' % k for k in range(size // 12))


_NAN = b',"alternatives":NaN'
_MARK = b" - at `$"  # what a decoder's message puts before a path
_SHOP = b'{"time":600,"raw":12,"p1":3,"p2_inter":4,"p2":0}'

DECIDE: dict[str, Shape] = {
    "zeros under a long name, then NaN": lambda n: _state(
        b'{"' + b"K" * (n // 2) + b'":[' + _many(b"0", n // 2) + b"]}", _NAN
    ),
    "zeros, then NaN": lambda n: _state(b"[" + _many(b"0", n) + b"]", _NAN),
    "empty objects, then NaN": lambda n: _state(b"[" + _many(b"{}", n) + b"]", _NAN),
    "nested arrays, then NaN": lambda n: _state(
        b"[" + _many(b"[" * 400 + b"]" * 400, n) + b"]", _NAN
    ),
    "nested objects, then NaN": lambda n: _state(
        b"[" + _many(b'{"a":' * 190 + b"0" + b"}" * 190, n) + b"]", _NAN
    ),
    "texts of escapes, then NaN": lambda n: _state(b"[" + _many(b'"\\u00e9"', n) + b"]", _NAN),
    "arrays without end": lambda n: b"[" * n,
    "state nested without end": lambda n: _state(b"[" * (n // 2) + b"]" * (n // 2)),
    "many names": lambda n: _obs(b"{" + _keys(n) + b"}"),
    "many names, the last a text": lambda n: _obs(b"{" + _keys(n) + b',"x":"y"}'),
    "one name many times": lambda n: _obs(b"{" + _many(b'"raw":0', n) + b"}"),
    "a long name": lambda n: _obs(b'{"' + b"K" * n + b'":0}'),
    "a long name of escapes": lambda n: _obs(b'{"' + b"\\u0001" * (n // 6) + b'":0}'),
    "an unknown field named like a path": lambda n: b'{"' + _MARK * (n // len(_MARK)) + b'":0}',
    "a field of the state named like a path": lambda n: _state(
        b'{"' + _MARK * (n // len(_MARK)) + b'":0}'
    ),
    "a vector, the last a text": lambda n: _obs(b"[" + _many(b"0", n) + b',"a"]'),
    "a number of many digits": lambda n: _obs(b'{"raw":' + b"9" * n + b"}"),
    "a fraction of many digits": lambda n: _obs(b'{"raw":-0.' + b"7" * n + b"}"),
    "an action of many digits": lambda n: _state(_SHOP, b',"mask_ids":[' + b"9" * n + b"]"),
    "a long mask of ids": lambda n: _obs(b"{}").replace(b"[0]", b"[" + _many(b"0", n) + b"]"),
    "a long mask of bits": lambda n: _obs(b"{}").replace(b'ids":[0]', b'bits":"' + b"1" * n + b'"'),
    "a long id": lambda n: _state(_SHOP, b',"id":"' + b"a" * n + b'"'),
    "blanks": lambda n: b" " * n,
    "a broken text": lambda n: b'"' + b"\xff" * n,
    "NaN in a text that says another coding": lambda n: ("[" + "1," * (n // 4) + "NaN]").encode(
        "utf-16"
    ),
    "a shop with many fields more": lambda n: _state(
        _SHOP[:-1] + b"," + _keys(n) + b"}"
    ),
}  # fmt: skip

BATCH: dict[str, Shape] = {
    "many empty requests": lambda n: b'{"decisions":[' + _many(b"{}", n) + b"]}",
    "many shops": lambda n: b'{"decisions":[' + _many(_state(_SHOP), n) + b"]}",
    "many shops, the last wrong": lambda n: (
        b'{"decisions":[' + _many(_state(_SHOP), min(n, 50_000)) + b',{"state":{"time":NaN}}]}'
    ),
    "one request of many names": lambda n: b'{"decisions":[' + _obs(b"{" + _keys(n) + b"}") + b"]}",
}

OUTCOME: dict[str, Shape] = {
    "a value of many digits": lambda n: b'{"value":' + b"9" * n + b"}",
    "an unknown field named like a path": lambda n: b'{"' + _MARK * (n // len(_MARK)) + b'":0}',
    "a list as the value, then NaN": lambda n: b'{"value":[' + _many(b"0", n) + b',NaN]}',
}  # fmt: skip

_DRIVER = b'{"at":[46.2,6.1],"end":[46.2,6.1],"shift_end":1000,"phase":"waits"}'


def _board(drivers: bytes, rides: bytes, more: bytes = b"") -> bytes:
    return _state(b'{"now":500,"drivers":[' + drivers + b'],"rides":[' + rides + b"]" + more + b"}")


def _rides(size: int) -> bytes:
    ride = b'{"id":"r%d","pickup":[46.2,6.1],"dropoff":[46.2,6.2],"pickup_to":600}'
    return b",".join(ride % k for k in range(size // 70))


BOARDS: dict[str, Shape] = {
    "many rides": lambda n: _board(_DRIVER, _rides(n)),
    "many drivers": lambda n: _board(_many(_DRIVER, n), b""),
    "a long plan": lambda n: _board(
        _DRIVER[:-1] + b',"plan":[' + _many(b'{"at":"break"}', n) + b"]}", b""
    ),
    "many places": lambda n: _board(
        _DRIVER, b"", b',"places":[' + _many(b'{"name":"a","at":[46.2,6.1]}', n) + b"]"
    ),
    "a field more in many rides": lambda n: _board(
        _DRIVER, _rides(n).replace(b'"pickup_to"', b'"x":1,"pickup_to"', 1)
    ),
}


def readers(boards: bool) -> Iterator[tuple[str, Read, dict[str, Shape]]]:
    """Each route with how its bodies are read and the shapes that are tried."""
    reader = _reader(WORKSHOP)
    yield "decide", lambda body: reader.read(parsing.read_decide(body)), DECIDE
    yield "batch", lambda body: reader.read_many(parsing.read_batch(body)), BATCH
    yield "outcome", parsing.read_outcome, OUTCOME
    if boards:
        shown = _reader(DISPATCH)
        yield "board", lambda body: shown.read(parsing.read_decide(body)), BOARDS


def _reader(env_id: str) -> RequestParser:
    schema = Schema.of(BatchEnv(env_id, {}, 1))
    return RequestParser(schema, state_reader(schema, {}))


def cost(read: Read, body: bytes, repeats: int = 3) -> Cost:
    """Read a body; the least processor time of some tries, and the most memory of one more."""
    status, times = 200, []
    for _ in range(repeats):
        begun = time.process_time()
        try:
            read(body)
        except ApiError as refusal:
            status = refusal.status
        times.append(time.process_time() - begun)
    tracemalloc.start()
    try:
        read(body)
    except ApiError as refusal:
        refusal.body()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return Cost(len(body), status, 1e3 * min(times), peak)


def too_much(costs: list[Cost], timed: bool = True) -> str | None:
    """Why these costs of one shape, by size, are more than linear; None when they are not."""
    for one in costs:
        if one.peak_bytes > MOST_BYTES * one.bytes + 100_000:
            return f"{one.peak_bytes / one.bytes:,.0f} bytes of memory a byte at {one.bytes:,}"
    for small, large in itertools.pairwise(costs):
        expected = small.milliseconds * large.bytes / small.bytes
        if timed and large.milliseconds > GROWS * expected + ENOUGH_MS:
            return (
                f"{large.milliseconds:,.0f} ms at {large.bytes:,}; {expected:,.0f} is in proportion"
            )
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two small sizes, memory alone")
    parser.add_argument("--boards", action="store_true", help="boards too; compiles their kernels")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    screen, about = console(), machine()
    print_machine(screen, about)
    sizes = SIZES[:2] if given.quick else SIZES
    figures: dict[str, list[Cost]] = {}
    faults = []
    rows = []
    for route, read, shapes in readers(given.boards):
        for name, shape in shapes.items():
            costs = [cost(read, shape(size), 1 if given.quick else 3) for size in sizes]
            figures[f"{route}: {name}"] = costs
            fault = too_much(costs, timed=not given.quick)
            if fault is not None:
                faults.append(f"{route}: {name}: {fault}")
            last = costs[-1]
            rows.append(
                [f"{route}: {name}", str(last.status)]
                + [f"{one.milliseconds:,.1f}" for one in costs]
                + [f"{one.peak_bytes / 1e6:,.2f}" for one in costs]
            )
    heads = ["body", "status"]
    heads += [f"ms {size // 1000}" for size in sizes]
    heads += [f"MB {size // 1000}" for size in sizes]
    screen.print(
        table("To refuse a body of so many kB: processor time, memory at most", heads, rows)
    )
    for fault in faults:
        screen.print(f"more than linear: {fault}", soft_wrap=True)
    write_json(
        given.json,
        {"machine": about, "costs": {k: [asdict(one) for one in v] for k, v in figures.items()}},
    )
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())

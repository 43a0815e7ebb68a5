"""kill -9 in a burst: what was acknowledged is there; fast mode loses no more than its bound."""

import signal
import subprocess
import sys

import pytest
from sqlalchemy import func, select

from compagnon.store.factory import open_store
from compagnon.store.log import DecisionLog
from compagnon.store.tables import decisions

# Writes as fast as it can, and says on its output how many, from `first` on, were acknowledged.
BURST = """
import sys
from compagnon.store.log import DecisionLog
from compagnon.store.factory import open_store
from tests.store.rows import row
address, mode, first = sys.argv[1], sys.argv[2], int(sys.argv[3])
log = DecisionLog(open_store(address), mode, bound=200)
number = first
while True:
    futures = [log.submit(row(number + i)) for i in range(50)]
    done = [future.exception() is None for future in futures]
    taken = done.index(False) if False in done else len(done)
    number += taken
    if taken:
        sys.stdout.write(f"{number}\\n")
        sys.stdout.flush()
"""


def burst(address: str, mode: str, first: int, lines: int) -> int:
    """Let a process write from a number on, kill it in the middle; how far it acknowledged."""
    process = subprocess.Popen(
        [sys.executable, "-c", BURST, address, mode, str(first)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for _ in range(lines):
        line = process.stdout.readline()
        assert line, "it ended by itself"
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read().rpartition("\n")[0]
    process.wait(20)
    return int(rest.split("\n")[-1] if rest else line)


def count(store, start: int, end: int) -> int:
    with store.read() as connection:
        found = connection.scalar(
            select(func.count()).where(
                decisions.c.id >= f"decision-{start:06}", decisions.c.id < f"decision-{end:06}"
            )
        )
    return int(found or 0)


def kills(store, mode: str, times: int) -> tuple[int, list[int]]:
    """How many were acknowledged in all, and how many of them were missing after each kill."""
    missing, first, total = [], 0, 0
    for kill in range(times):
        acknowledged = burst(store.address, mode, first, 1 + kill % 7)
        assert acknowledged > first
        missing.append(acknowledged - first - count(store, first, acknowledged))
        total += acknowledged - first
        first = acknowledged + 1000
    return total, missing


@pytest.mark.full
def test_no_acknowledged_decision_is_missing(sqlite_store):
    assert kills(sqlite_store, "durable", 3)[1] == [0, 0, 0]


@pytest.mark.full
def test_fast_mode_loses_no_more_than_its_bound(sqlite_store):
    assert max(kills(sqlite_store, "fast", 2)[1]) <= 200


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["durable", "fast"])
def test_fifty_kills(store, mode):
    total, missing = kills(store, mode, 50)
    print(f"{store.where} {mode}: {total} acknowledged, missing after each kill: {missing}")
    assert len(missing) == 50
    assert max(missing) <= (0 if mode == "durable" else 200)
    with DecisionLog(store, mode) as log:  # the next process can write at once
        assert log.failure is None


RACE = """
import sys
from compagnon.store.log import DecisionLog
from compagnon.store.factory import open_store
from tests.store.rows import row
address, action, many = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
log = DecisionLog(open_store(address))
print("ready", flush=True)
sys.stdin.readline()
futures = [log.submit(row(i, action=action)) for i in range(many)]
print(" ".join(str(future.result(60).row.action) for future in futures), flush=True)
log.close()
"""


@pytest.mark.full
def test_two_processes_never_give_one_id_two_actions(postgres):
    from compagnon.store.migrating import upgrade

    store = open_store(postgres, check=False)
    upgrade(store)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, postgres, str(action), "2000"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for action in (0, 1)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    one, two = (process.communicate(timeout=60)[0].split() for process in processes)
    assert len(one) == 2000
    assert one == two
    with store.read() as connection:
        stored = connection.execute(select(decisions.c.action).order_by(decisions.c.id)).scalars()
        assert [str(action) for action in stored] == one
    store.close()

"""Whoever follows a decision through the service opens few files: what runs is traced."""

import contextlib
import sys
from pathlib import Path

import pytest

import compagnon
from tests.serving.sockets import answer, connected, request

PACKAGE = f"{Path(compagnon.__file__).parent}/"
MOST = 12  # from an observation in a request to its answer
MOST_OF_A_ROW = 8  # from there to the disk, beside `store.tables` and the list of columns


@contextlib.contextmanager
def traced(seen):
    """Note the package's files whose functions run in this thread."""

    def note(frame, event, _):
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(PACKAGE):
            seen.add(name.removeprefix(PACKAGE))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(before)


def followed(client, **options):
    """The files of a decision, in the service's loop and in the thread of its log."""
    schema = client.parts.service.parser.schema
    middle = {one.name: min(max(0.0, one.low), one.high) for one in schema.observation.fields}
    one = request(observation=middle, mask_ids=[0, 1])
    loop, log = set(), set()
    store = client.parts.repository.log.store
    append, stack = store.append, contextlib.ExitStack()

    def appended(rows):
        with traced(log):
            return append(rows)

    async def begin():
        stack.enter_context(traced(loop))

    async def end():
        stack.close()

    with connected(client, **options) as connection:
        for _ in range(2):  # what is done once is over then
            connection.sendall(one)
            assert answer(connection)[0] == 200
        store.append = appended
        client.run(begin())
        connection.sendall(one)
        assert answer(connection)[0] == 200
        client.run(end())
    return loop, log


@pytest.mark.timeout(60)
def test_from_an_observation_to_its_answer_and_its_row(local):
    loop, log = followed(local, fast_path=False)
    assert {
        "serving/app.py",
        "serving/inference.py",
        "policy/action_selection.py",
        "store/log.py",
    } < loop
    assert len(loop) <= MOST, sorted(loop)
    assert "store/sqlite.py" in log
    assert len(log | {"store/log.py", "store/decisions.py"}) <= MOST_OF_A_ROW, sorted(log)


def test_the_fast_path_is_its_own_few_files_more(local):
    loop, _ = followed(local)
    own = {file for file in loop if file.startswith("serving/fast_path/")}
    assert own
    assert len(loop - own) <= MOST, sorted(loop)

"""Reads of the store have threads of their own, and nobody waits twice for one that is away."""

import asyncio
import threading

import pytest

from compagnon.serving.repository import StorePool
from compagnon.store.errors import LogFull, StoreUnavailable


class Away:
    """A store that does not answer until it is told to, and then says that it is away."""

    def __init__(self):
        self.asked, self.answers = 0, threading.Event()
        self._lock = threading.Lock()

    def find(self, decision_id):
        with self._lock:
            self.asked += 1
        assert self.answers.wait(60)
        raise StoreUnavailable(f"10.0.0.1 is silent about {decision_id}", "it is silent")


@pytest.fixture
def readers():
    made = StorePool("test-reader", 2, 10)
    yield made
    made.close()


async def begun(readers, away, count):
    """So many reads, of which as many are under way as there are threads."""
    reads = [asyncio.create_task(readers.ask(away.find, k)) for k in range(count)]
    while away.asked < 2:
        await asyncio.sleep(0.001)
    return reads


def test_who_waits_behind_a_silent_store_is_told_with_the_first(readers):
    async def check():
        away = Away()
        reads = await begun(readers, away, 10)
        away.answers.set()
        failures = await asyncio.gather(*reads, return_exceptions=True)
        assert all(type(one) is StoreUnavailable for one in failures)
        assert {one.public for one in failures} == {"it is silent"}
        assert away.asked == 2  # what was under way
        assert await readers.ask(lambda: 7) == 7  # who asks later asks the store again

    asyncio.run(check())


def test_other_threads_are_left_alone(readers):
    """Default threads of the loop, as the rest of the service uses them."""

    async def check():
        away = Away()
        reads = await begun(readers, away, 10)
        assert await asyncio.to_thread(lambda: 7) == 7
        assert not any(read.done() for read in reads)
        names = {thread.name for thread in threading.enumerate()}
        assert len([name for name in names if name.startswith("test-reader")]) == 2
        away.answers.set()
        await asyncio.gather(*reads, return_exceptions=True)

    asyncio.run(check())


def test_more_than_may_wait_are_refused_at_once(readers):
    async def check():
        away = Away()
        reads = await begun(readers, away, 10)
        with pytest.raises(LogFull, match="10 others wait for the store"):
            await readers.ask(lambda: 7)
        away.answers.set()
        await asyncio.gather(*reads, return_exceptions=True)
        assert await readers.ask(lambda: 7) == 7

    asyncio.run(check())


def test_what_else_goes_wrong_is_nobody_else_s(readers):
    async def check():
        with pytest.raises(ZeroDivisionError):
            await readers.ask(lambda: 1 // 0)
        assert await readers.ask(lambda: 7) == 7

    asyncio.run(check())

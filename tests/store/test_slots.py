"""Job slots: done once, taken over when a lease is over, and fenced."""

import threading

import pytest
from sqlalchemy import select

from compagnon.errors import InputError
from compagnon.store import slots
from compagnon.store.tables import job_slots
from tests.waiting import joined


def test_a_slot_is_taken_once(store):
    mine = slots.claim(store, "retrain", "2026-03-01", "a", 60, now=1000)
    assert (mine.fence, mine.attempt) == (1, 1)
    assert slots.claim(store, "retrain", "2026-03-01", "b", 60, now=1060) is None
    assert slots.claim(store, "retrain", "2026-03-02", "b", 60, now=1000) is not None
    assert slots.finish(store, mine, {"loss": 1.5}, now=1030)
    assert slots.claim(store, "retrain", "2026-03-01", "b", 60, now=9999) is None
    assert not slots.finish(store, mine, {})
    with store.read() as connection:
        row = connection.execute(select(job_slots).where(job_slots.c.slot == "2026-03-01")).one()
    assert (row.state, row.result, row.finished) == ("done", '{"loss": 1.5}', 1030)


def test_who_lost_the_lease_is_fenced_off(store):
    dead = slots.claim(store, "retrain", "s", "a", 60, now=1000)
    heir = slots.claim(store, "retrain", "s", "b", 60, now=1061)
    assert (heir.fence, heir.attempt) == (2, 2)
    assert not slots.renew(store, dead, 60, now=1062)
    assert not slots.finish(store, dead)
    assert slots.renew(store, heir, 600, now=1062)
    assert slots.claim(store, "retrain", "s", "c", 60, now=1500) is None
    assert slots.finish(store, heir)


def test_a_failed_slot_can_be_tried_again(store):
    first = slots.claim(store, "collect", "s", "a", 60, now=1000)
    assert slots.finish(store, first, "no disk", failed=True)
    second = slots.claim(store, "collect", "s", "a", 60, now=1001)
    assert (second.fence, second.attempt) == (2, 2)
    with pytest.raises(InputError, match="above 0"):
        slots.claim(store, "collect", "s", "a", 0)


@pytest.mark.parametrize("expired", [False, True])
def test_of_many_that_call_one_gets_it(store, expired):
    if expired:
        slots.claim(store, "collect", "s", "dead", 1, now=0)
    got: list[object] = []
    start = threading.Barrier(8)

    def call(name: str) -> None:
        start.wait(60)
        got.append(slots.claim(store, "collect", "s", name, 60, now=1000))

    threads = [threading.Thread(target=call, args=(f"w{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    joined(threads)
    assert sum(claim is not None for claim in got) == 1

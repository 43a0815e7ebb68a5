"""Job slots: each slot of a job is done once, whoever calls it and however often.

A slot is a name such as ``2026-03-01T02``. Who claims it gets a lease and a fencing number; when
the lease is over another may claim it, with a higher number, and the first one's result is refused.
"""

import json
import time
from typing import Any, NamedTuple

from compagnon.errors import InputError
from compagnon.store.database import Store
from compagnon.store.tables import job_slots
from compagnon.store.upsert import insert_new


class Claim(NamedTuple):
    """The right to work on a slot, for as long as nobody has a higher `fence`."""

    job: str
    slot: str
    holder: str
    fence: int
    attempt: int


def claim(
    store: Store, job: str, slot: str, holder: str, lease: float, now: float | None = None
) -> Claim | None:
    """Take a slot that is free, was failed, or whose holder's lease is over; None if it is not.

    Args:
        lease: seconds. now: seconds since 1970; the clock's without it.
    """
    if not lease > 0:
        raise InputError(f"lease={lease}: give a number of seconds above 0")
    moment = time.time() if now is None else now
    with store.write() as connection:
        if insert_new(
            connection, job_slots, job=job, slot=slot, state="running", holder=holder,
            lease_until=moment + lease, fence=1, attempts=1, created=moment,
        ):  # fmt: skip
            return Claim(job, slot, holder, 1, 1)
        row = connection.execute(
            job_slots.update()
            .where(job_slots.c.job == job, job_slots.c.slot == slot)
            .where(
                (job_slots.c.state == "failed")
                | ((job_slots.c.state == "running") & (job_slots.c.lease_until < moment))
            )
            .values(
                state="running", holder=holder, lease_until=moment + lease,
                fence=job_slots.c.fence + 1, attempts=job_slots.c.attempts + 1, finished=None,
            )
            .returning(job_slots.c.fence, job_slots.c.attempts)
        ).one_or_none()  # fmt: skip
    return None if row is None else Claim(job, slot, holder, row.fence, row.attempts)


def renew(store: Store, mine: Claim, lease: float, now: float | None = None) -> bool:
    """Prolong a lease; False if the slot is somebody else's by now: stop working."""
    moment = time.time() if now is None else now
    return _change(store, mine, lease_until=moment + lease)


def finish(
    store: Store, mine: Claim, result: Any = None, *, failed: bool = False, now: float | None = None
) -> bool:
    """Record what came of a slot; False, and nothing changed, if it is somebody else's by now."""
    moment = time.time() if now is None else now
    state = "failed" if failed else "done"
    return _change(store, mine, state=state, result=json.dumps(result), finished=moment)


def _change(store: Store, mine: Claim, **values: Any) -> bool:
    with store.write() as connection:
        changed = connection.execute(
            job_slots.update()
            .where(job_slots.c.job == mine.job, job_slots.c.slot == mine.slot)
            .where(job_slots.c.fence == mine.fence, job_slots.c.state == "running")
            .values(**values)
        ).rowcount
    return changed == 1

"""The decision log: groups, two modes, the first writer of an id, bounds, and a database away."""

import pytest

from compagnon.store.log import DecisionLog, find
from tests.store.rows import row


@pytest.mark.parametrize("mode", ["durable", "fast"])
def test_what_was_given_is_found(store, mode):
    with DecisionLog(store, mode) as log:
        futures = [log.submit(row(i)) for i in range(150)]
        many = log.submit_many([row(i) for i in range(150, 220)])
        assert [future.result(10) for future in futures][3] == ("stored", row(3))
        assert [written.row.id for written in many.result(10)] == [
            row(i).id for i in range(150, 220)
        ]
    assert log.committed == 220
    assert log.pending == log.could_lose == 0
    for number in (0, 77, 219):
        assert find(store, row(number).id) == row(number)
    assert find(store, "never") is None

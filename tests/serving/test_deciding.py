"""Ids and alternatives."""

import time
import uuid

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from compagnon.serving.deciding import answer, likeliest, likeliest_many, new_ids


def test_ids_are_uuids_of_version_7_in_the_order_of_time():
    first = new_ids(500)
    made = [uuid.UUID(one) for one in first]
    assert {(one.version, one.variant) for one in made} == {(7, uuid.RFC_4122)}
    assert len(set(first)) == 500
    moment = made[0].int >> 80
    assert abs(moment - time.time_ns() // 1_000_000) < 60_000
    assert all(str(uuid.UUID(one)) == one for one in first)


@given(
    st.lists(st.lists(st.integers(0, 5), min_size=6, max_size=6), min_size=1, max_size=4),
    st.integers(0, 8), st.integers(0, 5),
)  # fmt: skip
def test_the_alternatives_are_the_likeliest_others(weights, count, action):
    vectors = [np.array(row, np.float64) / 30 for row in weights]
    words = tuple(f"w{k}" for k in range(6))
    for vector, likely in zip(vectors, likeliest_many(vectors, count), strict=True):
        assert likely == likeliest(vector, count)
        found = answer("a", action, 0.5, likely, words, count, "m").alternatives
        others = sorted((p for k, p in enumerate(vector) if k != action and p > 0), reverse=True)
        assert [one.probability for one in found] == others[:count]
        assert all(vector[one.action] == one.probability for one in found)
        assert action not in [one.action for one in found]

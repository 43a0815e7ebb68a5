"""Ids and alternatives."""

import time
import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compagnon.serving.codec import likeliest
from compagnon.serving.errors import ApiError
from compagnon.serving.inference import new_ids
from compagnon.serving.parsing import RequestParser
from compagnon.serving.schemas import DecideRequest
from tests.policy.networks import schema_of


def test_ids_are_uuids_of_version_7_in_the_order_of_time():
    first = new_ids(500)
    made = [uuid.UUID(one) for one in first]
    assert {(one.version, one.variant) for one in made} == {(7, uuid.RFC_4122)}
    assert len(set(first)) == 500
    moment = made[0].int >> 80
    assert abs(moment - time.time_ns() // 1_000_000) < 60_000
    assert all(str(uuid.UUID(one)) == one for one in first)


@given(st.lists(st.integers(0, 5), min_size=6, max_size=6), st.integers(0, 8), st.integers(0, 5))
def test_a_row_from_before_lists_the_likeliest_others(weights, count, action):
    vector = np.array(weights, np.float64) / 30
    found = likeliest(vector, action, count)
    others = sorted((p for k, p in enumerate(vector) if k != action and p > 0), reverse=True)
    assert [p for _, p in found] == others[:count]
    assert all(vector[other] == p for other, p in found)
    assert action not in [other for other, _ in found]


def test_what_lies_on_a_bound_is_taken_and_what_float32_cannot_hold_is_not():
    parser = RequestParser(schema_of("CartPole-v1"))
    high = [field.high for field in parser.schema.observation.fields]
    at_bounds = [high[0], 0.0, -high[2], 0.0]
    obs, mask = parser.read(DecideRequest(observation=at_bounds))
    assert obs.tolist() == at_bounds  # CartPole's bounds are float32 themselves
    assert mask.all()
    for column, value in ((0, high[0] * 1.001), (1, 1e31), (3, -1e39), (2, -4.0)):
        wrong = list(at_bounds)
        wrong[column] = value
        with pytest.raises(ApiError) as refused:
            parser.read(DecideRequest(observation=wrong))
        assert refused.value.field == f"observation.obs_{column}"
        with pytest.raises(ApiError) as refused:
            parser.read_many([DecideRequest(observation=row) for row in (at_bounds, wrong)])
        assert refused.value.field == f"decisions[1].observation.obs_{column}"

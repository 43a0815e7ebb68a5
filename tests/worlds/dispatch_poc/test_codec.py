"""Why a decision of the proof of concept is impossible: a reason for each one that is masked."""

import numpy as np
import pytest

from compagnon.worlds.dispatch_poc import DISPATCH_POC
from compagnon.worlds.dispatch_poc.codec import PocCodec, poc_codec
from compagnon.worlds.dispatch_poc.state import PocBooking, PocDriver, PocState
from tests.policy.networks import schema_of

OPTIONS = {"drivers": 3, "slots": 3}
STATE = PocState(
    time=60,
    drivers=[
        PocDriver(id="anna", lat=46.2, lon=6.14),
        PocDriver(id="beat", lat=46.2, lon=6.15, load=3),
    ],
    bookings=[
        PocBooking(id="b1", lat=46.21, lon=6.14, priority=3, minutes_left=40),
        PocBooking(id="b2", lat=46.29, lon=6.24, priority=3, minutes_left=1),
    ],
)


@pytest.fixture(scope="module")
def codec() -> PocCodec:
    found = poc_codec(schema_of(DISPATCH_POC, **OPTIONS), OPTIONS)
    assert found is not None
    return found


def test_every_masked_decision_has_a_reason_and_no_other_has(codec: PocCodec) -> None:
    _, mask = codec.look(STATE)
    reasons = [codec.why_impossible(STATE, action) for action in range(len(mask))]
    np.testing.assert_array_equal([reason is None for reason in reasons], mask)
    assert mask.sum() == 2  # to wait, and anna takes b1
    assert set(reasons) - {None} == {
        "there are 2 bookings",
        "there are 2 drivers",
        "driver beat has 3 rides, the most there can be",
        "driver anna would come to booking b2 when its window is over",
    }


def test_the_actions_are_named_by_the_state(codec: PocCodec) -> None:
    _, mask = codec.look(STATE)
    labels = codec.action_labels(STATE)
    assert [labels[int(action)] for action in np.flatnonzero(mask)] == [
        "wait",
        "driver anna takes booking b1",
    ]

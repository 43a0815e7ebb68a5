"""What people made of decisions: once each, with a reason, and nothing is changed unseen."""

import numpy as np
import pytest

from compagnon.errors import InputError
from compagnon.store import overrides, verifying
from compagnon.store.log import find
from compagnon.store.outcomes import LATEST, UnknownDecision, WrongTime
from compagnon.store.overrides import Override
from tests.store.hand import by_hand
from tests.store.rows import row

NOW = 1_700_000_100.0


@pytest.fixture
def filled(store):
    """Three decisions over five actions; the first chose action 0."""
    store.append([row(i) for i in range(3)])
    return store


def test_an_override_stands_beside_the_decision_and_changes_nothing_of_it(filled):
    put = overrides.put(
        filled, row(0).id, "overridden", action=3, reason="driver ill", person="anna", time=NOW
    )
    assert put.status == "created"
    assert overrides.find(filled, row(0).id) == Override(
        row(0).id, "overridden", 3, None, "driver ill", "anna", NOW
    )
    assert find(filled, row(0).id) == row(0)
    assert overrides.find(filled, row(1).id) is None
    assert verifying.verify(filled).faults == []


def test_said_again_it_is_the_same_and_said_differently_a_conflict(filled):
    first = overrides.put(filled, row(1).id, "accepted", person="anna", time=NOW)
    again = overrides.put(filled, row(1).id, "accepted", person="anna", time=NOW + 60)
    assert again == ("same", first.override)
    other = overrides.put(filled, row(1).id, "locked", person="anna", time=NOW)
    assert other == ("conflict", first.override)
    assert verifying.verify(filled).overrides == 1


def test_a_vector_may_be_replaced_by_another(store):
    vector = np.array([1.0, 2.0], "<f4")
    store.append([row(0, action=None, action_vector=vector.tobytes(), mask=None)])
    instead = (2 * vector).tobytes()
    overrides.put(store, row(0).id, "overridden", action_vector=instead, reason="too slow")
    assert overrides.find(store, row(0).id).action_vector == instead
    with pytest.raises(InputError, match="that is what the policy chose"):
        overrides.put(store, row(0).id, "overridden", action_vector=vector.tobytes(), reason="same")
    with pytest.raises(InputError, match="give 2 numbers"):
        overrides.put(store, row(0).id, "overridden", action_vector=b"1234", reason="no")
    with pytest.raises(InputError, match="the decision's action is a vector"):
        overrides.put(store, row(0).id, "overridden", action=1, reason="no")


@pytest.mark.parametrize(
    ("verdict", "changes", "words"),
    [
        ("overridden", {"reason": "why"}, "action: say what was done instead"),
        ("overridden", {"action": 3}, "reason: say why"),
        ("overridden", {"action": 3, "reason": "  "}, "reason: say why"),
        ("overridden", {"action": 0, "reason": "why"}, "that is what the policy chose"),
        ("overridden", {"action_vector": b"1234", "reason": "why"}, "is one of several"),
        ("accepted", {"action": 3}, "accepted keeps the action"),
        ("locked", {"action": 3, "reason": "why"}, "locked keeps the action"),
        ("denied", {}, "use accepted, overridden, locked"),
        ("accepted", {"reason": "x" * 1001}, "reason: give at most 1000 characters"),
        ("accepted", {"person": "x" * 201}, "person: give at most 200 characters"),
        ("accepted", {"person": "a\x00b"}, "none of code 0"),
        ("accepted", {"time": LATEST + 1}, "give seconds since 1970"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_kept(filled, verdict, changes, words):
    with pytest.raises(InputError, match=words):
        overrides.put(filled, row(0).id, verdict, **changes)
    assert overrides.find(filled, row(0).id) is None


def test_only_decisions_of_the_application_are_known(filled):
    assert issubclass(WrongTime, InputError)
    for name, application in (("nobody", None), (row(0).id, "another")):
        with pytest.raises(UnknownDecision):
            overrides.put(filled, name, "accepted", application=application)
    assert overrides.put(filled, row(0).id, "accepted", application="shop").status == "created"


@pytest.mark.parametrize(
    "statement",
    [
        "update overrides set reason = 'none'",
        "update overrides set verdict = 'accepted', action = null",
        "update overrides set person = 'boris' where place = 2",
        "update overrides set time = time + 1",
        "update overrides set action = 4 where place = 1",
        "delete from overrides where place = 2",
        "delete from overrides where place = 1",
        "update overrides set decision_id = 'decision-000002' where place = 1",
    ],
)
def test_what_is_changed_by_hand_is_seen(filled, statement):
    for number in (0, 1):
        overrides.put(
            filled, row(number).id, "overridden", action=3 - number, reason="why", person="anna"
        )
    assert verifying.verify(filled).faults == []
    by_hand(filled, statement)
    assert verifying.verify(filled).faults

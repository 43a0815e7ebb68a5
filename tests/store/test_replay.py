"""Replay: every decision of the log is computed again, and the smallest difference is named."""

import pytest

from compagnon.errors import InputError
from compagnon.store import replay
from tests.store.rows import row


@pytest.fixture
def logged(store):
    rows = [row(i, model_sha256=("a" * 64, "b" * 64)[i % 2]) for i in range(60)]
    store.append(rows)
    return store


def test_a_log_that_comes_out_the_same_is_good(logged, monkeypatch):
    monkeypatch.setattr("compagnon.store.paging.PAGE", 7)
    seen: list[tuple[str, int]] = []

    def load(model):
        def again(rows):
            assert {r.model_sha256 for r in rows} == {model}
            seen.append((model, len(rows)))
            return [row(int(r.id[-6:]), model_sha256=model) for r in rows]

        return again

    watched: list[int] = []
    found = replay.replay(logged, load, watch=watched.append)
    assert found == replay.Replayed(60, 60, [], {})
    assert found.good
    assert [size for model, size in seen if model == "a" * 64] == [7, 7, 7, 7, 2]
    assert watched[-1] == 60
    assert replay.replay(logged, load, model_sha256="b" * 64).checked == 30


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("action", 4), ("seed", 1), ("probability", 0.25000000000000006), ("shadow", b""),
        ("probabilities", b"\x00" * 40), ("mask", b"\xff"), ("action_vector", b""),
        ("distribution", b""), ("log_density", 0.0),
    ],
)  # fmt: skip
def test_a_difference_in_any_field_is_named(sqlite_store, field, value):
    sqlite_store.append([row(i) for i in range(3)])

    def load(_):
        return lambda rows: [
            r._replace(**({field: value} if r.id == row(1).id else {})) for r in rows
        ]

    found = replay.replay(sqlite_store, load)
    assert (found.checked, found.same, found.good) == (3, 2, False)
    assert found.differences == [replay.ReplayMismatch(row(1).id, "a" * 64, field)]


def test_minus_zero_is_not_zero():
    assert replay.first_difference(row(1, probability=0.0), row(1, probability=-0.0))
    assert replay.first_difference(row(1), row(1, time=9.0, latency_us=1)) is None


def test_a_model_that_is_not_there_is_named(logged):
    def load(model):
        if model == "a" * 64:
            raise InputError("no such version")
        return list

    found = replay.replay(logged, load)
    assert found.unknown == {"a" * 64: ("no such version", 30)}
    assert (found.checked, found.same, found.good) == (30, 30, False)
    with pytest.raises(ValueError, match="came back"):
        replay.replay(logged, lambda _: lambda rows: [])

"""What is played: greedily the policy's own best, else the exact mixture that is logged."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compagnon.errors import InputError
from compagnon.policy.action_selection import (
    DETERMINISTIC,
    EXPLORED,
    SAMPLED,
    Nearness,
    Play,
    PolicyOutput,
    Steady,
    nearly_best,
    others,
    played,
    unpacked,
)
from compagnon.policy.manifest import (
    CategoricalHead,
    DeterministicHead,
    GaussianHead,
    ValuesHead,
)
from compagnon.policy.sampling import decision_seed, draw

ALL = np.ones((1, 4), np.bool_)


def likes(*probabilities, mask=None):
    """What a policy with these probabilities says."""
    p = np.array([probabilities], np.float32)
    if mask is not None:
        p = np.where(mask, p, 0)
    with np.errstate(divide="ignore"):
        outputs = np.where(p > 0, np.log(p), -50).astype(np.float32)
    return PolicyOutput(outputs, p.argmax(axis=1), p, valued=False)


def values(*numbers, mask=None):
    q = np.array([numbers], np.float32)
    best = (q if mask is None else np.where(mask, q, -np.inf)).argmax(axis=1)
    return PolicyOutput(q, best, np.eye(len(numbers))[best], valued=True)


def seeds(count):
    return [decision_seed(f"d{k}", "shop", b"s" * 32) for k in range(count)]


def rows(said, count):
    return PolicyOutput(*(np.repeat(part, count, axis=0) for part in said[:3]), said.valued)


def test_greedy_play_is_sure_and_of_equals_takes_the_first():
    (one,) = played(likes(0.3, 0.35, 0.35, 0.0), ALL, Play(), [7])
    assert (one.action, one.mode, one.rate) == (1, DETERMINISTIC, 0.0)
    assert one.probabilities.tolist() == [0.0, 1.0, 0.0, 0.0]
    (one,) = played(values(2.0, 1.0, 2.0, 2.0), ALL, Play(), [7])
    assert one.action == 0


def test_greedy_play_is_the_policy_s_own_even_where_that_is_not_the_likeliest():
    said = likes(0.5, 0.3, 0.1, 0.1)._replace(action=np.array([2]))  # as a matching chooses
    (one,) = played(said, ALL, Play(), [7])
    assert (one.action, one.probabilities[2]) == (2, 1.0)
    near = nearly_best(said, ALL, 0.5)
    assert near.tolist() == [[True, True, True, False]]


def test_sampled_play_draws_from_the_policy_inside_the_mask():
    mask = np.array([[True, True, False, True]])
    said = likes(0.2, 0.2, 0.5, 0.1)
    made = played(rows(said, 4000), np.repeat(mask, 4000, axis=0), Play("sampled"), seeds(4000))
    assert {one.mode for one in made} == {SAMPLED}
    np.testing.assert_allclose(made[0].probabilities, [0.4, 0.4, 0.0, 0.2], rtol=1e-7)
    counts = np.bincount([one.action for one in made], minlength=4) / 4000
    assert (np.abs(counts - made[0].probabilities) < 0.03).all()
    assert made[5].action == draw(made[5].probabilities, seeds(6)[5])


def test_probabilities_that_are_near_by_hand():
    mask = np.array([[True, True, True, False]])
    said = likes(0.4, 0.11, 0.09, 0.4)
    assert nearly_best(said, mask, 0.25).tolist() == [[True, True, False, False]]
    assert nearly_best(said, mask, 0.0).tolist() == mask.tolist()
    assert nearly_best(said, mask, 1.0).tolist() == [[True, False, False, False]]


def test_values_that_are_near_by_hand():
    # The mean of what is possible is 4, the best 10: a tenth of the way is 0.6.
    mask = np.array([[True, True, True, True, False]])
    said = values(10.0, 9.5, 9.3, -12.8, 99.0, mask=mask)
    assert nearly_best(said, mask, 0.1).tolist() == [[True, True, False, False, False]]
    moved = said._replace(outputs=said.outputs * 1000 + 77)  # neither unit nor zero matters
    assert nearly_best(moved, mask, 0.1).tolist() == [[True, True, False, False, False]]
    assert nearly_best(said, mask, 0.0).sum() == 1


def test_exploring_draws_exactly_what_it_says():
    said, play = likes(0.4, 0.3, 0.2, 0.1), Play("greedy", 0.3, 0.5)
    made = played(rows(said, 6000), np.repeat(ALL, 6000, axis=0), play, seeds(6000))
    # Three are near: 0.7 + 0.1, 0.1, 0.1.
    np.testing.assert_allclose(made[0].probabilities, [0.8, 0.1, 0.1, 0.0], rtol=1e-15)
    counts = np.bincount([one.action for one in made], minlength=4) / 6000
    assert (np.abs(counts - [0.8, 0.1, 0.1, 0.0]) < 0.02).all()
    explored = [one for one in made if one.mode == EXPLORED]
    assert abs(len(explored) / 6000 - 0.3) < 0.02
    assert {one.action for one in made if one.mode == SAMPLED} == {0}
    assert {one.rate for one in made} == {0.3}


def test_exploring_in_sampled_play_mixes_both():
    (one,) = played(likes(0.5, 0.3, 0.2, 0.0), ALL, Play("sampled", 0.2, 0.5), [3])
    np.testing.assert_allclose(one.probabilities, [0.5, 0.34, 0.16, 0.0], rtol=1e-6)


def test_where_only_the_best_is_near_nothing_is_explored():
    (one,) = played(likes(0.97, 0.01, 0.01, 0.01), ALL, Play("greedy", 1.0, 0.25), [3])
    assert (one.action, one.mode, one.rate) == (0, DETERMINISTIC, 0.0)
    assert one.probabilities[0] == 1.0


def test_the_same_seed_without_exploration_gives_the_same_decision():
    said = rows(likes(0.4, 0.3, 0.2, 0.1), 500)
    mask = np.repeat(ALL, 500, axis=0)
    alone = played(said, mask, Play("sampled"), seeds(500))
    mixed = played(said, mask, Play("sampled", 0.3, 0.5), seeds(500))
    for one, other in zip(alone, mixed, strict=True):
        assert other.mode == EXPLORED or other.action == one.action


def test_a_quota_is_asked_in_order_and_told():
    class Once:
        told: list[int]

        def __init__(self):
            self.told = []

        def rate(self, row):
            return 0.5 if not self.told else 0.0

        def explored(self, row):
            self.told.append(row)

    said = rows(likes(0.4, 0.3, 0.2, 0.1), 50)
    quota = Once()
    made = played(said, np.repeat(ALL, 50, axis=0), Play("greedy", 0.5, 0.5), seeds(50), quota)
    (row,) = quota.told
    assert [k for k, one in enumerate(made) if one.mode == EXPLORED] == [row]
    assert {one.rate for one in made[: row + 1]} == {0.5}
    assert {(one.rate, one.probabilities.max()) for one in made[row + 1 :]} == {(0.0, 1.0)}
    assert Steady(0.25).rate(3) == 0.25


@settings(max_examples=60)
@given(
    st.lists(st.floats(-5, 5, width=32), min_size=2, max_size=9),
    st.booleans(), st.sampled_from(["greedy", "sampled"]),
    st.floats(0, 1), st.floats(0, 1), st.integers(0, 2**63 - 1), st.data(),
)  # fmt: skip
def test_what_is_played_is_possible_and_adds_up(outputs, valued, name, rate, near, seed, data):
    mask = np.array([data.draw(st.lists(st.booleans(), min_size=len(outputs),
                                        max_size=len(outputs)))])  # fmt: skip
    mask[0, 0] = True
    raw = np.array([outputs], np.float32)
    best = np.where(mask, raw, -np.inf).argmax(axis=1)
    p = np.where(mask, np.exp(raw), 0)
    p = np.eye(len(outputs))[best] if valued else p / p.sum()
    said = PolicyOutput(raw, best, p, valued)
    (one,) = played(said, mask, Play(name, rate, near), [seed])
    assert mask[0, one.action]
    assert one.probabilities[one.action] > 0
    assert math.isclose(one.probabilities.sum(), 1.0, rel_tol=1e-12)
    assert not one.probabilities[~mask[0]].any()
    assert (one.mode == DETERMINISTIC) == (name == "greedy" and one.rate == 0)
    assert one.rate in (0.0, rate)
    near_by = nearly_best(said, mask, near)[0]
    assert near_by[best[0]]
    assert not (near_by & ~mask[0]).any()
    if name == "greedy":
        assert not one.probabilities[~near_by].any()


def test_a_batch_plays_like_one_at_a_time():
    rng = np.random.default_rng(0)
    mask = rng.random((40, 7)) < 0.6
    mask[:, 0] = True
    raw = rng.normal(size=(40, 7)).astype(np.float32)
    best = np.where(mask, raw, -np.inf).argmax(axis=1)
    p = np.where(mask, np.exp(raw), 0)
    said = PolicyOutput(raw, best, p / p.sum(axis=1, keepdims=True), valued=False)
    play = Play("sampled", 0.4, 0.3)
    together = played(said, mask, play, seeds(40))
    liked = others(said, mask, [one.action for one in together], [3] * 40)
    for k, one in enumerate(together):
        row = PolicyOutput(
            raw[k : k + 1], best[k : k + 1], said.probabilities[k : k + 1], valued=False
        )
        (alone,) = played(row, mask[k : k + 1], play, seeds(40)[k : k + 1])
        assert alone[0] == one[0]
        assert alone.probabilities.tobytes() == one.probabilities.tobytes()
        assert alone[2:] == one[2:]
        assert others(row, mask[k : k + 1], [one.action], [3])[0] == liked[k]


def test_the_others_are_those_that_the_policy_likes_best():
    mask = np.array([[True, True, True, False]] * 2)
    said = rows(likes(0.3, 0.1, 0.3, 0.3), 2)
    first, second = others(said, mask, [0, 2], [5, 1])
    assert [action for action, _ in unpacked(first)] == [2, 1]
    assert unpacked(second) == [(0, pytest.approx(0.3))]
    assert others(said, mask, [0, 2], [0, 0]) == [b"", b""]
    assert unpacked(b"") == []
    valued = values(-2.0, 3.0, 1.0, 5.0)
    assert unpacked(others(valued, ALL, [3], [2])[0]) == [(1, 3.0), (2, 1.0)]


def test_what_cannot_be_played():
    bad = likes(0.5, 0.5, 0.0, 0.0)
    with pytest.raises(InputError, match="not finite"):
        played(bad._replace(outputs=np.full((1, 4), np.nan)), ALL, Play(), [1])
    with pytest.raises(InputError, match="no action is possible"):
        played(bad, ~ALL, Play(), [1])
    with pytest.raises(InputError, match="near:"):
        played(bad, ALL, Play("greedy", 0.1), [1])
    with pytest.raises(InputError, match=r"explore=1\.5"):
        played(bad, ALL, Play("greedy", 1.5, 0.5), [1])


def test_each_kind_of_policy_has_its_own_nearness():
    nearness = Nearness(0.2, 0.3, 0.4)
    heads = (CategoricalHead(), ValuesHead(), DeterministicHead(), GaussianHead())
    assert [nearness.of(head) for head in heads] == [0.2, 0.3, 0.4, None]

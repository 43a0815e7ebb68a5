"""Vectors: greedily the policy's own, else close to it, with the density that is logged."""

import math

import numpy as np
import pytest
from scipy import integrate
from scipy.stats import norm

from compagnon.errors import InputError
from compagnon.policy.action_selection import DETERMINISTIC, EXPLORED, SAMPLED, Play
from compagnon.policy.sampling import decision_seed
from compagnon.policy.schema import ActionSchema
from compagnon.policy.vector_action_selection import (
    VectorsSaid,
    _log_density,
    played_vector,
    said_by_normals,
    said_surely,
)
from compagnon.policy.vector_sampling import Bounds

ONE = Bounds([-2.0], [1.0])
GREEDY = Play("greedy", 0.2, 0.1)


def sure(*action):
    return said_surely(np.array([action], np.float32))


def normal(mean, std, low=-2.0, high=1.0):
    action = np.clip(np.array([[mean]], np.float32), low, high)
    return VectorsSaid(action, np.array([[mean]]), np.array([[std]]))


def play(said, play_, rate, count, bounds=ONE):
    seeds = [decision_seed(f"v{k}", "shop") for k in range(count)]
    return [played_vector(said, 0, bounds, play_, seed, rate) for seed in seeds]


def test_greedy_play_is_the_policy_s_own_vector_to_the_bit():
    schema = ActionSchema("box", 2, (-0.3, 0.0), (0.7, 1.1))
    rng = np.random.default_rng(0)
    bounds = Bounds(schema.low, schema.high)
    for _ in range(200):
        units = rng.normal(size=(1, 2)).astype(np.float32)
        action = schema.from_units(units)
        said = said_by_normals(schema, action, units, np.full((1, 2), 0.5, np.float32))
        made = played_vector(said, 0, bounds, Play(), 3, 0.0)
        assert made.action.tobytes() == action[0].tobytes()
        assert (made.log_density, made.mode, made.rate) == (0.0, DETERMINISTIC, 0.0)


def test_sampled_play_draws_from_the_policy_and_a_sure_one_has_no_other_play():
    made = play(normal(0.0, 0.5), Play("sampled"), 0.0, 4000)
    assert {one.mode for one in made} == {SAMPLED}
    actions = np.array([one.action[0] for one in made])
    assert abs(actions.mean()) < 0.05
    inside = [one for one in made if -2 < one.action[0] < 1]
    for one in inside[:20]:
        wanted = norm.logpdf(float(one.action[0]), 0.0, 0.5)
        assert one.log_density == pytest.approx(wanted, rel=1e-9)
    on = [one.log_density for one in made if one.action[0] == 1]
    assert on[0] == pytest.approx(math.log(norm.sf(1.0, 0.0, 0.5)))
    (one,) = play(sure(0.25), Play("sampled"), 0.0, 1)
    assert (one.action[0], one.mode, one.log_density) == (0.25, DETERMINISTIC, 0.0)


def test_exploring_stays_close_and_has_the_density_that_it_says():
    made = play(sure(0.4), GREEDY, 0.2, 5000)
    own = [one for one in made if one.action[0] == np.float32(0.4)]
    others = [one for one in made if one.action[0] != np.float32(0.4)]
    assert abs(len(own) / 5000 - 0.8) < 0.02
    assert {one.log_density for one in own} == {math.log1p(-0.2)}
    assert {one.mode for one in own} == {SAMPLED}
    assert {one.mode for one in others} == {EXPLORED}
    away = np.array([one.action[0] for one in others]) - 0.4
    assert away.std() == pytest.approx(0.15, rel=0.1)  # a tenth of half of 3
    for one in others[:20]:
        wanted = math.log(0.2) + norm.logpdf(float(one.action[0]), float(np.float32(0.4)), 0.15)
        assert one.log_density == pytest.approx(wanted, rel=1e-6)


def test_all_of_the_probability_is_there():
    means, std, rate = [0.9], 0.15, 0.3
    greedy = [ONE.clipped(0, 0.9)]

    def explored(a):
        return math.exp(_log_density([a], means, [std], greedy, ONE))

    inside, _ = integrate.quad(explored, -2, 1, points=[0.9])
    on_bounds = explored(1.0) + explored(-2.0)
    assert rate * (inside + on_bounds) + (1 - rate) == pytest.approx(1.0, abs=1e-7)
    assert _log_density(greedy, means, [std], greedy, ONE) == -math.inf


def test_a_vector_on_a_bound_is_there_by_both_ways():
    made = play(sure(1.0), GREEDY, 0.2, 3000)
    on = [one for one in made if one.action[0] == 1]
    (density,) = {one.log_density for one in on}
    assert density == pytest.approx(math.log(0.8 + 0.2 * 0.5))
    assert abs(len(on) / 3000 - 0.9) < 0.02
    assert {one.mode for one in on} == {SAMPLED, EXPLORED}


def test_a_gaussian_policy_explores_with_its_own_deviations():
    made = play(normal(-0.5, 0.3), Play("greedy", 0.5, None), 0.5, 4000)
    away = np.array([one.action[0] + 0.5 for one in made if one.mode == EXPLORED])
    assert away.std() == pytest.approx(0.3, rel=0.08)
    assert {float(one.action[0]) for one in made if one.mode == SAMPLED} == {-0.5}


def test_what_cannot_move_is_not_explored():
    fixed = Bounds([0.5], [0.5])
    (one,) = play(sure(0.5), GREEDY, 1.0, 1, fixed)
    assert (one.mode, one.rate, one.log_density) == (DETERMINISTIC, 0.0, 0.0)
    (one,) = play(normal(0.1, 0.0), Play("greedy", 1.0, None), 1.0, 1)
    assert (one.mode, one.rate) == (DETERMINISTIC, 0.0)
    both = Bounds([0.5, -1.0], [0.5, 1.0])
    made = play(sure(0.5, 0.0), GREEDY, 1.0, 50, both)
    assert {one.action[0] for one in made} == {0.5}
    assert len({float(one.action[1]) for one in made}) == 50


def test_one_that_lands_on_the_policy_s_own_value_moves_aside():
    value = float(np.float32(0.4))
    assert ONE.beside(0, value) == float(np.nextafter(np.float32(0.4), np.float32(1)))
    last = float(np.nextafter(np.float32(1), np.float32(0)))
    assert ONE.beside(0, last) == float(np.nextafter(np.float32(last), np.float32(0)))
    # A deviation of a few of float32's steps lands there again and again.
    tiny = VectorsSaid(
        np.array([[0.4]], np.float32), np.array([[value]]), np.array([[6e-8]])
    )  # fmt: skip
    made = play(tiny, Play("greedy", 1.0, None), 1.0, 200)
    assert all(math.isfinite(one.log_density) for one in made)
    assert all(one.action[0] != np.float32(0.4) for one in made)


def test_what_cannot_be_explored():
    free = Bounds([-math.inf], [4.0])
    with pytest.raises(InputError, match="no bounds to explore in"):
        play(sure(0.0), GREEDY, 0.2, 1, free)
    assert play(normal(0.0, 0.5), Play("greedy", 0.2, None), 0.2, 5, free)
    with pytest.raises(InputError, match="explore=1"):
        play(sure(0.0), GREEDY, 1.5, 1)
    with pytest.raises(InputError, match="finite"):
        play(sure(math.nan), GREEDY, 0.2, 1)

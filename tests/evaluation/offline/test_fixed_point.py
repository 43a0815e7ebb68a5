"""Fixed points: those of numpy's solver, in few steps of episodes that are long."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compagnon.evaluation.offline.fixed_point import fixed_point, growth


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 60))
def test_it_is_what_the_solver_says(seed, size):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(size, size)) * 0.8 / np.sqrt(size)
    constant = rng.normal(size=size)
    found, stands = fixed_point(lambda x: matrix @ x, constant)
    assert stands
    wanted = np.linalg.solve(np.eye(size) - matrix, constant)
    assert found == pytest.approx(wanted, abs=1e-5 * (1 + np.abs(wanted).max()))


def test_a_thousand_steps_of_an_episode_are_not_repeated():
    steps = 0

    def step(x: np.ndarray) -> np.ndarray:
        nonlocal steps
        steps += 1
        return np.array([[0.999, 0.0], [0.5, 0.4]]) @ x

    found, stands = fixed_point(step, np.array([1.0, 0.0]))
    assert stands
    assert found == pytest.approx([1_000.0, 500 / 0.6])
    assert steps < 20
    assert growth(step, 2) == pytest.approx(0.999, rel=1e-3)


def test_what_has_none_is_said_to_have_none():
    identity = np.eye(2)
    assert not fixed_point(lambda x: identity @ x, np.ones(2))[1]
    assert growth(lambda x: 3 * x, 4) == pytest.approx(3.0)
    assert growth(lambda x: 0 * x, 4) == 0.0
    assert not fixed_point(lambda x: np.inf * x, np.ones(2))[1]

"""The picture and the text say where the ball was."""

import numpy as np
import pytest

from compagnon.envs.drawing import BLUE, INK, RED
from compagnon.worlds.ball import render
from compagnon.worlds.ball.env import BallEnv


def ball_after(actions, mode="rgb_array", **options):
    env = BallEnv(render_mode=mode, **{"sigma": 0.0, **options})
    env.reset(seed=1)
    for action in actions:
        env.step(np.full(env.options.dimension, action))
    return env


def where(picture, colour, columns=slice(None)):
    wanted = tuple(bytes.fromhex(colour[1:]))
    return np.argwhere((picture[60:, columns] == wanted).all(axis=-1)) + np.array([60, 0])


@pytest.mark.parametrize("dimension", [1, 2, 5, 64])
def test_a_picture_is_an_rgb_array(dimension):
    picture = ball_after([0.1], dimension=dimension).render()
    assert picture.shape == (render.HEIGHT, render.WIDTH, 3)
    assert picture.dtype == np.uint8


def test_nothing_is_drawn_unasked():
    env = BallEnv()
    env.reset(seed=1)
    assert env.render() is None


def test_in_one_dimension_time_goes_right_and_position_up():
    low, high = ball_after([-2.0] * 3), ball_after([2.0] * 3)
    early, late = ball_after([0.0] * 3), ball_after([0.0] * 300)
    dots = [where(env.render(), INK).mean(axis=0) for env in (low, high, early, late)]
    assert dots[0][0] > dots[1][0] + 100
    assert dots[0][1] == pytest.approx(dots[1][1], abs=2)
    assert dots[3][1] == pytest.approx(dots[2][1] + 620 * 297 / 500, abs=3)


def test_the_walls_are_drawn():
    picture = ball_after([0.0]).render()
    rows = np.unique(where(picture, RED)[:, 0])
    assert rows.max() - rows.min() == pytest.approx(304, abs=4)


def test_in_two_dimensions_the_path_is_drawn_in_the_box():
    box = slice(16, 424)
    env = ball_after([0.0], dimension=2)
    before = where(env.render(), INK, box).mean(axis=0)
    env.step(np.array([2.0, 0.0]))
    right = where(env.render(), INK, box).mean(axis=0)
    env.step(np.array([0.0, 2.0]))
    up = where(env.render(), INK, box).mean(axis=0)
    assert right - before == pytest.approx([0, 34], abs=1.5)
    assert up - right == pytest.approx([-34, 0], abs=1.5)
    assert len(where(env.render(), BLUE, box)) > 20


def test_higher_axes_are_seen_beside_it():
    env = ball_after([0.0], dimension=3)
    before = env.render()
    env.step(np.array([0.0, 0.0, 2.0]))
    after = env.render()
    assert (before[68:, 16:424] == after[68:, 16:424]).all()
    assert (before[68:, 436:] != after[68:, 436:]).any()


def test_a_ball_that_left_is_marked():
    inside, out = ball_after([2.0]), ball_after([2.0] * 5)
    tag = (slice(16, 40), slice(320, 400))
    assert not (inside.render()[tag] == tuple(bytes.fromhex(RED[1:]))).all(axis=-1).any()
    assert (out.render()[tag] == tuple(bytes.fromhex(RED[1:]))).all(axis=-1).any()


def test_a_long_episode_is_drawn_as_far_as_it_came():
    env = ball_after([0.0] * 3, max_steps=1_000_000)
    assert where(env.render(), INK).mean(axis=0)[1] < 100


def test_a_new_episode_is_a_new_picture():
    env = ball_after([0.5] * 10)
    env.reset(seed=1)
    np.testing.assert_array_equal(env.render(), ball_after([]).render())


def test_a_restored_ball_draws_from_where_it_was():
    env = ball_after([0.5] * 4)
    other = BallEnv(render_mode="rgb_array", sigma=0.0)
    other.load_state_dict(env.state_dict())
    other.step(np.zeros(1))
    assert other._recorder.trajectory.steps.tolist() == [4, 5]
    assert other.render().shape == (480, 720, 3)


def test_text():
    env = ball_after([1.0, 1.0], mode="ansi", dimension=2, max_steps=9)
    x, y = env.state_dict()["position"][0]
    assert env.render() == f"step 2 of 9   position {x:+.2f} {y:+.2f}   return 2"

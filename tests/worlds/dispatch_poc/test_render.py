"""The map shows drivers, bookings and late pick-ups where they are."""

import numpy as np

from compagnon.envs.drawing import HEADER, RED
from compagnon.worlds.dispatch_poc import arrays, render, travel
from compagnon.worlds.dispatch_poc.env import DispatchPocEnv


def day_with(place, window=40.0, **options):
    """One driver in the centre, one booking at `place`, set by hand."""
    env = DispatchPocEnv(render_mode="rgb_array", drivers=1, slots=3, **options)
    env.reset(seed=0)
    days = env._core.days
    lat, lon = place
    days.state[0, arrays.COUNT] = 1
    days.bookings[0, 0] = [lat, lon, 0.05, 0.05, 3, window, window, 0, travel.cosine(lat)]
    days.km[0, 0, 0] = travel.kilometres(0.0, 0.0, travel.cosine(0.0), lat, lon, travel.cosine(lat))
    return env


def where(picture, colour, area=(slice(80, 500), slice(30, 470))):
    wanted = tuple(bytes.fromhex(colour[1:]))
    found = np.argwhere((picture[area] == wanted).all(axis=-1))
    return found + np.array([area[0].start, area[1].start])


def test_a_picture_is_an_rgb_array():
    for options in ({}, {"faults": True}, {"drivers": 100, "slots": 100}):
        env = DispatchPocEnv(render_mode="rgb_array", **options)
        env.reset(seed=1)
        for _ in range(40):
            mask = env.step(0)[4]["action_mask"]
            env.step(int(np.flatnonzero(mask)[-1]))
        picture = env.render()
        assert picture.shape == (render.HEIGHT, render.WIDTH, 3)
        assert picture.dtype == np.uint8


def test_nothing_is_drawn_unasked():
    env = DispatchPocEnv()
    env.reset(seed=1)
    assert env.render() is None


def test_north_is_up_and_east_is_right():
    middle = where(day_with((0.0, 0.08)).render(), render._GREEN).mean(axis=0)
    north = where(day_with((0.06, 0.08)).render(), render._GREEN).mean(axis=0)
    west = where(day_with((0.0, -0.08)).render(), render._GREEN).mean(axis=0)
    assert north[0] < middle[0] - 100
    assert west[1] < middle[1] - 200


def test_a_driver_moves_to_the_drop_off():
    env = day_with((0.0, 0.02))
    before = where(env.render(), HEADER).mean(axis=0)
    env.step(1)
    after = where(env.render(), HEADER).mean(axis=0)
    assert after[0] < before[0] - 50
    assert after[1] > before[1] + 50


def test_only_a_late_pickup_is_red():
    for window, late in ((59.0, False), (11.0, True)):
        env = day_with((0.08, 0.0), window)
        env.step(1)
        assert bool(len(where(env.render(), RED))) is late


def test_what_nobody_can_reach_is_grey():
    assert len(where(day_with((0.09, 0.09), 11.0).render(), render._GREY))
    assert not len(where(day_with((0.01, 0.01), 11.0).render(), render._GREY))


def test_a_new_day_forgets_the_old_one():
    env = day_with((0.08, 0.0), 11.0)
    env.step(1)
    env.reset(seed=2)
    assert not len(where(env.render(), RED))

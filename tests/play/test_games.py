"""Each world has keys that fit it and push the way they say."""

from dataclasses import replace

import numpy as np
import pytest

from compagnon.envs import make
from compagnon.errors import InputError
from compagnon.play.games import find_game, games
from compagnon.worlds.controls import DOWN, LEFT, RIGHT, UP, Keys

pytest.importorskip("pygame")
pytest.importorskip("Box2D")

GAMES = games()


def after(name, key, steps, **more):
    """The first and the last observation, with one key held."""
    world = GAMES[name]
    env = make(world.env_id, **{**world.env_args, **more})
    controls = world.controls_for(env.action_space)
    first, _ = env.reset(seed=1)
    last = first
    for step in range(steps):
        last, *_ = env.step(controls.action(Keys(frozenset({key})), step, None))
    return np.asarray(first), np.asarray(last)


@pytest.mark.parametrize("name", GAMES)
def test_the_controls_fit_the_world_and_its_relatives(name):
    world = GAMES[name]
    for env_id in (world.env_id, *world.relatives):
        env = make(env_id, **(world.env_args if env_id == world.env_id else {}))
        controls = world.controls_for(env.action_space)
        action = controls.action(Keys(frozenset({"wait"})), 0, None)
        assert env.action_space.contains(action)
        assert controls.label(action)
        assert "rgb_array" in env.metadata["render_modes"]


def test_left_is_left():
    for more in ({}, {"continuous": True}):
        first, last = after("lunar", LEFT, 15, **more)
        assert last[2] < first[2] - 0.05  # sideways speed
        first, last = after("lunar", RIGHT, 15, **more)
        assert last[2] > first[2] + 0.05
    first, last = after("mountain", LEFT, 10)
    assert last[0] < first[0]
    first, last = after("mountain", RIGHT, 10)
    assert last[0] > first[0]


def test_up_is_up():
    falling, thrust = after("lunar", DOWN, 20)[1], after("lunar", UP, 20)[1]
    assert thrust[3] > falling[3] + 0.1  # upward speed
    for key, axis, sign in ((LEFT, 0, -1), (RIGHT, 0, 1), (DOWN, 1, -1), (UP, 1, 1)):
        first, last = after("ball", key, 3, sigma=0.0)
        assert last[axis] == pytest.approx(first[axis] + 3 * sign)
        assert last[1 - axis] == first[1 - axis]
    first, last = after("ball", UP, 3, sigma=0.0, dimension=1)
    assert last[0] == pytest.approx(first[0] + 3)


def test_the_pendulum_turns_left_against_the_clock():
    for key, sign in ((LEFT, 1), (RIGHT, -1)):
        speeds = after("pendulum", key, 1)[1][2], after("pendulum", DOWN, 1)[1][2]
        assert np.sign(speeds[0] - speeds[1]) == sign


def test_the_car_steers_accelerates_and_brakes_without_locking():
    env = make("CarRacing-v3")
    controls = GAMES["car"].controls_for(env.action_space)
    assert controls.action(Keys(frozenset({LEFT, UP})), 0, None).tolist() == [-1, 1, 0]
    assert controls.action(Keys(frozenset({DOWN})), 0, None)[2] < 0.9
    env = make("CarRacing-v3", continuous=False)
    controls = GAMES["car"].controls_for(env.action_space)
    meant = {RIGHT: 1, LEFT: 2, UP: 3, DOWN: 4}
    for key, action in meant.items():
        assert controls.action(Keys(frozenset({key})), 0, None) == action


def test_actions_without_keys_are_refused():
    env = make("compagnon/Ball-v0", dimension=3)
    with pytest.raises(InputError, match=r"ball: there are no keys for the actions Box"):
        GAMES["ball"].controls_for(env.action_space)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("mountin", "did you mean mountain"),
        ("Lunar-Lander", "did you mean lunar"),
        ("carracing", "did you mean car"),
        ("xyzzy", "there are ball, mountain, lunar, pendulum, car, workshop"),
    ],
)
def test_an_unknown_world_names_near_ones(name, hint):
    with pytest.raises(InputError, match=hint):
        find_game(name)


def test_names_are_found_in_any_case():
    assert find_game("Mountain") is GAMES["mountain"]


def test_clocks():
    assert GAMES["pendulum"].clock(30) == "1.5 s"
    assert GAMES["workshop"].clock(1440 + 8 * 60 + 5) == "Tue 08:05"
    assert GAMES["workshop"].clock(7 * 1440) == "end 00:00"
    days = replace(GAMES["workshop"], time_unit="day")
    assert [days.clock(n) for n in (0, 1, 9)] == ["0 days", "1 day", "9 days"]

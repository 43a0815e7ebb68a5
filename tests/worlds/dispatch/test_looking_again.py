"""Dispatch is asked again after some minutes without news, but only while a booking is open."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compagnon.errors import InputError
from compagnon.worlds.dispatch import running_days
from compagnon.worlds.dispatch.env import DispatchEnv
from compagnon.worlds.dispatch.vector import DispatchVectorEnv
from tests.worlds.dispatch.worlds import plane_day, random_actions

PLACES = [(0, 0), (10, 0)]
RIDE = {"pickup_from": 100.0, "pickup_to": 200.0}
NEVER = 1440.0


def clock_of_waiting(rides, look_again, board=2):
    """The minutes at which dispatch is asked on a day of one driver, if it always waits."""
    env = DispatchEnv(
        instances=[plane_day(rides, [{}], PLACES)], board=board, look_again=look_again
    )
    obs, _ = env.reset(seed=0)
    minutes, ended = [], False
    while not ended:
        minutes.append(float(obs[0]))
        obs, _, ended, _, info = env.step(0)
    assert info["kpis"]["rejected"] == len(rides)
    return minutes


def test_it_is_asked_every_so_many_minutes_until_the_deadline():
    assert clock_of_waiting([RIDE], 60.0) == [0.0, 60.0, 120.0, 180.0]
    assert clock_of_waiting([RIDE], NEVER) == [0.0]


def test_at_the_deadline_itself_it_is_asked_a_last_time():
    assert clock_of_waiting([RIDE], 100.0) == [0.0, 100.0, 200.0]


def test_news_begins_the_minutes_anew():
    later = {**RIDE, "announce": 50.0}
    assert clock_of_waiting([RIDE, later], 60.0) == [0.0, 50.0, 110.0, 170.0]
    # News at the same minute is one moment, not two.
    assert clock_of_waiting([RIDE, {**RIDE, "announce": 60.0}], 60.0) == [0.0, 60.0, 120.0, 180.0]


def test_nobody_is_asked_where_nothing_is_open():
    late = {"pickup_from": 400.0, "pickup_to": 500.0, "announce": 300.0}
    env = DispatchEnv(instances=[plane_day([RIDE, late], [{}], PLACES)], board=2, look_again=10.0)
    env.reset(seed=0)
    obs, _, _, _, info = env.step(1)
    assert obs[0] == 300.0
    assert info["elapsed"] == 300
    _, _, ended, _, info = env.step(1)
    assert ended
    assert info["kpis"]["served"] == 2


def test_a_ride_that_was_held_is_still_possible_when_it_is_asked_again():
    env = DispatchEnv(instances=[plane_day([RIDE], [{}], PLACES)], board=1, look_again=60.0)
    env.reset(seed=0)
    for _ in range(3):
        _, _, _, _, info = env.step(0)
        assert info["action_mask"].tolist() == [True, True, True]
    _, reward, ended, _, info = env.step(1)
    assert ended
    assert info["kpis"]["served"] == 1
    # Asked at 180, boarded at once: 80 minutes of waiting, 15 of them as promised.
    assert info["kpis"]["cost_wait"] == pytest.approx(0.3 * 65.0)
    assert -reward == pytest.approx(0.3 * 65.0 + 0.5 * 20.0)


def longest_gap(seed, look_again):
    """The longest time that passed while a booking that stayed open was open, in minutes."""
    env = DispatchVectorEnv(1, preset="clinic-day", look_again=look_again)
    _, info = env.reset(seed=seed)
    rng, longest = np.random.default_rng(seed), 0.0
    for _ in range(120):
        w = running_days.RunningDays(*(array[0].copy() for array in env.world))
        waited = set(w.open[: w.counts[running_days.OPEN]].tolist())
        _, _, ended, _, info = env.step(random_actions(info["action_mask"], rng))
        if ended.any():
            break
        now = running_days.RunningDays(*(array[0] for array in env.world))
        if waited & set(now.open[: now.counts[running_days.OPEN]].tolist()):
            longest = max(longest, float(now.money[running_days.NOW] - w.money[running_days.NOW]))
    return longest


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**40), look_again=st.floats(1.0, 60.0))
def test_nobody_who_is_open_waits_longer_for_the_next_look(seed, look_again):
    assert longest_gap(seed, look_again) <= look_again + 1e-9


def test_without_it_they_do():
    assert max(longest_gap(seed, NEVER) for seed in range(8)) > 60.0


@pytest.mark.parametrize("minutes", [0.0, 0.5, -3.0, 1441.0, float("nan"), "soon"])
def test_other_minutes_are_refused(minutes):
    with pytest.raises(InputError, match="look_again"):
        DispatchEnv(look_again=minutes)

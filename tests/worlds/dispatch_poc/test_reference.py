"""The compiled kernel and the plain rules agree step by step, whatever is played."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compagnon.worlds.dispatch_poc import travel
from compagnon.worlds.dispatch_poc.env import DispatchPocEnv
from tests.worlds.dispatch_poc.reference import CENTRE, ReferenceDay, haversine

SETTINGS = [
    {},
    {"faults": True, "hours": 2},
    {"drivers": 8, "slots": 15, "hours": 2},
    {"assignments_per_tick": 4, "hours": 3},
    {"drivers": 2, "slots": 3, "hours": 4, "faults": True, "assignments_per_tick": 2},
    {"drivers": 1, "slots": 1, "hours": 11},
]


def play_both(options, seed, choose, other=None):
    """Step both through a day; stop where they differ, and say whether they did not."""
    day = other or ReferenceDay(**options)
    env = DispatchPocEnv(observation="pairs", scaling="published", **options)
    obs, info = env.reset(seed=seed)
    day.reset(seed)
    over = False
    while True:
        spare = np.array(day.spare()) / 60
        expected = np.concatenate([day.obs(), spare])
        if not np.allclose(obs, expected, rtol=1e-5, atol=2e-6):
            return False
        if info["action_mask"].tolist() != day.mask():
            return False
        if over:
            break
        action = choose(info["action_mask"])
        obs, reward, over, _, info = env.step(action)
        expected_reward, expected_over = day.step(action)
        if over != expected_over or reward != pytest.approx(expected_reward, abs=1e-7):
            return False
    return info["kpis"] == pytest.approx(day.kpis(), abs=1e-9)


def chooser(seed, masked=1.0):
    rng = np.random.default_rng(seed)

    def choose(mask):
        if rng.random() < masked:
            return int(rng.choice(np.flatnonzero(mask)))
        return int(rng.integers(len(mask)))

    return choose


@pytest.mark.parametrize("options", SETTINGS)
@pytest.mark.parametrize("masked", [1.0, 0.7, 0.0])
def test_they_agree_to_the_end_of_the_day(options, masked):
    for seed in range(4):
        assert play_both(options, seed, chooser(seed, masked))


@given(
    drivers=st.integers(1, 5), slots=st.integers(1, 6), hours=st.integers(1, 12),
    per_tick=st.integers(1, 3), faults=st.booleans(), seed=st.integers(0, 2**63 - 1),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_they_agree_at_any_size(drivers, slots, hours, per_tick, faults, seed):
    options = {
        "drivers": drivers, "slots": slots, "hours": hours,
        "assignments_per_tick": per_tick, "faults": faults,
    }  # fmt: skip
    assert play_both(options, seed, chooser(seed, 0.8))


def test_waiting_all_day_agrees():
    assert play_both({}, 5, lambda mask: 0)


class Wrong(ReferenceDay):
    def __init__(self, what):
        super().__init__(hours=3)
        self.what = what

    def believed(self, driver, booking):
        return super().believed(driver, booking) * (1.02 if self.what == "speed" else 1.0)

    def arrive(self, count):
        super().arrive(count)
        if self.what == "window" and self.board:
            self.board[-1]["end"] += 1

    def act(self, action):
        reward = super().act(action)
        if self.what == "drop-off" and reward > 0:
            self.drivers[(action - 1) // self.m]["at"] = CENTRE
        return reward

    def bonus(self):
        return super().bonus() + (1 if self.what == "bonus" else 0)


@pytest.mark.parametrize("what", ["speed", "window", "drop-off", "bonus"])
def test_a_wrong_rule_is_noticed(what):
    assert not all(play_both({"hours": 3}, seed, chooser(seed), Wrong(what)) for seed in range(3))


@given(st.lists(st.floats(-0.1, 0.1), min_size=4, max_size=4))
@settings(deadline=None)
def test_the_series_is_the_haversine(place):
    lat, lon, to_lat, to_lon = place
    found = travel.kilometres(lat, lon, travel.cosine(lat), to_lat, to_lon, travel.cosine(to_lat))
    one, other = (CENTRE[0] + lat, CENTRE[1] + lon), (CENTRE[0] + to_lat, CENTRE[1] + to_lon)
    assert found == pytest.approx(haversine(one, other), rel=1e-9, abs=1e-8)

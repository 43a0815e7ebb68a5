"""What an assignment leaves behind is what a plain count of the places and bookings says."""

import numpy as np
import pytest

from compagnon.worlds.dispatch_poc import arrays, outlook
from compagnon.worlds.dispatch_poc.env import DispatchPocEnv
from tests.tiers import full
from tests.worlds.dispatch_poc.reference import CENTRE, haversine, traffic

SIZE = {"drivers": 4, "slots": 6}
GRID = [-0.1 + 0.2 * (2 * k + 1) / 12 for k in range(6)]
FIELDS = ("feasible", "way", "spare", "reward", "reach", "reach_urgent", "reach_twice", "others")


def km(one, other):
    return haversine(
        (CENTRE[0] + one[0], CENTRE[1] + one[1]), (CENTRE[0] + other[0], CENTRE[1] + other[1])
    )


def a_km(tick):
    return 60 / (30 * (1 - 0.5 * traffic(8 + tick / 12)))


def share(windows, minutes):
    return sum(window >= minutes for window in windows) / len(windows)


class Plain:
    """The same day, as lists; drivers are (place, rides)."""

    def __init__(self, env):
        days = env._core.days
        self.tick = int(days.state[0, arrays.TICK])
        self.drivers = [
            (tuple(place[:2]), int(load))
            for place, load in zip(days.places[0], days.load[0], strict=True)
        ]
        self.open = [
            dict(zip(("at", "to"), ((r[0], r[1]), (r[2], r[3])), strict=True))
            | {"priority": r[arrays.PRIORITY], "window": r[arrays.WINDOW], "end": r[arrays.END]}
            for r in days.bookings[0][: days.state[0, arrays.COUNT]]
        ]

    def minutes(self, drivers, place):
        """To a place next tick, of every driver, the nearest first."""
        pace = a_km(self.tick + 1)
        return sorted(km(at, place) * pace + (15 if load >= 3 else 0) for at, load in drivers)

    def reach(self, drivers):
        """Shares of the bookings to come, by the windows' mean over fine steps of a minute."""
        found = np.zeros(3)
        for lat in GRID:
            for lon in GRID:
                first, second, *_ = self.minutes(drivers, (lat, lon))
                found += [
                    between(20, 59, first), between(10, 29, first), between(10, 29, second)
                ]  # fmt: skip
        return found / 36

    def others(self, drivers, bookings):
        left = [b["end"] - 5 * (self.tick + 1) for b in bookings]
        slack = [
            minutes - self.minutes(drivers, b["at"])[0]
            for minutes, b in zip(left, bookings, strict=True)
        ]
        return sum(
            1 / (1 + np.exp(-(s - 4) / 4)) for s, minutes in zip(slack, left, strict=True)
            if minutes > 0
        )  # fmt: skip

    def pair(self, i, j):
        """The eight fields of driver i and booking j."""
        (at, load), booking = self.drivers[i], self.open[j]
        far = km(at, booking["at"])
        way, left = far * a_km(self.tick), booking["end"] - 5 * self.tick
        if load >= 3 or way > left:
            return [0.0] * 8
        reward = 50 + 10 * (far < 5) + 20 * (booking["priority"] >= 4)
        reward += 15 * (way < booking["window"] / 2)
        drivers = [*self.drivers[:i], (booking["to"], load + 1), *self.drivers[i + 1 :]]
        rest = [*self.open[:j], *self.open[j + 1 :]]
        others = self.others(drivers, rest) - self.others(self.drivers, self.open)
        gained = self.reach(drivers) - self.reach(self.drivers)
        return [1.0, way, left - way, reward, *gained, others]


def between(low, high, minutes):
    """The share of windows that are long enough, held up for ten minutes, within one window."""
    return min(1.0, max(0.0, (high + 1 - minutes - 10) / (high + 1 - low)))


def play(env, seed, steps):
    """Observations by name, beside the plain day."""
    rng = np.random.default_rng(seed)
    names = [field.name for field in env.observation_fields]
    obs, info = env.reset(seed=seed)
    for _ in range(steps):
        yield dict(zip(names, obs.tolist(), strict=True)), Plain(env)
        possible = np.flatnonzero(info["action_mask"])
        obs, _, over, _, info = env.step(int(rng.choice(possible[-3:])))
        if over:
            return


def differences(seed, steps=40, **options):
    """The largest difference of each field from the plain count, over part of a day."""
    env = DispatchPocEnv(observation="trips", **SIZE, **options)
    worst, feasible = dict.fromkeys(FIELDS, 0.0), 0
    for shown, day in play(env, seed, steps):
        for i in range(SIZE["drivers"]):
            for j in range(len(day.open)):
                for field, value in zip(FIELDS, day.pair(i, j), strict=True):
                    found = shown[f"pair_{i}_{j}_{field}"]
                    worst[field] = max(worst[field], abs(found - value))
                feasible += shown[f"pair_{i}_{j}_feasible"] > 0
    assert feasible > 40
    return worst


@pytest.mark.parametrize("seed", range(3))
def test_pairs_are_what_a_plain_count_says(seed):
    worst = differences(seed)
    assert max(worst[field] for field in FIELDS[:4]) < 1e-4
    # The kernel measures what is to come in the plane, which is within 0.2 % of the sphere.
    assert max(worst[field] for field in FIELDS[4:]) < 0.01


@pytest.mark.parametrize("what", ["drop-off", full("rides"), full("hold-up")])
def test_a_wrong_count_is_noticed(what, monkeypatch):
    if what == "drop-off":
        kept = Plain.__init__

        def at_the_pickup(self, env):
            kept(self, env)
            for booking in self.open:
                booking["to"] = booking["at"]

        monkeypatch.setattr(Plain, "__init__", at_the_pickup)
    elif what == "rides":
        kept = Plain.minutes
        monkeypatch.setattr(
            Plain, "minutes", lambda self, d, p: kept(self, [(at, 0) for at, _ in d], p)
        )
    else:
        monkeypatch.setitem(globals(), "between", lambda low, high, m: share(range(low, high), m))
    worst = max(differences(seed)[field] for seed in range(2) for field in FIELDS[4:])
    assert worst > 0.02


def test_trips_show_the_drop_off_and_the_window_of_each_booking():
    env = DispatchPocEnv(observation="trips", **SIZE)
    for shown, day in play(env, 5, 30):
        assert shown["ticks_left"] == 96 - day.tick
        assert shown["demand"] == pytest.approx(0.5 if day.tick + 1 < 18 else 0.2)
        for j in range(SIZE["slots"]):
            booking = day.open[j] if j < len(day.open) else {"to": (0, 0), "window": 0}
            assert shown[f"booking_{j}_to_lat"] == pytest.approx(booking["to"][0], abs=1e-6)
            assert shown[f"booking_{j}_to_lon"] == pytest.approx(booking["to"][1], abs=1e-6)
            assert shown[f"booking_{j}_window"] == booking["window"]


def test_windows_that_are_long_enough():
    assert outlook.urgent_share(0.0) == pytest.approx(1.0)
    assert outlook.urgent_share(20.0) == 0.0
    assert outlook.urgent_share(9.5) == pytest.approx((30 - 19.5) / 20)
    assert outlook.other_share(30.0) == pytest.approx(0.5)


def test_more_fields_do_not_change_the_world():
    rewards = []
    for observation in ("published", "trips"):
        env = DispatchPocEnv(observation=observation, hours=2)
        _, info = env.reset(seed=3)
        total, over, rng = 0.0, False, np.random.default_rng(0)
        while not over:
            action = int(rng.choice(np.flatnonzero(info["action_mask"])))
            _, reward, over, _, info = env.step(action)
            total += reward
        rewards.append(total)
    assert rewards[0] == rewards[1]

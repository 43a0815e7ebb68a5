"""The clairvoyant search finds the day worked by hand, and no rule is cheaper."""

import itertools

import numpy as np
import pytest

from compagnon.errors import InputError
from compagnon.policy import load_policy
from compagnon.worlds.dispatch import DISPATCH
from compagnon.worlds.dispatch.experts import clairvoyant
from compagnon.worlds.dispatch.experts.clairvoyant import best_day
from compagnon.worlds.dispatch.options import DispatchOptions
from compagnon.worlds.dispatch.vector import DispatchVectorEnv
from tests.policy.networks import schema_of
from tests.worlds.dispatch.worlds import plane_day

PLACES = [(0, 0), (5, 0), (40, 0), (45, 0)]
TIME = {"pickup_from": 60.0, "pickup_to": 80.0}
RIDES = [{"pickup": 0, "dropoff": 1, **TIME}, {"pickup": 2, "dropoff": 3, **TIME}]
DRIVERS = [{"start": 2, "end": 2}, {"start": 0, "end": 0}]


def play(day, actions=None, policy=None):
    """The cost of a day played by given actions or by a policy."""
    env = DispatchVectorEnv(1, instances=[day])
    obs, info = env.reset(seed=0)
    cost, ended, step = 0.0, False, 0
    while not ended:
        action = np.array([actions[step]]) if actions else policy.act(obs, info["action_mask"])
        obs, reward, terminated, _, info = env.step(action)
        cost -= float(reward[0])
        ended, step = bool(terminated[0]), step + 1
    return cost


def test_a_day_worked_by_hand():
    # Each driver takes the ride at his door: 5 km there and 5 km back, twice, at 0.5 a km.
    day = plane_day(RIDES, DRIVERS, PLACES)
    best = best_day(day)
    assert best.cost == pytest.approx(10.0)
    assert play(day, best.actions) == pytest.approx(best.cost)


def test_it_knows_what_will_be_asked():
    # One driver, too far away for both; the dearer refusal is only announced at minute 30.
    rides = [{**RIDES[0], "priority": 1}, {**RIDES[1], "priority": 5, "announce": 30.0}]
    day = plane_day(rides, [{"start": 0, "end": 0}], PLACES)
    best = best_day(day)
    # Refuse the first (30 + 10), drive 45 km there and back.
    assert best.cost == pytest.approx(40.0 + 0.5 * 90.0)


@pytest.mark.parametrize("name", ["nearest", "earliest", "insertion", "regret", "matching"])
def test_no_rule_is_cheaper(name):
    rides = [*RIDES, {"pickup": 1, "dropoff": 2, "pickup_from": 70.0, "announce": 20.0}]
    day = plane_day(rides, DRIVERS, PLACES)
    schema = schema_of(DISPATCH)
    env = DispatchVectorEnv(1, instances=[day])
    small = type(schema)(
        DISPATCH,
        type(schema.observation)(tuple(env.observation_fields)),
        type(schema.action)("discrete", env.layout.actions),
    )
    policy = load_policy(f"expert:dispatch-{name}", small)
    assert play(day, policy=policy) >= best_day(day).cost - 1e-9


def test_a_day_that_is_too_large_is_refused():
    with pytest.raises(InputError, match="50 steps were not enough"):
        best_day(plane_day(RIDES * 3, DRIVERS, PLACES), max_steps=50)


def small_day(seed):
    """Three or four rides between five places, some of them announced late; two drivers."""
    rng = np.random.default_rng(seed)
    rides = []
    for _ in range(int(rng.integers(3, 5))):
        pickup, dropoff = (int(place) for place in rng.choice(4, 2, replace=False))
        begins = float(rng.integers(60, 300))
        rides.append(
            {
                "pickup": pickup, "dropoff": dropoff, "pickup_from": begins,
                "pickup_to": begins + 40.0, "announce": float(rng.choice([0.0, begins - 50.0])),
                "boarding_delay": float(rng.choice([0.0, 5.0])),
                "priority": int(rng.integers(1, 6)),
            }
        )  # fmt: skip
    return plane_day(rides, DRIVERS, PLACES)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.full
def test_ways_that_meet_are_gone_on_from_once_and_nothing_is_missed(seed, monkeypatch):
    day, options = small_day(seed), DispatchOptions.parse(look_again=120.0)
    quick = best_day(day, options)
    numbers = itertools.count()
    monkeypatch.setattr(clairvoyant, "moment_key", lambda w: b"%d" % next(numbers))
    whole = best_day(day, options)  # every way gone to its end
    assert quick.cost == pytest.approx(whole.cost)
    assert quick.steps < whole.steps


def test_a_key_that_tells_no_moments_apart_misses_the_cheapest_day(monkeypatch):
    # What is tried first, the driver who is far away, is taken for all that can be done.
    day = plane_day([RIDES[0], {**RIDES[1], "announce": 10.0}], DRIVERS, PLACES)
    right = best_day(day).cost
    monkeypatch.setattr(clairvoyant, "moment_key", lambda w: b"")
    assert best_day(day).cost > right + 1.0

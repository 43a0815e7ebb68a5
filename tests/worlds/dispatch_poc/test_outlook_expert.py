"""The rule of the outlook takes the pair with the most points, and beats every shorter rule."""

import numpy as np
import pytest

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.evaluation.episodes import play_episodes
from compagnon.worlds.dispatch import DISPATCH
from compagnon.worlds.dispatch_poc import DISPATCH_POC
from compagnon.worlds.dispatch_poc.experts.outlook import LAST_TICKS, LATER, POINTS, OutlookRule
from tests.policy.networks import schema_of

TRIPS = {"observation": "trips"}
SMALL = TRIPS | {"drivers": 2, "slots": 3}


def board(schema, **fields):
    """One observation, all zeros but for these; `pair_i_j` takes a dictionary."""
    names = {name: column for column, name in enumerate(schema.observation.names)}
    obs = np.zeros((1, len(names)), np.float32)
    obs[0, names["ticks_left"]] = 50
    for name, value in fields.items():
        for part, number in value.items() if isinstance(value, dict) else [("", value)]:
            obs[0, names[f"{name}_{part}" if part else name]] = number
    return obs


def by_hand(shown, drivers, slots, ticks_left):
    """The points of each pair that is possible."""
    share = min(1.0, ticks_left / LAST_TICKS)
    return {
        1 + i * slots + j: sum(
            points * shown[f"pair_{i}_{j}_{field}"] * (share if field in LATER else 1.0)
            for field, points in POINTS.items()
        )
        for i in range(drivers)
        for j in range(slots)
        if shown[f"pair_{i}_{j}_feasible"] > 0
    }


@pytest.mark.parametrize("scaling", ["physical", "published"])
def test_it_takes_the_pair_with_the_most_points(scaling):
    args = SMALL | {"scaling": scaling}
    schema, plain = schema_of(DISPATCH_POC, **args), schema_of(DISPATCH_POC, **SMALL)
    rule = OutlookRule(schema)
    env, other = BatchEnv(DISPATCH_POC, args, 1), BatchEnv(DISPATCH_POC, SMALL, 1)
    env.reset([4])
    other.reset([4])
    chosen, waits = 0, 0
    for _ in range(96):
        shown = dict(zip(plain.observation.names, other.obs[0].tolist(), strict=True))
        points = by_hand(shown, 2, 3, shown["ticks_left"])
        action = rule.act(env.obs, env.action_mask)
        assert rule.act(env.obs).tolist() == action.tolist()
        assert rule.probabilities(env.obs)[0, action[0]] == 1.0
        if points:
            chosen += 1
            assert points[int(action[0])] == pytest.approx(max(points.values()), abs=1e-3)
        else:
            waits += 1
            assert action[0] == 0
        env.step(action)
        other.step(action)
    assert chosen > 10
    assert waits > 10


def test_what_is_left_behind_decides_between_equal_rewards():
    schema = schema_of(DISPATCH_POC, **SMALL)
    rule = OutlookRule(schema)
    same = {"feasible": 1, "reward": 60, "way": 5, "spare": 10}
    better = same | {"others": -0.5}
    worse = same | {"others": -0.9}
    assert rule.act(board(schema, pair_0_0=worse, pair_1_2=better)).tolist() == [6]
    near = same | {"reach_urgent": 0.02}
    assert rule.act(board(schema, pair_0_1=near, pair_1_2=same)).tolist() == [2]


def test_bookings_to_come_do_not_count_when_the_day_is_over():
    schema = schema_of(DISPATCH_POC, **SMALL)
    rule = OutlookRule(schema)
    near = {"feasible": 1, "reward": 60, "reach": 0.02}
    far = {"feasible": 1, "reward": 61, "reach": 0.0}
    assert rule.act(board(schema, pair_0_0=near, pair_1_0=far)).tolist() == [1]
    assert rule.act(board(schema, pair_0_0=near, pair_1_0=far, ticks_left=1)).tolist() == [4]


def test_a_mask_decides_what_is_possible():
    schema = schema_of(DISPATCH_POC, **SMALL)
    obs = board(schema, pair_0_0={"feasible": 1, "reward": 90}, pair_1_1={"feasible": 1})
    mask = np.zeros((1, 7), np.bool_)
    mask[0, [0, 5]] = True
    assert OutlookRule(schema).act(obs).tolist() == [1]
    assert OutlookRule(schema).act(obs, mask).tolist() == [5]
    mask[0, 5] = False
    assert OutlookRule(schema).act(obs, mask).tolist() == [0]


@pytest.mark.full
def test_it_beats_the_earliest_deadline_on_the_same_days():
    from compagnon.policy import load_policy

    schema, seeds = schema_of(DISPATCH_POC, **TRIPS), list(range(60))
    played = [
        play_episodes(DISPATCH_POC, TRIPS, policy, seeds).kpis
        for policy in (OutlookRule(schema), load_policy("expert:dispatch-poc-earliest", schema))
    ]
    gained = played[0]["reward_per_step"] - played[1]["reward_per_step"]
    assert gained.mean() > 4
    assert (played[0]["late_share"] == 0).all()
    assert (played[0]["completion"] - played[1]["completion"]).mean() > 0.02


@pytest.mark.parametrize(
    ("env_id", "args"), [(DISPATCH_POC, {"observation": "pairs"}), (DISPATCH_POC, {})]
)
def test_another_observation_is_refused(env_id, args):
    with pytest.raises(InputError, match="trips"):
        OutlookRule(schema_of(env_id, **args))


def test_another_environment_is_refused():
    with pytest.raises(InputError, match=DISPATCH_POC):
        OutlookRule(schema_of(DISPATCH, preset="clinic-day"))

"""The rules of dispatch choose on each board what a hand would, and never what the mask forbids."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.evaluation.episodes import play_episodes
from compagnon.policy import Schema, load_policy
from compagnon.policy.schema import ActionSchema, ObservationSchema
from compagnon.worlds.dispatch import DISPATCH
from compagnon.worlds.dispatch.fields import BOOKING, DRIVER, GLOBAL, PAIR, Layout, all_fields
from tests.policy.networks import schema_of
from tests.worlds.dispatch.worlds import plane_day

PLAIN = ("nearest", "earliest", "least-loaded", "matching", "insertion", "regret", "regret:3")
NAMES = (
    *PLAIN, "regret:3:slack", "regret:3:weigh", "regret:3:hold", "regret:3:opportunity",
)  # fmt: skip
LAYOUT = Layout(drivers=3, board=4)
SCHEMA = Schema(
    DISPATCH, ObservationSchema(all_fields(LAYOUT)), ActionSchema("discrete", LAYOUT.actions)
)
AT = {
    group: {field.name: k for k, field in enumerate(fields)}
    for group, fields in (("driver", DRIVER), ("booking", BOOKING), ("pair", PAIR), ("all", GLOBAL))
}


def policy(name, schema=SCHEMA):
    return load_policy(f"expert:dispatch-{name}", schema)


def board(pairs, deadlines, stops=(0, 0, 0), behind=0):
    """An observation: pairs {(driver, place): (cost, approach)}; others are not feasible."""
    obs = np.zeros((1, LAYOUT.size), np.float32)
    obs[0, AT["all"]["behind"]] = behind
    for d, count in enumerate(stops):
        obs[0, LAYOUT.driver_start + d * len(DRIVER) + AT["driver"]["stops_ahead"]] = count
    for j, deadline in enumerate(deadlines):
        begin = LAYOUT.board_start + j * len(BOOKING)
        obs[0, begin + AT["booking"]["shown"]] = 1
        obs[0, begin + AT["booking"]["pickup_by"]] = deadline
        obs[0, begin + AT["booking"]["decline_cost"]] = 60
    for (d, j), (cost, approach) in pairs.items():
        begin = LAYOUT.pair_start + (d * LAYOUT.board + j) * len(PAIR)
        obs[0, begin + AT["pair"]["feasible"]] = 1
        obs[0, begin + AT["pair"]["added_cost"]] = cost
        obs[0, begin + AT["pair"]["approach"]] = approach
    return obs


def pair(driver, place):
    return 1 + driver * LAYOUT.board + place


PAIRS = {
    (0, 0): (9.0, 8.0), (0, 1): (4.0, 5.0), (0, 2): (6.0, 2.0),
    (1, 0): (10.0, 9.0), (1, 1): (20.0, 6.0),
    (2, 0): (12.0, 7.0), (2, 1): (5.0, 4.0),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nearest", pair(0, 2)),
        ("earliest", pair(2, 0)),
        ("least-loaded", pair(1, 1)),
        ("insertion", pair(0, 1)),
        ("matching", pair(1, 0)),  # 10 + 5 + 6: driver 0 is the only one for place 2
        ("regret", pair(0, 2)),  # nobody else can take place 2
        ("regret:3", pair(0, 2)),
    ],
)
def test_each_rule_on_a_board_worked_by_hand(name, expected):
    obs = board(PAIRS, (10, 20, 30), stops=(4, 1, 6))
    assert policy(name).act(obs).tolist() == [expected]


def test_regret_counts_as_many_drivers_as_it_is_told():
    # Between the first two drivers place 0 misses 3 and place 1 misses 2; with the third 4 and 12.
    pairs = {
        (0, 0): (1.0, 1.0), (1, 0): (4.0, 1.0), (2, 0): (2.0 + 3.0, 1.0),
        (0, 1): (1.0, 1.0), (1, 1): (3.0, 1.0), (2, 1): (11.0, 1.0),
    }  # fmt: skip
    obs = board(pairs, (10, 20))
    assert policy("regret:2").act(obs).tolist() == [pair(0, 0)]
    assert policy("regret:3").act(obs).tolist() == [pair(0, 1)]


def test_a_plan_without_slack_costs_more():
    pairs = {(0, 0): (5.0, 1.0), (1, 0): (12.0, 1.0), (2, 0): (30.0, 1.0)}
    obs = board(pairs, (10,))

    def with_slack(minutes):
        tight = obs.copy()
        for d, spare in enumerate(minutes):
            begin = LAYOUT.pair_start + d * LAYOUT.board * len(PAIR)
            tight[0, begin + AT["pair"]["slack"]] = spare
        return policy("regret:3:slack").act(tight).tolist()

    assert policy("regret:3").act(obs).tolist() == [pair(0, 0)]
    assert with_slack((60, 60, 60)) == [pair(0, 0)]
    # 5 + 15 exp(0) = 20 is more than 12 + 15 exp(-60 / 15), and so is 5 + 15 exp(-8 / 15) = 13.8.
    assert with_slack((0, 60, 60)) == [pair(1, 0)]
    assert with_slack((8, 60, 60)) == [pair(1, 0)]
    assert with_slack((12, 60, 60)) == [pair(0, 0)]  # 11.7


def held_board(boards_in, pairs):
    """Bookings that begin to be boarded in so many minutes, with a way of one minute there."""
    obs = board(pairs, (10,) * len(boards_in))
    for place, minutes in enumerate(boards_in):
        for d in range(LAYOUT.drivers):
            begin = LAYOUT.pair_start + (d * LAYOUT.board + place) * len(PAIR)
            obs[0, begin + AT["pair"]["boards_in"]] = minutes
            obs[0, begin + AT["pair"]["slack"]] = 1000.0
    return obs


def test_what_can_wait_is_held_until_35_minutes_before_a_driver_must_leave():
    two = {(0, 0): (5.0, 1.0), (1, 0): (12.0, 1.0)}
    assert policy("regret:3:hold").act(held_board((37,), two)).tolist() == [0]
    assert policy("regret:3:hold").act(held_board((36,), two)).tolist() == [pair(0, 0)]
    assert policy("regret:3:slack").act(held_board((37,), two)).tolist() == [pair(0, 0)]
    # With one driver only it cannot wait: he could be given away.
    assert policy("regret:3:hold").act(held_board((37,), {(0, 0): (5.0, 1.0)})).tolist() == [
        pair(0, 0)
    ]


def test_what_presses_goes_before_what_is_held():
    # Place 1 would be missed more, but only place 0 presses; then time passes, and nobody who is
    # held is refused though others wait behind.
    pairs = {(0, 0): (5.0, 1.0), (1, 0): (6.0, 1.0), (0, 1): (5.0, 1.0), (1, 1): (50.0, 1.0)}
    assert policy("regret:3:slack").act(held_board((30, 90), pairs)).tolist() == [pair(0, 1)]
    assert policy("regret:3:hold").act(held_board((30, 90), pairs)).tolist() == [pair(0, 0)]
    behind = board({(0, 0): (5.0, 1.0), (1, 0): (6.0, 1.0)}, (10, 20), behind=3)
    for d in range(LAYOUT.drivers):
        begin = LAYOUT.pair_start + d * LAYOUT.board * len(PAIR)
        behind[0, begin + AT["pair"]["boards_in"]] = 90
    assert policy("regret:3:hold").act(behind).tolist() == [0]


def weighed(obs, priorities=(3, 3, 3, 3), returns=()):
    """An observation whose bookings press: their priorities, and which of them have a return."""
    obs = obs.copy()
    for j, priority in enumerate(priorities):
        begin = LAYOUT.board_start + j * len(BOOKING)
        refusal = (30 + 10 * priority) * (2 if j in returns else 1)
        obs[0, begin + AT["booking"]["decline_cost"]] = refusal
    for d, j in itertools.product(range(LAYOUT.drivers), range(LAYOUT.board)):
        begin = LAYOUT.pair_start + (d * LAYOUT.board + j) * len(PAIR)
        obs[0, begin + AT["pair"]["slack"]] = 1000.0
    return obs


def test_where_one_driver_is_left_the_dearer_refusal_goes_first():
    # Both can be taken by driver 0 alone: 45 and 5 are missed without him at priority 1 (a refusal
    # costs 40), 75 at priority 5, and twice as much where a return hangs on it.
    obs = board({(0, 0): (5.0, 1.0), (0, 1): (6.0, 1.0)}, (10, 20))
    rule = policy("regret:3:opportunity")
    assert rule.act(weighed(obs, (5, 1))).tolist() == [pair(0, 0)]
    assert rule.act(weighed(obs, (1, 5))).tolist() == [pair(0, 1)]
    assert rule.act(weighed(obs, (3, 1), returns={1})).tolist() == [pair(0, 1)]
    # Plain regret does not tell them apart, and takes the cheaper one.
    assert policy("regret:3").act(weighed(obs, (1, 5))).tolist() == [pair(0, 0)]


def test_who_costs_more_than_a_refusal_is_not_sent():
    rule = policy("regret:3:opportunity")
    for cost, expected in ((39.0, pair(0, 0)), (41.0, 0)):
        assert rule.act(weighed(board({(0, 0): (cost, 1.0)}, (10,)), (1,))).tolist() == [expected]
    # With somebody behind the board a place is made, as the other rules do.
    full = weighed(board({(0, 0): (41.0, 1.0)}, (10,), behind=1), (1,))
    assert rule.act(full).tolist() == [1 + LAYOUT.drivers * LAYOUT.board]


def test_a_refusal_costs_what_it_costs_in_the_environment_at_hand():
    """One ride of priority 3: to fetch it adds 14.5, which is worth it unless a refusal costs 5."""
    day = plane_day([{"pickup_to": 60.0}], [{}], [(0, 0), (10, 0)])
    for prices, worth in (({}, True), ({"reject_base": 2.0, "reject_priority": 1.0}, False)):
        env = BatchEnv(DISPATCH, {"instances": [day], "board": 1, **prices}, 1)
        env.reset([0])
        rule = policy("regret:3:opportunity", Schema.of(env))
        assert rule.act(env.obs, env.action_mask).tolist() == [1 if worth else 0]


def test_a_driver_whom_others_need_is_left_to_them():
    # Place 0 presses most: without driver 0 it misses 60 - 5 and 60 - 7. Places 1 and 2 are best
    # served by driver 0, and would miss 25 and 15 without him: 0.3 of 40 is more than 7 - 5.
    pairs = {
        (0, 0): (5.0, 1.0), (1, 0): (7.0, 1.0),
        (0, 1): (5.0, 1.0), (1, 1): (30.0, 1.0), (2, 1): (31.0, 1.0),
        (0, 2): (5.0, 1.0), (1, 2): (20.0, 1.0), (2, 2): (21.0, 1.0),
    }  # fmt: skip
    rule = policy("regret:2:opportunity")
    # Nobody but these two drivers can take place 0, so of three compared it is missed most.
    assert policy("regret:3:opportunity").act(weighed(board(pairs, (10, 20, 30)))).tolist() == [
        pair(1, 0)
    ]
    # Of two, place 1 is missed most, and what is missed there is no reason against its own driver.
    assert rule.act(weighed(board(pairs, (10, 20, 30)))).tolist() == [pair(0, 1)]
    # Without the others driver 0 goes.
    alone = {key: cost for key, cost in pairs.items() if key[1] == 0}
    assert policy("regret:3:opportunity").act(weighed(board(alone, (10,)))).tolist() == [pair(0, 0)]


def test_what_is_held_is_counted_among_the_others_and_not_taken():
    pairs = {
        (0, 0): (5.0, 1.0), (1, 0): (7.0, 1.0), (0, 1): (5.0, 1.0), (1, 1): (30.0, 1.0),
    }  # fmt: skip
    obs = weighed(board(pairs, (10, 20)))
    for d in range(LAYOUT.drivers):
        begin = LAYOUT.pair_start + (d * LAYOUT.board + 1) * len(PAIR)
        obs[0, begin + AT["pair"]["boards_in"]] = 90.0
    rule = policy("regret:3:opportunity")
    assert rule.act(obs).tolist() == [pair(1, 0)]  # 5 + 0.3 x 25 is more than 7
    held = weighed(board({(0, 0): (5.0, 1.0), (1, 0): (7.0, 1.0)}, (10,)))
    for d in range(LAYOUT.drivers):
        begin = LAYOUT.pair_start + d * LAYOUT.board * len(PAIR)
        held[0, begin + AT["pair"]["boards_in"]] = 90.0
    assert rule.act(held).tolist() == [0]


def test_an_equal_regret_goes_to_the_cheaper_booking():
    pairs = {(0, 0): (5.0, 1.0), (1, 0): (7.0, 1.0), (0, 1): (2.0, 1.0), (1, 1): (4.0, 1.0)}
    assert policy("regret").act(board(pairs, (10, 20))).tolist() == [pair(0, 1)]


@pytest.mark.parametrize("name", NAMES)
def test_they_wait_where_nothing_is_possible_and_make_way_where_others_wait_behind(name):
    rule = policy(name)
    assert rule.act(board({}, ())).tolist() == [0]
    assert rule.act(board({}, (10, 20, 30, 40))).tolist() == [0]
    assert rule.act(board({}, (10, 20, 30, 40), behind=2)).tolist() == [1 + 3 * 4]
    # While anybody can be taken, nobody is refused.
    assert rule.act(board({(2, 3): (20.0, 9.0)}, (1, 2, 3, 4), behind=9)).tolist() == [pair(2, 3)]


@pytest.mark.parametrize("name", NAMES)
def test_the_mask_decides_what_is_possible(name):
    obs = board(PAIRS, (10, 20, 30), behind=1)
    mask = np.zeros((1, LAYOUT.actions), np.bool_)
    mask[0, [0, pair(1, 1)]] = True
    assert policy(name).act(obs, mask).tolist() == [pair(1, 1)]
    assert policy(name).probabilities(obs, mask)[0].argmax() == pair(1, 1)
    mask[0, pair(1, 1)] = False
    assert policy(name).act(obs, mask).tolist() == [0]


def opinion(name, pairs, deadlines, stops):
    """All pairs that plain Python would accept."""

    def regret(j, k):
        costs = sorted(cost for (_, place), (cost, _) in pairs.items() if place == j)
        costs = (costs + [1e6] * k)[:k]
        return sum(cost - costs[0] for cost in costs[1:])

    keys = {
        "nearest": lambda ij: pairs[ij][1],
        "earliest": lambda ij: (deadlines[ij[1]], pairs[ij][1]),
        "least-loaded": lambda ij: (stops[ij[0]], pairs[ij][1]),
        "insertion": lambda ij: pairs[ij][0],
        "regret": lambda ij: (-regret(ij[1], 2), pairs[ij][0]),
        "regret:3": lambda ij: (-regret(ij[1], 3), pairs[ij][0]),
    }
    best = min(map(keys[name], pairs))
    return [ij for ij in pairs if keys[name](ij) == best]


def best_matchings(pairs):
    """Every matching of the most pairs at the least cost, by trying them all."""
    found = []
    for size in range(1, 4):
        plans = [
            plan
            for plan in itertools.combinations(pairs, size)
            if len({i for i, _ in plan}) == len({j for _, j in plan}) == size
        ]
        found = plans or found
    costs = [sum(pairs[ij][0] for ij in plan) for plan in found]
    return [plan for plan, cost in zip(found, costs, strict=True) if cost == min(costs)]


# Sixteenths are exact in float32, so that equals are equal everywhere.
numbers = st.integers(0, 640).map(lambda n: n / 16)


@given(
    st.dictionaries(
        st.tuples(st.integers(0, 2), st.integers(0, 3)), st.tuples(numbers, numbers), min_size=1
    ),
    st.tuples(numbers, numbers, numbers, numbers),
    st.tuples(*[st.integers(0, 5)] * 3),
)
@settings(max_examples=150, deadline=None)
@pytest.mark.full
def test_they_agree_with_brute_force(pairs, deadlines, stops):
    obs = board(pairs, deadlines, stops)
    for name in PLAIN:
        chosen = divmod(int(policy(name).act(obs)[0]) - 1, LAYOUT.board)
        if name == "matching":
            firsts = [
                [ij for ij in plan if deadlines[ij[1]] == min(deadlines[j] for _, j in plan)]
                for plan in best_matchings(pairs)
            ]
            assert chosen in itertools.chain(*firsts)
        else:
            assert chosen in opinion(name, pairs, deadlines, stops)


@pytest.mark.parametrize("name", NAMES)
def test_whole_days_are_played_within_the_mask(name):
    args = {"preset": "clinic-day", "tightness": 1.5, "board": 4}
    results = play_episodes(DISPATCH, args, policy(name, schema_of(DISPATCH, **args)), [1, 2, 3])
    assert (results.kpis["violations"] == 0).all()
    assert (results.kpis["served"] > 20).all()
    assert math.isclose(results.returns.sum(), -results.kpis["cost"].sum(), rel_tol=1e-9)


def test_they_are_the_same_in_another_scaling_and_in_a_batch():
    args = {"preset": "clinic-day"}
    plain, scaled = (
        BatchEnv(DISPATCH, {**args, "scaling": scaling}, 4) for scaling in ("physical", "published")
    )
    rules = [(policy(n, Schema.of(plain)), policy(n, Schema.of(scaled))) for n in NAMES]
    plain.reset([1, 2, 3, 4])
    scaled.reset([1, 2, 3, 4])
    for step in range(60):
        for one, other in rules:
            together = one.act(plain.obs, plain.action_mask)
            alone = [one.act(plain.obs[[i]], plain.action_mask[[i]])[0] for i in range(4)]
            assert together.tolist() == alone
            assert (together == other.act(scaled.obs, scaled.action_mask)).mean() > 0.7
        actions = rules[step % len(rules)][0].act(plain.obs, plain.action_mask)
        plain.step(actions)
        scaled.step(actions)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="plays compagnon/Dispatch-v1 only"):
        load_policy("expert:dispatch-nearest", schema_of())
    for wrong in ("1", "x", "-2", "101", "2.5"):
        with pytest.raises(InputError, match="whole number from 2 to 100"):
            policy(f"regret:{wrong}")
    with pytest.raises(InputError, match="'slack' is none of compare, tight"):
        policy("regret:3:hold:slack")
    for wrong in ("3:tight", "3:loose:slack"):
        with pytest.raises(InputError, match="after K there may stand 'slack', 'hold', 'weigh'"):
            policy(f"regret:{wrong}")
    with pytest.raises(InputError, match="takes no argument"):
        policy("matching:3")

"""The rules choose in each state what a hand would, and never what the mask forbids."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.evaluation.episodes import play_episodes
from compagnon.policy import Schema, load_policy
from compagnon.worlds.dispatch_poc import DISPATCH_POC
from tests.policy.networks import schema_of
from tests.worlds.dispatch_poc.reference import CENTRE, haversine

NAMES = ("nearest", "earliest", "least-loaded", "matching")
SIZE = {"drivers": 3, "slots": 4}
SCHEMA = schema_of(DISPATCH_POC, **SIZE)
CALM = 60 / (30 * (1 - 0.5 * 0.3))  # minutes a kilometre


def policy(name, schema=SCHEMA):
    return load_policy(f"expert:dispatch-poc-{name}", schema)


def board(drivers, bookings, traffic=0.3):
    """Drivers (lat, lon, load), bookings (lat, lon, priority, minutes left); degrees."""
    row = []
    for lat, lon, load in drivers:
        row += [lat, lon, float(load < 3), load]
    for number in range(SIZE["slots"]):
        row += bookings[number] if number < len(bookings) else [0, 0, 0, 0]
    return np.array([[*row, 100, traffic]], np.float32)


def pair(driver, slot):
    return 1 + driver * SIZE["slots"] + slot


DRIVERS = [(0.0, 0.0, 1), (0.05, 0.0, 0), (0.0, 0.05, 2)]
# Kilometres to each: (1.1, 4.4, 4.0), (8.3, 2.8, 9.2), (3.9, 6.8, 0.08)
BOOKINGS = [(0.01, 0.0, 1, 50), (0.075, 0.0, 2, 20), (0.0, 0.051, 5, 40)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nearest", pair(2, 2)),
        ("earliest", pair(1, 1)),
        ("least-loaded", pair(1, 1)),
        ("matching", pair(1, 1)),
    ],
)
def test_each_rule_on_a_board_worked_by_hand(name, expected):
    assert policy(name).act(board(DRIVERS, BOOKINGS)).tolist() == [expected]


def test_earliest_takes_the_nearest_driver_to_that_booking():
    bookings = [(0.0, 0.049, 1, 30), (0.01, 0.0, 1, 29)]
    assert policy("earliest").act(board(DRIVERS, bookings)).tolist() == [pair(0, 1)]


def test_least_loaded_takes_the_longer_way_with_fewer_rides():
    assert policy("least-loaded").act(board(DRIVERS, BOOKINGS[:1])).tolist() == [pair(1, 0)]
    assert policy("nearest").act(board(DRIVERS, BOOKINGS[:1])).tolist() == [pair(0, 0)]


def test_matching_does_not_take_another_booking_s_only_driver():
    # Driver 0 alone reaches slot 1 in time (2.2 km; driver 1 has 4.4), and is nearer to slot 0 too.
    drivers = [(0.0, 0.0, 0), (0.02, 0.0, 0), (0.0, 0.0, 3)]
    bookings = [(0.005, 0.0, 1, 9), (-0.02, 0.0, 1, 10)]
    assert policy("earliest").act(board(drivers, bookings)).tolist() == [pair(0, 0)]
    assert policy("matching").act(board(drivers, bookings)).tolist() == [pair(1, 0)]


def test_they_wait_where_nothing_is_possible():
    far = [(0.1, 0.1, 5, 11)]
    tired = [(lat, lon, 3) for lat, lon, _ in DRIVERS]
    for name in NAMES:
        assert policy(name).act(board(DRIVERS, [])).tolist() == [0]
        assert policy(name).act(board(DRIVERS, far)).tolist() == [0]
        assert policy(name).act(board(tired, BOOKINGS)).tolist() == [0]


def test_a_mask_decides_what_is_possible():
    obs = board(DRIVERS, BOOKINGS)
    mask = np.zeros((1, 13), np.bool_)
    mask[0, [0, pair(0, 1)]] = True
    for name in NAMES:
        assert policy(name).act(obs, mask).tolist() == [pair(0, 1)]
        assert policy(name).probabilities(obs, mask)[0].argmax() == pair(0, 1)
        assert policy(name).probabilities(obs, mask).sum() == 1


places = st.tuples(st.floats(-0.1, 0.1), st.floats(-0.1, 0.1))


@pytest.mark.full
@given(
    st.lists(st.tuples(places, st.integers(0, 3)), min_size=3, max_size=3),
    st.lists(st.tuples(places, st.integers(1, 5), st.integers(1, 59)), max_size=4),
)
@settings(max_examples=60, deadline=None)
def test_they_agree_with_brute_force(drivers, bookings):
    obs = board([(*at, load) for at, load in drivers], [(*at, p, left) for at, p, left in bookings])

    def km(i, j):
        (lat, lon), (to_lat, to_lon) = drivers[i][0], bookings[j][0]
        return haversine(
            (CENTRE[0] + lat, CENTRE[1] + lon), (CENTRE[0] + to_lat, CENTRE[1] + to_lon)
        )

    possible = [
        (i, j)
        for i, j in itertools.product(range(3), range(len(bookings)))
        if drivers[i][1] < 3 and km(i, j) * CALM <= bookings[j][2]
    ]
    keys = {
        "nearest": lambda ij: (0, km(*ij)),
        "earliest": lambda ij: (bookings[ij[1]][2], km(*ij)),
        "least-loaded": lambda ij: (drivers[ij[0]][1], km(*ij)),
    }
    for name, key in keys.items():
        action = int(policy(name).act(obs)[0])
        if not possible:
            assert action == 0
            continue
        chosen = divmod(action - 1, 4)
        assert chosen in possible
        assert key(chosen) == pytest.approx(min(map(key, possible)), rel=1e-5, abs=1e-4)
    action = int(policy("matching").act(obs)[0])
    best = (0, 0.0)
    plans = [()]
    for size in range(1, min(3, len(bookings)) + 1):
        for plan in itertools.combinations(possible, size):
            if len({i for i, _ in plan}) == len({j for _, j in plan}) == size:
                value = (size, -sum(km(*ij) for ij in plan))
                if value > (best[0], best[1] + 1e-4 if size == best[0] else -np.inf):
                    best, plans = value, [plan]
                elif size == best[0] and value[1] > best[1] - 1e-4:
                    plans.append(plan)
    firsts = {min(plan, key=lambda ij: bookings[ij[1]][2]) for plan in plans if plan}
    urgent = {(i, j) for plan in plans for i, j in plan}
    soonest = {bookings[j][2] for _, j in firsts}
    if not firsts:
        assert action == 0
    else:
        chosen = divmod(action - 1, 4)
        assert chosen in urgent
        assert bookings[chosen[1]][2] in soonest


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scaling", ["physical", "published"])
def test_the_scaling_and_the_order_of_the_board_change_nothing(name, scaling):
    """The rules find the same pairs, whatever their numbers."""
    results = []
    for args in ({"hours": 2}, {"hours": 2, "scaling": scaling, "observation": "pairs"}):
        rule = policy(name, schema_of(DISPATCH_POC, **args))
        results.append(play_episodes(DISPATCH_POC, args, rule, list(range(20))).returns)
    np.testing.assert_allclose(*results, rtol=1e-9)
    if name != "matching":  # of two matchings of the same length either may be found
        args = {"hours": 2, "order": "urgency"}
        ordered = play_episodes(
            DISPATCH_POC, args, policy(name, schema_of(DISPATCH_POC, **args)), list(range(20))
        )
        np.testing.assert_allclose(ordered.returns, results[0], rtol=1e-9)


def test_urgency_puts_what_earliest_wants_first():
    env = BatchEnv(DISPATCH_POC, {"order": "urgency"}, 20)
    env.reset(list(range(20)))
    rule = load_policy("expert:dispatch-poc-earliest", Schema.of(env))
    first, others = 0, 0
    for _ in range(96):
        action = rule.act(env.obs, env.action_mask)
        # The nearest driver to the most urgent booking that is not lost, wherever there is one;
        # of two whose windows end together the rule takes the one with the shorter way.
        possible = env.action_mask[:, 1:].any(axis=1)
        np.testing.assert_array_equal(action > 0, possible)
        first += int((action == 1).sum())
        others += int((action > 1).sum())
        env.step(action)
    assert others < 0.03 * first


def test_random_without_the_mask_does_what_is_impossible():
    unmasked = load_policy("expert:dispatch-poc-random-unmasked", schema_of(DISPATCH_POC))
    kpis = play_episodes(DISPATCH_POC, {}, unmasked, list(range(20))).kpis
    assert kpis["invalid"].mean() > 50
    assert kpis["late_share"].mean() > 0.3
    draws = unmasked.act(np.zeros((4000, 122), np.float32), None, np.random.default_rng(0))
    assert set(draws.tolist()) == set(range(201))


@pytest.mark.full
def test_known_figures_of_the_original_dynamics():
    """10 x 20, 2 hours: 26 to 33 %, 69 % and 78 % of completion."""
    args = {"hours": 2, "faults": True}
    schema = schema_of(DISPATCH_POC, **args)
    expected = {"random-unmasked": 0.265, "nearest": 0.69, "earliest": 0.78}
    for name, share in expected.items():
        rule = load_policy(f"expert:dispatch-poc-{name}", schema)
        kpis = play_episodes(DISPATCH_POC, args, rule, list(range(1000))).kpis
        assert kpis["completion"].mean() == pytest.approx(share, abs=0.015)


class TestBadInput:
    @pytest.mark.parametrize("name", [*NAMES, "random-unmasked"])
    def test_another_environment_is_refused(self, name):
        with pytest.raises(InputError, match=DISPATCH_POC):
            load_policy(f"expert:dispatch-poc-{name}", schema_of())
        with pytest.raises(InputError, match="no argument"):
            load_policy(f"expert:dispatch-poc-{name}:fast", SCHEMA)

    @pytest.mark.parametrize("name", NAMES)
    def test_an_observation_that_is_no_number_is_refused(self, name):
        obs = board(DRIVERS, BOOKINGS)
        obs[0, 3] = np.nan
        with pytest.raises(InputError, match="row 0, column 3"):
            policy(name).act(obs)

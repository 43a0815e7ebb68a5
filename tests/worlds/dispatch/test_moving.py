"""Accepted rides move until they are locked; who must get home does; promises have a price."""

import numpy as np
import pytest

from compagnon.errors import InputError
from compagnon.worlds.dispatch import running_days, tables
from compagnon.worlds.dispatch.env import DispatchEnv
from compagnon.worlds.dispatch.fields import BOOKING, PAIR
from compagnon.worlds.dispatch.vector import DispatchVectorEnv
from tests.worlds.dispatch.worlds import plane_day, recount

FREE = {"answer": 0.0, "answer_on_call": 0.0, "answer_in_advance": 0.0}
PLACES = [(0, 0), (10, 0), (30, 0), (40, 0)]
# Driver 0 stands at the pickup at (0, 0), driver 1 near (30, 0).
FLEET = [{"start": 0, "end": 0}, {"start": 2, "end": 2}]
LONG = {"pickup_from": 200.0, "pickup_to": 260.0}


def begun(rides, drivers=FLEET, places=PLACES, **options):
    day = plane_day(rides, drivers, places)
    env = DispatchEnv(instances=[day], board=2, **{**FREE, **options})
    obs, info = env.reset(seed=0)
    return env, obs, info["action_mask"]


def give(driver, place):
    return 1 + driver * 2 + place


def of_place(env, obs, place, name):
    at = env.layout.board_start + place * len(BOOKING)
    return obs[at + [field.name for field in BOOKING].index(name)]


def of_pair(env, obs, driver, place, name):
    at = env.layout.pair_start + (driver * env.layout.board + place) * len(PAIR)
    return obs[at + [field.name for field in PAIR].index(name)]


def finish(env):
    over = False
    while not over:
        _, _, over, _, info = env.step(0)
    return info["kpis"]


def test_a_promised_ride_moves_to_the_driver_who_costs_less():
    env, obs, _ = begun([LONG], move=3.0)
    # From (30, 0) to the ride at (0, 0) and home: 30 + 10 + 20 km against 10 + 10.
    assert of_pair(env, obs, 1, 0, "added_cost") == pytest.approx(0.5 * 60)
    obs, reward, _, _, info = env.step(give(1, 0))
    assert reward == 0.0
    assert of_place(env, obs, 0, "promised") == 1
    assert of_place(env, obs, 0, "locked_in") == pytest.approx(200 - 30 - 15)
    # A move saves what the ride adds where it is, and adds what it adds elsewhere.
    assert of_pair(env, obs, 0, 0, "added_cost") == pytest.approx(0.5 * 20 - 0.5 * 60)
    assert info["action_mask"].tolist() == [True, True, False, False, False, False, False]
    obs, reward, _, _, _ = env.step(give(0, 0))
    assert reward == -3.0 - 0.5 * 20  # nothing more is to be asked: the day is driven to its end
    kpis = env.kpis()
    assert (kpis["moves"], kpis["cost_move"], kpis["km"], kpis["served"]) == (1, 3.0, 20.0, 1)
    assert kpis["answer_median"] == 0.0


def test_nobody_is_asked_for_a_move_that_is_not_worth_it_or_not_allowed():
    for options in ({"move_worth": 21.0}, {"replan": False}, {"move": 20.0}):
        env, _, _ = begun([LONG], **options)
        _, _, over, _, info = env.step(give(1, 0))
        assert over, options
        assert info["kpis"]["moves"] == 0
        assert info["kpis"]["km"] == 60.0


@pytest.mark.parametrize(("freeze", "moves"), [(60.0, True), (100.0, False)])
def test_a_ride_is_locked_before_its_driver_sets_out(freeze, moves):
    """Another call comes at minute 90; driver 1 sets out for the first ride at 170."""
    late = {"pickup": 2, "dropoff": 3, "announce": 90.0, "pickup_from": 300.0}
    env, _, _ = begun([LONG, late], freeze=freeze, move_worth=1000.0)
    obs, _, _, _, info = env.step(give(1, 0))
    assert env.world.money[0, running_days.NOW] == 90.0
    assert bool(of_place(env, obs, 1, "shown")) is moves
    assert bool(info["action_mask"][give(0, 1)]) is moves
    assert info["action_mask"][give(1, 0)]  # the call itself can be answered


def test_a_ride_moves_once_at_one_time_and_everybody_is_counted():
    env = DispatchVectorEnv(8, preset="clinic-day", move_worth=0.0)
    _, info = env.reset(seed=3)
    rng, moved = np.random.default_rng(0), 0
    board = env.layout.board
    for _ in range(300):
        w = env.world
        opened = np.minimum(board, w.counts[:, running_days.OPEN])
        mask = info["action_mask"].copy()
        for row in range(8):
            at_once = (
                w.rides[row, :, running_days.MOVED_AT] == 1 + w.counts[row, running_days.CLOCK]
            )
            shown = w.movable[row, : w.counts[row, running_days.SHOWN]]
            assert not at_once[shown].any()
            assert (w.status[row, shown] == running_days.PLANNED).all()
            moves = mask[row, 1 : 1 + 4 * board].reshape(4, board)[:, opened[row] :]
            moved += moves.any()
            declines = mask[row, 1 + 4 * board :]
            assert declines[: opened[row]].all()
            assert not declines[opened[row] :].any()  # a promise is kept
        _, _, _, _, info = env.step((rng.random(mask.shape) * mask).argmax(axis=1))
        recount(env.world, 0)
    assert moved > 200


def test_what_a_move_is_said_to_save_is_saved():
    """The planned costs of both drivers, reckoned before and after, differ by `added_cost`."""
    env = DispatchVectorEnv(1, preset="clinic-day", delay_minutes=0.0, move_worth=0.0, **FREE)
    rng, compared = np.random.default_rng(1), 0
    _, info = env.reset(seed=5)
    while compared < 60:
        w, board = env.world, env.layout.board
        mask = info["action_mask"][0]
        opened = min(board, int(w.counts[0, running_days.OPEN]))
        pairs = np.argwhere(mask[1 : 1 + 4 * board].reshape(4, board))
        moves = [(d, j) for d, j in pairs.tolist() if j >= opened]
        if not moves:
            _, _, _, _, info = env.step(np.array([rng.choice(np.flatnonzero(mask))]))
            continue
        d, j = moves[rng.integers(len(moves))]
        b = int(w.movable[0, j - opened])
        own = int(w.rides[0, b, running_days.BY_DRIVER])
        said = of_pair(env, env.observe()[0][0], d, j, "added_cost")
        now = w.money[0, running_days.NOW]
        before = planned_cost(w, {own, d})
        _, _, _, _, info = env.step(np.array([1 + d * board + j]))
        if w.money[0, running_days.NOW] != now:  # the clock went on: plans have been driven
            continue
        assert planned_cost(w, {own, d}) - before == pytest.approx(said, abs=1e-3)
        compared += 1


def planned_cost(w, drivers):
    """Driving, waiting and riding of some plans, from their stops alone (`insertion.plan_cost`)."""
    from compagnon.worlds.dispatch import plans

    total, doors = 0.0, 2 * w.bookings.shape[1]
    per_minute = 0.5 * w.rule[0, 2] / w.rule[0, 1]
    for d in drivers:
        for k in range(w.state[0, d, plans.COUNT]):
            node, stop = int(w.codes[0, d, k, plans.NODE]), w.stops[0, d, k]
            if node != plans.BREAK and (k or w.state[0, d, plans.PHASE] != plans.DRIVES):
                total += per_minute * stop[plans.LEG]
            if not 0 <= node < doors or w.codes[0, d, k, plans.PICKED_AT] == plans.DEAD:
                continue
            row = w.bookings[0, node // 2]
            if node % 2:
                total += 0.2 * (stop[plans.START] - stop[plans.BOARDED])
            else:
                waits = stop[plans.START] - row[tables.WAITS_FROM] - 15.0
                total += 0.3 * max(0.0, waits)
    return total


THERE_AND_BACK = [
    {"pickup_to": 30.0, "priority": 3},
    {
        "pickup": 1, "dropoff": 0, "linked_to": 0, "announce": 100.0, "pickup_from": 100.0,
        "pickup_to": 130.0, "priority": 3,
    },
]  # fmt: skip


def test_who_was_brought_gets_home_by_taxi():
    env, obs, _ = begun(THERE_AND_BACK, taxi_base=20.0, taxi_km=2.0)
    assert of_place(env, obs, 0, "gets_home") == 0
    assert of_place(env, obs, 0, "decline_cost") == 60 + 60  # the way back is lost with it
    obs, *_ = env.step(give(0, 0))
    assert env.world.money[0, running_days.NOW] == 100.0
    assert of_place(env, obs, 0, "gets_home") == 1
    assert of_place(env, obs, 0, "decline_cost") == 20 + 2 * 10
    _, _, over, _, info = env.step(1 + 2 * 2)
    assert over
    kpis = info["kpis"]
    assert (kpis["taxis"], kpis["rejected"], kpis["served"]) == (1, 0, 1)
    assert (kpis["cost_taxi"], kpis["cost_rejected"]) == (40.0, 0.0)
    assert kpis["served_share"] == 1.0


def test_whom_nobody_answers_goes_home_by_taxi_too_and_without_taxis_is_refused():
    env, _, _ = begun(THERE_AND_BACK, taxi_base=20.0, taxi_km=2.0)
    env.step(give(0, 0))
    assert finish(env)["cost_taxi"] == 40.0
    env, _, _ = begun(THERE_AND_BACK, taxi=False)
    env.step(give(0, 0))
    kpis = finish(env)
    assert (kpis["taxis"], kpis["rejected"], kpis["cost_rejected"]) == (0, 1, 60.0)


@pytest.mark.parametrize("why", ["no-show", "cancelled"])
def test_a_taxi_for_somebody_who_does_not_come_is_paid_and_counted_so(why):
    rides = [dict(one) for one in THERE_AND_BACK]
    rides[1] |= {"no_show": True} if why == "no-show" else {"cancel": 99.0, "announce": 90.0}
    rides[1]["announce"] = 90.0
    env, _, _ = begun(rides, taxi_base=20.0, taxi_km=2.0)
    env.step(give(0, 0))
    assert env.world.money[0, running_days.NOW] == 90.0
    env.step(1 + 2 * 2)
    kpis = env.kpis()
    assert kpis["cost_taxi"] == 40.0
    assert kpis["taxis"] == 0
    assert (kpis["no_show"], kpis["cancelled"]) == ((1, 0) if why == "no-show" else (0, 1))


def test_a_promise_that_cannot_be_kept_is_the_dearest():
    """The door of the way there takes so long that its rider is not there for the way back."""
    rides = [dict(one) for one in THERE_AND_BACK]
    rides[0] |= {"boarding_delay": 200.0, "pickup_from": 0.0, "dropoff_to": 60.0}
    rides[1] |= {"announce": 0.0}
    fleet = [{"start": 0, "end": 0}, {"start": 1, "end": 1}]
    env, _, _ = begun(rides, drivers=fleet, replan=False, taxi_base=20.0, taxi_km=2.0)
    _, _, _, _, info = env.step(give(0, 0))
    assert info["action_mask"][give(1, 0)]
    env.step(give(1, 0))
    kpis = env.kpis()
    assert (kpis["broken_promises"], kpis["cost_promise"]) == (1, 200.0)
    assert (kpis["taxis"], kpis["cost_taxi"], kpis["served"]) == (1, 40.0, 1)
    kept, _, _ = begun([THERE_AND_BACK[0], {**rides[1]}], drivers=fleet, replan=False)
    kept.step(give(0, 0))
    kept.step(give(1, 0))
    assert kept.kpis()["broken_promises"] == 0


def test_nobody_sits_in_a_parked_van():
    """A ride of 10 minutes that may not end before minute 120, fetched from minute 0 on."""
    ride = {"dropoff_from": 120.0, "dropoff_to": 150.0, "pickup_from": -np.inf, "pickup_to": 600.0}
    env, _, _ = begun([ride], drivers=FLEET[:1])
    env.step(1)
    w, kpis = env.world, env.kpis()
    # He is at the door at 120, but for 8 minutes that he keeps in hand.
    assert w.rides[0, 0, running_days.BOARDS] == 120 - 8 - 10 - 2
    assert w.rides[0, 0, running_days.RIDE] == 18.0
    assert kpis["cost_ride"] == pytest.approx(0.2 * 8.0)
    assert kpis["late_mean"] == 0.0


def test_who_is_told_when_he_is_fetched_is_not_put_off_beyond_the_promise():
    ride = {"dropoff_from": 120.0, "dropoff_to": 150.0, "pickup_from": 60.0, "pickup_to": 130.0}
    env, _, _ = begun([ride], drivers=FLEET[:1])
    env.step(1)
    assert env.world.rides[0, 0, running_days.BOARDS] == 60 + 15
    assert env.kpis()["cost_wait"] == 0.0


def test_who_is_held_back_is_planned_from_now_on():
    """While driver 0 holds back, what he could have done earlier is past: masks know it."""
    ride = {"dropoff_from": 120.0, "dropoff_to": 150.0, "pickup_from": -np.inf, "pickup_to": 600.0}
    # Asked at 60. From minute 0 on he could have fetched the first by 2 and been here by 60.
    call = {"pickup": 2, "dropoff": 3, "announce": 60.0, "pickup_from": 60.0, "pickup_to": 75.0}
    env, _, _ = begun([ride, call], drivers=FLEET[:1])
    _, _, _, _, info = env.step(1)
    assert env.world.money[0, running_days.NOW] == 60.0
    assert not info["action_mask"][1]  # 30 minutes away from where he stands
    near = {**call, "pickup": 1, "dropoff": 0}
    env, _, _ = begun([ride, near], drivers=FLEET[:1])
    _, _, _, _, info = env.step(1)
    assert info["action_mask"][1]
    env.step(1)
    kpis = env.kpis()
    assert (kpis["served"], kpis["violations"], kpis["late_mean"]) == (2, 0, 0.0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"replan": False, "freeze": 5.0}, "accepted rides do not move"),
        ({"taxi": False, "taxi_km": 1.0}, "leave taxi_base and taxi_km out"),
        ({"broken": 10.0}, "no less than the dearest refusal, 80"),
        ({"freeze": 2000.0}, "freeze=2000"),
        ({"impossible": -1.0}, "impossible"),
    ],
)
def test_options_that_contradict_are_named(options, words):
    with pytest.raises(InputError, match=words):
        DispatchEnv(**options)

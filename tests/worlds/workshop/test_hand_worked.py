"""Figures of the workshop worked out by hand, so that a person can check the rules on paper."""

import numpy as np
import pytest

from compagnon.worlds.workshop.env import WorkshopEnv
from compagnon.worlds.workshop.fields import FIELDS
from compagnon.worlds.workshop.vector import WorkshopVectorEnv

ALL = tuple(field.name for field in FIELDS)
WAIT = 200
QUIET = {"calm_factor": 0.0}  # nobody ever asks for anything


def p1(k):
    return k - 1


def step1(k):
    return 49 + k


def step2(k):
    return 99 + k


def order(k):
    return 149 + k


class Play:
    """A week in which one speaks of fields by name."""

    def __init__(self, seed=1, **options):
        self.env = WorkshopEnv(observation=ALL, **options)
        obs, self.info = self.env.reset(seed=seed)
        self.see = dict(zip(ALL, obs.tolist(), strict=True))
        self.terms = {}

    def do(self, action):
        obs, reward, self.over, _, self.info = self.env.step(action)
        self.see = dict(zip(ALL, obs.tolist(), strict=True))
        names = self.env.reward_term_names
        self.terms = dict(zip(names, self.info["reward_terms"].tolist(), strict=True))
        return reward

    def wait_until(self, minute):
        while self.see["time"] < minute:
            self.do(WAIT)

    def possible(self, action):
        return bool(self.info["action_mask"][action])


def test_doing_nothing_for_a_week_costs_the_waits_and_the_backlog():
    play = Play(seed=4)
    total = backlog = 0.0
    for _ in range(10_080):
        total += play.do(WAIT)
        if play.see["time"] % 15 == 0:
            backlog += play.see["backlog_p1"] + play.see["backlog_p2"]
    kpis = play.info["kpis"]
    assert play.over
    assert total == pytest.approx(-2016 - 0.02 * backlog, abs=1e-6)
    assert kpis["profit"] == pytest.approx(-0.02 * backlog, abs=1e-6)
    assert kpis["final_backlog_p1"] == kpis["demand_p1"] > 100
    assert kpis["waits"] == 10_080


def test_doing_nothing_earns_the_published_figure():
    """Published: -6,077 a week; about 234 P1 and 371 P2 asked for."""
    envs = WorkshopVectorEnv(200, decision_points=True)
    envs.reset(seed=0)
    ended = np.zeros(200, bool)
    kpis = np.zeros((200, len(envs.kpi_names)))
    while not ended.all():
        *_, info = envs.step(np.full(200, WAIT))
        if "final_info" in info:
            new = info["_final_info"] & ~ended
            kpis[new] = info["final_info"]["kpis"][new]
            ended |= new
    mean = dict(zip(envs.kpi_names, kpis.mean(axis=0), strict=True))
    assert mean["published_reward"] == pytest.approx(-6077, abs=60)
    assert mean["profit"] == pytest.approx(-4081, abs=60)
    # Var = 0.02^2 x the sum over ticks of Var(n) (672 - tick)^2, and Var(n) is 1.5 or 0.3.
    spread = kpis[:, envs.kpi_names.index("published_reward")].std()
    assert spread == pytest.approx(0.02 * (0.9 * 672**3 / 3) ** 0.5, rel=0.15)
    assert mean["demand_p1"] == pytest.approx(234, abs=6)
    assert mean["demand_p2"] == pytest.approx(371, abs=6)


def test_a_batch_of_p1_comes_out_unit_by_unit():
    play = Play(**QUIET)
    assert play.do(p1(5)) == pytest.approx(2.5)
    assert (play.see["raw"], play.see["m1_time_left"], play.see["m1_p1_left"]) == (5, 14, 5)
    seen = []
    while play.see["m1_busy"]:
        assert not play.possible(p1(1))
        assert play.do(WAIT) == pytest.approx(-0.2)
        seen.append((play.see["time"], play.see["p1"]))
    assert [(t, n) for t, n in seen if t % 3 == 0] == [(3, 1), (6, 2), (9, 3), (12, 4), (15, 5)]
    assert play.see["time"] == 15
    assert play.possible(p1(5))
    assert not play.possible(p1(6))


def test_p2_takes_both_machines():
    play = Play(**QUIET)
    assert play.do(step1(2)) == pytest.approx(10)
    play.wait_until(9)
    assert play.see["p2_inter"] == 0
    play.wait_until(10)
    assert (play.see["p2_inter"], play.possible(step2(1)), play.possible(step2(2))) == (
        1,
        True,
        False,
    )
    play.wait_until(20)
    assert play.do(step2(2)) == pytest.approx(30)
    assert (play.see["p2_inter"], play.see["m2_time_left"]) == (0, 29)
    play.wait_until(35)
    assert (play.see["p2"], play.see["m2_p2_left"]) == (1, 1)
    play.wait_until(50)
    assert (play.see["p2"], play.see["m2_busy"]) == (2, 0)
    assert play.env.kpis()["m2_utilisation"] == pytest.approx(30 / 50)


def test_an_impossible_launch_costs_one_and_changes_nothing():
    play = Play(**QUIET)
    assert play.do(p1(11)) == -1
    assert play.do(step2(1)) == -1
    assert (play.see["raw"], play.see["m1_busy"], play.see["m2_busy"]) == (10, 0, 0)
    assert play.env.kpis()["launches"] == 0


@pytest.mark.parametrize("seed", range(6))
def test_raw_arrives_two_hours_later_and_what_is_too_much_is_lost(seed):
    play = Play(seed, **QUIET)
    assert play.do(order(50)) == -50
    assert play.see["raw_in_transit"] == 50
    due = 1 + play.see["next_delivery"]
    assert 118 <= due <= 122
    play.wait_until(due)
    assert play.see["raw"] == 10
    play.do(WAIT)  # the delivery is due in this minute
    assert (play.see["raw"], play.see["raw_in_transit"], play.see["next_delivery"]) == (50, 0, 0)
    assert play.env.kpis()["overflow"] == 10
    assert play.env.kpis()["raw_ordered"] == 50


def test_delays_are_uniform_from_minus_two_to_two():
    delays = []
    for seed in range(400):
        play = Play(seed)
        play.do(order(1))
        delays.append(int(play.see["next_delivery"]) - 119)
    counts = np.bincount(np.array(delays) + 2, minlength=5)
    assert len(counts) == 5
    assert counts.min() > 50  # 80 expected, standard deviation 8


def test_thieves_come_at_five_to_midnight_and_leave_raw_alone():
    play = Play(**QUIET)
    play.do(p1(9))
    play.wait_until(1374)
    assert (play.see["p1"], play.see["theft_risk"]) == (9, 0)
    play.wait_until(1375)
    assert play.see["theft_risk"] == 1
    play.wait_until(1434)
    assert (play.see["p1"], play.see["theft_risk"]) == (9, 1)
    play.wait_until(1435)
    assert (play.see["p1"], play.see["raw"], play.see["theft_risk"]) == (8, 1, 0)  # int(8.1)
    play.wait_until(2 * 1440)
    assert play.see["p1"] == 7  # int(7.2)
    assert play.env.kpis()["theft"] == 2


def test_an_order_book_is_sold_at_the_next_quarter_of_an_hour(tmp_path):
    book = tmp_path / "book.csv"
    book.write_text("time,product,quantity\n14,P1,3\n15,P2,2\n30,P1,1\n")
    play = Play(demand=str(book))
    play.do(p1(4))
    play.wait_until(14)
    assert play.see["backlog_p1"] == 0
    assert play.do(WAIT) == pytest.approx(3 * 2 - 0.2)
    assert (play.see["p1"], play.see["backlog_p1"]) == (1, 0)
    play.wait_until(29)
    assert play.do(WAIT) == pytest.approx(-0.2 - 0.02 * 2)
    assert play.see["backlog_p2"] == 2
    play.wait_until(44)
    assert play.do(WAIT) == pytest.approx(2 - 0.2 - 0.04)
    assert play.terms == pytest.approx(
        {"sales_p1": 2, "sales_p2": 0, "raw_cost": 0, "backlog_cost": -0.04, "launch_bonus": 0,
         "wait_cost": -0.2, "invalid_cost": 0}
    )  # fmt: skip
    assert play.env.kpis()["served_share_p1"] == 1
    assert play.env.kpis()["served_share_p2"] == 0


def test_profit_leaves_bonus_and_waiting_out_but_reports_them(tmp_path):
    play = Play(reward="profit", **QUIET)
    assert play.do(p1(4)) == 0
    assert play.terms["launch_bonus"] == 2
    assert play.do(WAIT) == 0
    assert play.do(order(3)) == -3
    assert play.env.kpis()["published_reward"] == pytest.approx(2 - 0.2 - 3)
    assert play.env.kpis()["profit"] == -3


def test_set_up_comes_with_each_change_of_product_but_the_first():
    play = Play(setup_minutes=20, **QUIET)
    play.do(p1(1))
    play.wait_until(3)
    assert play.see["p1"] == 1
    play.do(step1(1))
    assert play.see["m1_time_left"] == 29
    play.wait_until(32)
    assert play.see["p2_inter"] == 0
    play.wait_until(33)
    assert play.see["p2_inter"] == 1
    play.do(step1(1))
    play.wait_until(43)
    assert play.see["p2_inter"] == 2
    play.do(p1(1))
    play.wait_until(66)
    assert (play.see["p1"], play.see["m1_ready_for"]) == (2, 1)
    assert play.env.kpis()["setup_share"] == pytest.approx(40 / 66)


def test_a_broken_machine_stops_and_goes_on_where_it_stopped():
    # Machines fail at the end of every minute in which they are up, and a repair takes a minute.
    play = Play(minutes_between_failures=0.5, repair_minutes=1.0, **QUIET)
    play.do(p1(1))
    assert (play.see["m1_down"], play.see["m2_down"], play.see["m1_time_left"]) == (1, 1, 2)
    play.do(WAIT)
    assert (play.see["m1_down"], play.see["m1_time_left"]) == (0, 2)
    play.do(WAIT)
    assert (play.see["m1_down"], play.see["m1_time_left"]) == (1, 1)
    play.wait_until(5)
    assert (play.see["p1"], play.see["m1_busy"]) == (1, 0)
    assert not play.possible(p1(1))  # free, but down
    assert play.do(p1(1)) == -1
    assert play.possible(p1(1))
    assert play.env.kpis()["m1_down_share"] == pytest.approx(3 / 6)


class TestDecisionPoints:
    """With decision points, waiting lasts until something happens."""

    def test_a_week_without_events_is_one_wait(self):
        play = Play(decision_points=True, **QUIET)
        assert play.do(WAIT) == pytest.approx(-2016)
        assert play.over
        assert play.info["elapsed"] == 10_080

    def test_waiting_ends_when_a_machine_comes_free_or_gets_work(self):
        play = Play(decision_points=True, **QUIET)
        play.do(step1(3))
        assert play.info["elapsed"] == 1
        play.do(WAIT)
        assert (play.see["time"], play.info["elapsed"]) == (10, 9)  # M2 may begin
        play.do(step2(1))
        times = []
        for _ in range(3):
            play.do(WAIT)
            times.append(play.see["time"])
        # M2 ends at 25 and finds the unit of minute 20, which was no event as M2 was busy;
        # M1 makes the third at 30 and comes free, at which nobody starts M2; nothing else comes.
        assert times == [25, 30, 10_080]

    def test_waiting_ends_at_a_delivery(self):
        play = Play(decision_points=True, **QUIET)
        play.do(order(5))
        play.do(WAIT)
        assert play.see["raw"] == 15

    def test_waiting_ends_at_demand_and_at_breakdowns(self, tmp_path):
        book = tmp_path / "book.csv"
        book.write_text("time,product,quantity\n100,P1,3\n")
        play = Play(decision_points=True, demand=str(book))
        play.do(WAIT)
        assert play.see["time"] == 105
        play.do(WAIT)
        assert play.over
        play = Play(decision_points=True, minutes_between_failures=500.0, **QUIET)
        play.do(WAIT)
        assert play.see["m1_down"] + play.see["m2_down"] == 1

    @pytest.mark.parametrize("seed", range(3))
    def test_elapsed_sums_to_the_week_and_rewards_to_the_same_week(self, seed):
        """Waiting by decision or by minute is the same play."""
        events, minutes = Play(seed, decision_points=True), Play(seed)
        elapsed, reward, every = 0, 0.0, 0.0
        events.over = False
        while not events.over:
            action = p1(1) if events.possible(p1(1)) else WAIT
            reward += events.do(action)
            elapsed += events.info["elapsed"]
            every += minutes.do(action)
            for _ in range(events.info["elapsed"] - 1):
                every += minutes.do(WAIT)
            same = {n for n in ALL if events.see[n] == minutes.see[n]}
            assert set(ALL) - same <= {"last_reward", "reward_total"}
        assert elapsed == 10_080
        assert minutes.over
        assert reward == pytest.approx(every)

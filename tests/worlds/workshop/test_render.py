"""The picture and the text say what happened, at the right place and the right time."""

import numpy as np
import pytest

from compagnon.worlds.workshop import render
from compagnon.worlds.workshop.env import WorkshopEnv
from compagnon.worlds.workshop.snapshot import HISTORY_COLUMNS, WorkshopSnapshot

QUIET = {"calm_factor": 0.0}
P1 = tuple(bytes.fromhex(render._P1[1:]))
STEP2 = tuple(bytes.fromhex(render._STEP2[1:]))


def shop_after(actions, mode="rgb_array", **options):
    """A shop that has played `actions`, a list of (action, how often)."""
    env = WorkshopEnv(render_mode=mode, **{**QUIET, **options})
    env.reset(seed=1)
    for action, times in actions:
        for _ in range(times):
            env.step(action)
    return env


def blocks(env):
    return [
        [(block.begins, block.ends, block.kind, block.size) for block in machine]
        for machine in render.machine_blocks(env._history.rows)
    ]


def count(picture, colour, rows=slice(None), columns=slice(None)):
    return int((picture[rows, columns] == colour).all(axis=-1).sum())


def test_a_picture_is_an_rgb_array():
    picture = shop_after([(4, 1)]).render()
    assert picture.shape == (render.HEIGHT, render.WIDTH, 3)
    assert picture.dtype == np.uint8


def test_nothing_is_drawn_unasked():
    env = WorkshopEnv()
    env.reset(seed=1)
    assert env.render() is None


def test_a_picture_without_history_is_drawn():
    env = shop_after([(4, 1)])
    shop = WorkshopSnapshot.of(*env._rows())
    assert render.to_image(shop, np.zeros((0, HISTORY_COLUMNS))).any()


def test_blocks_are_what_the_machines_did():
    # 2 P1; then set-up and 2 half-finished; M2 begins both units when they are there.
    env = shop_after([(1, 1), (200, 5), (51, 1), (200, 29), (101, 1), (200, 40)], setup_minutes=10)
    m1 = [(0, 6, "P1", 2), (6, 16, "set-up", 0), (16, 36, "step 1", 2)]
    assert blocks(env) == [m1, [(36, 66, "step 2", 2)]]


def test_back_to_back_batches_stay_apart():
    env = shop_after([(0, 1), (200, 2), (0, 1), (200, 2)])
    assert blocks(env)[0] == [(0, 3, "P1", 1), (3, 6, "P1", 1)]


def test_a_breakdown_is_shown_over_what_it_stops():
    env = shop_after([(0, 1), (200, 5)], minutes_between_failures=0.5, repair_minutes=1.0)
    kinds = [kind for *_, kind, _ in blocks(env)[0]]
    assert kinds == ["P1", "breakdown", "P1", "breakdown", "P1", "breakdown"]


@pytest.mark.parametrize("seed", range(3))
def test_blocks_are_right_in_time_whatever_a_step_lasts(seed):
    """Waiting by decision or by minute gives the same strip."""
    options = {
        "demand": "tight", "setup_minutes": 9, "minutes_between_failures": 200.0,
        "repair_minutes": 30.0, "render_mode": "rgb_array",
    }  # fmt: skip
    events, minutes = WorkshopEnv(decision_points=True, **options), WorkshopEnv(**options)
    mask = events.reset(seed=seed)[1]["action_mask"]
    minutes.reset(seed=seed)
    rng = np.random.default_rng(seed)
    for _ in range(600):
        work = np.flatnonzero(mask[:150])
        action = int(rng.choice(work)) if len(work) and rng.random() < 0.7 else 200
        action = 154 if rng.random() < 0.1 else action
        info = events.step(action)[4]
        mask = info["action_mask"]
        for i in range(info["elapsed"]):
            minutes.step(action if i == 0 else 200)
    assert blocks(events) == blocks(minutes)
    assert len(events._history.rows) < len(minutes._history.rows)
    assert {kind for *_, kind, _ in blocks(events)[0]} == {"P1", "step 1", "set-up", "breakdown"}
    strip = slice(72, 250)
    np.testing.assert_array_equal(events.render()[strip], minutes.render()[strip])


class TestRegions:
    """Each figure changes its own part of the picture."""

    gantt = (slice(110, 230), slice(80, 930))
    stocks = (slice(300, 500), slice(90, 330))
    orders = (slice(262, 524), slice(344, 576))
    week = (slice(262, 524), slice(588, 944))

    def test_machines_and_stock(self):
        idle, busy = shop_after([(200, 16)]).render(), shop_after([(4, 1), (200, 15)]).render()
        assert count(idle, P1, *self.gantt) == count(idle, P1, *self.stocks) == 0
        assert count(busy, P1, *self.gantt) > 200
        assert count(busy, P1, *self.stocks) > 200
        assert (idle[self.week] == busy[self.week]).all()

    def test_half_the_strip_is_half_the_window(self):
        picture = shop_after([(159, 1), (200, 130), (49, 1), (200, 149)]).render()
        # The middle of M1's bar, of a batch from minute 131 to 191 (20 units at most in stock).
        assert count(picture, P1, slice(120, 121), slice(80, 930)) == 0
        picture = shop_after([(159, 1), (200, 130), (19, 1), (200, 149)]).render()
        drawn = np.flatnonzero((picture[121, 80:930] == P1).all(axis=-1)) + 80
        left, right = 86.0, 924.0
        assert drawn.min() == pytest.approx(left + (right - left) * 131 / 720, abs=6)
        assert drawn.max() == pytest.approx(left + (right - left) * 191 / 720, abs=6)

    def test_the_strip_shows_the_last_twelve_hours(self):
        picture = shop_after([(4, 1), (200, 760)]).render()
        assert count(picture, P1, *self.gantt) == 0

    def test_orders_and_money(self, tmp_path):
        quiet = shop_after([(200, 60)]).render()
        asked = shop_after([(200, 60)], calm_factor=20.0).render()
        for region in (self.orders, self.week):
            assert (quiet[region] != asked[region]).any()
        assert (quiet[self.stocks] == asked[self.stocks]).all()
        ordered = shop_after([(154, 1), (200, 59)]).render()
        assert (quiet[self.orders] != ordered[self.orders]).any()

    def test_step_two_has_its_own_colour(self):
        picture = shop_after([(50, 1), (200, 9), (100, 1), (200, 9)]).render()
        m2 = (slice(172, 204), slice(80, 930))
        assert count(picture, STEP2, *m2) > 50
        assert count(picture, P1, *m2) == 0


def test_a_restored_shop_draws_from_where_it_was():
    env = shop_after([(4, 1), (200, 30)])
    other = WorkshopEnv(render_mode="rgb_array", **QUIET)
    other.load_state_dict(env.state_dict())
    other.step(200)
    assert other.render().shape == (540, 960, 3)
    assert blocks(other) == [[], []]


def test_a_new_week_is_a_new_picture():
    env = shop_after([(4, 1), (200, 30)])
    env.reset()
    assert blocks(env) == [[], []]


class TestText:
    def test_figures(self):
        text = shop_after([(154, 1), (4, 1), (200, 6)], mode="ansi").render()
        assert "Monday 00:08" in text
        assert "profit -5" in text
        assert "last decision: wait" in text
        assert "3 P1 left, 8 min" in text
        assert "raw 5  P1 2" in text
        assert "5 on its way, next in 11" in text

    def test_machines_in_words(self):
        text = shop_after([(51, 1), (200, 9), (100, 1)], mode="ansi").render()
        assert "M1       1 P2 (step 1) left, 9 min" in text
        assert "M2       1 P2 (step 2) left, 14 min" in text
        text = shop_after([(0, 1), (200, 2), (52, 1)], mode="ansi", setup_minutes=9).render()
        assert "set-up for 3 P2 (step 1), 8 min" in text
        text = shop_after([(200, 1)], mode="ansi", minutes_between_failures=0.5).render()
        assert text.count("broken down") == 2

    def test_the_last_minute(self):
        env = shop_after([(200, 1)], mode="ansi", decision_points=True)
        assert "Sunday 24:00" in env.render()

    def test_free_and_nothing_coming(self):
        text = shop_after([(200, 5)], mode="ansi").render()
        assert text.count("free") == 2
        assert "nothing on its way" in text

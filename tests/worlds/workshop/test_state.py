"""A shop from outside shows what the compiled environment shows, minute by minute."""

import numpy as np
import pytest

from compagnon.errors import InputError
from compagnon.worlds.workshop import arrays, constants
from compagnon.worlds.workshop.env import WorkshopEnv
from compagnon.worlds.workshop.fields import FIELDS
from compagnon.worlds.workshop.state import TASKS, ShopState

NAMES = {number: name for name, number in TASKS.items()}
OPTIONS = {
    "observation": tuple(field.name for field in FIELDS),
    "demand": "tight", "setup_minutes": 7, "minutes_between_failures": 300.0,
}  # fmt: skip


def shop_of(env: WorkshopEnv) -> ShopState:
    s, money, _ = env._rows()
    s = s.tolist()
    return ShopState(
        time=s[arrays.TIME],
        raw=s[arrays.RAW],
        p1=s[arrays.P1],
        p2_inter=s[arrays.P2_INTER],
        p2=s[arrays.P2],
        backlog_p1=s[arrays.BACKLOG_P1],
        backlog_p2=s[arrays.BACKLOG_P2],
        raw_in_transit=s[arrays.IN_TRANSIT],
        next_delivery=s[arrays.NEXT_DUE] - s[arrays.TIME] if s[arrays.IN_TRANSIT] else 0,
        m1_task=NAMES[s[arrays.M1_TASK]],
        m1_minutes_left=s[arrays.M1_LEFT],
        m1_setup_left=s[arrays.M1_SETUP],
        m2_minutes_left=s[arrays.M2_LEFT],
        m1_ready_for=NAMES[s[arrays.M1_READY_FOR]],
        m1_down=s[arrays.M1_DOWN] > 0,
        m2_down=s[arrays.M2_DOWN] > 0,
        recent_demand=float(money[arrays.RECENT_DEMAND]),
        last_action=s[arrays.LAST_ACTION],
        reward_total=float(money[arrays.REWARD_TOTAL]),
        last_reward=float(money[arrays.LAST_REWARD]),
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_a_shop_shows_what_the_environment_shows(seed):
    env = WorkshopEnv(**OPTIONS)
    obs, info = env.reset(seed=seed)
    rng = np.random.default_rng(seed)
    for _ in range(4000):
        shop = shop_of(env)
        np.testing.assert_array_equal(shop.mask(), info["action_mask"])
        np.testing.assert_allclose(shop.values().astype(np.float32), obs, rtol=1e-6)
        possible = np.flatnonzero(info["action_mask"])
        action = 200 if rng.random() < 0.7 else int(rng.choice(possible))
        obs, _, ended, _, info = env.step(action)
        assert not ended


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"raw": 51}, "raw"), ({"p1": -1}, "p1"), ({"time": 10_081}, "time"),
        ({"m1_task": "p1"}, "m1_minutes_left"), ({"m1_minutes_left": 3}, "m1_minutes_left"),
        ({"m1_task": "p2_step1", "m1_minutes_left": 501}, "m1_minutes_left"),
        ({"m2_minutes_left": 751}, "m2_minutes_left"), ({"next_delivery": 4}, "next_delivery"),
        ({"m1_ready_for": "x"}, "m1_ready_for"), ({"last_action": 201}, "last_action"),
        ({"recent_demand": float("nan")}, "recent_demand"),
    ],
)  # fmt: skip
def test_a_shop_that_cannot_be_names_the_field(change, field):
    shop = {"time": 0, "raw": 10, "p1": 0, "p2_inter": 0, "p2": 0, **change}
    with pytest.raises(InputError, match=f"^{field} "):
        ShopState(**shop)


BASE = {"time": 600, "raw": 12, "p1": 3, "p2_inter": 4, "p2": 0}
WORKS = {"m1_task": "p1", "m1_minutes_left": 4, "m1_setup_left": 3}


@pytest.mark.parametrize(
    ("change", "action", "words"),
    [
        ({}, constants.P1_START + 12, "it takes 13 raw, and the store holds 12"),
        ({}, constants.STEP1_START + 49, "it takes 50 raw, and the store holds 12"),
        ({}, constants.STEP2_START + 4, "it takes 5 half-finished P2, and the store holds 4"),
        (WORKS, constants.P1_START, "M1 is at work for another 7 minutes"),
        (WORKS, constants.STEP1_START, "M1 is at work for another 7 minutes"),
        ({"m2_minutes_left": 1}, constants.STEP2_START, "M2 is at work for another 1 minute"),
        ({"m1_down": True}, constants.P1_START, "M1 is broken down"),
        ({"m2_down": True}, constants.STEP2_START, "M2 is broken down"),
    ],
)
def test_why_an_action_is_impossible(change, action, words):
    assert ShopState(**{**BASE, **change}).why_impossible(action) == words


@pytest.mark.parametrize("change", [{}, WORKS, {"m1_down": True}, {"m2_down": True, "raw": 0}])
def test_every_masked_action_has_a_reason_and_no_other_has(change):
    shop = ShopState(**{**BASE, **change})
    reasons = [shop.why_impossible(action) is None for action in range(constants.NUM_ACTIONS)]
    np.testing.assert_array_equal(reasons, shop.mask())

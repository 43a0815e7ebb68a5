"""Every action of the workshop can be reached from the keys, and none is launched by accident."""

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from compagnon.envs import make
from compagnon.worlds.controls import DO, DOWN, LEFT, RIGHT, UP, WAIT, Keys
from compagnon.worlds.workshop import WORKSHOP, constants
from compagnon.worlds.workshop.desk import WorkshopDesk

ALL = np.ones(constants.NUM_ACTIONS, np.bool_)


def press(desk, *taps, mask=ALL):
    return desk.action(Keys(taps=taps), 0, mask)


def mask_of(**sizes):
    """A mask in which each family is possible up to a size."""
    mask = np.zeros(constants.NUM_ACTIONS, np.bool_)
    starts = {
        "p1": constants.P1_START,
        "step1": constants.STEP1_START,
        "step2": constants.STEP2_START,
        "order": constants.ORDER_START,
    }
    for name, size in sizes.items():
        mask[starts[name] : starts[name] + size] = True
    mask[constants.WAIT] = True
    return mask


@given(st.integers(0, constants.NUM_ACTIONS - 2))
def test_every_action_can_be_reached(action):
    desk = WorkshopDesk()
    family, size = divmod(action, constants.BATCHES)
    assert (
        press(desk, str(family + 1), *[DOWN] * constants.BATCHES) is None
    )  # down to 1, and no further
    assert press(desk, *[UP] * size) is None
    assert press(desk, DO) == action
    assert press(desk, DO) == action  # what was chosen stays chosen


def test_waiting_needs_a_key():
    desk = WorkshopDesk()
    assert desk.action(Keys(), 0, ALL) is None
    assert desk.action(Keys(frozenset({WAIT})), 0, ALL) == constants.WAIT
    assert press(desk, WAIT) == constants.WAIT


def test_left_and_right_go_round_and_sizes_stay_within_bounds():
    desk = WorkshopDesk()
    press(desk, LEFT)
    assert desk.label(desk.chosen) == "order 20 raw"
    press(desk, RIGHT, RIGHT)
    assert desk.label(desk.chosen) == "make 5 P2 (step 1)"
    press(desk, *[UP] * 99)
    assert desk.label(desk.chosen) == "make 50 P2 (step 1)"
    press(desk, "9", "0")  # keys that mean nothing here
    assert desk.label(desk.chosen) == "make 50 P2 (step 1)"


def test_one_look_launches_once_and_lets_go_of_the_rest():
    desk = WorkshopDesk()
    before = desk.chosen
    assert press(desk, DO, UP, DO) == before
    assert desk.chosen == before


@pytest.mark.parametrize(
    ("action", "mask", "said"),
    [
        (6, mask_of(p1=4), "cannot make 7 P1: 4 at most"),
        (50, mask_of(p1=4), "cannot make 1 P2 (step 1): M1 is not free, or there is no raw"),
        (149, mask_of(), "cannot make 50 P2 (step 2): M2 is not free, or there is no half-fin"),
    ],
)
def test_a_refusal_says_what_would_be_possible(action, mask, said):
    assert not mask[action]
    assert WorkshopDesk().refusal(action, mask).startswith(said)


def test_the_menu_shows_what_is_possible():
    desk = WorkshopDesk()
    lines = desk.menu(mask_of(p1=10, step1=3, order=50))
    assert [line.chosen for line in lines] == [True, False, False, False]
    assert [line.possible for line in lines] == [True, False, False, True]
    assert lines[0].text.endswith("5  (of 10)")
    assert lines[2].text.endswith("(not now)")


def test_the_menu_is_that_of_the_workshop_itself():
    env = make(WORKSHOP)
    _, info = env.reset(seed=1)  # 10 raw, both machines free
    lines = WorkshopDesk().menu(info["action_mask"])
    assert [line.text.partition("(")[2] for line in lines] == [
        "of 10)",
        "of 10)",
        "not now)",
        "of 50)",
    ]


def test_a_desk_for_each_game_and_for_the_workshop_alone():
    desk = WorkshopDesk()
    fresh = desk.for_space(spaces.Discrete(constants.NUM_ACTIONS))
    assert fresh is not None
    assert fresh is not desk
    press(fresh, UP, RIGHT)
    assert desk == WorkshopDesk()
    assert desk.for_space(spaces.Discrete(4)) is None

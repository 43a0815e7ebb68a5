"""Keys mean the action they say, and nothing that the environment would refuse."""

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from compagnon.worlds.controls import (
    DIRECTIONS,
    DO,
    DOWN,
    LEFT,
    RIGHT,
    UP,
    WAIT,
    Axis,
    DiscreteKeys,
    Keys,
    Parts,
    VectorKeys,
)

THREE = DiscreteKeys(("A", "B", "C"), rest=1, bindings=((LEFT, 0), (UP, 2)))
CAR = VectorKeys(
    (Axis("steer", (LEFT,), (RIGHT,)), Axis("gas", (), (UP,)), Axis("brake", (), (DOWN,), 0.8)),
)
CAR_SPACE = spaces.Box(np.float32([-1, 0, 0]), np.float32([1, 1, 1]))
FREE = frozenset


def held(*keys):
    return Keys(frozenset(keys))


def test_no_key_rests_and_a_key_acts():
    assert THREE.action(Keys(), 0, None) == 1
    assert THREE.action(held(LEFT), 0, None) == 0
    assert THREE.action(held(UP), 3, None) == 2
    assert THREE.action(held(RIGHT), 0, None) == 1  # bound to nothing


def test_a_tap_between_two_looks_is_not_lost():
    assert THREE.action(Keys(taps=(LEFT,)), 0, None) == 0


def test_two_keys_take_turns_and_opposites_cancel():
    both = [THREE.action(held(LEFT, UP), step, None) for step in range(4)]
    assert both == [0, 2, 0, 2]
    assert [THREE.action(held(LEFT, RIGHT, UP), step, None) for step in range(3)] == [2, 2, 2]
    assert held(LEFT, RIGHT).down == frozenset()
    assert Keys(frozenset({UP}), (DOWN, LEFT)).down == {LEFT}


def test_a_vector_goes_to_the_bounds_of_the_space():
    ready = CAR.for_space(CAR_SPACE)
    assert ready is not None
    none = ready.action(Keys(), 0, None)
    assert none.dtype == np.float32
    assert none.tolist() == [0, 0, 0]
    assert ready.action(held(LEFT, UP), 0, None).tolist() == [-1, 1, 0]
    assert ready.action(held(RIGHT, DOWN), 0, None).tolist() == pytest.approx([1, 0, 0.8])
    wide = VectorKeys((Axis("torque", (RIGHT,), (LEFT,)),), gentle=frozenset((UP,)))
    ready = wide.for_space(spaces.Box(-2, 2, (1,)))
    assert ready is not None
    assert ready.action(held(RIGHT), 0, None).tolist() == [-2]
    assert ready.action(held(LEFT, UP), 0, None).tolist() == [0.5]


def test_two_keys_of_one_axis_that_disagree_cancel():
    line = VectorKeys((Axis("x", (LEFT, DOWN), (RIGHT, UP)),))
    assert line.action(held(LEFT, UP), 0, None).tolist() == [0]
    assert line.action(held(LEFT, DOWN), 0, None).tolist() == [-1]
    assert line.action(held(UP), 0, None).tolist() == [1]


@given(st.sets(st.sampled_from(sorted(DIRECTIONS))), st.integers(0, 99))
def test_whatever_is_held_the_space_takes_it(keys, step):
    ready = CAR.for_space(CAR_SPACE)
    assert ready is not None
    assert CAR_SPACE.contains(ready.action(Keys(frozenset(keys)), step, None))
    assert spaces.Discrete(3).contains(THREE.action(Keys(frozenset(keys)), step, None))


def test_controls_fit_their_own_spaces_alone():
    assert THREE.for_space(spaces.Discrete(3)) is THREE
    for other in (spaces.Discrete(4), spaces.Discrete(3, start=1), spaces.Box(-1, 1, (3,))):
        assert THREE.for_space(other) is None
    for other in (spaces.Box(-1, 1, (2,)), spaces.Box(-1, 1, (3, 1)), spaces.Discrete(3)):
        assert CAR.for_space(other) is None


def test_likeness_by_hand():
    ready = CAR.for_space(CAR_SPACE)
    assert ready is not None
    assert ready.likeness([1, 1, 0], [1, 1, 0]) == 1
    assert ready.likeness([1, 1, 0], [-1, 0, 1]) == 0
    # steering half its range apart, gas a quarter, brake nothing
    assert ready.likeness([1, 0.5, 0], [0, 0.25, 0]) == pytest.approx(1 - (0.5 + 0.25) / 3)
    assert THREE.likeness(2, np.int64(2)) == 1
    assert THREE.likeness(2, np.int64(0)) == 0


def test_words():
    assert THREE.label(np.int64(2)) == "C"
    assert CAR.label(np.float32([-1, 0.5, 0])) == "steer -1.00, gas +0.50, brake +0.00"


def sheet():
    return Parts(("bread", "milk"), (3, 2)).for_space(spaces.Discrete(6))


def test_a_sheet_of_parts_takes_the_combination_that_was_chosen():
    parts = sheet()
    assert parts.action(Keys(taps=(UP, UP, UP, RIGHT, UP)), 0, None) is None
    assert parts.action(Keys(taps=(DO, DOWN)), 0, None) == 5  # 2 bread (no more), 1 milk
    assert parts.label(5) == "2 bread, 1 milk"
    assert parts.action(Keys(taps=(LEFT, DOWN, DO)), 0, None) == 3
    assert parts.action(Keys(taps=(WAIT,)), 0, None) == 0


def test_a_sheet_says_the_most_that_is_possible_of_each_part():
    parts = sheet()
    parts.action(Keys(taps=(UP, UP)), 0, None)
    mask = np.array([True, False, True, False, False, False])  # no milk, 1 bread at most
    lines = parts.menu(mask)
    assert [line.text for line in lines] == ["bread: 2  (of 1)", "milk: 0  (of 0)"]
    assert [(line.chosen, line.possible) for line in lines] == [(True, False), (False, True)]
    assert [line.text for line in parts.menu(None)] == ["bread: 2  (of 2)", "milk: 0  (of 1)"]


def test_a_sheet_fits_as_many_actions_as_there_are_combinations_and_is_fresh_each_time():
    parts = sheet()
    parts.action(Keys(taps=(UP,)), 0, None)
    assert parts.for_space(spaces.Discrete(6)).numbers == [0, 0]
    assert parts.for_space(spaces.Discrete(5)) is None
    assert parts.for_space(spaces.Discrete(6, start=1)) is None
    assert parts.for_space(spaces.MultiDiscrete([3, 2])) is None

"""The search for numbers of a rule finds the top of a hill; fresh episodes have the last word."""

import numpy as np
import pytest

from compagnon.cli import main
from compagnon.errors import InputError
from compagnon.worlds.registry import find_world
from compagnon.worlds.rule_search import search_numbers

BOUNDS = (np.array([0, -20]), np.array([40, 20]))
TOP = np.array([31, -12])


class Hill:
    """Scores that fall away from a top; it notes who asked for what."""

    def __init__(self, top=TOP, fresh_top=None):
        self.tops = (top, top if fresh_top is None else fresh_top)
        self.asked = []

    def __call__(self, tried, episodes, first_seed):
        self.asked.append((tried.copy(), episodes, first_seed))
        top = self.tops[0 if first_seed == 0 else 1]
        return -np.abs(tried - top).sum(axis=1).astype(float)


def test_the_top_is_found_nearly():
    found = search_numbers(BOUNDS, Hill(), 400, 0, 4)
    assert found.trials == 400
    assert np.abs(found.values - TOP).sum() <= 3
    again = search_numbers(BOUNDS, Hill(), 400, 0, 4)
    assert np.array_equal(found.values, again.values)


def test_whoever_is_known_is_tried_first_and_nothing_leaves_the_bounds():
    hill = Hill()
    found = search_numbers(BOUNDS, hill, 30, 0, 4, known=TOP[None])
    assert found.values.tolist() == TOP.tolist()
    assert hill.asked[0][0].tolist() == [TOP.tolist()]
    tried = np.concatenate([asked[0] for asked in hill.asked[:-1]])
    assert len(tried) == 30
    assert ((tried >= BOUNDS[0]) & (tried <= BOUNDS[1])).all()


def test_the_ten_best_are_judged_on_fresh_episodes():
    hill = Hill(fresh_top=TOP - 4)
    found = search_numbers(BOUNDS, hill, 200, 0, 4, first_seeds=(0, 900))
    finalists, episodes, seed = hill.asked[-1]
    assert (len(finalists), episodes, seed) == (10, 32, 900)
    assert found.score == hill(finalists, 32, 900).max()
    assert found.values.tolist() in finalists.tolist()


@pytest.mark.parametrize(("trials", "episodes", "seed"), [(0, 4, 0), (4, 0, 0), (4, 4, -1)])
def test_what_makes_no_sense_is_refused(trials, episodes, seed):
    with pytest.raises(InputError, match=f"trials={trials}, episodes={episodes}, seed={seed}"):
        search_numbers(BOUNDS, Hill(), trials, seed, episodes)
    with pytest.raises(InputError, match="at most 1,000,000"):
        search_numbers(BOUNDS, Hill(), 1_000_001, 0, 4)


def test_a_world_without_numbers_says_which_have_them(capsys):
    assert find_world("CartPole-v1").rule_search() is None
    assert main(["search-rule", "--env", "CartPole-v1"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "it has no rule with numbers to search; these do: " in said
    assert "Workshop" in said
    assert "Dispatch" in said

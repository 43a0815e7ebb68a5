"""What each candidate costs beside the others, and why a decision of dispatch is impossible."""

import json
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from compagnon.worlds.dispatch import DISPATCH
from compagnon.worlds.dispatch.board import Board
from compagnon.worlds.dispatch.codec import BoardCodec, board_codec
from compagnon.worlds.dispatch.env import DispatchEnv
from tests.policy.networks import schema_of
from tests.worlds.dispatch.boards import board_of

OPTIONS = {"preset": "clinic-day"}


@pytest.fixture(scope="module")
def codec() -> BoardCodec:
    found = board_codec(schema_of(DISPATCH, **OPTIONS), OPTIONS)
    assert found is not None
    return found


def moments(steps: int):
    """Boards of one day with their masks, and what each decision then gave."""
    env = DispatchEnv(**OPTIONS)
    _, info = env.reset(seed=3)
    rng = np.random.default_rng(0)
    for _ in range(steps):
        board = msgspec.json.decode(json.dumps(board_of(env.world)), type=Board)
        mask = info["action_mask"].copy()
        action = int(rng.choice(np.flatnonzero(mask)))
        _, reward, ended, _, info = env.step(action)
        yield board, mask, action, reward
        if ended:
            return


def test_every_masked_decision_has_a_reason_and_no_other_has(codec: BoardCodec) -> None:
    seen = set()
    for board, mask, *_ in moments(25):
        reasons = [codec.why_impossible(board, action) for action in range(len(mask))]
        np.testing.assert_array_equal([reason is None for reason in reasons], mask)
        seen |= {str(reason).split()[0] for reason in reasons}
    assert {"it", "nowhere", "None"} <= seen
    idle = [
        replace(one, plan=[], aboard=[], alighting=None, phase="waits") for one in board.drivers
    ]
    empty = replace(board, rides=[], drivers=idle)
    assert str(codec.why_impossible(empty, 1)).startswith("no booking")


def test_a_skill_or_a_seat_that_is_lacking_is_named(codec: BoardCodec) -> None:
    board, _, _, _ = next(moments(1))
    drivers = [replace(one, skills=["lift"], seats=(9, 9, 9, 9)) for one in board.drivers]
    rides = [replace(one, needs=["lift", "oxygen"], seats=(1, 0, 0, 0)) for one in board.rides]
    no_skill = replace(board, drivers=drivers, rides=rides)
    said = {
        codec.why_impossible(no_skill, 1 + d * codec._layout.board) for d in range(len(drivers))
    }
    assert said == {
        f"driver {d} has no 'oxygen' among the skills, which it needs" for d in range(len(drivers))
    }
    large = [replace(one, needs=[], seats=(10, 0, 0, 0)) for one in board.rides]
    reason = str(codec.why_impossible(replace(no_skill, rides=large), 1))
    assert reason == "the vehicle of driver 0 has fewer seats of its kind, were it empty"


def test_candidates_cost_what_the_environment_shows_and_takes(codec: BoardCodec) -> None:
    layout, refused = codec._layout, 0
    pairs = layout.drivers * layout.board
    for board, mask, action, reward in moments(60):
        costs = codec.candidate_costs(board)
        assert not np.isfinite(costs[~mask]).any()
        assert np.isnan(costs[0])
        assert np.isfinite(costs[1 : 1 + pairs][mask[1 : 1 + pairs]]).all()
        if action > pairs and np.isfinite(costs[action]):
            assert -reward >= costs[action] - 1e-6  # and what the time until the next one cost
            refused += 1
    assert refused > 3

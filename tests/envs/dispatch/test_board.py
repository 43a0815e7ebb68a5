"""A board from outside shows what the environment shows at the same moment."""

import json

import msgspec
import numpy as np
import pytest

from compagnon.envs.dispatch import kernel as K
from compagnon.envs.dispatch.board import Board, BoardReader
from compagnon.envs.dispatch.env import DispatchEnv
from compagnon.errors import InputError
from tests.envs.dispatch.boards import board_of

OPTIONS = {"preset": "clinic-day", "tightness": 1.5, "cancel": 0.2}


def reader_of(env):
    return BoardReader(env.layout, env.options.weights())


def read(value):
    return msgspec.json.decode(json.dumps(value, allow_nan=False), type=Board)


def moments(seed, steps):
    """Moments of a day that is played by chance: the environment, its observation, its mask."""
    env = DispatchEnv(**OPTIONS)
    rng = np.random.default_rng(seed)
    obs, info = env.reset(seed=seed)
    for _ in range(steps):
        yield env, obs, info["action_mask"]
        possible = np.flatnonzero(info["action_mask"][: 1 + env.layout.drivers * env.layout.board])
        obs, _, ended, _, info = env.step(int(rng.choice(possible)))
        if ended:
            return


@pytest.mark.parametrize("seed", [1, 2])
def test_a_board_shows_what_the_environment_shows(seed):
    looked = 0
    for k, (env, obs, mask) in enumerate(moments(seed, 240)):
        if k % 4:
            continue
        found, possible = reader_of(env).look(read(board_of(env.world)))
        np.testing.assert_array_equal(possible, mask)
        np.testing.assert_allclose(found, obs, rtol=1e-5, atol=1e-3)
        looked += 1
    assert looked > 20

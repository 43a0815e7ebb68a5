"""An environment with observations and actions of several parts is played beside a policy."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from compagnon.errors import InputError
from compagnon.worlds.controls import DO, UP, Keys, Parts
from compagnon.worlds.game import Game

pytest.importorskip("pygame")


class Sheet(gymnasium.Env):
    metadata = {"render_modes": ["rgb_array"], "render_fps": 4}  # noqa: RUF012
    observation_space = spaces.Dict({"day": spaces.Discrete(3), "stock": spaces.Box(0, 9, (2,))})
    action_space = spaces.MultiDiscrete([3, 2])

    def __init__(self, render_mode=None):
        self.render_mode, self.given = render_mode, []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return {"day": 0, "stock": np.zeros(2, np.float32)}, {}

    def step(self, action):
        self.given.append(np.asarray(action).tolist())
        return {"day": 1, "stock": np.ones(2, np.float32)}, 1.0, True, False, {}

    def render(self):
        return np.zeros((4, 6, 3), np.uint8)


GAME = Game("sheet", "Sheet", "Fill it.", "test/Sheet-v0", (Parts(("a", "b"), (3, 2)),), (), 10)


@pytest.fixture
def registered():
    gymnasium.register("test/Sheet-v0", entry_point=Sheet)
    yield
    gymnasium.registry.pop("test/Sheet-v0")


@pytest.mark.usefixtures("registered")
def test_parts_are_played_and_a_policy_sees_them():
    from compagnon.play.opening import open_session

    session = open_session(GAME, seed=1, agent="constant:1")
    assert session.picture().shape == (4, 6, 3)
    session.tick(Keys(taps=(UP, DO)))
    (played,) = session.results
    assert session.yours == 2  # 1 of a, 0 of b
    assert (played.score, played.agent_score, played.likeness) == (1.0, 1.0, 0.0)


@pytest.mark.usefixtures("registered")
def test_an_argument_that_it_does_not_take_is_named():
    from compagnon.play.opening import open_session

    with pytest.raises(InputError, match=r"test/Sheet-v0.*colour"):
        open_session(GAME, seed=1, env_args={"colour": 1})

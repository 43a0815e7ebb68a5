"""Gymnasium's own checker is content with every environment that we register, as it is."""

import warnings

import gymnasium
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

from compagnon.errors import InputError
from compagnon.plugins import own_worlds
from compagnon.worlds.dispatch.env import DispatchEnv

OURS = {
    env_id for world in own_worlds() for env_id in world.env_ids if env_id.startswith("compagnon/")
}


@pytest.mark.parametrize("env_id", sorted(OURS))
def test_gymnasium_is_content(env_id):
    spec = gymnasium.spec(env_id)
    env = gymnasium.make(env_id).unwrapped
    env.spec = spec  # with it the checker tries the render modes too
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*symmetric and normalized space.*")
        check_env(env)


def test_every_environment_of_ours_is_checked():
    assert {one for one in gymnasium.registry if one.startswith("compagnon/")} == OURS


class Strict(DispatchEnv):
    """Refuses what its mask does not allow, though it is in the action space."""

    def step(self, action):
        if not self._core.out.mask[0, action]:
            raise InputError(f"action {action} is not possible now")
        return super().step(action)


def test_the_checker_catches_an_environment_that_refuses_its_own_actions():
    env = Strict(preset="clinic-day")
    assert isinstance(env.action_space, spaces.Discrete)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(InputError, match="not possible now"):
            check_env(env, skip_render_check=True)

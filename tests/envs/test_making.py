"""A wrong name or argument is answered with what would be right."""

import sys

import gymnasium
import pytest
from gymnasium.error import DependencyNotInstalled

from compagnon.envs import BatchEnv, make, make_vec
from compagnon.errors import InputError
from compagnon.worlds.workshop import WORKSHOP

NEAR = {
    "compagnon/Workshop-v1": WORKSHOP,
    "compagnon/workshop-v0": WORKSHOP,
    "Workshop-v0": WORKSHOP,
    "workshop": WORKSHOP,
    "Cartpole-v1": "CartPole-v1",
    "CartPole": "CartPole-v1",
    "CartPole-v9": "CartPole-v1",
}


@pytest.mark.parametrize(("wrong", "right"), NEAR.items())
@pytest.mark.parametrize("how", [make, lambda env_id: make_vec(env_id, 2)])
def test_a_near_name_is_suggested(wrong, right, how):
    with pytest.raises(InputError, match=f"no environment is called '{wrong}'.*{right}"):
        how(wrong)


@pytest.mark.parametrize("wrong", ["qqqq", "", "no_such_module:Env-v0"])
def test_a_name_like_nothing_is_refused(wrong):
    with pytest.raises(InputError, match="no environment is called"):
        make(wrong)


@pytest.mark.parametrize("env_id", [WORKSHOP, "CartPole-v1"])
def test_an_unknown_argument_is_named(env_id):
    with pytest.raises(InputError, match="colour"):
        make(env_id, colour="red")
    with pytest.raises(InputError, match="colour"):
        make_vec(env_id, 2, colour="red")


def test_a_bad_value_is_named():
    for how in (lambda **a: make(WORKSHOP, **a), lambda **a: make_vec(WORKSHOP, 2, **a)):
        with pytest.raises(InputError, match="setup_minutes=-1"):
            how(setup_minutes=-1)


def test_no_copies_is_no_number():
    for env_id in (WORKSHOP, "CartPole-v1"):
        with pytest.raises(InputError, match="num_envs=0: give 1 to "):
            make_vec(env_id, 0)


def test_ours_is_found_by_gymnasium_itself():
    assert gymnasium.make(WORKSHOP).unwrapped.observation_space.shape == (23,)
    assert gymnasium.make_vec(WORKSHOP, num_envs=3).num_envs == 3


def test_arguments_arrive():
    assert BatchEnv(WORKSHOP, {"observation": "compact"}, 2).obs.shape == (2, 13)


@pytest.mark.parametrize("how", [make, lambda env_id: BatchEnv(env_id, {}, 2)])
def test_without_box2d_one_sentence_says_what_to_install(monkeypatch, how):
    for module in [
        name for name in sys.modules if name.startswith(("Box2D", "gymnasium.envs.box2d"))
    ]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "Box2D", None)  # as if it were not installed
    with pytest.raises(
        InputError, match=r"needs Box2D: pip install 'compagnon\[control\]'"
    ) as caught:
        how("LunarLander-v3")
    assert "\n" not in str(caught.value)


def test_another_package_that_is_missing_is_named(monkeypatch):
    def missing(*args, **kwargs):
        raise DependencyNotInstalled("some package is not installed, run `pip install some`")

    monkeypatch.setattr(gymnasium, "make", missing)
    with pytest.raises(InputError, match="CartPole-v1 cannot be made: some package"):
        make("CartPole-v1")

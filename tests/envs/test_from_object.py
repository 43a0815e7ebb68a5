"""An environment gets a name in whatever form it is given, and copies are made by that."""

import functools
import pickle
import threading

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import TransformReward

from compagnon.envs import BatchEnv
from compagnon.envs.finding import find_env
from compagnon.envs.from_object import GivenEnv, given_env, register_again
from compagnon.errors import InputError
from tests.envs.own import Clock


@pytest.fixture(autouse=True)
def _forgotten():
    known = set(gymnasium.registry)
    yield
    for env_id in set(gymnasium.registry) - known:
        del gymnasium.registry[env_id]


class Slower(Clock):
    """A clock with an argument."""

    def __init__(self, limit: int = 7) -> None:
        super().__init__({}, limit)


def made(limit: int = 5) -> gymnasium.Env:
    return Slower(limit)


def length_of(given: GivenEnv) -> int:
    """Steps of an episode of a copy."""
    env = BatchEnv(given.id, given.args, 2)
    env.reset([1, 2])
    steps = 0
    while True:
        steps += 1
        step = env.step(np.zeros((2, *env.action_space.shape), env.action_space.dtype))
        if (step.terminated | step.truncated).all():
            return steps


# -- what has a name of its own -------------------------------------------------------------------


def test_an_id_is_itself():
    assert given_env("CartPole-v1", {"sutton_barto_reward": True}) == GivenEnv(
        "CartPole-v1", {"sutton_barto_reward": True}
    )
    with pytest.raises(InputError, match="did you mean CartPole-v1"):
        given_env("CartPol-v1")


def test_what_gymnasium_made_is_called_by_its_spec():
    one = gymnasium.make("CartPole-v1", sutton_barto_reward=True, render_mode="rgb_array")
    assert given_env(one) == GivenEnv("CartPole-v1", {"sutton_barto_reward": True})
    limited = given_env(gymnasium.make("CartPole-v1", max_episode_steps=9))
    assert limited == GivenEnv("CartPole-v1", {"max_episode_steps": 9})
    assert length_of(given_env(gymnasium.make("Pendulum-v1", max_episode_steps=4))) == 4


@pytest.mark.parametrize("mode", ["sync", "vector_entry_point"])
def test_copies_of_gymnasium_s_are_as_many_of_the_same(mode):
    many = gymnasium.make_vec("CartPole-v1", 3, vectorization_mode=mode)
    assert given_env(many) == GivenEnv("CartPole-v1", {}, 3)


def test_a_class_or_function_of_a_module_is_called_by_where_it_stands():
    here = "tests.envs.test_from_object"
    assert given_env(Slower) == GivenEnv(f"{here}:Slower", {})
    assert length_of(given_env(Slower)) == 7
    assert length_of(given_env(Slower, {"limit": 3})) == 3
    assert given_env(made).id == f"{here}:made"
    assert length_of(given_env(f"{here}:made")) == 5
    with pytest.raises(InputError, match="does not register it"):
        find_env(f"{here}:missing")


# -- what only this program has -------------------------------------------------------------------


def test_an_object_is_a_template_that_is_never_stepped():
    original = Slower(4)
    original.reset(seed=0)
    given = given_env(original)
    original.limit = 100  # what is changed afterwards is not the template's
    assert given.id.startswith("session/Slower")
    assert length_of(given) == 4
    assert original.actions == []


def test_a_wrapped_object_keeps_its_wrappers():
    wrapped = TransformReward(gymnasium.make("Pendulum-v1"), lambda reward: 7.0)
    given = given_env(wrapped)
    env = BatchEnv(given.id, given.args, 1)
    env.reset([3])
    assert env.step(np.zeros((1, 1), np.float32)).reward == [7.0]
    assert find_env(given.id).max_episode_steps == 200


def test_factories_of_this_program_keep_their_id_and_do_not_take_another_s():
    ids = []
    for limit in (2, 3):

        def factory(limit: int = limit) -> gymnasium.Env:
            return Slower(limit)

        ids.append(given_env(factory))
        assert given_env(factory) == ids[-1]
    assert ids[0].id != ids[1].id
    assert [length_of(given) for given in ids] == [2, 3]
    assert length_of(given_env(functools.partial(Slower, limit=6))) == 6
    assert length_of(given_env(lambda limit: made(limit + 1), {"limit": 7})) == 8


def test_copies_of_an_own_environment_are_made_from_one_of_them():
    many = gymnasium.vector.SyncVectorEnv([lambda: Slower(3)] * 2)
    given = given_env(many)
    assert given.num_envs == 2
    assert length_of(given) == 3


def test_it_goes_to_processes_of_their_own():
    given = given_env(Slower(4))
    assert pickle.loads(pickle.dumps(given)) == given
    env = BatchEnv(given.id, given.args, 2, "processes")
    env.reset([1, 2])
    for _ in range(3):
        assert not env.step(np.zeros(2, np.int64)).truncated.any()
    assert env.step(np.zeros(2, np.int64)).truncated.all()
    env.close()


def test_the_id_of_a_program_that_ended_may_be_given_again():
    with pytest.raises(InputError, match="it was an object or a function of a Python program"):
        find_env("session/Shop")
    register_again("session/Shop", lambda: Slower(5))
    assert length_of(GivenEnv("session/Shop")) == 5
    register_again("session/Shop", gymnasium.make("Pendulum-v1", max_episode_steps=6))
    assert length_of(GivenEnv("session/Shop")) == 6
    with pytest.raises(InputError, match="by its own name"):
        register_again("CartPole-v1", Slower)


# -- what is none ---------------------------------------------------------------------------------


def test_what_cannot_be_copied_is_refused_with_what_would_do():
    stuck = Slower()
    stuck.lock = threading.Lock()
    with pytest.raises(InputError, match=r"cannot be copied .* such as lambda: MyEnv\(\)"):
        given_env(stuck)


def test_what_is_no_environment_is_refused():
    with pytest.raises(InputError, match="3 is no environment"):
        given_env(3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="is made already"):
        given_env(Slower(), {"limit": 3})
    with pytest.raises(InputError, match="must inherit from the gymnasium"):
        BatchEnv(given_env(dict).id, {}, 1)  # type: ignore[arg-type]
    wrapped = gymnasium.wrappers.vector.RecordEpisodeStatistics(
        gymnasium.make_vec("CartPole-v1", 2)
    )
    with pytest.raises(InputError, match="is stepped as a whole"):
        given_env(wrapped)

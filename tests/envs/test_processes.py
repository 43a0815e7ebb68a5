"""Copies in processes are the copies here, to the last bit; a process that ends is named."""

import os
import signal
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from compagnon.envs import BatchEnv, make_vec
from compagnon.envs.processes import ProcessVectorEnv
from compagnon.errors import FaultyEnvError, InputError
from tests.envs.masked import COUNTER, register_counter
from tests.envs.own import Clock
from tests.envs.test_own_steps import Business
from tests.tiers import full

register_counter()
FAILING, SHOP, LATE = "test/Failing-v0", "test/Shop-v0", "test/Late-v0"
MOODY = "test/Moody-v0"


class Failing(Clock):
    """Does something bad in its third step when its first seed was 1."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.bad = how, False

    def reset(self, *, seed=None, options=None):
        self.bad = seed == 1
        return super().reset(seed=seed, options=options)

    def step(self, action):
        obs, reward, *rest = super().step(action)
        if self.bad and self.count == 3:
            if self.how == "exit":
                os._exit(7)
            if self.how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.how == "raise":
                raise RuntimeError("the simulator lost its licence")
            obs = obs * np.nan
        return obs, reward, *rest


class Shop(Business):
    """Sells what its generator says, for episodes of different lengths."""

    def reset(self, *, seed=None, options=None):
        obs, info = super().reset(seed=seed, options=options)
        self.limit = int(self.np_random.integers(2, 5))
        return obs, info

    def _now(self):
        sales = float(self.np_random.random())
        self.script[self.count] = {
            "reward": sales,
            "info": {
                "reward_terms": {"sales": sales, "waste": 0.0},
                "kpis": {"profit": self.count, "waste": sales},
                "elapsed": 1 + self.count,
            },
        }
        return super()._now()


class Late(Shop):
    """Names its figures only when an episode ends, beside terms that are named beforehand."""

    kpi_names = ()

    def step(self, action):
        *rest, info = super().step(action)
        return *rest, {**info, "kpis": {"served": 7.0 + self.count}}


class Moody(Clock):
    """Raises in its second step while a file is there, in the episode of seed 2."""

    def __init__(self, file: str) -> None:
        super().__init__()
        self.file = file

    def reset(self, *, seed=None, options=None):
        self.bad = seed == 2
        return super().reset(seed=seed, options=options)

    def step(self, action):
        if self.bad and self.count == 1 and Path(self.file).exists():
            raise LookupError("no such order")
        return super().step(action)


for env_id, kind in ((MOODY, Moody), (FAILING, Failing), (SHOP, Shop), (LATE, Late)):
    if env_id not in gymnasium.registry:
        gymnasium.register(env_id, entry_point=kind)


@pytest.fixture
def opened():
    """Opens batches, and closes them at the end."""
    batches = []

    def open_(env_id, args, num_envs, backend="processes"):
        batches.append(BatchEnv(env_id, args, num_envs, backend))
        return batches[-1]

    yield open_
    for batch in batches:
        batch.close()


def history(env: BatchEnv, steps: int) -> list[np.ndarray]:
    seen = [env.obs.copy(), env.action_mask.copy()]
    rng = np.random.default_rng(0)
    for _ in range(steps):
        draw = rng.random(env.action_mask.shape)
        step = env.step(np.where(env.action_mask, draw, -1.0).argmax(axis=1))
        if step.kpis is not None:  # only rows of episodes that ended mean something
            ended = (step.terminated | step.truncated)[:, None]
            step = step._replace(kpis=np.where(ended, step.kpis, 0.0))
        seen += [np.array(part, copy=True) for part in step if part is not None]
    return seen


@pytest.mark.parametrize("env_id", [COUNTER, full(SHOP)])
def test_the_same_seeds_give_the_same_steps_to_the_last_bit(opened, env_id):
    here = opened(env_id, {}, 5, "gymnasium")
    there = opened(env_id, {}, 5)
    assert len(there.vec.processes) == min(5, len(os.sched_getaffinity(0)))
    for env in (here, there):
        env.reset([3, 1, 4, 1, 5])
    first, second = history(here, 40), history(there, 40)
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    assert here.kpi_names == there.kpi_names
    assert [f.name for f in here.fields] == [f.name for f in there.fields]


@pytest.mark.full
def test_how_many_processes_there_are_changes_nothing():
    seen = []
    for workers in (1, 3):
        vec = ProcessVectorEnv(COUNTER, 3, {}, BatchEnv, workers)
        obs, info = vec.reset(seed=[7, 8, 9])
        steps = [vec.step(info["action_mask"].argmax(axis=1))[0] for _ in range(6)]
        seen.append(np.stack([obs, *steps]))
        vec.close()
        assert not any(process.is_alive() for process in vec.processes)
    np.testing.assert_array_equal(*seen)


@pytest.mark.parametrize("env_id", ["CartPole-v1", full(COUNTER)])
def test_what_was_saved_goes_on(opened, env_id):
    env = opened(env_id, {}, 3)
    env.reset([0, 1, 2])
    history(env, 5)
    state = env.state_dict()
    went_on = history(env, 20)
    other = opened(env_id, {}, 3)
    assert other.load_state_dict(state)
    for a, b in zip(went_on, history(other, 20), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.full
def test_what_an_environment_raises_while_it_is_put_back_names_its_copy(opened, tmp_path):
    """The number among all copies, whichever process holds it."""
    args = {"file": str(tmp_path / "there")}
    env = opened(MOODY, args, 3)
    env.reset([0, 1, 2])
    for _ in range(4):
        env.step(np.zeros(3, np.int64))
    state = env.state_dict()
    assert opened(MOODY, args, 3).load_state_dict(state)
    (tmp_path / "there").touch()
    other = opened(MOODY, args, 3)
    assert not other.load_state_dict(state)
    assert str(other.not_restored) == (
        f"{MOODY}, copy 2 (begun with seed 2), step 2 of its episode: it raised LookupError: no "
        "such order, as it was played again"
    )
    assert (other.obs == 0).all()  # new episodes


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("exit", "the process of copy 1 ended with exit code 7"),
        full("kill", r"the process of copy 1 was ended by signal 9 \(SIGKILL\)"),
        full(
            "raise", "(?s)failed in the process of copy 1.*RuntimeError: the simulator lost its lic"
        ),
        full(
            "nan",
            r"copy 1 \(begun with seed 1\), step 3 of its episode: .* obs_0 is nan",
        ),
    ],
)
def test_a_process_that_fails_is_named(how, words):
    env = BatchEnv(FAILING, {"how": how}, 2, "processes")
    try:
        env.reset([0, 1])
        env.step(np.zeros(2, np.int64))
        env.step(np.zeros(2, np.int64))
        with pytest.raises(FaultyEnvError, match=words):
            env.step(np.zeros(2, np.int64))
    finally:
        env.close()
    assert not any(process.is_alive() for process in env.vec.processes)


def test_what_cannot_be_made_is_refused_as_it_is_here():
    with pytest.raises(InputError, match="colour"):
        BatchEnv(COUNTER, {"colour": "red"}, 2, "processes")
    with pytest.raises(InputError, match=r"processes': BatchEnv\(.*\) makes such copies"):
        make_vec(COUNTER, 2, backend="processes")
    with pytest.raises(InputError, match="processes' is for slow environments"):
        BatchEnv("compagnon/Workshop-v0", {}, 2, "processes")


@pytest.mark.full
def test_figures_that_are_named_at_an_end_are_kept_beside_the_terms(opened):
    found = {}
    for backend in ("gymnasium", "processes"):
        env = opened(LATE, {}, 4, backend)
        env.reset([1, 2, 3, 4])
        steps = [env.step(np.zeros(4, np.int64)) for _ in range(5)]
        ended = [step.terminated | step.truncated for step in steps]
        assert env.kpi_names == ("served", "sales", "waste")
        found[backend] = [
            step.kpis[end] for step, end in zip(steps, ended, strict=True) if end.any()
        ]
    for here, there in zip(found["gymnasium"], found["processes"], strict=True):
        np.testing.assert_array_equal(here, there)

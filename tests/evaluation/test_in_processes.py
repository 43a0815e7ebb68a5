"""What policies earn is the same with a slow simulator's episodes shared out among processes."""

import os
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv

import compagnon as cp
from compagnon.cli import main
from compagnon.envs import BatchEnv
from compagnon.errors import FaultyEnvError, InputError
from compagnon.evaluation.episodes import play_episodes
from compagnon.evaluation.evaluate import evaluate
from compagnon.policy import Policy, Schema, load_policy
from compagnon.rl.recipe import parse_recipe
from compagnon.rl.trainer import start
from tests.envs.own import Clock
from tests.envs.test_processes import FAILING, LATE, SHOP
from tests.tiers import full

WHERE = "test/Where-v0"


class Where(Clock):
    """Pays the number of the process that steps it."""

    def step(self, action):
        obs, _, *rest = super().step(action)
        return obs, float(os.getpid()), *rest


if WHERE not in gymnasium.registry:
    gymnasium.register(WHERE, entry_point=Where)


def figures(env_id: str, backend: str, **more: Any) -> dict[str, Any]:
    rules = {"chance": "random", "one": "constant:1"}
    return cp.evaluate(rules, env_id, episodes=7, backend=backend, **more).as_json()


@pytest.mark.parametrize("env_id", [SHOP, full(LATE), full("CartPole-v1")])
@pytest.mark.parametrize("sampled", [False, full(True)])
def test_the_figures_are_the_same_to_the_last_bit(env_id, sampled):
    """Episodes end at different steps there, and one of the worlds names its figures at the end."""
    there = figures(env_id, "processes", sampled=sampled)
    assert there == figures(env_id, "gymnasium", sampled=sampled)
    assert len(set(there["policies"][0]["per_episode"]["lengths"])) > 1


@pytest.mark.parametrize("backend", ["gymnasium", "processes"])
@pytest.mark.full
def test_they_are_played_where_it_is_said(backend):
    found = evaluate(["constant:0"], WHERE, {}, 4, backend=backend).scores[0].results
    here = found.returns == os.getpid() * found.lengths
    assert here.all() if backend == "gymnasium" else not here.any()


class Reads:
    """A policy that reads the copies that it plays."""

    name = "reads"

    def playing(self, env: BatchEnv) -> Policy:
        assert isinstance(env.vec, SyncVectorEnv)
        return load_policy("constant:0", Schema.of(env))

    def act(self, *_: Any) -> Any:
        raise AssertionError("it is asked for its playing")


def test_a_policy_that_reads_the_copies_plays_them_here():
    found = play_episodes(WHERE, {}, Reads(), [0, 1, 2], backend="processes")
    assert (found.returns == os.getpid() * found.lengths).all()


def test_a_process_that_ends_is_named():
    with pytest.raises(FaultyEnvError, match=r"the process of cop.* ended with exit code 7"):
        evaluate(["constant:0"], FAILING, {"how": "exit"}, 2, seed=0, backend="processes")


@pytest.mark.parametrize(
    ("env_id", "backend", "words"),
    [
        ("CartPole-v1", "envpool", "episodes of gymnasium or processes, which are the same"),
        ("compagnon/Workshop-v0", "processes", "processes' is for slow environments"),
    ],
)
def test_what_plays_other_episodes_or_cannot_is_refused(env_id, backend, words):
    with pytest.raises(InputError, match=words):
        evaluate(["random"], env_id, {}, 2, backend=backend)


@pytest.mark.full
def test_a_run_whose_copies_are_in_processes_is_judged_there_and_is_the_same_run(tmp_path):
    told = {}
    for backend in ("gymnasium", "processes"):
        tree = {
            "name": "shop",
            "threads": 1,
            "env": {"id": SHOP, "backend": backend},
            "algorithm": {"kind": "ppo", "num_envs": 4, "rollout_steps": 8, "minibatch_size": 16},
            "budget": {"iterations": 3},
            "evaluation": {"every": 2, "episodes": 5, "against": "random"},
        }
        trainer = start(parse_recipe(tree, "a test"), tmp_path / backend)
        assert trainer.recipe.env.judged_by == backend
        trainer.train()
        lines = trainer.run.metrics()
        told[backend] = [{k: v for k, v in line.items() if k != "seconds"} for line in lines]
        assert "eval/paired" in lines[-1]
    assert told["gymnasium"] == told["processes"]


@pytest.mark.full
def test_the_command_takes_it(capsys, monkeypatch):
    asked = []
    make = BatchEnv.__init__

    def noted(self: BatchEnv, env_id: str, env_args: Any, num_envs: int, *backend: Any) -> None:
        asked.append(backend)
        make(self, env_id, env_args, num_envs, *backend)

    monkeypatch.setattr(BatchEnv, "__init__", noted)
    given = ["evaluate", "random", "--env", SHOP, "--episodes", "3"]
    assert main([*given, "--backend", "processes"]) == 0
    shown = capsys.readouterr().out
    assert ("processes",) in asked
    assert main(given) == 0
    assert capsys.readouterr().out == shown
    assert np.unique([len(one) for one in asked]).tolist() == [0, 1]

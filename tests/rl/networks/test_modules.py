"""Any module of torch's learns, is saved, and plays: PPO and DQN with a network of one's own."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import compagnon as cp
from compagnon.errors import InputError
from compagnon.rl.algorithm import build_algorithm
from compagnon.rl.dqn import AutogradSteps as AutogradValues
from compagnon.rl.networks import registry
from compagnon.rl.networks.registry import register_network
from compagnon.rl.ppo import AutogradSteps
from compagnon.rl.recipe import parse_recipe
from compagnon.rl.trainer import Trainer, start
from tests.rl.cases import LEARN_DQN, LEARN_PPO
from tests.rl.small import BANDIT, ECHO
from tests.rl.test_trainer import assert_same_run


class Residual(nn.Module):
    """Two layers with a way around the second, and a norm."""

    def __init__(self, inputs: int, outputs: int, width: int = 32) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(inputs, width), nn.Linear(width, width)
        self.norm, self.last = nn.LayerNorm(width), nn.Linear(width, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        return self.last(x + nn.functional.gelu(self.second(self.norm(x))))


HERE = f"{__name__}:Residual"
PPO = {"kind": "ppo", "rollout_steps": 16, **LEARN_PPO}
DQN = {"kind": "dqn", "target_every": 20, **LEARN_DQN}


def recipe(algorithm: dict[str, Any], env_id: str = BANDIT, seed: int = 0, **network: Any):
    tree = {
        "name": "own",
        "seed": seed,
        "threads": 1,
        "env": {"id": env_id},
        "network": {"kind": HERE, **network},
        "algorithm": algorithm,
        "budget": {"iterations": 30 if algorithm["kind"] == "ppo" else 12},
        "evaluation": {"every": 6, "episodes": 64},
    }
    return parse_recipe(tree, "a test")


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("algorithm", "env_id", "least"),
    [(PPO, BANDIT, 0.97), (DQN, BANDIT, 0.97), (PPO, ECHO, -0.03)],
    ids=["ppo", "dqn", "ppo, box"],
)
def test_it_learns_and_is_saved(algorithm, env_id, least, seed, tmp_path):
    """The Bandit pays 1 at best and some 0.3 by chance; the Echo 0, and -1/3 for the middle."""
    trainer = start(recipe(algorithm, env_id, seed), tmp_path / "run")
    plain = AutogradSteps if algorithm["kind"] == "ppo" else AutogradValues
    assert type(trainer.algorithm.steps) is plain
    assert trainer.train().progress.best_return >= least
    loaded = cp.load_policy(tmp_path / "run" / "last", env=env_id)
    fields = len(trainer.network.schema.observation.fields)
    obs = np.random.default_rng(0).random((50, fields), np.float32)
    network = trainer.network
    wanted = network.outputs(network.read(obs))
    found = trainer.policy().outputs(obs)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    assert not list((tmp_path / "run").rglob("*.pkl"))
    if env_id == BANDIT:
        everything = np.ones(wanted.shape, np.bool_)
        assert (loaded.act(obs, everything) == wanted.argmax(1)).mean() > 0.95
        cp.export(tmp_path / "run" / "best", tmp_path / "onnx", env=env_id, states=256)
        assert (tmp_path / "onnx" / "policy.onnx").is_file()


@pytest.mark.parametrize("algorithm", [PPO, DQN], ids=["ppo", "dqn"])
def test_resumed_it_is_the_same_run(algorithm, tmp_path):
    whole = start(recipe(algorithm), tmp_path / "whole")
    whole.train(lambda info: info.iteration < 8)
    start(recipe(algorithm), tmp_path / "halves").train(lambda info: info.iteration < 3)
    Trainer.resume(tmp_path / "halves").train(lambda info: info.iteration < 8)
    assert_same_run(tmp_path / "whole", tmp_path / "halves")


def test_it_is_registered_by_name_and_given_options(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    with pytest.raises(InputError, match=r"kind: should be 'mlp', 'pairwise' or module:function"):
        recipe(PPO, kind="residual")
    register_network("residual", Residual)
    _, network = build_algorithm(recipe(PPO, kind="residual", options={"width": 5}))
    assert network.actor.body.first.out_features == 5
    other = build_algorithm(recipe(PPO, kind="residual", options={"width": 5}))[1]
    assert torch.equal(network.actor.body.first.weight, other.actor.body.first.weight)
    assert not torch.equal(network.actor.body.first.weight, network.critic.body.first.weight)


class Dropped(nn.Sequential):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Linear(inputs, outputs), nn.Dropout(0.5))


def narrow(inputs: int, outputs: int) -> nn.Module:
    return nn.Linear(inputs, 1)


def fails(inputs: int, outputs: int) -> nn.Module:
    raise RuntimeError("no such width")


def number(inputs: int, outputs: int) -> int:
    return inputs


WRONG = {
    "Dropped": r"it holds Dropout, with which a state gives other outputs in training",
    "narrow": r"of \(3, 4\) it makes \(3, 1\); \(3, 6\) is needed",
    "fails": r"its factory failed for 4 inputs and 6 outputs \(RuntimeError: no such width",
    "number": r"its factory gave int, and should give a torch.nn.Module",
    "absent": r"cannot be imported \(.*\); it should be module:function",
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_refused_in_one_sentence(name):
    with pytest.raises(InputError, match=WRONG[name]):
        build_algorithm(recipe(PPO, kind=f"{__name__}:{name}"))


@pytest.mark.parametrize(
    ("algorithm", "words"),
    [
        ({"kind": "ddpg"}, "ddpg trains perceptrons"),
        ({**PPO, "networks": "joint"}, "'joint' is for perceptrons"),
        ({**DQN, "dueling": True}, "dueling is for perceptrons"),
    ],
)
def test_what_only_perceptrons_can_is_said(algorithm, words):
    with pytest.raises(InputError, match=words):
        build_algorithm(recipe(algorithm))


def test_options_are_for_networks_of_ones_own():
    with pytest.raises(InputError, match="options: these are for a network of your own"):
        recipe(PPO, kind="mlp", options={"width": 3})

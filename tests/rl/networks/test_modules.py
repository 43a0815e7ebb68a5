"""Any module of torch's learns, is saved, and plays: PPO, DQN, DDPG with networks of one's own."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import compagnon as cp
from compagnon.errors import InputError
from compagnon.rl.algorithm import build_algorithm
from compagnon.rl.ddpg import AutogradSteps as AutogradDeterministic
from compagnon.rl.dqn import AutogradSteps as AutogradValues
from compagnon.rl.networks import registry
from compagnon.rl.networks.registry import register_network
from compagnon.rl.ppo import AutogradSteps
from compagnon.rl.recipe import parse_recipe
from compagnon.rl.trainer import Trainer, start
from tests.rl.cases import LEARN_DDPG, LEARN_DQN, LEARN_PPO
from tests.rl.small import BANDIT, ECHO
from tests.rl.test_trainer import assert_same_run
from tests.tiers import full


class Residual(nn.Module):
    """Two layers with a way around the second, and a norm."""

    def __init__(self, inputs: int, outputs: int, width: int = 32) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(inputs, width), nn.Linear(width, width)
        self.norm, self.last = nn.LayerNorm(width), nn.Linear(width, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        return self.last(x + nn.functional.gelu(self.second(self.norm(x))))


class StateThenAction(nn.Module):
    """A critic that looks at the state first."""

    def __init__(self, inputs: int, actions: int, width: int = 32) -> None:
        super().__init__()
        self.state, self.both = nn.Linear(inputs, width), nn.Linear(width + actions, width)
        self.last = nn.Linear(width, 1)

    def forward(self, x: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        both = torch.cat([torch.tanh(self.state(x)), action], dim=1)
        return self.last(torch.relu(self.both(both)))


HERE = f"{__name__}:Residual"
CRITIC = f"{__name__}:StateThenAction"
PPO = {"kind": "ppo", "rollout_steps": 16, **LEARN_PPO}
DQN = {"kind": "dqn", "target_every": 20, **LEARN_DQN}
DDPG = {"kind": "ddpg", **LEARN_DDPG}
APART = {**DDPG, "critic_network": CRITIC, "critic_options": {"width": 24}, "twin_critics": True}
PLAIN = {"ppo": AutogradSteps, "dqn": AutogradValues, "ddpg": AutogradDeterministic}


def recipe(algorithm: dict[str, Any], env_id: str = BANDIT, seed: int = 0, **network: Any):
    tree = {
        "name": "own",
        "seed": seed,
        "threads": 1,
        "env": {"id": env_id},
        "network": {"kind": HERE, **network},
        "algorithm": algorithm,
        "budget": {"iterations": 12 if algorithm["kind"] == "dqn" else 30},
        "evaluation": {"every": 6, "episodes": 64},
    }
    return parse_recipe(tree, "a test")


@pytest.mark.parametrize("seed", [0, full(1)])
@pytest.mark.parametrize(
    ("algorithm", "env_id", "least"),
    [
        (PPO, BANDIT, 0.97),
        (DQN, BANDIT, 0.97),
        (PPO, ECHO, -0.03),
        full(DDPG, BANDIT, 0.97),
        full(DDPG, ECHO, -0.03),
        (APART, ECHO, -0.03),
    ],
    ids=["ppo", "dqn", "ppo, box", "ddpg", "ddpg, box", "ddpg, box, critics apart"],
)
@pytest.mark.full
def test_it_learns_and_is_saved(algorithm, env_id, least, seed, tmp_path):
    """The Bandit pays 1 at best and some 0.3 by chance; the Echo 0, and -1/3 for the middle."""
    trainer = start(recipe(algorithm, env_id, seed), tmp_path / "run")
    assert type(trainer.algorithm.steps) is PLAIN[algorithm["kind"]]
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


@pytest.mark.parametrize(
    "algorithm", [PPO, DQN, full(DDPG), APART], ids=["ppo", "dqn", "ddpg", "ddpg, critics apart"]
)
@pytest.mark.full
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
        ({**DDPG, "norm": "layer"}, "norm 'layer' is for perceptrons; .* of its own"),
        ({**PPO, "networks": "joint"}, "'joint' is for perceptrons"),
        ({**DQN, "dueling": True}, "dueling is for perceptrons"),
    ],
)
def test_what_only_perceptrons_can_is_said(algorithm, words):
    with pytest.raises(InputError, match=words):
        build_algorithm(recipe(algorithm))


class Deaf(StateThenAction):
    def forward(self, x: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        return super().forward(x, torch.zeros_like(action))


class TwoValues(StateThenAction):
    def forward(self, x: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        return super().forward(x, action).expand(-1, 2)


def four(inputs: int, outputs: int) -> nn.Module:
    """Of the Echo's two numbers and no more."""
    return nn.Sequential(nn.Unflatten(1, (1, 2)), nn.Flatten(), nn.Linear(2, outputs))


WRONG_CRITICS = {
    "Deaf": "its value does not depend on the action",
    "TwoValues": r"of \(3, 2\) and \(3, 2\) it makes \(3, 2\); \(3, 1\) is needed",
    "fails": r"its factory failed for 2 inputs, 2 actions \(RuntimeError: no such width",
    "absent": "algorithm.critic_network '.*:absent' cannot be imported",
}


@pytest.mark.parametrize("name", WRONG_CRITICS)
def test_a_critic_that_does_not_fit_is_refused(name):
    wrong = {**DDPG, "critic_network": f"{__name__}:{name}"}
    with pytest.raises(InputError, match=WRONG_CRITICS[name]):
        build_algorithm(recipe(wrong, ECHO))


def test_a_network_that_cannot_read_state_and_action_side_by_side_is_told_of_as_a_critic():
    with pytest.raises(InputError, match=r"as a critic of 2 inputs and 2 actions .* it fails on 3"):
        build_algorithm(recipe(DDPG, ECHO, kind=f"{__name__}:four"))
    build_algorithm(recipe(APART, ECHO, kind=f"{__name__}:four"))


def test_an_actor_gives_as_many_numbers_as_an_action_has():
    with pytest.raises(InputError, match=r"of \(3, 2\) it makes \(3, 1\); \(3, 2\) is needed"):
        build_algorithm(recipe(DDPG, ECHO, kind=f"{__name__}:narrow"))


def test_a_critic_of_ones_own_goes_with_a_network_of_ones_own():
    with pytest.raises(InputError, match="critic_network goes with a"):
        build_algorithm(recipe(APART, ECHO, kind="mlp"))
    with pytest.raises(InputError, match=r"critic_network: should be module:.*, got 'mine'"):
        recipe({**DDPG, "critic_network": "mine"}, ECHO)
    with pytest.raises(InputError, match="critic_options: these are for a critic_network"):
        recipe({**DDPG, "critic_options": {"width": 3}}, ECHO)


def test_what_of_a_network_takes_no_part_stays_as_it_is():
    """A module may hold weights that it does not use."""
    settings = {**DDPG, "reward_scale": 1.0}  # an automatic one is measured for longer than this
    algorithm, network = build_algorithm(recipe(settings, ECHO, kind=f"{__name__}:Idle"))
    before = network.actor.body.unused.clone(), network.actor.body.weight.clone()
    algorithm.iterate()
    algorithm.iterate()
    assert torch.equal(network.actor.body.unused, before[0])
    assert not torch.equal(network.actor.body.weight, before[1])


class Idle(nn.Linear):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.unused = nn.Parameter(torch.ones(3))


def test_options_are_for_networks_of_ones_own():
    with pytest.raises(InputError, match="options: these are for a network of your own"):
        recipe(PPO, kind="mlp", options={"width": 3})

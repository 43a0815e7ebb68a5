"""A distribution that nobody here wrote: registered, named in a recipe, learnt with, played."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.distributions import Laplace as TorchLaplace
from torch.distributions import kl_divergence

import compagnon as cp
from compagnon.errors import InputError
from compagnon.policy.manifest import DeterministicHead
from compagnon.policy.schema import Schema
from compagnon.rl.algorithm import build_algorithm
from compagnon.rl.distributions import action_distribution
from compagnon.rl.distributions.action_distribution import register_distribution
from compagnon.rl.ppo import AutogradSteps
from compagnon.rl.recipe import parse_recipe
from compagnon.rl.trainer import start
from tests.rl.cases import LEARN_PPO
from tests.rl.small import ECHO


class Laplace:
    """Heavier tails than a normal distribution's; on disk its middle is played."""

    head = DeterministicHead(squash="none")

    def __init__(self, schema: Schema) -> None:
        self.action = schema.action

    def draw(self, params, action_mask, rng, actions, log_probs) -> Any:
        mean, log_scale = np.split(params, 2, axis=1)
        actions[:] = mean + np.exp(log_scale) * rng.laplace(size=mean.shape)
        log_probs[:] = self.log_prob(torch.from_numpy(params), torch.from_numpy(actions), None)
        return self.action.from_units(actions)

    def of(self, params):
        mean, log_scale = params.chunk(2, dim=1)
        return TorchLaplace(mean, log_scale.exp())

    def log_prob(self, params, actions, mask):
        return self.of(params).log_prob(actions).sum(1)

    def entropy(self, params, mask):
        return self.of(params).entropy().sum(1)

    def kl(self, before, params, mask):
        return kl_divergence(self.of(before), self.of(params)).sum(1)


def recipe(name: str, seed: int = 0):
    tree = {
        "name": "own",
        "seed": seed,
        "threads": 1,
        "env": {"id": ECHO},
        "network": {"hidden": [32]},
        "algorithm": {
            "kind": "ppo",
            "rollout_steps": 16,
            **LEARN_PPO,
            "distribution": name,
            "initial_std": 0.4,
        },
        "budget": {"iterations": 40},
        "evaluation": {"every": 10, "episodes": 64},
    }
    return parse_recipe(tree, "a test")


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.full
def test_it_is_learnt_with_and_played(seed, tmp_path, monkeypatch):
    monkeypatch.setattr(action_distribution, "_registered", {})
    register_distribution("laplace", Laplace)
    trainer = start(recipe("laplace", seed), tmp_path / "run")
    assert isinstance(trainer.algorithm.steps, AutogradSteps)
    assert trainer.train().progress.best_return > -0.05  # -1/3 for the middle of the range
    policy = cp.load_policy(tmp_path / "run" / "best", env=ECHO)
    obs = np.random.default_rng(0).uniform(-1, 1, (20, 2)).astype(np.float32)
    assert np.isfinite(policy.act(obs)).all()


def test_it_may_be_named_by_where_it_stands():
    algorithm, network = build_algorithm(recipe(f"{__name__}:Laplace"))
    assert isinstance(algorithm.distribution, Laplace)
    assert network.head == Laplace.head


def test_one_that_nobody_brings_is_refused(monkeypatch):
    monkeypatch.setattr(action_distribution, "_registered", {"laplace": Laplace})
    with pytest.raises(InputError, match=r"should be 'laplace', or module:function, got 'beta'"):
        build_algorithm(recipe("beta"))

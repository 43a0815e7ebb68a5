"""On the proof of concept the pairwise network is the same in torch, numpy and ONNX, and learns."""

import numpy as np
import pytest
import torch

from compagnon.evaluation.episodes import play_episodes
from compagnon.onnx_export.graph import build_model
from compagnon.onnx_export.torch_policy import TorchPolicy
from compagnon.policy import load_policy
from compagnon.policy.manifest import PairwiseSpec
from compagnon.policy.onnx_file import open_session
from compagnon.policy.onnx_policy import OnnxPolicy
from compagnon.rl.algorithm import build_algorithm
from compagnon.rl.dqn import PairwiseQNetwork
from compagnon.rl.networks.trainable import PairwiseNetwork
from compagnon.rl.recipe import parse_recipe
from compagnon.worlds.dispatch_poc import DISPATCH_POC
from tests.policy.networks import schema_of
from tests.policy.test_pairwise_poc import boards, drawn_policy, trips
from tests.rl.networks.test_pairwise import drawn

SMALL = trips(4, 6, hours=2)


@pytest.mark.parametrize("kind", [PairwiseNetwork, PairwiseQNetwork])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_torch_and_numpy_say_the_same(kind, activation):
    args = trips(4, 8)
    spec = PairwiseSpec(embedding=6, hidden=(8, 7), activation=activation)
    network = drawn(kind(schema_of(DISPATCH_POC, **args), spec, 0))
    obs, mask = boards(args)
    said = network.outputs(network.read(obs))
    assert said.shape == mask.shape
    np.testing.assert_allclose(network.as_policy("it").outputs(obs), said, atol=1e-5, rtol=1e-5)
    assert np.ptp(said[mask]) > 0.1


def test_every_weight_has_a_gradient():
    network = drawn(PairwiseNetwork(schema_of(DISPATCH_POC, **SMALL), PairwiseSpec(), 0))
    obs, _ = boards(SMALL)
    x = torch.from_numpy(network.read(obs))
    (network.actor(x) ** 2).sum().backward()
    (network.critic(x) ** 2).sum().backward()
    for name, weight in (*network.actor.named_parameters(), *network.critic.named_parameters()):
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name
    assert not any("reject" in name for name, _ in network.actor.named_parameters())


def recipe(seed, algorithm, iterations):
    return parse_recipe(
        {
            "name": "small", "seed": seed, "threads": 1,
            "env": {"id": DISPATCH_POC, "args": SMALL},
            "network": {
                "kind": "pairwise", "hidden": [32], "embedding": 8, "activation": "relu",
            },
            "algorithm": algorithm,
            "budget": {"iterations": iterations},
        },
        "a test",
    )  # fmt: skip


def learnt_return(network, seeds=range(24)):
    """The mean reward a tick of the greedy policy."""
    policy = network.as_policy("it")
    return play_episodes(DISPATCH_POC, SMALL, policy, list(seeds)).kpis["reward_per_step"].mean()


def rule_return(name, seeds=range(24)):
    policy = load_policy(name, schema_of(DISPATCH_POC, **SMALL))
    return play_episodes(DISPATCH_POC, SMALL, policy, list(seeds)).kpis["reward_per_step"].mean()


@pytest.mark.full
@pytest.mark.parametrize("seed", [0, 1])
def test_it_clones_the_rule_of_the_outlook(seed):
    dagger = {
        "kind": "dagger", "expert": "expert:dispatch-poc-outlook", "num_envs": 32,
        "collect_steps": 48, "iterations": 1, "capacity": 2_000, "gradient_steps": 250,
        "batch_size": 128, "learning_rate": 5e-3, "final_learning_rate": 2e-4, "balance": 0.0,
    }  # fmt: skip
    algorithm, _ = build_algorithm(recipe(seed, dagger, 1))
    assert algorithm.iterate()["accuracy"] > 0.85


@pytest.mark.full
@pytest.mark.parametrize("seed", [0, 1])
def test_practice_from_nothing_is_soon_better_than_chance_and_the_nearest_pair(seed):
    ppo = {
        "kind": "ppo", "num_envs": 64, "rollout_steps": 24, "epochs": 3, "minibatch_size": 512,
        "learning_rate": 3e-3, "gamma": 0.9, "gae_lambda": 0.9, "entropy_coef": 0.003,
    }  # fmt: skip
    algorithm, network = build_algorithm(recipe(seed, ppo, 8))
    before = learnt_return(network)
    for _ in range(8):
        algorithm.iterate()
    after = learnt_return(network)
    assert after > before + 5
    assert after > rule_return("expert:dispatch-poc-nearest")


def test_the_exported_graph_says_the_same():
    args = trips(4, 8)
    obs, mask = boards(args)
    policy = drawn_policy(schema_of(DISPATCH_POC, **args))
    made = OnnxPolicy(
        policy.manifest,
        open_session(build_model(policy.manifest, policy.weights).SerializeToString(), "it"),
        "",
    )
    assert policy.projection is not None
    read = policy.projection(obs)
    said = made.outputs(read)
    assert said.shape == mask.shape
    np.testing.assert_allclose(said, policy.outputs(obs), rtol=1e-4, atol=2e-5)
    module = TorchPolicy(policy.manifest, policy.weights)
    with torch.inference_mode():
        torched = module.network(torch.from_numpy(read)).numpy()
    np.testing.assert_allclose(said, torched, rtol=1e-4, atol=2e-5)

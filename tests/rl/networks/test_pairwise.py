"""The pairwise network in torch is the one in numpy, and learns through the common code."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from compagnon.errors import InputError
from compagnon.policy.manifest import PairwiseSpec
from compagnon.rl.algorithm import build_algorithm
from compagnon.rl.dqn import PairwiseQNetwork
from compagnon.rl.fast.backprop import AutogradPass
from compagnon.rl.networks.trainable import PairwiseNetwork
from compagnon.rl.recipe import load_recipe
from tests.policy.boards import Cut, schema
from tests.rl.cases import CASES

SPEC = PairwiseSpec(embedding=6, hidden=(8, 7))


def drawn(network, seed=0):
    """The network with weights that are not near 0."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for module in network.modules.values():
            for weight in module.parameters():
                weight.copy_(0.5 * torch.randn_like(weight))
    return network


@settings(max_examples=25, deadline=None)
@given(
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    seed=st.integers(0, 999),
    activation=st.sampled_from(["relu", "tanh"]),
)
def test_torch_and_numpy_say_the_same(size, seed, activation):
    spec = SPEC.model_copy(update={"activation": activation})
    network = drawn(PairwiseNetwork(schema(*size), spec, 0), seed)
    obs = Cut(*size, 6, np.random.default_rng(seed)).flat()
    said = network.logits(network.read(obs))
    np.testing.assert_allclose(network.as_policy("it").outputs(obs), said, atol=1e-5, rtol=1e-5)


def test_the_value_does_not_depend_on_the_order():
    network = drawn(PairwiseNetwork(schema(3, 4), SPEC, 0))
    board = Cut(3, 4, 5, np.random.default_rng(0))
    moved = board.reordered(np.array([2, 0, 1]), np.array([3, 1, 0, 2]))
    values = network.values(network.read(board.flat()))
    np.testing.assert_allclose(network.values(network.read(moved.flat())), values, atol=1e-5)
    assert len(set(values.round(4).tolist())) == 5


def test_inference_mode_outside_does_not_reach_into_a_pass():
    layer = torch.nn.Linear(3, 2)
    for weight in layer.parameters():
        weight.grad = torch.zeros_like(weight)
    with torch.inference_mode():
        x = torch.ones(4, 3)
        assert x.is_inference()
        AutogradPass(layer, x).backward(torch.ones(4, 2))
    assert layer.weight.grad is not None
    torch.testing.assert_close(layer.weight.grad, torch.full((2, 3), 4.0))


def test_a_soft_clone_takes_the_same_best_actions():
    network = drawn(PairwiseNetwork(schema(3, 4), SPEC, 0))
    x = network.read(Cut(3, 4, 20, np.random.default_rng(0)).flat())
    before = network.logits(x)
    with torch.no_grad():
        for layer in network.actor.output_layers():
            layer.weight /= 4
            layer.bias /= 4
    np.testing.assert_allclose(network.logits(x), before / 4, atol=1e-6)


def test_a_clone_is_softened_once_and_no_more():
    case = CASES["hybrid, pairwise"]
    hybrid, network = build_algorithm(case.recipe())
    hybrid.iterate()
    hybrid.iterate()
    clone = network.actor.wait.last_layer.weight.clone()
    hybrid.settings = hybrid.settings.model_copy(update={"clone_temperature": 4.0})
    hybrid.ppo.settings = hybrid.ppo.settings.model_copy(update={"critic_warmup": 2})
    hybrid.iterate()
    torch.testing.assert_close(network.actor.wait.last_layer.weight, clone / 4)
    hybrid.iterate()
    torch.testing.assert_close(network.actor.wait.last_layer.weight, clone / 4)


def test_values_of_actions_that_are_not_possible_are_never_learnt_from():
    network = drawn(PairwiseQNetwork(schema(3, 4), SPEC, 0))
    board = Cut(3, 4, 5, np.random.default_rng(0))
    values = network.outputs(network.read(board.flat()))
    feasible = board.pair[..., board.groups.pair.index("feasible")].reshape(5, -1) > 0
    assert (values[:, 1:13][~feasible] == 0).all()
    assert (values[:, 1:13][feasible] != 0).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"algorithm.ppo.networks": "joint"}, "joint"),
        ({"network.hidden": []}, "hidden"),
        ({"network.fields": ["time"]}, "'feasible' of each pair"),
        ({"env.id": "CartPole-v1", "env.args": {}}, "pairs of drivers"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, words):
    with pytest.raises(InputError, match=words):
        build_algorithm(load_recipe("dispatch-clinic", changes))


def test_a_perceptron_matches_nothing():
    with pytest.raises(InputError, match="greedy"):
        load_recipe("dispatch-clinic", {"network.kind": "mlp", "network.greedy": "matching"})


def test_dueling_is_for_perceptrons():
    changes = {"algorithm": {"kind": "dqn", "dueling": True}}
    with pytest.raises(InputError, match="dueling"):
        build_algorithm(load_recipe("dispatch-clinic", changes))

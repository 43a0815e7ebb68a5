"""Passes by hand, critics and actors give what autograd and the policy floor give."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from compagnon.envs import BatchEnv
from compagnon.policy import Schema, load_artefact, save_policy
from compagnon.rl.fast.adam import FlatAdam
from compagnon.rl.fast.backprop import forward_pass
from compagnon.rl.fast.ddpg import CriticPass
from compagnon.rl.networks.actor_critic import ActorCritic, Critic, list_of
from compagnon.rl.networks.mlp import make_mlp
from tests.rl.small import BANDIT, CONTEXTS, ECHO

NORMS = pytest.mark.parametrize("norm", ["none", "layer", "batch"])
ACTIVATIONS = pytest.mark.parametrize("activation", ["relu", "tanh"])
STREAMS = pytest.mark.parametrize(
    ("state_hidden", "action_hidden", "hidden"),
    [((16, 32), (8,), (12, 10)), ((), (), (12,)), ((9,), (), ()), ((), (5,), (6,))],
    ids=str,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=generator(seed))


def with_gradients(module: nn.Module) -> nn.Module:
    """Room for gradients, with something in it that is to be replaced."""
    FlatAdam(module.parameters(), 1e-3).gradient.fill_(7.0)
    return module


def unsettled(module: nn.Module) -> nn.Module:
    """Norms with gains, offsets and statistics other than those they begin with."""
    seed = 5
    for name, part in [*module.named_parameters(), *module.named_buffers()]:
        seed += 1
        if "norms" in name and part.is_floating_point():
            part.data += 0.5 * torch.rand(part.shape, generator=generator(seed))
    return module


def critic_of(*widths: Any, activation: Any = "relu", norm: Any = "none") -> Critic:
    made = Critic(3, 2, *widths, activation, generator(), norm)
    unsettled(made)
    return made.eval()


# -- passes -------------------------------------------------------------------------------------


@NORMS
@ACTIVATIONS
@pytest.mark.parametrize("activate_output", [False, True])
def test_a_pass_and_its_way_back_are_autograds(norm, activation, activate_output):
    network = make_mlp([4, 16, 8, 3], activation, 1.0, generator(), norm, activate_output)
    unsettled(network).eval()
    x, gradient = normal(10, 4), normal(10, 3, seed=2)
    wanted = copy.deepcopy(network)
    x_wanted = x.clone().requires_grad_()
    outputs = wanted(x_wanted)
    outputs.backward(gradient)
    with_gradients(network)
    with torch.no_grad():
        run = forward_pass(network, x, weights=True, inputs=True)
        torch.testing.assert_close(run.outputs, outputs.detach())
        back = run.backward(gradient)
    torch.testing.assert_close(back, x_wanted.grad)
    for own, other in zip(network.parameters(), wanted.parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad)


@NORMS
def test_fixed_weights_get_no_gradient(norm):
    network = with_gradients(make_mlp([4, 8, 3], "relu", 1.0, generator(), norm)).eval()
    with torch.no_grad():
        run = forward_pass(network, normal(10, 4), weights=False, inputs=True)  # type: ignore[arg-type]
        assert run.backward(normal(10, 3)) is not None
    assert all((parameter.grad == 7).all() for parameter in network.parameters())


# -- the critic ---------------------------------------------------------------------------------


@STREAMS
def test_the_critic_is_what_its_widths_say(state_hidden, action_hidden, hidden):
    """The same function from torch's own layers: streams, side by side, joined."""
    critic = critic_of(state_hidden, action_hidden, hidden)
    weights = dict(critic.named_parameters())

    def stream(x: torch.Tensor, name: str, layers: int) -> torch.Tensor:
        for layer in range(layers):
            x = torch.relu(
                nn.functional.linear(
                    x,
                    weights[f"{name}.layers.{layer}.weight"],
                    weights[f"{name}.layers.{layer}.bias"],
                )
            )
        return x

    x, action = normal(7, 3), normal(7, 2, seed=2)
    both = torch.cat(
        [stream(x, "state", len(state_hidden)), stream(action, "action", len(action_hidden))], 1
    )
    last = len(hidden)
    values = nn.functional.linear(
        stream(both, "joined", last),
        weights[f"joined.layers.{last}.weight"],
        weights[f"joined.layers.{last}.bias"],
    )[:, 0]
    torch.testing.assert_close(critic(x, action), values)
    torch.testing.assert_close(CriticPass(critic, x, action).values, values)


@NORMS
@STREAMS
def test_gradients_of_the_critic_are_autograds(norm, state_hidden, action_hidden, hidden):
    critic = critic_of(state_hidden, action_hidden, hidden, norm=norm)
    x, action, gradient = normal(7, 3), normal(7, 2, seed=2), normal(7, seed=3)
    wanted = copy.deepcopy(critic)
    action_wanted = action.clone().requires_grad_()
    wanted(x, action_wanted).backward(gradient)
    with_gradients(critic)
    with torch.no_grad():
        back = CriticPass(critic, x, action, weights=True, actions=True).backward(gradient)
    torch.testing.assert_close(back, action_wanted.grad)
    for own, other in zip(critic.parameters(), wanted.parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad)


@NORMS
@STREAMS
def test_climbing_the_critic_leaves_it_alone(norm, state_hidden, action_hidden, hidden):
    critic = with_gradients(critic_of(state_hidden, action_hidden, hidden, norm=norm))
    with torch.no_grad():
        run = CriticPass(critic, normal(7, 3), normal(7, 2), actions=True)  # type: ignore[arg-type]
        assert run.backward(torch.ones(7)) is not None
    assert all((parameter.grad == 7).all() for parameter in critic.parameters())


# -- actor and critic ---------------------------------------------------------------------------


def networks(env_id: str = ECHO, **options: Any) -> ActorCritic:
    return ActorCritic(Schema.of(BatchEnv(env_id, {}, 1)), (16, 8), "relu", 0, **options)


@pytest.mark.parametrize("squash", ["sigmoid", "tanh"])
def test_what_the_actor_says_and_its_slope_by_autograd(squash):
    network = networks(squash=squash)
    outputs = normal(9, 2).requires_grad_()
    wanted = 2 * torch.sigmoid(outputs) - 1 if squash == "sigmoid" else torch.tanh(outputs)
    gradient = normal(9, 2, seed=2)
    wanted.backward(gradient)
    said = network.head_forward(outputs.detach(), None)
    torch.testing.assert_close(said, wanted.detach())
    torch.testing.assert_close(network.head_backward(gradient, said), outputs.grad)


def test_probabilities_and_their_slope_are_those_of_what_is_possible():
    network = networks(BANDIT)
    mask = torch.tensor([[True, True, False, True, False, False]]).repeat(9, 1)
    outputs = normal(9, 6).requires_grad_()
    wanted = torch.zeros(9, 6)
    wanted[:, mask[0]] = torch.softmax(outputs[:, mask[0]], dim=1)
    gradient = normal(9, 6, seed=2)
    wanted.backward(gradient)
    said = network.head_forward(outputs.detach(), mask)
    torch.testing.assert_close(said, wanted.detach())
    assert (said[~mask] == 0).all()
    slope = network.head_backward(gradient, said)
    torch.testing.assert_close(slope, outputs.grad)
    assert (slope[~mask] == 0).all()


def test_a_state_that_leaves_nothing_possible_is_still_a_number():
    said = networks(BANDIT).head_forward(normal(2, 6), torch.zeros(2, 6, dtype=torch.bool))
    torch.testing.assert_close(said.sum(dim=1), torch.ones(2))


@NORMS
@pytest.mark.parametrize("env_id", [ECHO, BANDIT])
def test_the_policy_is_the_actor_as_it_acts(norm, env_id, tmp_path):
    """Batch norm is folded into the layers before it, layer norm goes along; through disk too."""
    network = networks(env_id, norm=norm, scale_inputs="ranges")
    unsettled(network.actor).eval()
    obs = normal(20, CONTEXTS if env_id == BANDIT else 2, seed=4).numpy()
    policy = network.as_policy("it")
    save_policy(policy, tmp_path / "it")
    wanted = network.outputs(network.read(obs))
    for one in (policy, load_artefact(tmp_path / "it")):
        np.testing.assert_allclose(one.outputs(obs), wanted, rtol=1e-4, atol=1e-5)
        if env_id == ECHO:
            said = network.head_forward(torch.from_numpy(wanted), None).numpy()
            np.testing.assert_allclose(
                one.act(obs), network.schema.action.from_units(said), rtol=1e-4, atol=1e-5
            )


def test_batch_norm_that_learns_is_another_function_than_the_one_that_acts():
    network = networks(norm="batch")
    unsettled(network.actor)
    x = normal(20, 2, seed=4)
    acting = network.actor(x)
    network.actor.train()
    assert not torch.allclose(network.actor(x), acting, atol=1e-3)


def test_two_critics_begin_differently():
    one, other = list_of(networks(twin=True).critics)
    x, action = normal(5, 2), normal(5, 2, seed=2)
    assert not torch.allclose(one(x, action), other(x, action))
    assert len(list_of(networks().critics)) == 1

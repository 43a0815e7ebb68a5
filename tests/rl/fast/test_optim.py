"""Gradient steps by hand are those of autograd, torch's Adam and torch's norms, bit for bit."""

import copy

import numpy as np
import pytest
import torch

from compagnon.rl.fast.adam import Adam, bound_norm
from compagnon.rl.fast.optim import ActorCriticSteps
from compagnon.rl.networks.mlp import Mlp
from compagnon.rl.networks.trainable import PolicyNetwork
from tests.rl.small import BANDIT, ECHO, network_for, through_disk

EPS = 1e-5


def mlp(outputs: int = 2, activation: str = "tanh", seed: int = 0) -> Mlp:
    return Mlp([5, 16, 16, outputs], activation, 0.5, torch.Generator().manual_seed(seed))


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def same(one, other) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


# -- the parts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("bound", [0.5, 100.0])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_norms_are_bounded_as_torch_does(bound, size):
    random = draws()
    for _ in range(20):
        gradients = [size * torch.randn(n, generator=random) for n in (7, 64, 1000)]
        parameters = [torch.nn.Parameter(torch.zeros_like(gradient)) for gradient in gradients]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient.clone()
        norm = torch.nn.utils.clip_grad_norm_(parameters, bound)
        assert bound_norm(gradients, bound) == float(norm)
        assert same(gradients, [parameter.grad for parameter in parameters])


def test_no_bound_leaves_gradients_alone():
    gradients = [torch.full((4,), 100.0)]
    assert bound_norm(gradients, 0.0) == pytest.approx(200)
    assert same(gradients, [torch.full((4,), 100.0)])


def test_a_gradient_that_is_no_number_spoils_all_of_them():
    gradients = [torch.ones(3), torch.tensor([float("nan")])]
    assert np.isnan(bound_norm(gradients, 0.5))
    assert gradients[0].isnan().all()


def test_adam_is_torch_s_and_groups_step_by_themselves():
    networks = [mlp(seed=seed) for seed in range(2)]
    wanted = copy.deepcopy(networks)
    theirs = [torch.optim.Adam(n.parameters(), lr=1e-2, eps=EPS, fused=True) for n in wanted]
    adam, random = Adam([list(network.parameters()) for network in networks], EPS), draws()
    for number in range(10):
        for group in (0, 1) if number % 2 else (1,):  # the first one steps half as often
            gradients = [torch.randn(p.shape, generator=random) for p in wanted[group].parameters()]
            for parameter, gradient in zip(wanted[group].parameters(), gradients, strict=True):
                parameter.grad = gradient
            theirs[group].step()
            adam.step(group, gradients, 1e-2)
    for network, other in zip(networks, wanted, strict=True):
        assert same(network.parameters(), other.parameters())


def test_a_restored_adam_goes_on_as_the_saved_one():
    one, other, random = mlp(), mlp(), draws()
    adam, restored = (Adam([list(network.parameters())], EPS) for network in (one, other))
    gradients = [[torch.randn(p.shape, generator=random) for p in one.parameters()] for _ in "ab"]
    adam.step(0, gradients[0], 1e-2)
    other.load_state_dict(one.state_dict())
    restored.load_state_dict(through_disk(adam.state_dict()))
    for each in (adam, restored):
        each.step(0, gradients[1], 1e-2)
    assert same(one.parameters(), other.parameters())
    assert not same(one.parameters(), mlp().parameters())


# -- one summed loss, or two losses -------------------------------------------------------------

# Losses that autograd can differentiate stand for PPO's: what matters is where gradients flow.


def losses_of(outputs: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return (outputs.sin() ** 2).mean(), ((values - 3.0) ** 2).mean()


def by_hand(network: PolicyNetwork, rounds: int, rates=(1e-2, 1e-2), bound=0.5) -> None:
    steps, random = ActorCriticSteps(network, EPS), draws()
    for _ in range(rounds):
        x = torch.randn(32, 4, generator=random)
        with torch.inference_mode():
            outputs, values = steps.forward(x)
        outputs, values = outputs.clone().requires_grad_(), values.clone().requires_grad_()
        policy, value = losses_of(outputs, values)
        (by_output,) = torch.autograd.grad(policy, outputs)
        (by_value,) = torch.autograd.grad(value, values)
        with torch.inference_mode():
            steps.step((by_output, None), by_value, rates, bound)


def optimisers_of(modules, rates) -> list[torch.optim.Adam]:
    return [
        torch.optim.Adam(module.parameters(), lr=rate, eps=EPS, fused=True)
        for module, rate in zip(modules, rates, strict=True)
    ]


def one_summed_loss(network: PolicyNetwork, rounds: int, bound=0.5, together=False) -> None:
    """policy + value through one backward, one optimiser."""
    modules = [network.actor, network.critic]
    everything = torch.nn.ModuleList(modules)
    (optimiser,), random = optimisers_of([everything], [1e-2]), draws()
    for _ in range(rounds):
        x = torch.randn(32, 4, generator=random)
        optimiser.zero_grad()
        sum(losses_of(network.actor(x), network.critic(x)[:, 0])).backward()
        for module in [everything] if together else modules:
            torch.nn.utils.clip_grad_norm_(module.parameters(), bound)
        optimiser.step()


def two_losses(network: PolicyNetwork, rounds: int, rates=(1e-2, 1e-2), bound=0.5) -> None:
    """Each loss through its own backward, each network with its own optimiser, in turn."""
    modules = [network.actor, network.critic]
    optimisers, random = optimisers_of(modules, rates), draws()
    for _ in range(rounds):
        x = torch.randn(32, 4, generator=random)
        for number, (module, optimiser) in enumerate(zip(modules, optimisers, strict=True)):
            optimiser.zero_grad()
            losses_of(network.actor(x), network.critic(x)[:, 0])[number].backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), bound)
            optimiser.step()


def all_weights(network: PolicyNetwork) -> list[torch.Tensor]:
    return [p for module in network.modules.values() for p in module.parameters()]


def after(train, **options) -> list[torch.Tensor]:
    network = network_for(BANDIT, hidden=(16, 16))
    train(network, 10, **options)
    return all_weights(network)


def test_with_two_networks_one_summed_loss_and_two_losses_are_the_same_update():
    ours = after(by_hand)
    assert same(ours, after(one_summed_loss))
    assert same(ours, after(two_losses))
    assert not same(ours, all_weights(network_for(BANDIT, hidden=(16, 16))))


def test_a_norm_bounded_over_both_is_what_couples_them():
    assert not same(after(two_losses), after(one_summed_loss, together=True))
    assert same(  # a bound that is never reached does not
        after(two_losses, bound=1e9), after(one_summed_loss, bound=1e9, together=True)
    )


def test_a_rate_of_its_own_is_the_critic_s_alone():
    ours = after(by_hand, rates=(1e-2, 1e-3))
    assert same(ours, after(two_losses, rates=(1e-2, 1e-3)))
    actor = len(list(network_for(BANDIT, hidden=(16, 16)).actor.parameters()))
    assert same(ours[:actor], after(by_hand)[:actor])
    assert not same(ours[actor:], after(by_hand)[actor:])


def joint_by_autograd(network: PolicyNetwork, rounds: int) -> None:
    (optimiser,), random = optimisers_of([network.actor], [1e-2]), draws()
    for _ in range(rounds):
        x = torch.randn(32, 4, generator=random)
        optimiser.zero_grad()
        sum(losses_of(network.actor(x), network.actor.values(x)[:, 0])).backward()
        torch.nn.utils.clip_grad_norm_(network.actor.parameters(), 0.5)
        optimiser.step()


def test_a_joint_network_takes_the_step_of_the_summed_loss():
    one, other = (network_for(BANDIT, hidden=(16, 16), networks="joint") for _ in range(2))
    by_hand(one, 10)
    joint_by_autograd(other, 10)
    for a, b in zip(all_weights(one), all_weights(other), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_in_a_joint_network_the_value_s_loss_moves_the_policy():
    x = torch.ones(1, 4)
    for networks, moves in (("separate", False), ("joint", True)):
        network = network_for(BANDIT, hidden=(16, 16), networks=networks)
        steps, before = ActorCriticSteps(network, EPS), network.actor(x).detach().clone()
        with torch.inference_mode():
            outputs, values = steps.forward(x)
            steps.step((torch.zeros_like(outputs), None), values - 3, (1e-2, 1e-2), 0.0)
        assert torch.equal(network.actor(x), before) != moves


# -- deviations ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("std", "moves"), [("learnt", True), ("fixed", False)])
@pytest.mark.parametrize("networks", ["separate", "joint"])
def test_deviations_move_where_they_are_learnt(std, moves, networks):
    network = network_for(ECHO, std=std, networks=networks, initial_std=0.5)
    steps = ActorCriticSteps(network, EPS)
    with torch.inference_mode():
        outputs, values = steps.forward(torch.ones(3, 2))
        steps.step(
            (torch.zeros_like(outputs), torch.ones(2)), torch.zeros_like(values), (0.1, 0.1), 0.0
        )
    wanted = np.log(0.5) - (0.1 if moves else 0)  # Adam's first step is its rate
    np.testing.assert_allclose(network.log_std.numpy(), wanted, rtol=1e-4)


def test_the_actor_is_left_alone_without_its_gradient():
    network = network_for(BANDIT)
    steps = ActorCriticSteps(network, EPS)
    before = copy.deepcopy(network.state_dict())
    with torch.inference_mode():
        outputs, values = steps.forward(torch.ones(3, 4), with_policy=False)
        assert outputs is None
        assert steps.step(None, torch.ones_like(values), (0.1, 0.1), 0.5) == 0
    now = network.state_dict()
    assert same(now["actor"].values(), before["actor"].values())
    assert not same(now["critic"].values(), before["critic"].values())

"""A trained network and the policy it becomes are one function, with the same masks and scaling."""

import numpy as np
import pytest
import torch

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.policy import Schema, load_artefact, save_policy
from compagnon.rl.fast import masked
from compagnon.rl.networks.trainable import PolicyNetwork
from compagnon.worlds.workshop import WORKSHOP
from tests.rl.small import SHORT, network_for


def states(count: int, **args: object) -> tuple[BatchEnv, np.ndarray, np.ndarray]:
    """Workshop states met by choosing at random."""
    env = BatchEnv(WORKSHOP, {**SHORT, **args}, count)
    env.reset(list(range(count)))
    rng = np.random.default_rng(0)
    for _ in range(100):
        scores = np.where(env.action_mask, rng.random(env.action_mask.shape), -1)
        env.step(scores.argmax(axis=1))
    return env, env.obs.copy(), env.action_mask.copy()


def trained(**options):
    """A network whose weights and scaler are no longer those it was made with."""
    network = network_for(WORKSHOP, SHORT, (16, 8), **options)
    if network.scaler is not None:
        network.scaler.update(network.project(states(200)[1]))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.actor.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return network


FIELDS = ("raw", "m1_busy", "backlog_p2")


@pytest.mark.parametrize("scale_inputs", [True, False, "ranges"])
@pytest.mark.parametrize("observation", [None, FIELDS])
def test_the_policy_s_logits_are_the_network_s(scale_inputs, observation):
    network = trained(observation=observation, scale_inputs=scale_inputs)
    _, obs, mask = states(200)
    wanted = network.logits(network.read(obs))
    policy = network.as_policy("clone")
    np.testing.assert_allclose(policy.logits(obs), wanted, rtol=1e-5, atol=1e-5)
    actions = np.empty(len(obs), np.int64)
    masked.greedy_actions(wanted, mask, actions)
    np.testing.assert_array_equal(policy.act(obs, mask), actions)
    assert mask[np.arange(200), actions].all()


def test_relu_becomes_relu():
    schema = Schema.of(BatchEnv(WORKSHOP, SHORT, 1))
    network = PolicyNetwork(schema, (16,), "relu", 0)
    _, obs, _ = states(50)
    wanted = network.logits(network.read(obs))
    np.testing.assert_allclose(network.as_policy("x").logits(obs), wanted, rtol=1e-5, atol=1e-5)


def test_by_ranges_inputs_are_between_minus_1_and_1_from_the_start(tmp_path):
    network = network_for(WORKSHOP, SHORT, scale_inputs="ranges")
    env, obs, _ = states(200)
    low, high = np.array([(field.low, field.high) for field in Schema.of(env).observation.fields]).T
    read = network.read(obs)
    np.testing.assert_allclose(read, 2 * (obs - low) / (high - low) - 1, rtol=1e-4, atol=1e-5)
    network.scaler.update(obs)  # which changes nothing, in training or after it
    np.testing.assert_array_equal(network.read(obs), read)
    save_policy(network.as_policy("it"), tmp_path / "it")
    np.testing.assert_allclose(
        load_artefact(tmp_path / "it").outputs(obs), network.outputs(read), rtol=1e-4, atol=1e-5
    )


def test_a_saved_and_loaded_policy_takes_the_same_actions(tmp_path):
    network = trained(observation=FIELDS)
    env, obs, mask = states(200)
    policy = network.as_policy("clone")
    save_policy(policy, tmp_path / "clone")
    loaded = load_artefact(tmp_path / "clone").bind(Schema.of(env))
    np.testing.assert_array_equal(loaded.logits(obs), policy.logits(obs))
    np.testing.assert_array_equal(loaded.act(obs, mask), policy.act(obs, mask))
    draws = [each.act(obs, mask, np.random.default_rng(3)) for each in (loaded, policy)]
    np.testing.assert_array_equal(*draws)


def test_a_loaded_policy_finds_its_fields_in_another_order_and_scaling(tmp_path):
    network = trained(observation=FIELDS)
    env, obs, mask = states(100)
    save_policy(network.as_policy("clone"), tmp_path / "clone")
    names = tuple(reversed(Schema.of(env).observation.names))
    other, other_obs, other_mask = states(100, observation=names, scaling="published")
    np.testing.assert_array_equal(other_mask, mask)
    loaded = load_artefact(tmp_path / "clone").bind(Schema.of(other))
    wanted = network.logits(network.read(obs))
    np.testing.assert_allclose(loaded.logits(other_obs), wanted, rtol=1e-3, atol=1e-3)


def test_a_policy_is_a_copy():
    network = trained()
    _, obs, _ = states(20)
    policy = network.as_policy("clone")
    before = policy.logits(obs)
    with torch.no_grad():
        for parameter in network.actor.parameters():
            parameter.zero_()
    network.scaler.update(np.full((100, obs.shape[1]), 1e4, np.float32))
    np.testing.assert_array_equal(policy.logits(obs), before)


def test_a_field_that_is_not_shown_is_refused():
    with pytest.raises(InputError, match="does not show the field 'colour'"):
        network_for(WORKSHOP, SHORT, observation=("raw", "colour"))


def test_what_the_network_read_is_its_own():
    network = network_for(WORKSHOP, SHORT, scale_inputs=False)
    env, _, _ = states(3)
    read = network.read(env.obs)
    read[:] = -1
    assert not (env.obs == -1).all()


def test_one_seed_one_network():
    first, same, other = (network_for(WORKSHOP, SHORT, seed=seed) for seed in (0, 0, 1))
    for a, b, c in zip(
        first.actor.parameters(), same.actor.parameters(), other.actor.parameters(), strict=True
    ):
        assert torch.equal(a, b)
        assert a.dim() == 1 or not torch.equal(a, c)


def test_a_fresh_policy_is_nearly_uniform():
    network = network_for(WORKSHOP, SHORT)
    _, obs, mask = states(50)
    network.scaler.update(obs)
    probabilities = network.as_policy("fresh").probabilities(obs, mask)
    uniform = mask / mask.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities, uniform, rtol=0.2)


@pytest.mark.parametrize("scale_inputs", [True, False, "ranges"])
def test_a_restored_network_is_the_saved_one(scale_inputs):
    network = trained(scale_inputs=scale_inputs)
    restored = network_for(WORKSHOP, SHORT, (16, 8), seed=9, scale_inputs=scale_inputs)
    restored.load_state_dict(network.state_dict())
    _, obs, _ = states(20)
    x = network.read(obs)
    np.testing.assert_array_equal(restored.read(obs), x)
    np.testing.assert_array_equal(restored.logits(x), network.logits(x))
    values = [each.critic(torch.from_numpy(x)).detach() for each in (network, restored)]
    assert torch.equal(*values)

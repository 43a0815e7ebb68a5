"""DDPG learns from the right targets, climbs the right slope, and moves its targets when due."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.policy import Schema
from compagnon.policy.schema import ActionSchema
from compagnon.rl.buffers.replay import Transitions
from compagnon.rl.ddpg import DDPG, DDPGSettings
from compagnon.rl.networks.actor_critic import ActorCritic, list_of
from tests.policy.networks import schema_of
from tests.rl.small import ECHO, WALK, Walk, through_disk

SMALL: dict[str, Any] = {
    "num_envs": 4,
    "iteration_steps": 64,
    "capacity": 500,
    "learning_starts": 32,
    "batch_size": 16,
    "critic_state_hidden": (8,),
    "critic_action_hidden": (8,),
    "critic_hidden": (8,),
}
BOTH_KINDS = pytest.mark.parametrize("env_id", [ECHO, WALK], ids=["box", "discrete"])


def ddpg_on(
    env_id: str = ECHO,
    env_args: dict[str, Any] | None = None,
    seed: int = 0,
    scale_inputs: Any = False,
    total: int | None = None,
    **changes: Any,
) -> DDPG:
    settings = DDPGSettings(**{**SMALL, **changes})
    env = BatchEnv(env_id, env_args or {}, settings.num_envs)
    network = ActorCritic(
        Schema.of(env),
        (16,),
        "relu",
        seed,
        settings.critic_state_hidden,
        settings.critic_action_hidden,
        settings.critic_hidden,
        settings.norm,
        settings.squash,
        settings.twin_critics,
        scale_inputs=scale_inputs,
    )
    return DDPG(settings, network, env, seed, total)


def some(ddpg: DDPG, rows: int = 40) -> Transitions:
    """Transitions as a replay has them, of any kind of actions."""
    return ddpg.replay.take(np.arange(rows))


def read(ddpg: DDPG, states: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    fields = len(ddpg.network.schema.observation.fields)
    return torch.from_numpy(states[:, :fields]), torch.from_numpy(states[:, fields:]) > 0


def flat(module: torch.nn.Module) -> torch.Tensor:
    return torch.cat([part.detach().flatten() for part in module.parameters()])


def said_by(ddpg: DDPG, actor: torch.nn.Module, states: np.ndarray) -> torch.Tensor:
    """What an actor says of states, from torch's own functions."""
    x, mask = read(ddpg, states)
    outputs = actor(x)
    if not ddpg.network.discrete:
        return 2 * torch.sigmoid(outputs) - 1
    return torch.softmax(torch.where(mask, outputs, -torch.inf), dim=1)


# -- targets ------------------------------------------------------------------------------------


@BOTH_KINDS
@pytest.mark.parametrize("version", ["double", "simple"])
@pytest.mark.parametrize("twin_critics", [False, True])
def test_targets_by_hand(env_id, version, twin_critics):
    """r where the episode ended, else r + d Q~(s', mu~(s')), with the lesser of two critics."""
    ddpg = ddpg_on(env_id, version=version, twin_critics=twin_critics)
    ddpg.iterate()
    batch = some(ddpg)
    batch.discounts[:3] = [0.0, 0.9, 0.5]
    batch.next_obs[0] = np.float32(1.0)  # whatever stands behind an end is not looked at
    actor = ddpg.target_actor if version == "double" else ddpg.network.actor
    critics = ddpg.target_critics if version == "double" else ddpg.network.critics
    x, _ = read(ddpg, batch.next_obs)
    with torch.no_grad():
        said = said_by(ddpg, actor, batch.next_obs)
        values = torch.stack([critic(x, said) for critic in critics]).min(dim=0).values
        found = ddpg._targets(batch)
    assert found[0] == batch.rewards[0]
    wanted = batch.rewards + batch.discounts * values.numpy()
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5, atol=1e-6)
    if version == "double":
        assert not torch.equal(flat(actor), flat(ddpg.network.actor))


def test_an_end_ends_the_value_and_a_time_limit_does_not():
    ended = ddpg_on(ECHO, gamma=0.9)
    ended.iterate()
    assert (some(ended).discounts == 0).all()
    cut = ddpg_on("Pendulum-v1", {"max_episode_steps": 3}, gamma=0.9)
    cut.iterate()
    assert cut.episodes >= 16
    np.testing.assert_allclose(some(cut).discounts, 0.9)


def test_several_steps_count_as_one_with_their_own_discount():
    ddpg = ddpg_on("Pendulum-v1", {"max_episode_steps": 5}, gamma=0.9, n_step=3)
    ddpg.iterate()
    found = {round(float(d), 4) for d in some(ddpg, 60).discounts}
    assert found == {0.9, 0.81, 0.729}  # the windows that the time limit cuts are shorter


def test_rewards_are_scaled_where_they_are_learnt_and_told_as_they_were():
    plain, scaled = (ddpg_on(reward_scale=scale, learning_starts=300) for scale in (1.0, 0.25))
    told = [ddpg.iterate()["episode_return"] for ddpg in (plain, scaled)]
    assert told[0] == told[1]
    np.testing.assert_allclose(some(scaled).rewards, 0.25 * some(plain).rewards)


def test_smoothed_targets_stay_in_bounds_and_near():
    ddpg = ddpg_on(target_noise=5.0, target_noise_clip=0.25)
    states = np.random.default_rng(0).uniform(-1, 1, (200, 2)).astype(np.float32)
    ddpg.target_actor.layers[-1].bias.data[:] = torch.tensor([3.0, 0.0])  # type: ignore[index, union-attr]
    with torch.no_grad():
        plain = said_by(ddpg, ddpg.target_actor, states)
        found = ddpg._target_actions(torch.from_numpy(states), None)
    moved = found - plain
    assert moved.abs().max() <= 0.25 + 1e-6
    assert moved[:, 1].abs().mean() > 0.2  # the noise is far wider than its clip
    assert abs(float(moved[:, 1].mean())) < 0.1
    assert (found[:, 0] == 1).any()
    assert found.abs().max() == 1


# -- gradients ----------------------------------------------------------------------------------


def gradients_of(ddpg: DDPG, which: str, learn: Any) -> torch.Tensor:
    """What stands in an optimiser when it is told to step, which it then does not do."""
    optimiser = getattr(ddpg.steps, f"_{which}_adam")
    found: list[torch.Tensor] = []

    def step() -> float:
        found.append(optimiser.gradient.clone())
        return 0.0

    optimiser.step = step
    with torch.no_grad():
        learn()
    del optimiser.step
    return found[0]


@BOTH_KINDS
@pytest.mark.parametrize("norm", ["none", "layer"])
def test_the_actor_climbs_the_critic(env_id, norm):
    """Its gradient is autograd's of -mean Q(s, mu(s)), through the softmax of what is possible."""
    ddpg = ddpg_on(env_id, norm=norm)
    ddpg.iterate()
    network, batch = ddpg.network, some(ddpg)
    x, mask = ddpg._read(batch.obs)
    critic = network.critics[0]
    before = flat(network.critics)
    found = gradients_of(ddpg, "actor", lambda: ddpg._train_actor(x, mask))
    actor = copy.deepcopy(network.actor)
    actor.zero_grad()
    loss = -critic(x, said_by(ddpg, actor, batch.obs)).mean()
    loss.backward()
    wanted = torch.cat([part.grad.flatten() for part in actor.parameters()])
    assert wanted.abs().max() > 1e-4
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(flat(network.critics), before)


@BOTH_KINDS
@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
def test_the_critics_gradient_is_that_of_the_mean_squared_error(env_id, norm):
    ddpg = ddpg_on(env_id, twin_critics=True, norm=norm)
    ddpg.iterate()
    network, batch = ddpg.network, some(ddpg)
    x, _ = read(ddpg, batch.obs)
    actions = torch.from_numpy(batch.actions)
    if network.discrete:
        actions = torch.eye(3)[actions]
    targets = torch.linspace(-1, 2, len(x))
    critics = copy.deepcopy(network.critics)
    found = gradients_of(ddpg, "critic", lambda: ddpg._train_critics(x, batch, targets))
    critics.train(norm == "batch")
    critics.zero_grad()
    for critic in list_of(critics):
        ((targets - critic(x, actions)) ** 2).mean().backward()
    wanted = torch.cat([part.grad.flatten() for part in critics.parameters()])
    assert wanted.abs().max() > 1e-3
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-5)
    for own, other in zip(network.critics.buffers(), critics.buffers(), strict=True):
        torch.testing.assert_close(own, other)


def test_an_update_makes_both_better_at_what_they_are_to_do():
    ddpg = ddpg_on(actor_learning_rate=1e-3, critic_learning_rate=1e-3)
    ddpg.iterate()
    batch = some(ddpg)
    x, mask = ddpg._read(batch.obs)
    targets = torch.linspace(-1, 1, len(x))
    with torch.no_grad():
        losses = [ddpg._train_critics(x, batch, targets)[0] for _ in range(50)]
        climbed = [ddpg._train_actor(x, mask)[0] for _ in range(50)]
    assert losses[-1] < losses[0]
    assert climbed[-1] > climbed[0]


# -- targets that follow ------------------------------------------------------------------------


def test_soft_updates_by_hand():
    ddpg = ddpg_on(tau=0.25, norm="batch", twin_critics=True)
    pairs = [
        (ddpg.target_actor, ddpg.network.actor),
        (ddpg.target_critics, ddpg.network.critics),
    ]
    for target, own in pairs:
        for part in (*target.parameters(), *target.buffers()):
            part.data.fill_(2)
        for part in (*own.parameters(), *own.buffers()):
            part.data.fill_(6)
    for wanted in (3.0, 3.75):  # 2 + (6 - 2) / 4, then a quarter of what is left
        with torch.no_grad():
            ddpg._move_targets()
        for target, own in pairs:
            for name, part in (*target.named_parameters(), *target.named_buffers()):
                assert (part == (wanted if part.is_floating_point() else 2)).all(), name
            assert all((part == 6).all() for part in own.parameters())


@pytest.mark.parametrize("interval", [1, 3])
def test_targets_move_when_they_are_due(interval):
    ddpg = ddpg_on(target_interval=interval, iteration_steps=4, learning_starts=0)
    ddpg.iterate()
    moved = []
    for _ in range(9):
        before = flat(ddpg.target_actor), flat(ddpg.target_critics)
        ddpg.iterate()
        after = flat(ddpg.target_actor), flat(ddpg.target_critics)
        same = [torch.equal(one, other) for one, other in zip(before, after, strict=True)]
        assert len(set(same)) == 1
        moved.append(not same[0])
    assert moved == [update % interval == 0 for update in range(2, 11)]


def test_the_simple_version_has_no_targets_of_its_own():
    ddpg = ddpg_on(version="simple")
    assert ddpg.target_actor is ddpg.network.actor
    assert ddpg.target_critics is ddpg.network.critics


def test_a_slower_actor_waits_for_the_critics():
    ddpg = ddpg_on(actor_delay=3, iteration_steps=4, learning_starts=0)
    moved = []
    for _ in range(9):
        actor, critics = flat(ddpg.network.actor), flat(ddpg.network.critics)
        ddpg.iterate()
        moved.append(not torch.equal(actor, flat(ddpg.network.actor)))
        assert not torch.equal(critics, flat(ddpg.network.critics))
    assert moved == [False, False, True] * 3


def test_step_sizes_fall_to_their_share_by_the_end():
    ddpg = ddpg_on(total=4, final_rate_share=0.2, actor_learning_rate=1e-3)
    seen = []
    for _ in range(6):
        ddpg.iterate()
        seen.append(ddpg._rates[0])
    np.testing.assert_allclose(seen, np.array([1.0, 0.8, 0.6, 0.4, 0.2, 0.2]) * 1e-3)
    staying = ddpg_on(total=4)
    for _ in range(3):
        staying.iterate()
    assert staying._rates[1] == 1e-3


# -- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_parameter_noise_needs_layer_norm(norm):
    with pytest.raises(ValueError, match="'parameters' needs norm = 'layer'"):
        DDPGSettings(exploration="parameters", norm=norm)
    DDPGSettings(exploration="parameters", norm="layer")


@pytest.mark.parametrize(
    ("env_id", "changes", "said"),
    [
        (WALK, {"exploration": "ou"}, "draws, parameters, none are"),
        (ECHO, {"exploration": "draws"}, "ou, gaussian, parameters, none are"),
        (WALK, {"target_noise": 0.2}, "target_noise is for vectors"),
    ],
)
def test_what_does_not_suit_the_actions_is_refused(env_id, changes, said):
    with pytest.raises(InputError, match=said):
        ddpg_on(env_id, **changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"learning_starts": 100, "capacity": 99}, "learning_starts: more than capacity holds"),
        ({"norm": "batch", "batch_size": 1}, "batch_size: norm = 'batch' needs more than one"),
        ({"critic_hidden": (8, 0)}, "critic_hidden"),
    ],
)
def test_settings_that_cannot_be_learnt_with_are_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        DDPGSettings(**changes)


# -- saving -------------------------------------------------------------------------------------


def test_pending_steps_survive_where_their_episodes_do():
    """Nothing may be joined across episodes that could not be brought back."""
    settings: dict[str, Any] = {"n_step": 3, "iteration_steps": 16}
    ddpg = ddpg_on(WALK, {"ends": False}, **settings)
    ddpg.iterate()
    state = through_disk(ddpg.state_dict())
    restored = ddpg_on(WALK, {"ends": False}, **settings)
    restored.load_state_dict(state)
    assert restored.goes_on
    assert restored.windows.state_dict()["counts"].all()
    for kept in state["env"]["copies"]:
        kept["return"] += 1.0  # what was kept does not lead there
    elsewhere = ddpg_on(WALK, {"ends": False}, **settings)
    elsewhere.load_state_dict(state)
    assert not elsewhere.goes_on
    assert not elsewhere.windows.state_dict()["counts"].any()
    assert not elsewhere.returns.state_dict()["running"].any()
    elsewhere.iterate()


# -- inputs -------------------------------------------------------------------------------------


def test_a_running_scaler_takes_in_each_state_once():
    ddpg = ddpg_on(ECHO, scale_inputs=True, learning_starts=0)
    for _ in range(3):
        ddpg.iterate()
    scaler, seen = ddpg.network.scaler, some(ddpg, 192).obs
    assert scaler is not None
    assert scaler.count == 192
    np.testing.assert_allclose(scaler.mean, seen.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(scaler.std, seen.std(axis=0), rtol=1e-5)


def test_what_is_possible_is_not_scaled():
    ddpg = ddpg_on(WALK, scale_inputs=True, learning_starts=0)
    ddpg.iterate()
    scaler = ddpg.network.scaler
    assert scaler is not None
    assert scaler.mean.shape == (Walk.PLACES,)
    states = some(ddpg).obs
    x, mask = ddpg._read(states)
    np.testing.assert_allclose(x, scaler(states[:, : Walk.PLACES]))
    assert mask is not None
    np.testing.assert_array_equal(mask, states[:, Walk.PLACES :] == 1)


@pytest.mark.parametrize(("low", "high"), [(0.0, np.inf), (-np.inf, 1.0), (-3.4e38, 3.4e38)])
def test_a_range_without_an_end_is_refused(low, high):
    schema = schema_of("Pendulum-v1")
    schema = replace(schema, action=ActionSchema("box", 2, (-1.0, low), (1.0, high)))
    words = r"Pendulum-v1: number 1 of an action goes from .*RescaleAction"
    with pytest.raises(InputError, match=words):
        ActorCritic(schema, (8,), "relu", 0)

"""What DDPG tries: within bounds, among what is possible, and as its settings say."""

import numpy as np
import pytest
import torch

from compagnon.evaluation.episodes import play_episodes
from tests.rl.small import BANDIT, ECHO, WALK, Echo, Walk
from tests.rl.test_ddpg import BOTH_KINDS, ddpg_on, flat, read, said_by, some


@BOTH_KINDS
def test_first_come_uniform_actions_and_no_update(env_id):
    ddpg = ddpg_on(env_id, learning_starts=400, iteration_steps=396, batch_size=8)
    before = flat(ddpg.network.actor)
    assert "critic_loss" not in ddpg.iterate()
    assert ddpg.updates == 0
    torch.testing.assert_close(flat(ddpg.network.actor), before)
    seen = some(ddpg, 396).actions
    if env_id == ECHO:
        counts = np.histogram(seen, np.linspace(-1, 1, 5))[0]
        np.testing.assert_allclose(counts / counts.sum(), 0.25, atol=0.06)
    else:
        states, possible = read(ddpg, some(ddpg, 396).obs)[0].argmax(dim=1), Walk.solved(0.5)[1]
        for place in range(Walk.PLACES):
            chosen = seen[states.numpy() == place]
            shares = np.bincount(chosen, minlength=3) / len(chosen)
            np.testing.assert_allclose(shares, possible[place] / possible[place].sum(), atol=0.2)
    ddpg.iterate()
    assert ddpg.updates == (2 * 396 - 400) // 4 + 1


def test_updates_come_as_often_as_they_are_asked_for():
    ddpg = ddpg_on(train_every=4, updates=3, iteration_steps=160, learning_starts=0)
    ddpg.iterate()
    assert ddpg.updates == 160 // 4 // 4 * 3


@pytest.mark.parametrize("exploration", ["ou", "gaussian", "none"])
def test_actions_are_remembered_in_half_ranges_and_taken_within_bounds(exploration):
    """The Echo itself refuses what is out of its bounds."""
    ddpg = ddpg_on(exploration=exploration, noise_std=2.0, learning_starts=0, gamma=1.0)
    metrics = ddpg.iterate()
    seen = some(ddpg, 64)
    assert np.abs(seen.actions).max() <= 1
    half = (Echo.HIGH - Echo.LOW) / 2
    taken = (Echo.LOW + Echo.HIGH) / 2 + half * seen.actions
    paid = -(((taken - (Echo.LOW + Echo.HIGH) / 2) / half - seen.obs) ** 2).mean(axis=1)
    np.testing.assert_allclose(seen.rewards, paid, rtol=1e-4, atol=1e-5)
    at_a_bound = float((np.abs(seen.actions) == 1).mean())
    assert metrics["saturation"] == pytest.approx(at_a_bound)
    assert (at_a_bound > 0.3) == (exploration == "gaussian")


def test_no_exploration_is_the_actor():
    ddpg = ddpg_on(exploration="none", learning_starts=0)
    x = np.random.default_rng(0).uniform(-1, 1, (4, 2)).astype(np.float32)
    found = ddpg.explorer.explore(x, None, ddpg.rng)
    np.testing.assert_allclose(found, said_by(ddpg, ddpg.network.actor, x).detach(), atol=1e-6)


def test_noise_begins_anew_in_the_copy_whose_episode_ended():
    ddpg = ddpg_on("Pendulum-v1", {"max_episode_steps": 10}, learning_starts=0, iteration_steps=4)
    noise = ddpg.explorer.noisy.noise  # type: ignore[union-attr]
    for step in range(1, 25):
        ddpg.iterate()
        assert (noise.x == 0).all() == (step % 10 == 0)  # type: ignore[attr-defined]


def test_what_is_possible_is_remembered_with_the_state():
    ddpg = ddpg_on(WALK, {"max_episode_steps": 4})
    ddpg.iterate()
    batch, walk = some(ddpg, 60), Walk()
    for states in (batch.obs, batch.next_obs):
        x, mask = read(ddpg, states)
        for place, possible, discount in zip(
            x.argmax(dim=1).tolist(), mask.numpy(), batch.discounts, strict=True
        ):
            if states is batch.obs or discount > 0:
                np.testing.assert_array_equal(possible, walk.possible(place))


@pytest.mark.parametrize("exploration", ["draws", "none", "parameters"])
@pytest.mark.parametrize("env_id", [WALK, BANDIT])
def test_no_masked_action_is_ever_taken(env_id, exploration):
    """The environments refuse them. Outputs that shout for what is masked change nothing."""
    ddpg = ddpg_on(
        env_id, exploration=exploration, norm="layer", learning_starts=0, parameter_std=5.0
    )
    with torch.no_grad():
        for part in ddpg.network.actor.parameters():
            part.mul_(30)
    for _ in range(4):
        ddpg.iterate()
    assert ddpg.updates == 64
    policy = ddpg.network.as_policy("it")
    play_episodes(env_id, {"max_episode_steps": 20}, policy, list(range(20)))


def test_draws_follow_the_actors_probabilities():
    ddpg = ddpg_on(BANDIT, exploration="draws")
    x = np.repeat(np.eye(4, dtype=np.float32)[:1], 6000, 0)
    mask = np.tile([True, False, True, True, False, True], (6000, 1))
    with torch.no_grad():
        ddpg.network.actor.layers[-1].bias[:] = torch.tensor([0.0, 9.0, 1.0, -1.0, 9.0, 0.5])  # type: ignore[index, union-attr]
    wanted = said_by(
        ddpg, ddpg.network.actor, np.concatenate([x[:1], mask[:1]], 1, dtype=np.float32)
    )
    found = ddpg.explorer.explore(x, mask, np.random.default_rng(0))
    shares = np.bincount(found, minlength=6) / 6000
    np.testing.assert_allclose(shares, wanted[0].detach(), atol=0.02)


def test_parameter_noise_reaches_its_distance_in_training():
    ddpg = ddpg_on(
        "Pendulum-v1",
        exploration="parameters",
        norm="layer",
        parameter_std=1e-4,
        parameter_distance=0.1,
        parameter_factor=1.2,
        parameter_every=1,
        iteration_steps=600,
    )
    metrics = ddpg.iterate()
    noise = ddpg.explorer.parameters
    assert noise is not None
    assert metrics["parameter_std"] == noise.std > 1e-3
    x = ddpg.network.tensor(ddpg.network.scaled(some(ddpg, 300).obs))
    found = []
    for _ in range(30):
        noise.disturb(ddpg.rng)
        with torch.no_grad():
            ours, theirs = (
                ddpg.network.head_forward(actor(x), None)
                for actor in (noise.actor, noise.disturbed)
            )
        found.append(float((ours - theirs).square().mean().sqrt()))
    assert np.mean(found) == pytest.approx(0.1, rel=0.4)

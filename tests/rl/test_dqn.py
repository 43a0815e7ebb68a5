"""DQN finds the values that value iteration finds, and does with each setting what it says."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.policy import Schema
from compagnon.rl.dqn import DQN, DQNSettings, QNetwork
from tests.rl.small import ACTIONS, BANDIT, CLOCK, CONTEXTS, WALK, Walk, through_disk
from tests.tiers import full

GAMMA = 0.8
SMALL: dict[str, Any] = {
    "num_envs": 4,
    "iteration_steps": 64,
    "capacity": 256,
    "learning_starts": 32,
    "batch_size": 16,
    "target_every": 16,
}
EVERYTHING: dict[str, Any] = {"double": True, "dueling": True, "prioritised": True, "n_step": 3}
TO_SOLVE: dict[str, Any] = {
    "num_envs": 8,
    "iteration_steps": 2000,
    "capacity": 2000,
    "learning_starts": 256,
    "batch_size": 64,
    "learning_rate": 1e-2,
    "final_learning_rate": 1e-3,
    "gamma": GAMMA,
    "target_every": 80,
    "epsilon_end": 1.0,  # values of all that is possible, not of what is best alone
}


def dqn_on(
    env_id: str,
    env_args: dict[str, Any] | None = None,
    seed: int = 0,
    hidden: tuple[int, ...] = (32,),
    total: int | None = None,
    scale_inputs: Any = False,
    **settings: Any,
) -> DQN:
    chosen = DQNSettings(**settings)
    env = BatchEnv(env_id, env_args or {}, chosen.num_envs)
    network = QNetwork(
        Schema.of(env), hidden, "tanh", seed, chosen.dueling, scale_inputs=scale_inputs
    )
    return DQN(chosen, network, env, seed, total)


def walk_values(dqn: DQN) -> np.ndarray:
    return dqn.network.outputs(np.eye(Walk.PLACES, dtype=np.float32))


# -- what it learns -----------------------------------------------------------------------------


def error_on_walk(dqn: DQN, ends: bool, iterations: int = 3) -> float:
    """The largest difference to value iteration, over all that is possible."""
    for _ in range(iterations):
        dqn.iterate()
    wanted, possible = Walk.solved(GAMMA, ends)
    return float(np.abs(walk_values(dqn) - wanted)[possible].max())


@pytest.mark.parametrize("ends", [True, False], ids=["ends", "goes on for ever"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        full({"double": True}),
        full({"dueling": True}),
        full({"prioritised": True}),
        full({"loss": "squared"}),
    ],
    ids=str,
)
def test_it_finds_the_values_of_value_iteration(options, ends):
    """Behind masks, a time limit of 4 steps that is no end, and, with `ends`, true ends."""
    dqn = dqn_on(WALK, {"ends": ends, "max_episode_steps": 4}, total=3, **TO_SOLVE, **options)
    assert error_on_walk(dqn, ends) < 0.05


# With n steps the values are those of how it plays, so it has to play nearly greedily.
GREEDY_IN_THE_END: dict[str, Any] = {**TO_SOLVE, "epsilon_end": 0.02, "epsilon_steps": 3000}


@pytest.mark.parametrize("ends", [True, False], ids=["ends", "goes on for ever"])
@pytest.mark.parametrize("options", [{"n_step": 3}, full(EVERYTHING)], ids=["n_step", "everything"])
def test_with_n_steps_it_finds_the_values_of_the_best_play(options, ends):
    dqn = dqn_on(
        WALK, {"ends": ends, "max_episode_steps": 8}, total=4, **{**GREEDY_IN_THE_END, **options}
    )
    for _ in range(4):
        dqn.iterate()
    wanted, possible = Walk.solved(GAMMA, ends)
    best = np.where(possible, wanted, -np.inf).argmax(axis=1)
    values = walk_values(dqn)
    np.testing.assert_array_equal(np.where(possible, values, -np.inf).argmax(axis=1), best)
    every = np.arange(Walk.PLACES)
    np.testing.assert_allclose(values[every, best], wanted[every, best], atol=0.15)


def test_a_time_limit_taken_for_an_end_is_found_out(monkeypatch):
    dqn = dqn_on(WALK, {"ends": False, "max_episode_steps": 4}, total=3, **TO_SOLVE)
    push = dqn.windows.push

    def breach(*given: Any) -> Any:
        *others, terminated, truncated = given
        return push(*others, terminated | truncated, truncated)

    monkeypatch.setattr(dqn.windows, "push", breach)
    assert error_on_walk(dqn, ends=False) > 0.5


def test_an_end_taken_for_a_time_limit_is_found_out(monkeypatch):
    dqn = dqn_on(WALK, {"ends": True, "max_episode_steps": 4}, total=3, **TO_SOLVE)
    push = dqn.windows.push

    def breach(*given: Any) -> Any:
        *others, terminated, truncated = given
        return push(*others, np.zeros_like(terminated), terminated | truncated)

    monkeypatch.setattr(dqn.windows, "push", breach)
    assert error_on_walk(dqn, ends=True) > 0.5


def test_a_mask_left_out_of_the_targets_is_found_out(monkeypatch):
    dqn = dqn_on(WALK, {"ends": False, "max_episode_steps": 4}, total=3, **TO_SOLVE)
    # what cannot be done is never tried: that it is worth nothing is not learnt, only assumed
    with torch.no_grad():
        dqn.network.actor.layers[-1].bias[:] = 20.0
    take = dqn.replay.take
    monkeypatch.setattr(
        dqn.replay,
        "take",
        lambda rows: (batch := take(rows))._replace(next_mask=np.ones_like(batch.next_mask)),
    )
    assert error_on_walk(dqn, ends=False) > 0.5


@pytest.mark.full
@pytest.mark.parametrize("seed", range(2))
def test_it_learns_to_balance(seed):
    settings = {
        "num_envs": 4, "iteration_steps": 1000, "capacity": 20_000, "learning_starts": 500,
        "batch_size": 64, "learning_rate": 1e-3, "target_every": 4, "tau": 0.01,
        "epsilon_steps": 4000, "epsilon_end": 0.02, "double": True, "n_step": 5,
    }  # fmt: skip
    dqn = dqn_on("CartPole-v1", seed=seed, hidden=(64,), scale_inputs=True, **settings)
    first = dqn.iterate()["episode_return"]
    best = max(dqn.iterate()["episode_return"] for _ in range(11))
    assert first < 40
    assert best > 80  # the last 100 episodes, the random ones of the beginning included


# -- one update ---------------------------------------------------------------------------------


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("loss", ["huber", "squared"])
@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("prioritised", [False, True])
def test_an_update_is_autograd_s_and_adam_s(loss, double, dueling, prioritised):
    """One update, worked out again from what is remembered, with torch's own parts."""
    dqn = dqn_on(
        WALK,
        hidden=(8,),
        loss=loss,
        double=double,
        dueling=dueling,
        prioritised=prioritised,
        max_grad_norm=0.5,
        **{**SMALL, "num_envs": 1, "iteration_steps": 32, "learning_starts": 33},
    )
    dqn.iterate()  # no update yet
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():  # a target that differs
        for parameter in dqn.target.parameters():
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=generator))
    if dqn.priorities is not None:
        dqn.priorities.update(np.arange(32), np.linspace(0.1, 5, 32).astype(np.float32))
    twin = QNetwork(dqn.network.schema, (8,), "tanh", 0, dueling, scale_inputs=False)
    twin.load_state_dict(dqn.network.state_dict())
    rows, weights = dqn._draw()
    dqn._draw = lambda: (rows, weights)  # type: ignore[method-assign]
    assert (len(set(weights.tolist())) > 1) == prioritised
    batch = dqn.replay.take(rows)
    next_obs, next_mask = torch.from_numpy(batch.next_obs), torch.from_numpy(batch.next_mask)
    with torch.no_grad():
        valuing = dqn.target(next_obs)
        choosing = twin.actor(next_obs) if double else valuing
        best = choosing.masked_fill(~next_mask, -torch.inf).argmax(1, keepdim=True)
        targets = (
            torch.from_numpy(batch.rewards)
            + torch.from_numpy(batch.discounts) * (valuing.gather(1, best)[:, 0])
        )
    actions = torch.from_numpy(batch.actions)[:, None]
    chosen = twin.actor(torch.from_numpy(batch.obs)).gather(1, actions)[:, 0]
    measure = functional.smooth_l1_loss if loss == "huber" else functional.mse_loss
    wanted = (torch.from_numpy(weights) * measure(chosen, targets, reduction="none")).mean()
    wanted.backward()
    norm = torch.nn.utils.clip_grad_norm_(twin.actor.parameters(), 0.5)
    torch.optim.Adam(twin.actor.parameters(), lr=dqn.settings.learning_rate).step()
    found_loss, _, _, found_norm = dqn._update()
    assert found_loss == pytest.approx(wanted.item(), rel=1e-5)
    assert found_norm == pytest.approx(float(norm), rel=1e-5)
    for one, other in zip(dqn.network.actor.parameters(), twin.actor.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    if dqn.priorities is not None:  # what it was surprised by comes again sooner
        errors = (chosen - targets).detach().abs().numpy().astype(np.float64)
        leaves = dqn.priorities.tree.leaves[rows]
        np.testing.assert_allclose(leaves, (errors + 1e-6) ** 0.6, rtol=1e-4)


def test_errors_become_priorities_and_weights_count():
    dqn = dqn_on(WALK, prioritised=True, beta=1.0, **SMALL)
    dqn.iterate()
    known = len(dqn.replay)
    leaves = dqn.priorities.tree.leaves
    assert (leaves[:known] > 0).all()
    assert not leaves[known:].any()
    assert len(set(leaves[:known].tolist())) > 5
    rows, weights = dqn._draw()
    wanted = (known * leaves[rows] / leaves.sum()) ** -1.0
    np.testing.assert_allclose(weights, wanted / wanted.max(), rtol=1e-5)


def test_the_correction_of_prioritised_replay_grows_to_1_over_the_budget():
    dqn = dqn_on(WALK, prioritised=True, beta=0.4, total=4, **SMALL)
    betas = []
    sample = dqn.priorities.sample

    def listen(count: int, known: int, beta: float, rng: Any) -> Any:
        betas.append(beta)
        return sample(count, known, beta, rng)

    dqn.priorities.sample = listen  # type: ignore[method-assign]
    for _ in range(6):
        dqn.iterate()
    assert list(dict.fromkeys(np.round(betas, 6).tolist())) == [0.4, 0.55, 0.7, 0.85, 1.0]


# -- schedules ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decay", "steps", "wanted"),
    [
        ("linear", 0, 1.0),
        ("linear", 250, 0.7525),
        ("linear", 500, 0.505),
        ("linear", 1000, 0.01),
        ("linear", 9999, 0.01),
        ("geometric", 0, 1.0),
        ("geometric", 250, 10**-0.5),
        ("geometric", 500, 0.1),
        ("geometric", 1000, 0.01),
        ("geometric", 9999, 0.01),
    ],
)
@pytest.mark.parametrize("of", ["steps", "episodes"])
def test_epsilon_by_hand(decay, steps, wanted, of):
    bounds = {"epsilon_steps": 1000} if of == "steps" else {"epsilon_episodes": 1000}
    dqn = dqn_on(WALK, epsilon_end=0.01, epsilon_decay=decay, **bounds)
    if of == "steps":
        dqn.env_steps = steps
    else:
        dqn.returns.episodes, dqn.env_steps = steps, 10**6
    assert dqn.epsilon() == pytest.approx(wanted)


def test_the_tutorial_s_epsilon():
    """0.9 to 0.01 over 450 episodes: after 225 the geometric mean of both."""
    dqn = dqn_on(
        WALK, epsilon_start=0.9, epsilon_end=0.01, epsilon_decay="geometric", epsilon_episodes=450
    )
    dqn.returns.episodes = 225
    assert dqn.epsilon() == pytest.approx((0.9 * 0.01) ** 0.5)


def test_copies_explore_as_their_spread_says():
    """Apex: epsilon ** (1 + 7 i / (N - 1)), the first copy exploring most."""
    dqn = dqn_on(WALK, num_envs=3, epsilon_start=0.4, epsilon_end=0.4, epsilon_spread=7.0)
    np.testing.assert_allclose(dqn._epsilons(), [0.4, 0.4**4.5, 0.4**8])
    level = dqn_on(WALK, num_envs=3, epsilon_start=0.4, epsilon_end=0.4)
    np.testing.assert_allclose(level._epsilons(), 0.4)


def test_the_learning_rate_falls_over_the_budget():
    dqn = dqn_on(WALK, learning_rate=1e-2, final_learning_rate=2e-3, total=4, **SMALL)
    rates = []
    for _ in range(6):
        dqn.iterate()
        rates.append(dqn._rate)
    np.testing.assert_allclose(rates, [1e-2, 8e-3, 6e-3, 4e-3, 2e-3, 2e-3])


def test_rewards_are_scaled_where_they_are_learnt_and_told_as_they_were():
    dqn = dqn_on(CLOCK, {"max_episode_steps": 5}, reward_scale=0.25, n_step=2, gamma=0.5, **SMALL)
    metrics = dqn.iterate()
    whole, cut = 0.25 * 1.5, 0.25
    found, counts = np.unique(dqn.replay.data.rewards[: len(dqn.replay)], return_counts=True)
    np.testing.assert_array_equal(found, [cut, whole])
    assert counts.tolist() == [12, 48]  # of 16 steps each, 3 ended an episode and 1 is pending
    assert metrics["episode_return"] == 5.0


def test_a_measured_scale_divides_by_the_rewards_of_the_warm_up():
    """CLOCK pays 1 a step; it is told 8 here."""
    auto = {**SMALL, "reward_scale": "auto", "n_step": 2, "gamma": 0.5, "learning_starts": 41}
    for pays, scale in ((8.0, 0.125), (0.25, 1.0)):
        dqn = dqn_on(CLOCK, {"max_episode_steps": 5}, **auto)
        pay(dqn.env, pays)
        metrics = dqn.iterate()
        assert dqn.reward_scale.value == metrics["reward_scale"] == scale
        rewards = dqn.replay.data.rewards[: len(dqn.replay)]
        cut, whole = pays * scale, 1.5 * pays * scale  # before the warm-up's end and after it
        assert set(rewards.tolist()) == {cut, whole}
        assert metrics["episode_return"] == 5 * pays


def pay(env: BatchEnv, times: float) -> None:
    """Multiply what it pays."""
    step = env.step

    def richer(actions: Any) -> Any:
        told = step(actions)
        return told._replace(reward=told.reward * times)

    env.step = richer  # type: ignore[method-assign]


def test_a_measured_scale_stays_what_it_is_and_is_saved():
    auto = {**SMALL, "reward_scale": "auto"}
    dqn, again = dqn_on(WALK, **auto), dqn_on(WALK, **auto)
    dqn.reward_scale.count(np.full(1_000, 30.0))
    before = through_disk(dqn.state_dict())
    dqn.iterate()
    measured = dqn.reward_scale.value
    assert measured < 0.1
    dqn.reward_scale.count(np.full(1_000, 1e6))
    dqn.iterate()
    assert dqn.reward_scale.value == measured
    again.load_state_dict(before)  # in the middle of the warm-up
    again.iterate()
    assert again.reward_scale.value == measured
    last = dqn_on(WALK, **auto)
    last.load_state_dict(through_disk(dqn.state_dict()))
    assert last.reward_scale.value == measured
    assert dqn_on(WALK, **SMALL).state_dict()["reward_scale"] is None


@pytest.mark.parametrize("scale", ["automatic", 0, -1.0])
def test_a_scale_is_a_positive_number_or_measured(scale):
    with pytest.raises(ValueError, match="reward_scale"):
        DQNSettings(reward_scale=scale)


# -- when it learns -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "updates"),
    [
        ({"iteration_steps": 100, "learning_starts": 1}, 25),  # 25 steps of 4 copies
        ({"iteration_steps": 100, "learning_starts": 1, "updates": 3}, 75),
        ({"iteration_steps": 100, "learning_starts": 1, "train_every": 5}, 5),
        ({"iteration_steps": 100, "learning_starts": 41}, 15),  # from the 11th step on
        ({"iteration_steps": 100, "learning_starts": 101}, 0),
        ({"iteration_steps": 97, "learning_starts": 1}, 25),  # whole steps of all copies
    ],
)
def test_updates_come_when_the_settings_say(changes, updates):
    dqn = dqn_on(CLOCK, **{**SMALL, **changes})
    metrics = dqn.iterate()
    assert metrics["updates"] == dqn.updates == updates
    assert ("loss" in metrics) == (updates > 0)
    assert dqn.env_steps == 100


def test_n_steps_of_an_episode_are_remembered_once_each():
    dqn = dqn_on(WALK, {"ends": False, "max_episode_steps": 4}, n_step=3, **SMALL)
    dqn.iterate()  # 16 steps of 4 copies: 4 whole episodes each
    assert dqn.replay.added == 64
    spans = np.log(dqn.replay.data.discounts[:64]) / np.log(dqn.settings.gamma)
    assert np.bincount(np.round(spans).astype(int)).tolist() == [0, 16, 16, 32]


@pytest.mark.parametrize("tau", [1.0, 0.25])
def test_the_target_moves_when_and_as_far_as_it_should(tau):
    dqn = dqn_on(CLOCK, **{**SMALL, "iteration_steps": 12, "target_every": 16, "tau": tau})

    def weights(module: torch.nn.Module) -> np.ndarray:
        return np.concatenate([p.detach().numpy().ravel() for p in module.parameters()])

    with torch.no_grad():
        for parameter in dqn.target.parameters():
            parameter.zero_()
    dqn.iterate()
    assert not weights(dqn.target).any()  # 12 steps: not yet
    before = weights(dqn.network.actor)  # no update until 32 are remembered
    dqn.iterate()
    np.testing.assert_allclose(weights(dqn.target), tau * before, rtol=1e-6)  # at 16 of 24
    dqn.iterate()
    after = tau * before + tau * (before - tau * before)  # at 32, before the first update
    np.testing.assert_allclose(weights(dqn.target), after, rtol=1e-5, atol=1e-8)
    assert not np.array_equal(weights(dqn.network.actor), before)


def test_the_target_is_not_trained():
    dqn = dqn_on(WALK, **{**SMALL, "target_every": 10_000})
    before = [parameter.clone() for parameter in dqn.target.parameters()]
    for _ in range(3):
        dqn.iterate()
    assert dqn.updates > 0
    for one, other in zip(before, dqn.target.parameters(), strict=True):
        assert torch.equal(one, other)


# -- what it reads ------------------------------------------------------------------------------


def test_the_scaler_learns_from_every_observation_once():
    dqn = dqn_on(CLOCK, {"max_episode_steps": 10}, scale_inputs=True, **SMALL)
    for iteration in range(1, 4):
        dqn.iterate()
        assert dqn.network.scaler.count == 64 * iteration == dqn.replay.added
    seen = np.arange(48) % 10  # each of the 4 copies
    assert dqn.network.scaler.mean[0] == pytest.approx(seen.mean())
    assert dqn.network.scaler.std[0] == pytest.approx(seen.std())


def test_the_first_update_reads_scaled_inputs():
    dqn = dqn_on(CLOCK, scale_inputs=True, **{**SMALL, "learning_starts": 64})
    counts: list[int] = []
    update = dqn._update

    def listen() -> Any:
        counts.append(dqn.network.scaler.count)
        return update()

    dqn._update = listen  # type: ignore[method-assign]
    dqn.iterate()
    assert counts == [64]


def test_scaling_by_ranges_stays_as_it_is():
    dqn = dqn_on(CLOCK, scale_inputs="ranges", **SMALL)
    before = dqn.network.read(np.array([[0.0], [50.0], [100.0]], np.float32))
    np.testing.assert_allclose(before[:, 0], [-1, 0, 1])
    dqn.iterate()
    after = dqn.network.read(np.array([[0.0], [50.0], [100.0]], np.float32))
    np.testing.assert_array_equal(before, after)


def test_what_is_remembered_is_what_happened():
    """The Clock counts: each transition leads from a time to the next one, in any copy."""
    dqn = dqn_on(CLOCK, {"max_episode_steps": 5}, gamma=0.9, **SMALL)
    dqn.iterate()
    data, known = dqn.replay.data, len(dqn.replay)
    np.testing.assert_array_equal(data.next_obs[:known], data.obs[:known] + 1)
    seen = np.bincount(data.obs[:known, 0].astype(int))
    np.testing.assert_array_equal(seen, [16, 12, 12, 12, 12])
    np.testing.assert_array_equal(data.rewards[:known], 1.0)
    np.testing.assert_allclose(data.discounts[:known], 0.9)  # a time limit is no end
    assert data.next_mask[:known].all()


# -- refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"epsilon_decay": "geometric", "epsilon_end": 0.0}, "epsilon_decay: a geometric one"),
        ({"capacity": 100, "learning_starts": 101}, "learning_starts: more than capacity holds"),
        ({"n_step": 0}, "n_step"),
        ({"beta": 1.5}, "beta"),
        ({"loss": "absolute"}, "loss"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        DQNSettings(**settings)


def test_dueling_needs_a_hidden_layer():
    with pytest.raises(InputError, match="dueling needs a hidden layer"):
        dqn_on(WALK, hidden=(), dueling=True)


# -- saving -------------------------------------------------------------------------------------


def test_pending_steps_survive_where_their_episodes_do():
    """Nothing may be joined across episodes that could not be brought back."""
    settings: dict[str, Any] = {**SMALL, "n_step": 3, "iteration_steps": 8}
    dqn = dqn_on(WALK, {"ends": False}, **settings)
    dqn.iterate()
    state = through_disk(dqn.state_dict())
    restored = dqn_on(WALK, {"ends": False}, **settings)
    restored.load_state_dict(state)
    assert restored.goes_on
    assert restored.windows.state_dict()["counts"].all()
    for copy in state["env"]["copies"]:
        copy["return"] += 1.0  # what was kept does not lead there
    elsewhere = dqn_on(WALK, {"ends": False}, **settings)
    elsewhere.load_state_dict(state)
    assert not elsewhere.goes_on
    assert not elsewhere.windows.state_dict()["counts"].any()
    assert not elsewhere.returns.state_dict()["running"].any()
    elsewhere.iterate()


def test_actions_of_the_bandit_are_learnt_behind_masks():
    dqn = dqn_on(BANDIT, hidden=(16,), **{**TO_SOLVE, "epsilon_end": 0.1, "epsilon_steps": 1000})
    dqn.iterate()
    values = dqn.network.outputs(np.eye(CONTEXTS, dtype=np.float32))
    assert values.shape == (CONTEXTS, ACTIONS)
    np.testing.assert_allclose(values[np.arange(CONTEXTS), np.arange(CONTEXTS)], 1.0, atol=0.1)

"""DAgger clones the expert, mixes it with the student as told, and keeps to its memory."""

from typing import Any

import numpy as np
import pytest
import torch

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.policy import Schema, load_policy
from compagnon.rl.dagger import Dagger, DaggerSettings, masked_cross_entropy
from compagnon.worlds.workshop import WORKSHOP
from tests.rl.small import (
    ACTIONS,
    BANDIT,
    SHORT,
    WALK,
    Fixed,
    Walk,
    network_for,
    through_disk,
)

CLONING: dict[str, Any] = {
    "expert": "expert:workshop-v2",
    "num_envs": 8,
    "collect_steps": 600,
    "iterations": 3,
    "gradient_steps": 400,
    "batch_size": 256,
    "learning_rate": 3e-3,
    "final_learning_rate": 1e-5,
}


def cloning(env_args: dict[str, Any], scale_inputs: bool = True, **changes: Any) -> Dagger:
    settings = DaggerSettings(**{**CLONING, **changes})
    network = network_for(WORKSHOP, env_args, (64, 64), scale_inputs=scale_inputs)
    env = BatchEnv(WORKSHOP, env_args, settings.num_envs)
    return Dagger(settings, network, env, load_policy(settings.expert, Schema.of(env)), 0)


def agreement(dagger: Dagger, weeks: int = 4) -> float:
    """How often the clone does what the expert does other than WAIT, in the clone's own states."""
    env = BatchEnv(WORKSHOP, dagger.env.env_args, weeks)
    env.reset(list(range(weeks)))
    policy = dagger.network.as_policy("clone")
    right = met = 0
    for _ in range(300):
        labels = dagger.expert.act(env.obs, env.action_mask)
        actions = policy.act(env.obs, env.action_mask)
        rare = labels != 200
        right, met = right + int((actions == labels)[rare].sum()), met + int(rare.sum())
        env.step(actions)
    return right / met


@pytest.mark.full
def test_it_clones_the_workshop_s_expert():
    dagger = cloning(SHORT)
    while not dagger.finished:
        metrics = dagger.iterate()
    assert metrics["rare_accuracy"] >= 0.97
    assert metrics["accuracy"] >= 0.97
    assert metrics["cross_entropy"] < metrics["first_cross_entropy"]
    assert agreement(dagger) >= 0.97


@pytest.mark.full
def test_published_scaling_without_the_mask_clones_badly():
    dagger = cloning({**SHORT, "scaling": "published"}, scale_inputs=False, mask_loss=False)
    while not dagger.finished:
        metrics = dagger.iterate()
    assert metrics["rare_accuracy"] < 0.9
    assert agreement(dagger) < 0.9


# -- the loss ------------------------------------------------------------------------------------


def test_the_loss_and_its_gradient_are_those_of_a_softmax_over_possible_actions():
    """Worked out by hand: two possible actions with logits log 3 and log 1, one with log 9."""
    logits = torch.tensor([[3.0, 9.0, 1.0], [1.0, 1.0, 2.0]]).log().requires_grad_()
    possible = torch.tensor([[True, False, True], [True, True, True]])
    losses = masked_cross_entropy(logits, possible, torch.tensor([0, 2]))
    np.testing.assert_allclose(losses.detach(), -np.log([0.75, 0.5]), rtol=1e-6)
    losses.dot(torch.tensor([2.0, 1.0])).backward()
    wanted = [[2 * (0.75 - 1), 0, 2 * 0.25], [0.25, 0.25, 0.5 - 1]]
    np.testing.assert_allclose(logits.grad, wanted, rtol=1e-5)
    unmasked = masked_cross_entropy(logits, None, torch.tensor([0, 2]))
    np.testing.assert_allclose(unmasked.detach(), -np.log([3 / 13, 0.5]), rtol=1e-6)


# -- on the bandit that pays the number of the action: who acted can be read off the return -------


def on_bandit(student_logits: np.ndarray, expert: int = 0, **settings: Any) -> Dagger:
    """A student that learns nothing, and an expert that always chooses one action."""
    env_args = {"pays": "number", "all_possible": True}
    chosen = DaggerSettings(
        **{"num_envs": 64, "collect_steps": 50, "gradient_steps": 1, "learning_rate": 1e-12}
        | settings
    )
    network = network_for(BANDIT, env_args)
    with torch.no_grad():
        network.actor.layers[-1].weight.zero_()
        network.actor.layers[-1].bias.copy_(torch.from_numpy(student_logits))
    return Dagger(chosen, network, BatchEnv(BANDIT, env_args, 64), Fixed(expert), 0)


ALWAYS_1 = np.array([-50.0, 0, -50, -50, -50, -50])
ONE_OR_THREE = np.array([-50.0, 0, -50, 0, -50, -50])


@pytest.mark.parametrize("expert_share", [0.0, 0.5, 1.0])
def test_the_expert_acts_in_its_share_of_steps(expert_share):
    dagger = on_bandit(ALWAYS_1, expert_share=expert_share)
    for iteration in range(4):
        metrics = dagger.iterate()
        share = expert_share**iteration  # the first collection is the expert's alone
        assert metrics["expert_share"] == share
        # 3,200 steps that pay 0 when the expert chose and 1 when the student did
        assert metrics["collection_return"] == pytest.approx(1 - share, abs=0.05)
        if share in (0.0, 1.0):
            assert metrics["collection_return"] == 1 - share


class Planner:
    """Says RIGHT in the episodes that it was told of, and LEFT, which may be impossible, else."""

    name = "planner"

    def __init__(self) -> None:
        self.bound = 0

    def act(self, *_: Any) -> np.ndarray:
        raise AssertionError("it reads episodes, and not observations")

    def playing(self, env: BatchEnv) -> "Planner":
        self.bound += 1
        began = env.began_at
        told = Planner()
        told.act = lambda obs, mask: np.where(env.began_at == began, Walk.RIGHT, Walk.LEFT)  # type: ignore[method-assign]
        return told


def test_a_planner_is_asked_about_the_episodes_that_it_knows_and_no_others():
    planner = Planner()
    settings = DaggerSettings(num_envs=8, collect_steps=30, gradient_steps=1, learning_rate=1e-12)
    dagger = Dagger(settings, network_for(WALK), BatchEnv(WALK, {}, 8), planner, 0)
    dagger.iterate()
    # The planner walks from one of six places to the end; all copies begin anew together.
    assert planner.bound >= 30 // 6
    first, episodes = len(dagger.data), dagger.episodes
    assert first < 8 * 30
    assert 8 * (planner.bound - 1) <= episodes <= 8 * planner.bound
    dagger.iterate()
    assert (dagger.data.labels[: len(dagger.data)] == Walk.RIGHT).all()
    assert first < len(dagger.data) < 2 * 8 * 30


class Quarters(Fixed):
    """Chooses 1 in every fourth copy and 0 in the others."""

    def act(self, obs: np.ndarray, action_mask: np.ndarray | None = None) -> np.ndarray:
        return (np.arange(len(obs)) % 4 == 3).astype(np.int64)


@pytest.mark.parametrize(("balance", "share"), [(0.0, 3 / 4), (0.5, 0.75**0.5 / (0.75**0.5 + 0.5))])
def test_a_label_weighs_as_balance_says(balance, share):
    """Logits are 0, so the gradient of the output's bias is 1/6 less the weighted share."""
    dagger = on_bandit(
        np.zeros(ACTIONS), balance=balance, hold_out=False,
        gradient_steps=0, epochs=1, batch_size=10_000,
    )  # fmt: skip
    dagger.expert = Quarters(0)
    gradients: list[np.ndarray] = []
    bias = dagger.network.actor.layers[-1].bias
    bias.register_hook(lambda gradient: gradients.append(gradient.numpy().copy()))
    metrics = dagger.iterate()
    wanted = np.full(ACTIONS, 1 / ACTIONS)
    wanted[:2] -= share, 1 - share
    np.testing.assert_allclose(gradients, [wanted], atol=1e-5)
    assert metrics["cross_entropy"] == pytest.approx(np.log(ACTIONS), rel=1e-5)


def test_the_first_collection_is_the_expert_s_alone():
    dagger = on_bandit(ALWAYS_1, expert=4)
    assert dagger.iterate()["collection_return"] == 4.0


def test_a_greedy_student_does_what_it_thinks_best():
    dagger = on_bandit(ONE_OR_THREE, student="greedy")
    dagger.iterate()
    assert dagger.iterate()["collection_return"] == 1.0


def test_a_sampled_student_draws():
    dagger = on_bandit(ONE_OR_THREE, student="sampled")
    dagger.iterate()
    assert dagger.iterate()["collection_return"] == pytest.approx(2.0, abs=0.1)


def test_decisions_of_all_collections_are_kept():
    dagger = on_bandit(ALWAYS_1)
    counts = [dagger.iterate()["decisions"] for _ in range(3)]
    assert counts == [3_200, 6_400, 9_600]
    assert dagger.env_steps == 9_600
    assert (dagger.data.labels[: len(dagger.data)] == 0).all()  # always the expert's choice


def test_memory_is_bounded():
    dagger = on_bandit(ALWAYS_1, capacity=1_000)
    for _ in range(3):
        assert dagger.iterate()["decisions"] == 1_000
        assert len(dagger.data.obs) == len(dagger.data.action_mask) == 1_000
    assert dagger.data.added == 9_600


def test_it_is_finished_after_its_iterations():
    dagger = on_bandit(ALWAYS_1, iterations=2)
    assert not dagger.finished
    dagger.iterate()
    assert not dagger.finished
    dagger.iterate()
    assert dagger.finished


def test_the_scaler_sees_the_expert_s_states_and_no_others():
    dagger = cloning(SHORT, gradient_steps=5)
    dagger.iterate()
    scaler = dagger.network.scaler
    assert scaler.frozen
    training, _ = dagger.data.split(20)  # what is held out is not read for this either
    seen = dagger.data.obs[training].astype(np.float64)
    np.testing.assert_allclose(scaler.mean, seen.mean(axis=0), rtol=1e-6, atol=1e-9)
    mean = scaler.mean.copy()
    dagger.iterate()
    np.testing.assert_array_equal(scaler.mean, mean)


def test_the_rate_falls_within_each_iteration():
    dagger = on_bandit(ALWAYS_1, gradient_steps=4, learning_rate=1e-3, final_learning_rate=2e-4)
    for _ in range(2):
        rates = []
        set_rate = dagger._set_rate

        def note(done, set_rate=set_rate, rates=rates):
            set_rate(done)
            rates.append(dagger.optimiser.param_groups[0]["lr"])

        dagger._set_rate = note
        dagger.iterate()
        np.testing.assert_allclose(rates, [1e-3, 8e-4, 6e-4, 4e-4])
        dagger._set_rate = set_rate


@pytest.mark.parametrize("final", [0.0, 1e-5])
def test_a_rate_that_was_changed_on_a_resume_is_used(final):
    """Also where it does not fall, although the optimiser comes back with the one it had."""
    before = on_bandit(ALWAYS_1, learning_rate=1e-3)
    before.iterate()
    after = on_bandit(ALWAYS_1, learning_rate=1e-2, final_learning_rate=final)
    after.load_state_dict(through_disk(before.state_dict()))
    rates = []
    set_rate = after._set_rate

    def note(done):
        set_rate(done)
        rates.append(after.optimiser.param_groups[0]["lr"])

    after._set_rate = note
    after.iterate()
    assert rates[0] == 1e-2


def test_epochs_pass_over_all_that_is_trained_on():
    dagger = on_bandit(ALWAYS_1, gradient_steps=0, epochs=3, batch_size=1_000)
    dagger.iterate()
    # 3,200 episodes of one decision less one in 20 is 3,040: four batches a pass
    (*_, state) = dagger.optimiser.state_dict()["state"].values()
    assert int(state["step"]) == 3 * 4
    rows, _ = dagger.data.split(20)
    batches = dagger._minibatches(rows)
    for i in range(0, 12, 4):
        np.testing.assert_array_equal(np.sort(np.concatenate(batches[i : i + 4])), rows)


def test_nothing_is_held_out_unless_asked():
    assert "accuracy" in on_bandit(ALWAYS_1).iterate()
    assert "accuracy" not in on_bandit(ALWAYS_1, hold_out=False).iterate()


def test_what_is_held_out_is_whole_episodes_that_training_never_reads(monkeypatch):
    """The held-out rows are spoilt: nothing that is learnt, scaled or weighed may notice."""
    weights = []
    for spoilt in (False, True):
        dagger = cloning(SHORT, collect_steps=60, gradient_steps=5)
        collect = dagger._collect

        def spoil(share, dagger=dagger, collect=collect, spoilt=spoilt):
            collect(share)
            data = dagger.data
            training, held = data.split(20)
            assert set(data.episode[held]) == {7}
            assert len(held) == 60
            assert len(training) == 7 * 60
            if spoilt:
                data.obs[held] = 1e6
                data.labels[held] = 3

        monkeypatch.setattr(dagger, "_collect", spoil)
        metrics = dagger.iterate()
        weights.append([p.detach().clone() for p in dagger.network.actor.parameters()])
    assert metrics["accuracy"] < 0.5  # what is said of them is read on them
    for one, other in zip(*weights, strict=True):
        assert torch.equal(one, other)


def test_with_few_episodes_nothing_is_held_out_yet():
    """Of four copies that never end an episode, the eighth episode is of the second collection."""
    dagger = cloning(SHORT, num_envs=4, collect_steps=30, gradient_steps=5)
    assert "accuracy" not in dagger.iterate()
    assert "accuracy" in dagger.iterate()


# -- refusals -----------------------------------------------------------------------------------


def test_an_expert_that_chooses_the_impossible_is_refused():
    env = BatchEnv(BANDIT, {}, 8)
    settings = DaggerSettings(num_envs=8, collect_steps=50)
    dagger = Dagger(settings, network_for(BANDIT), env, Fixed(ACTIONS - 1), 0)
    with pytest.raises(InputError, match="chose action 5, which the action mask does not allow"):
        dagger.iterate()


def test_no_gradient_step_at_all_is_refused():
    with pytest.raises(InputError, match="give gradient_steps or epochs"):
        on_bandit(ALWAYS_1, gradient_steps=0)


def test_a_vector_of_actions_is_refused():
    network = network_for("Pendulum-v1")
    with pytest.raises(InputError, match=r"Pendulum-v1 has Box.*Discrete is needed"):
        Dagger(DaggerSettings(), network, BatchEnv("Pendulum-v1", {}, 1), Fixed(0), 0)


# -- the same again -----------------------------------------------------------------------------


@pytest.mark.parametrize("student", ["greedy", "sampled"])
def test_a_restored_dagger_goes_on_as_the_saved_one(student):
    changes: dict[str, Any] = {
        "collect_steps": 60, "gradient_steps": 10, "capacity": 300, "keep_share": 0.5,
        "expert_share": 0.5, "student": student,
    }  # fmt: skip
    dagger, fresh = cloning(SHORT, **changes), cloning(SHORT, **changes)
    dagger.iterate()
    state, network = through_disk([dagger.state_dict(), dagger.network.state_dict()])
    fresh.load_state_dict(state)
    fresh.network.load_state_dict(network)
    for _ in range(2):
        assert fresh.iterate() == dagger.iterate()
    for one, other in zip(
        fresh.network.actor.parameters(), dagger.network.actor.parameters(), strict=True
    ):
        assert torch.equal(one, other)

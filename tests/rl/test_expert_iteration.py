"""Expert iteration climbs a ladder rung by rung: what each round can find is known beforehand."""

from typing import Any

import numpy as np
import pytest
import torch

from compagnon.errors import InputError
from compagnon.policy import Schema
from compagnon.rl import expert_iteration
from compagnon.rl.algorithm import build_algorithm
from compagnon.rl.buffers.looks import Looks
from compagnon.rl.expert_iteration import ExpertIteration, log_probs, policy_loss
from compagnon.rl.expert_iteration_settings import ExpertIterationSettings
from compagnon.rl.recipe import Recipe, parse_recipe
from compagnon.worlds.action_values import ActionValues
from compagnon.worlds.registry import UnknownWorld
from compagnon.worlds.world import World
from tests.worlds.ladder import LADDER, STOP, UP, Always, Ladder, LadderForks

RUNGS = Ladder.RUNGS


class LadderWorld(World):
    """That of the ladder, which brings nothing but what a look-ahead needs."""

    name, env_ids = "ladder", (LADDER,)

    def forks(self, schema: Schema) -> LadderForks:
        return LadderForks()


@pytest.fixture(autouse=True)
def world(monkeypatch):
    monkeypatch.setattr(expert_iteration, "find_world", lambda env_id: LadderWorld())


def recipe(seed: int = 0, noise: int = 0, **settings: Any) -> Recipe:
    """Five copies from anywhere, whose decisions are all looked at; no practice."""
    algorithm = {
        "kind": "expert_iteration",
        "rounds": 4,
        "practice": 0,
        "looks": 60,
        "num_envs": 10,
        "collect_steps": 20,
        "futures": 4,
        "kl_coef": 0.1,
        "gradient_steps": 200,
        "learning_rate": 0.03,
        "dagger": {
            "expert": "constant:0", "num_envs": 10, "collect_steps": 20, "iterations": 1,
            "gradient_steps": 60, "batch_size": 64, "learning_rate": 0.03,
        },
        "ppo": {"num_envs": 4, "rollout_steps": 16, "minibatch_size": 32},
        **settings,
    }  # fmt: skip
    return parse_recipe(
        {
            "name": "climb",
            "seed": seed,
            "threads": 1,
            "env": {"id": LADDER, "args": {"noise": noise}},
            "network": {"hidden": [32]},
            "algorithm": algorithm,
            "budget": {"iterations": 1000},
        },
        "a test",
    )


def built(*args: Any, **settings: Any) -> ExpertIteration:
    algorithm, network = build_algorithm(recipe(*args, **settings), Always(STOP))
    assert isinstance(algorithm, ExpertIteration)
    assert algorithm.network is algorithm.dagger.network is network
    return algorithm


def climbs(algorithm: ExpertIteration) -> list[bool]:
    """On which rungs the network goes up."""
    obs = np.eye(RUNGS, dtype=np.float32)
    mask = np.ones((RUNGS, 3), np.bool_)
    mask[0, 2] = False
    return (algorithm.network.as_policy("now").act(obs, mask) == UP).tolist()


@pytest.mark.parametrize("seed", [0, 1])
def test_each_round_improves_what_one_look_ahead_can(seed):
    """Whoever stops everywhere else gains by going up from the topmost rung alone, and so on."""
    algorithm, seen = built(seed, noise=1), []
    algorithm.iterate()
    assert climbs(algorithm) == [False] * RUNGS
    for _ in range(4):
        assert algorithm.phase == "look_ahead"
        algorithm.iterate()
        seen.append(climbs(algorithm))
    rounds = range(1, 5)
    assert seen == [[False] * (RUNGS - r) + [True] * r for r in rounds]


def test_in_the_first_round_the_expert_plays_on_and_then_the_network(monkeypatch):
    algorithm, names = built(practice=1, rounds=2), []
    over = type(algorithm.look).over
    monkeypatch.setattr(
        type(algorithm.look),
        "over",
        lambda look, below, seed: names.append(below.name) or over(look, below, seed),
    )
    phases = []
    for _ in range(6):
        phases.append(algorithm.phase)
        algorithm.iterate()
    assert phases == ["dagger", "look_ahead", "ppo", "look_ahead", "ppo", "ppo"]
    assert names == ["always 0", "the network"]


def test_one_step_ahead_of_an_expert_that_plays_on_is_all_there_is():
    """Who stops on the next rung gains by going up from the topmost alone, however often."""
    algorithm = built(rounds=3, plays_on="expert")
    for _ in range(4):
        algorithm.iterate()
    assert climbs(algorithm) == [False] * (RUNGS - 1) + [True]


def test_as_many_decisions_are_looked_at_as_was_asked():
    algorithm = built(looks=33)
    algorithm.iterate()
    assert algorithm.iterate()["looks"] == 33
    assert algorithm.env_steps == 2 * 10 * 20


def test_more_looks_than_decisions_are_all_of_them():
    algorithm = built(looks=10_000)
    algorithm.iterate()
    assert algorithm.iterate()["looks"] == 10 * 20


def test_where_nothing_is_better_nothing_changes():
    """From a policy that is best everywhere each candidate is behind, and the network stays."""
    algorithm = built(rounds=1)
    algorithm.dagger.expert = Always(UP)
    algorithm.iterate()
    assert climbs(algorithm) == [True] * RUNGS
    assert algorithm.iterate()["look_changed"] == 0.0
    assert climbs(algorithm) == [True] * RUNGS


def test_a_world_without_forks_is_refused(monkeypatch):
    monkeypatch.setattr(expert_iteration, "find_world", UnknownWorld)
    with pytest.raises(InputError, match=r"recipe climb: nothing can be tried in tests/Ladder-v0"):
        build_algorithm(recipe(), Always(STOP))


# -- by hand --------------------------------------------------------------------------------------

# Behind by 1, 3 and so on: 2 on average; deviations -1, 1, 0, 0, so sigma^2 = 2 / 3.
FOUND = ActionValues(
    np.array([2, 0]), np.array([[5.0, 9.0, 4.0, 6.0], [4.0, 6.0, 2.0, 4.0]]), usual=0
)


def test_what_is_done_stands_at_0_and_what_was_not_tried_too():
    looks = Looks(3, 4)
    looks.add(np.zeros((1, 3), np.float32), np.ones((1, 4), np.bool_), [FOUND], np.array([7]))
    assert looks.advantages.tolist() == [[0.0, 0.0, 2.0, 0.0]]
    assert looks.scale == 2.0
    assert looks.metrics() == {
        "looks": 1, "look_plays": 8, "look_changed": 1.0, "advantage_scale": 2.0,
    }  # fmt: skip


def test_who_was_dropped_early_counts_for_little():
    dropped = ActionValues(
        np.array([2, 0, 1]),
        np.array([[5.0, 9.0, 4.0, 6.0], [4.0, 6.0, 2.0, 4.0], [-4.0, np.nan, np.nan, np.nan]]),
        usual=0,
    )
    looks = Looks(3, 4)
    looks.add(np.zeros((1, 3), np.float32), np.ones((1, 4), np.bool_), [dropped], np.array([0]))
    assert looks.advantages.tolist() == [[0.0, -8.0, 2.0, 0.0]]
    assert looks.weights.tolist() == [[1.0, 0.25, 1.0, 0.0]]
    assert looks.weighted.tolist() == [[0.0, -2.0, 2.0, 0.0]]
    assert looks.scale == 2.0


def test_whole_copies_are_held_out():
    looks = Looks(1, 4)
    rows, copies = 12, np.arange(12) % 6
    looks.add(np.zeros((rows, 1), np.float32), np.ones((rows, 4), np.bool_), [FOUND] * rows, copies)
    training, aside = looks.split(3)
    assert aside.tolist() == [2, 5, 8, 11]
    assert sorted([*training, *aside]) == list(range(rows))
    assert not set(looks.copy[training]) & set(looks.copy[aside])


def test_of_no_look_nothing_is_learnt():
    assert Looks(3, 4).scale == 0.0
    algorithm = built()
    weights = [p.clone() for p in algorithm.network.actor.parameters()]
    assert algorithm._learn(Looks(RUNGS, 3)) == {}
    for before, now in zip(weights, algorithm.network.actor.parameters(), strict=True):
        assert before.equal(now)


def test_the_loss_is_gain_less_how_far_it_moves():
    """p = (1/4, 3/4), before (1/2, 1/2): a gain of 3/4 x 2; KL = ln 2 + (ln 4/3 - 2 ln 2) / 2."""
    possible = torch.tensor([[True, True, False]])
    now = log_probs(torch.tensor([[0.0, np.log(3.0), 9.0]]), possible)
    before = log_probs(torch.tensor([[1.0, 1.0, 9.0]]), possible)
    loss = policy_loss(now, before, torch.tensor([[0.0, 2.0, 5.0]]), 0.5)
    kl = 0.5 * np.log(0.5 / 0.25) + 0.5 * np.log(0.5 / 0.75)
    assert np.isclose(loss.item(), 0.5 * kl - 1.5)


def test_the_loss_pulls_towards_what_is_better_and_never_to_the_impossible():
    logits = torch.zeros((1, 3), requires_grad=True)
    possible = torch.tensor([[True, True, False]])
    before = log_probs(torch.zeros((1, 3)), possible)
    policy_loss(
        log_probs(logits, possible), before, torch.tensor([[0.0, 2.0, 5.0]]), 0.5
    ).backward()
    assert logits.grad is not None
    # d/dz of -sum p A at p = 1/2: -(1/2)(A - mean A) = 1/2 and -1/2.
    assert np.allclose(logits.grad.tolist(), [[0.5, -0.5, 0.0]])


# -- what a recipe needs to know ------------------------------------------------------------------


def test_iterations_until_so_many_steps():
    settings = ExpertIterationSettings(
        rounds=2, practice=2, num_envs=2, collect_steps=5,
        dagger={"iterations": 2, "num_envs": 2, "collect_steps": 10},
        ppo={"num_envs": 4, "rollout_steps": 25},
    )  # fmt: skip
    # 20, 20, then twice 10, 100, 100; then 100 each
    wanted = {1: 1, 20: 1, 21: 2, 40: 2, 50: 3, 51: 4, 250: 5, 251: 6, 460: 8, 461: 9, 561: 10}
    assert {n: settings.iterations_for(n) for n in wanted} == wanted
    assert (
        settings.model_copy(
            update={"ppo": settings.ppo.model_copy(update={"episodes_per_env": 1})}
        ).iterations_for(50)
        is None
    )

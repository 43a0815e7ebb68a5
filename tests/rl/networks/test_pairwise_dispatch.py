"""On the real world of dispatch the pairwise network clones the expert, and learns from nothing."""

import pytest

from compagnon.evaluation.episodes import play_episodes
from compagnon.policy import load_policy
from compagnon.rl.algorithm import build_algorithm
from compagnon.rl.recipe import parse_recipe
from compagnon.worlds.dispatch import DISPATCH
from tests.policy.networks import schema_of
from tests.tiers import full

SMALL = {"preset": "clinic-day", "board": 4, "tightness": 0.5}
UNSEEN = range(1_000_000, 1_000_024)


def learner(seed, algorithm, iterations):
    recipe = parse_recipe(
        {
            "name": "small", "seed": seed, "threads": 1, "env": {"id": DISPATCH, "args": SMALL},
            "network": {
                "kind": "pairwise", "hidden": [32], "embedding": 8, "activation": "relu",
            },
            "algorithm": algorithm, "budget": {"iterations": iterations},
        },
        "a test",
    )  # fmt: skip
    return build_algorithm(recipe)


def cost(policy):
    """The mean cost of days that nobody learnt on."""
    return -play_episodes(DISPATCH, SMALL, policy, list(UNSEEN)).returns.mean()


def rule_cost(name):
    return cost(load_policy(name, schema_of(DISPATCH, **SMALL)))


@pytest.mark.parametrize("seed", [0, full(1)])
def test_it_clones_the_rule_that_promises_late(seed):
    dagger = {
        "kind": "dagger", "expert": "expert:dispatch-regret:3:hold", "num_envs": 64,
        "collect_steps": 64, "iterations": 1, "gradient_steps": 300, "batch_size": 128,
        "learning_rate": 5e-3, "final_learning_rate": 2e-4, "balance": 0.0,
    }  # fmt: skip
    algorithm, network = learner(seed, dagger, 1)
    before = cost(network.as_policy("it"))
    assert algorithm.iterate()["accuracy"] > 0.85
    rule = rule_cost("expert:dispatch-regret:3:hold")
    assert cost(network.as_policy("it")) - rule < 0.15 * (before - rule)


PPO = {
    "kind": "ppo", "num_envs": 64, "rollout_steps": 48, "epochs": 3, "minibatch_size": 512,
    "learning_rate": 3e-3, "gamma": 1.0, "gae_lambda": 0.95, "entropy_coef": 0.003,
}  # fmt: skip
DQN = {
    "kind": "dqn", "num_envs": 32, "iteration_steps": 2_000, "capacity": 20_000,
    "learning_starts": 1_000, "batch_size": 128, "updates": 3, "learning_rate": 3e-3,
    "gamma": 0.999, "reward_scale": 0.01, "target_every": 1_000, "epsilon_end": 0.05,
    "epsilon_steps": 6_000, "loss": "squared", "double": True, "n_step": 10,
}  # fmt: skip


@pytest.mark.full
@pytest.mark.parametrize(("algorithm", "iterations"), [(PPO, 6), (DQN, 18)], ids=["ppo", "dqn"])
@pytest.mark.parametrize("seed", [0, 1])
def test_from_nothing_it_soon_comes_near_a_rule_that_is_far_from_chance(
    algorithm, iterations, seed
):
    learning, network = learner(seed, algorithm, iterations)
    for _ in range(iterations):
        learning.iterate()
    chance, rule = rule_cost("random"), rule_cost("expert:dispatch-nearest")
    assert cost(network.as_policy("it")) < rule + 0.25 * (chance - rule)

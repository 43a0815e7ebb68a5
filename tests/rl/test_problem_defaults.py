"""What a recipe leaves open is chosen by its problem; what it says counts."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compagnon.envs import BatchEnv
from compagnon.evaluation.episodes import play_episodes
from compagnon.policy import Schema, load_policy
from compagnon.rl.ppo_settings import defaults as ppo
from compagnon.rl.problem_defaults import ProblemFacts
from compagnon.rl.recipe import Recipe, load_recipe, parse_recipe, shipped_recipes
from compagnon.rl.run import LAST, Run
from compagnon.rl.trainer import start
from compagnon.worlds.registry import recipe_texts

ENVS = {"ppo": "Acrobot-v1", "dqn": "Acrobot-v1", "ddpg": "Pendulum-v1"}


def bare(kind: str, env_id: str | None = None, **more: Any) -> Recipe:
    """A recipe that says no setting at all."""
    tree = {
        "name": "bare",
        "env": {"id": env_id or ENVS[kind]},
        "algorithm": {"kind": kind},
        "budget": {"env_steps": 65_000},
    }
    return parse_recipe({**tree, **more}, "bare")


def test_a_small_budget_is_cut_into_many_updates() -> None:
    algorithm = bare("ppo").algorithm
    assert algorithm.iterations_for(65_000) == 64  # of 8 copies x 128 steps; once it was 4
    assert (algorithm.learning_rate, algorithm.final_learning_rate) == (1e-3, 1e-5)


def test_compiled_copies_and_a_large_budget_take_large_rollouts() -> None:
    algorithm = bare("ppo", "compagnon/Workshop-v0", budget={"env_steps": 10_000_000}).algorithm
    assert algorithm.num_envs * algorithm.rollout_steps == 16_384
    assert algorithm.num_envs == 256


def test_a_rate_falls_only_where_it_is_known_when_the_run_ends() -> None:
    algorithm = bare("ppo", budget={"minutes": 5}).algorithm
    assert (algorithm.learning_rate, algorithm.final_learning_rate) == (3e-4, 0.0)


@pytest.mark.parametrize(
    ("cut", "gamma"), [(None, 0.99), (200, 0.99), (1000, 0.995), (10_080, 0.999)]
)
def test_the_discount_sees_a_fifth_of_the_longest_episode(cut: int | None, gamma: float) -> None:
    assert ProblemFacts(10_000, True, cut, False).gamma == gamma


@given(st.integers(1, 10**9), st.booleans(), st.integers(1, 512))
def test_rollouts_fit_the_copies_that_were_asked_for(
    steps: int, compiled: bool, num_envs: int
) -> None:
    chosen = ppo(ProblemFacts(steps, True, 500, compiled), {"num_envs": num_envs})
    assert chosen["num_envs"] == num_envs
    assert chosen["rollout_steps"] >= 1
    assert num_envs * chosen["rollout_steps"] <= max(16_384, num_envs)


@settings(max_examples=30)
@given(st.sampled_from(sorted(ENVS)), st.integers(1, 10**8))
def test_any_budget_makes_a_valid_recipe(kind: str, steps: int) -> None:
    recipe = bare(kind, budget={"env_steps": steps})
    assert recipe.evaluation.every >= 1
    assert recipe.algorithm.kind == kind


def test_wide_noise_is_that_of_a_slow_process() -> None:
    assert bare("ddpg").algorithm.noise_std == 0.5
    gaussian = {"kind": "ddpg", "exploration": "gaussian"}
    assert bare("ddpg", algorithm=gaussian).algorithm.noise_std == 0.2


@pytest.mark.parametrize("kind", ["dqn", "ddpg"])
def test_large_rewards_are_scaled_where_the_recipe_does_not_say(kind: str) -> None:
    assert bare(kind).algorithm.reward_scale == "auto"
    assert bare(kind, algorithm={"kind": kind, "reward_scale": 2.0}).algorithm.reward_scale == 2.0


@pytest.mark.parametrize("kind", sorted(ENVS))
def test_what_the_recipe_says_counts(kind: str) -> None:
    said = {
        "ppo": {"num_envs": 3, "rollout_steps": 7, "learning_rate": 2e-4},
        "dqn": {"capacity": 500, "n_step": 1, "learning_rate": 2e-4},
        "ddpg": {"capacity": 4000, "squash": "sigmoid", "twin_critics": False},
    }[kind]
    recipe = bare(kind, algorithm={"kind": kind, **said}, network={"hidden": [5]})
    for key, value in said.items():
        assert getattr(recipe.algorithm, key) == value
    assert recipe.network.hidden == (5,)
    if kind != "ddpg":  # a rate that was given stays where it was put
        assert recipe.algorithm.final_learning_rate == 0.0


def test_a_memory_of_ones_own_is_no_smaller_than_what_learning_waits_for() -> None:
    recipe = bare("dqn", algorithm={"kind": "dqn", "capacity": 500})
    assert recipe.algorithm.learning_starts == 500


def test_practice_after_a_clone_keeps_its_careful_rate() -> None:
    hybrid = {"kind": "hybrid", "dagger": {"expert": "random"}}
    recipe = bare("ppo", algorithm=hybrid)
    assert recipe.algorithm.ppo.learning_rate == 3e-4
    assert recipe.algorithm.ppo.num_envs == 8


@pytest.mark.parametrize("name", shipped_recipes())
def test_recipes_that_ship_leave_nothing_open(name: str) -> None:
    """Their figures are published: no rule may change what they do."""
    import tomllib

    plain = Recipe.model_validate(tomllib.loads(recipe_texts()[name]))
    full = load_recipe(name)
    assert full.algorithm == plain.algorithm
    assert full.network == plain.network


def test_a_run_keeps_what_was_chosen_when_its_budget_grows(tmp_path: Any) -> None:
    recipe = bare("ppo", budget={"env_steps": 1_000})
    run = Run.create(tmp_path / "run", recipe)
    assert run.recipe == recipe
    text = str(tmp_path / "run" / "recipe.toml")
    grown = load_recipe(text, {"budget": {"env_steps": 10**8}})
    assert grown.algorithm == recipe.algorithm


@pytest.mark.full
def test_the_benchmark_runs(tmp_path: Any) -> None:
    kept = tmp_path / "kept.json"
    words = ["--quick", "--only", "ours", "--seeds", "1", "--episodes", "2"]
    found = subprocess.run(
        [sys.executable, "benchmarks/defaults.py", *words, "--tasks", "CartPole", "--json", kept],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert found.returncode == 0, found.stderr
    assert set(json.loads(kept.read_text())["trainings"]) == {
        "ours ppo CartPole-v1 0",
        "ours dqn CartPole-v1 0",
    }
    assert "Mean return" in found.stdout


@pytest.mark.slow
@pytest.mark.parametrize("seed", [11, 12])
@pytest.mark.parametrize(
    ("kind", "env_id", "steps", "wanted"),
    [
        ("ppo", "CartPole-v1", 30_000, 400),
        ("ppo", "Acrobot-v1", 60_000, -120),
        ("dqn", "CartPole-v1", 50_000, 150),
        ("ddpg", "Pendulum-v1", 8_000, -300),
    ],
)
def test_no_settings_at_all_learn(
    kind: str, env_id: str, steps: int, wanted: float, seed: int, tmp_path: Any
) -> None:
    recipe = bare(kind, env_id, budget={"env_steps": steps}, seed=seed, threads=1)
    start(recipe, tmp_path / "run").train()
    schema = Schema.of(BatchEnv(env_id, {}, 1))
    policy = load_policy(str(tmp_path / "run" / LAST), schema)
    found = play_episodes(env_id, {}, policy, list(range(3_000_000, 3_000_032)))
    assert found.returns.mean() > wanted

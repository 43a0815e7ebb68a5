"""An algorithm that nobody here wrote is named, trained, resumed and reported as ours are."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from pydantic import Field

import compagnon as cp
from compagnon.cli import main
from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.rl import registry
from compagnon.rl.algorithm import BuildPlan, Practising, build_algorithm
from compagnon.rl.dagger_settings import DaggerSettings
from compagnon.rl.diagnosis.diagnose import imitation_of
from compagnon.rl.networks.trainable import PolicyNetwork
from compagnon.rl.recipe import Recipe, parse_recipe
from compagnon.rl.registry import AlgorithmEntry, register, settings_by_kind
from compagnon.rl.run_report import report_run
from compagnon.rl.settings import AlgorithmSettings, Fixed, Free
from compagnon.rl.trainer import Trainer, start
from compagnon.tuning.space import load_space
from tests.rl.small import BANDIT
from tests.rl.test_trainer import assert_same_run

ROOT = Path(cp.__file__).parent


class SearchSettings(AlgorithmSettings):
    """Settings of random search."""

    kind: Fixed[Literal["random-search"]] = "random-search"
    steps: Free[int] = Field(64, ge=1, description="environment steps of an iteration")
    noise: Free[float] = Field(0.5, gt=0, description="deviation of what is added to weights")

    def iterations_for(self, env_steps: int) -> int:
        return -(-env_steps // self.steps)


class RandomSearch(Practising):
    """Tries other weights, and keeps those that earned more (Rastrigin 1963)."""

    goes_on = True  # each iteration begins new episodes

    def __init__(self, settings: SearchSettings, network: PolicyNetwork, env: BatchEnv, seed: int):
        self.settings, self.network, self.env = settings, network, env
        self.rng = np.random.default_rng(seed)
        self.iteration = self.env_steps = self.episodes = 0
        self.best = -np.inf

    def iterate(self) -> dict[str, float]:
        before = [p.detach().clone() for p in self.network.actor.parameters()]
        with torch.no_grad():
            for weight in self.network.actor.parameters():
                noise = self.rng.standard_normal(tuple(weight.shape)).astype(np.float32)
                weight += self.settings.noise * torch.from_numpy(noise)
        earned = self._play()
        if earned < self.best:
            with torch.no_grad():
                for weight, old in zip(self.network.actor.parameters(), before, strict=True):
                    weight.copy_(old)
        self.best = max(self.best, earned)
        self.iteration += 1
        return {"earned": earned}

    def _play(self) -> float:
        rewards = []
        self.env.reset([int(s) for s in self.rng.integers(2**31, size=self.env.num_envs)])
        for _ in range(self.settings.steps // self.env.num_envs):
            logits = self.network.outputs(self.network.read(self.env.obs))
            step = self.env.step(np.where(self.env.action_mask, logits, -np.inf).argmax(axis=1))
            rewards.append(step.reward)
            self.env_steps += self.env.num_envs
            self.episodes += int((step.terminated | step.truncated).sum())
        return float(np.mean(rewards))

    def state_dict(self) -> dict[str, Any]:
        counts = {"iteration": self.iteration, "steps": self.env_steps, "episodes": self.episodes}
        return {**counts, "best": self.best, "rng": self.rng.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.iteration, self.env_steps = state["iteration"], state["steps"]
        self.episodes, self.best = state["episodes"], state["best"]
        self.rng.bit_generator.state = state["rng"]


def build(plan: BuildPlan) -> tuple[RandomSearch, PolicyNetwork]:
    spec, seed = plan.recipe.network, plan.recipe.seed
    network = PolicyNetwork(plan.schema, spec.hidden, spec.activation, seed)
    return RandomSearch(plan.settings, network, plan.env(16), seed), network


ENTRY = AlgorithmEntry(SearchSettings, build)
RECIPE = {
    "name": "searched",
    "threads": 1,
    "env": {"id": BANDIT},
    "network": {"hidden": []},
    "algorithm": {"kind": "random-search", "steps": 256},
    "budget": {"iterations": 60},
    "evaluation": {"every": 20, "episodes": 64},
}


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    register(ENTRY)


def test_it_is_trained_kept_and_reported(tmp_path):
    run = start(parse_recipe(RECIPE, "a test"), tmp_path / "run")
    outcome = run.train()
    assert outcome.finished
    assert outcome.progress.best_return > 0.7  # chance earns some 0.3
    found = report_run(run.run, episodes=20)
    assert found.path.is_file()
    assert (tmp_path / "run" / "best" / "policy.json").is_file()


def test_resumed_it_is_the_same_run(tmp_path):
    whole = start(parse_recipe(RECIPE, "a test"), tmp_path / "whole")
    whole.train()
    halves = start(parse_recipe(RECIPE, "a test"), tmp_path / "halves")
    halves.train(lambda info: info.iteration < 33)
    assert halves.algorithm.iteration == 33
    again = Trainer.resume(tmp_path / "halves")
    assert again.algorithm.iteration == 33
    again.train()
    assert_same_run(tmp_path / "whole", tmp_path / "halves")


def test_in_python_it_is_a_learner_of_its_kind():
    learner = cp.Learner.of_kind("random-search", BANDIT, steps=128, network={"hidden": []})
    assert learner.learn(128 * 5).outcome.iterations == 5
    with pytest.raises(InputError, match=r"random-search: there is no setting 'step'.*steps\?"):
        cp.Learner.of_kind("random-search", BANDIT, step=128)
    with pytest.raises(InputError, match=r"random-search: it imitates nobody"):
        cp.Learner.of_kind("random-search", BANDIT, expert="random")


def test_its_settings_are_checked_as_ours_are():
    wrong = {**RECIPE, "algorithm": {"kind": "random-search", "noise": -1}}
    with pytest.raises(InputError, match=r"algorithm\.noise: .*greater than 0, got -1"):
        parse_recipe(wrong, "a test")
    other = {**RECIPE, "algorithm": {"kind": "random-search", "tau": 0.5}}
    with pytest.raises(InputError, match=r"tau: it is one of dqn and ddpg, and this recipe is for"):
        parse_recipe(other, "a test")


class Found:
    """A diagnosis of somebody's own."""

    def __init__(self, recipe: Recipe, quick: bool, episodes: int | None, progress: Any) -> None:
        progress("its weights")
        self.words = f"{recipe.name}: noise {recipe.algorithm.noise}, {quick}, {episodes}"

    def show(self, console: Any) -> None:
        console.print(self.words)

    def as_json(self) -> dict[str, Any]:
        return {"words": self.words}

    def page(self, command: Any) -> str:
        return f"<p>{self.words}</p>"


def test_its_diagnosis_is_its_own(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    run = start(parse_recipe(RECIPE, "a test"), tmp_path / "run")
    given = ["diagnose", str(run.run.path / "recipe.toml"), "--quick", "--episodes", "3"]
    assert main(given) == 2
    assert "there is no diagnosis of random-search; there is one of dagger and" in (
        capsys.readouterr().err
    )
    monkeypatch.setattr(registry, "_registered", {})
    register(replace(ENTRY, diagnose=Found))
    assert main([*given, "--report", "it.html", "--json", "it.json"]) == 0
    assert "searched: noise 0.5, True, 3" in capsys.readouterr().out
    assert (tmp_path / "it.html").read_text() == "<p>searched: noise 0.5, True, 3</p>"


def test_a_part_that_imitates_is_looked_at_as_ours_are():
    class Mixed(SearchSettings):
        """Search, with a clone to begin with."""

        clone: DaggerSettings = DaggerSettings()

        def imitation(self, iterations: int | None) -> DaggerSettings:
            return self.clone

    recipe = parse_recipe(RECIPE, "a test")
    assert recipe.algorithm.imitation(None) is None
    with pytest.raises(InputError, match="random-search has no part that imitates as DAgger"):
        imitation_of(recipe)
    mixed = recipe.model_copy(update={"algorithm": Mixed()})
    assert imitation_of(mixed).algorithm == DaggerSettings()


def test_a_kind_that_nobody_brings_is_refused_by_those_there_are():
    own = r"'dqn', 'ppo', 'ddpg', 'dagger', 'hybrid', 'expert_iteration'"
    names = rf"{own} or 'random-search', got 'sarsa'"
    with pytest.raises(InputError, match=rf"^a test: algorithm\.kind: should be {names}$"):
        parse_recipe({**RECIPE, "algorithm": {"kind": "sarsa"}}, "a test")


def test_a_name_that_is_taken_is_refused():
    class Other(SearchSettings):
        kind: Fixed[Literal["ppo"]] = "ppo"  # type: ignore[assignment]

    with pytest.raises(InputError, match=r"called 'ppo' already \(PPOSettings\); give Other"):
        register(AlgorithmEntry(Other, build))
    assert settings_by_kind()["ppo"].__name__ == "PPOSettings"


def test_what_is_searched_comes_with_it(tmp_path):
    recipe = parse_recipe(RECIPE, "a test")
    with pytest.raises(InputError, match=r"the space of random-search: .* brings none"):
        load_space(recipe)
    text = '["algorithm.noise"]\nkind = "float"\nlow = 0.1\nhigh = 1.0\n'
    register(AlgorithmEntry(SearchSettings, build, text))
    assert list(load_space(recipe)) == ["algorithm.noise"]


class _Point:
    """An entry point of an installed package."""

    def __init__(self, value: Any) -> None:
        self.name, self.value, self._loaded = "theirs", "theirs:ENTRY", value

    def load(self) -> Any:
        if isinstance(self._loaded, Exception):
            raise self._loaded
        return self._loaded


@pytest.fixture
def installed(monkeypatch):
    def bring(value: Any) -> None:
        monkeypatch.setattr(registry, "_registered", {})
        monkeypatch.setattr(registry, "entry_points", lambda group: [_Point(value)])
        registry._installed.cache_clear()

    yield bring
    monkeypatch.undo()
    registry._installed.cache_clear()


def test_an_installed_package_brings_its_own(installed):
    installed(ENTRY)
    algorithm, _ = build_algorithm(parse_recipe(RECIPE, "a test"))
    assert type(algorithm).__name__ == "RandomSearch"


@pytest.mark.parametrize("broken", [ImportError("no such thing"), "no entry at all"])
def test_a_package_that_fails_is_named_and_ours_are_there(installed, broken):
    installed(broken)
    with pytest.warns(UserWarning, match=r"algorithm theirs = theirs:ENTRY cannot be used"):
        assert "ppo" in settings_by_kind()


# -- nobody else names an algorithm ---------------------------------------------------------------

NAMELESS = (
    "rl/trainer.py", "rl/recipe.py", "rl/algorithm.py", "rl/run.py", "rl/run_report.py",
    "rl/callbacks.py", "rl/progress.py", "rl/provenance.py", "rl/settings.py",
    "rl/problem_defaults.py", "api/learners.py", "api/running.py", "api/progress.py",
    "cli/learn.py", "cli/tune.py", "cli/diagnose.py",
    *(f"tuning/{p.name}" for p in (ROOT / "tuning").glob("*.py")),
)  # fmt: skip
NAMES = re.compile(r"(?<![a-z_])(?:ppo|dqn|ddpg|dagger|hybrid)(?![a-z])", re.IGNORECASE)
IN_EXAMPLES = re.compile(r"``ppo-shop-inventory-v0``|\$ compagnon .*|cp\.PPO")


def names_in(source: str) -> list[str]:
    return NAMES.findall(re.sub(r"(?<=[a-z])(?=Settings)", " ", IN_EXAMPLES.sub("", source)))


@pytest.mark.parametrize("path", NAMELESS)
def test_no_algorithm_is_named_here(path):
    assert names_in((ROOT / path).read_text()) == []


@pytest.mark.parametrize(
    "source", ['if kind == "dagger":', "from compagnon.rl.ppo import PPO", "class HybridSettings"]
)
def test_a_name_is_found(source):
    assert names_in(source)

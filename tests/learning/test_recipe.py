"""Recipes are read or refused; a refusal names the file, the key and what would be right."""

import pytest
import tomli_w

from compagnon.errors import InputError
from compagnon.learning.algorithm import build_algorithm, total_iterations
from compagnon.learning.dagger import DaggerSettings
from compagnon.learning.hybrid import HybridSettings
from compagnon.learning.ppo import PPOSettings
from compagnon.learning.recipe import load_recipe, shipped_recipes
from tests.learning.small import KINDS, recipe_of

GOOD = """
name = "mine"
[env]
id = "compagnon/Workshop-v0"
[algorithm]
kind = "ppo"
gamma = 0.9
[budget]
iterations = 3
"""
HYBRID = GOOD.replace('"ppo"', '"hybrid"').replace("gamma = 0.9", "ppo.gamma = 0.9")


@pytest.fixture
def written(tmp_path):
    def write(text: str) -> str:
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return str(path)

    return write


def test_some_recipes_ship():
    assert {"workshop-clone", "workshop-seed", "workshop-published"} <= set(shipped_recipes())


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_loads_and_builds(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.description
    build_algorithm(recipe)


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_recipe_written_as_toml_is_the_same_recipe(name, written):
    recipe = load_recipe(name)
    text = tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True))
    assert load_recipe(written(text)) == recipe


def test_a_file_is_read(written):
    recipe = load_recipe(written(GOOD))
    assert isinstance(recipe.algorithm, PPOSettings)
    assert recipe.algorithm.gamma == 0.9


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace("gamma", "gama"), r"unknown key algorithm\.gama; did you mean gamma\?"),
        (GOOD.replace("iterations", "iteration"), r"budget\.iteration; did you mean iterations\?"),
        (GOOD + "[netwrok]\n", "unknown key netwrok; did you mean network"),
        (HYBRID.replace("gamma", "gama"), r"unknown key algorithm\.ppo\.gama; did you mean gamma"),
        (GOOD.replace("0.9", '"high"'), r"algorithm\.gamma: .*number.*got 'high'"),
        (GOOD.replace("0.9", "1.5"), r"algorithm\.gamma: .*less than or equal to 1, got 1\.5"),
        (GOOD.replace("0.9", "nan"), r"algorithm\.gamma: .*got nan"),
        (HYBRID.replace("0.9", "0"), r"algorithm\.ppo\.gamma: .*greater than 0, got 0"),
        (GOOD.replace("= 3", "= 0"), r"budget\.iterations: .*greater than or equal to 1, got 0"),
        (GOOD.replace('name = "mine"', ""), "the key name is missing"),
        (GOOD.replace('id = "compagnon/Workshop-v0"', ""), r"the key env\.id is missing"),
        (GOOD.replace('kind = "ppo"', ""), r"key algorithm\.kind is missing: 'ppo', 'dagger' or"),
        (GOOD.replace('"ppo"', '"ppoo"'), r"algorithm\.kind: should be 'ppo', .*, got 'ppoo'"),
        (GOOD.replace('"mine"', '"My run"'), "name: .*match pattern.*got 'My run'"),
        (
            GOOD.replace("Workshop-v0", "Workshp-v0"),
            r"env\.id: .*did you mean compagnon/Workshop-v0",
        ),
        (GOOD.replace("iterations = 3", ""), "budget: give iterations, env_steps or minutes"),
        (HYBRID.replace("iterations = 3", ""), "budget: give iterations, env_steps or minutes"),
        (GOOD + "[network]\nhidden = [0]\n", r"network\.hidden\.0: .*greater than or equal to 1"),
        (GOOD + "[network\n", "not TOML: .*line"),
        (GOOD.replace("[env]", "env = 3\n[other]"), "env: .*got 3"),
    ],
)
def test_a_refusal_names_the_file_and_the_key(written, text, said):
    path = written(text)
    with pytest.raises(InputError, match=said) as refusal:
        load_recipe(path)
    assert str(refusal.value).startswith(f"{path}: ")
    assert "\n" not in str(refusal.value)


def test_a_key_in_the_wrong_table_is_not_said_to_be_itself(written):
    with pytest.raises(InputError, match=r"unknown key env\.gamma") as refusal:
        load_recipe(written(GOOD.replace("[algorithm]", "gamma = 1\n[algorithm]")))
    assert "did you mean gamma" not in str(refusal.value)


def test_a_recipe_that_is_not_there_is_refused_with_a_near_name():
    with pytest.raises(InputError, match=r"'workshop-clon' .*did you mean workshop-clone"):
        load_recipe("workshop-clon")


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"mine\.toml is not a text file"):
        load_recipe(str(path))


def test_changes_reach_nested_keys(written):
    changes = {
        "algo.gamma": 0.5,
        "algorithm.clip_coef": 0.1,
        "env.args.demand": "tight",
        "evaluation.episodes": 3,
        "seed": 7,
        "network.hidden": [8, 8],
    }
    recipe = load_recipe(written(GOOD), changes)
    assert isinstance(recipe.algorithm, PPOSettings)
    assert (recipe.algorithm.gamma, recipe.algorithm.clip_coef) == (0.5, 0.1)
    assert recipe.env.args == {"demand": "tight"}
    assert recipe.evaluation.episodes == 3
    assert recipe.seed == 7
    assert recipe.network.hidden == (8, 8)
    recipe = load_recipe(written(HYBRID), {"algo.ppo.gamma": 0.5, "algo.dagger.iterations": 9})
    assert isinstance(recipe.algorithm, HybridSettings)
    assert recipe.algorithm.ppo.gamma == 0.5
    assert recipe.algorithm.dagger.iterations == 9


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"algo.gama": 0.5}, r"unknown key algorithm\.gama; did you mean gamma\?"),
        ({"algo.gamma": "low"}, r"algorithm\.gamma: .*got 'low'"),
        ({"name.first": 1}, r"--set name\.first: name is a value, not a table"),
        ({"algo.gamma.x": 1}, r"--set algo\.gamma\.x: gamma is a value, not a table"),
        ({"": 1}, "unknown key"),
    ],
)
def test_a_change_that_makes_no_recipe_is_refused(written, changes, said):
    with pytest.raises(InputError, match=said):
        load_recipe(written(GOOD), changes)


def test_a_discrete_algorithm_refuses_a_vector_of_actions(written):
    recipe = load_recipe(written(GOOD.replace("compagnon/Workshop-v0", "Pendulum-v1")))
    with pytest.raises(InputError, match="ppo serves discrete actions; Pendulum-v1 has a vector"):
        build_algorithm(recipe)


def test_settings_cannot_be_changed_afterwards():
    with pytest.raises(ValueError, match="frozen"):
        DaggerSettings().num_envs = 3  # type: ignore[misc]


# An iteration of the small recipes' PPO is 4 x 16 = 64 steps, one of DAgger 4 x 50 = 200.
@pytest.mark.parametrize(
    ("kind", "budget", "total"),
    [
        ("ppo", {"iterations": 7}, 7),
        ("ppo", {"env_steps": 640}, 10),
        ("ppo", {"env_steps": 641}, 11),
        ("ppo", {"env_steps": 641, "iterations": 3}, 3),
        ("ppo", {"minutes": 1}, None),
        ("dagger", {}, 6),
        ("dagger", {"iterations": 2}, 2),
        ("sequence", {"env_steps": 400}, 2),
        ("sequence", {"env_steps": 401}, 3),
        ("sequence", {"env_steps": 400 + 640}, 12),
        ("sequence", {"env_steps": 400 + 64 * 10**15 + 1}, 2 + 10**15 + 1),
        ("alternate", {"env_steps": 264}, 2),
        ("alternate", {"env_steps": 265}, 3),
        ("alternate", {"iterations": 4}, 4),
    ],
)
def test_the_budget_in_iterations(kind, budget, total):
    assert kind in KINDS
    assert total_iterations(recipe_of(kind, budget=budget)) == total

"""Recipes are read or refused; a refusal names the file, the key and what would be right."""

import pytest
import tomli_w

from compagnon.errors import InputError
from compagnon.rl.algorithm import build_algorithm, total_iterations
from compagnon.rl.dagger import DaggerSettings
from compagnon.rl.hybrid import HybridSettings
from compagnon.rl.ppo import PPOSettings
from compagnon.rl.recipe import load_recipe, shipped_recipes
from compagnon.rl.registry import settings_by_kind
from tests.rl.small import KINDS, recipe_of

SETTINGS = settings_by_kind()

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
        (GOOD.replace('kind = "ppo"', ""), r"key algorithm\.kind is missing: 'dqn', 'ppo', 'd"),
        (GOOD.replace('"ppo"', '"ppoo"'), r"algorithm\.kind: should be 'dqn', .*, got 'ppoo'"),
        (GOOD.replace('"mine"', '"My run"'), "name: .*match pattern.*got 'My run'"),
        (
            GOOD.replace("Workshop-v0", "Workshp-v0"),
            r"env\.id: .*did you mean compagnon/Workshop-v0",
        ),
        (GOOD.replace("iterations = 3", ""), "budget: give iterations, env_steps, episodes or m"),
        (HYBRID.replace("iterations = 3", ""), "budget: give iterations, env_steps, episodes or m"),
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


def of_kind(kind: str, line: str) -> str:
    return GOOD.replace('"ppo"', f'"{kind}"').replace("gamma = 0.9", line)


@pytest.mark.parametrize(
    ("kind", "line", "said"),
    [
        (
            "ppo",
            "capacity = 9",
            r"it is one of dqn and ddpg and dagger, and this recipe is for ppo",
        ),
        ("dqn", "clip_coef = 0.1", r"it is one of ppo, and this recipe is for dqn"),
        ("ddpg", "double = true", r"it is one of dqn, and this recipe is for ddpg"),
        ("dagger", "gamma = 0.9", r"it is one of dqn and ppo and ddpg, and this .* for dagger"),
        ("dqn", "gama = 0.9", r"did you mean gamma\?"),
    ],
)
def test_a_key_of_another_algorithm_is_said_to_be_one(written, kind, line, said):
    key = line.partition(" ")[0]
    with pytest.raises(InputError, match=rf"unknown key algorithm\.{key}[:;].* ?{said}") as refusal:
        load_recipe(written(of_kind(kind, line)))
    assert "\n" not in str(refusal.value)
    if key == "gama":  # which is nobody's
        assert "it is one of" not in str(refusal.value)


@pytest.mark.parametrize("kind", SETTINGS)
def test_every_algorithm_has_defaults_that_make_a_recipe(written, kind):
    recipe = load_recipe(written(of_kind(kind, "")))
    assert recipe.algorithm.kind == kind
    assert type(recipe.algorithm) is SETTINGS[kind]
    text = tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True))
    assert load_recipe(written(text)) == recipe


@pytest.mark.parametrize("kind", SETTINGS)
def test_every_setting_has_a_sentence(kind):
    for name, field in SETTINGS[kind].model_fields.items():
        if name not in ("kind", "dagger", "ppo"):
            assert field.description, name
            assert "\n" not in field.description, name


@pytest.mark.parametrize(
    ("kind", "line", "said"),
    [
        ("dqn", "epsilon_decay = 'geometric'\nepsilon_end = 0.0", "epsilon_decay: a geometric one"),
        ("dqn", "epsilon_decay = 'cosine'", r"algorithm\.epsilon_decay: .*'linear' or 'geometric'"),
        ("dqn", "capacity = 10\nlearning_starts = 11", "learning_starts: more than capacity holds"),
        ("dqn", "n_step = 101", r"algorithm\.n_step: .*less than or equal to 100, got 101"),
        ("dqn", "epsilon_episodes = 0", r"algorithm\.epsilon_episodes: .*or equal to 1, got 0"),
        ("dqn", "max_grad_norm = -1", r"algorithm\.max_grad_norm: .*equal to 0, got -1"),
        ("ddpg", "exploration = 'parameters'", "exploration: 'parameters' needs norm = 'layer'"),
        ("ddpg", "capacity = 10", "learning_starts: more than capacity holds"),
        ("ppo", "networks = 'joint'\ncritic_warmup = 3", "critic_warmup: joint networks"),
    ],
)
def test_settings_of_control_that_do_not_fit_are_refused(written, kind, line, said):
    path = written(of_kind(kind, line))
    with pytest.raises(InputError, match=said) as refusal:
        load_recipe(path)
    assert str(refusal.value).startswith(f"{path}: ")
    assert "\n" not in str(refusal.value)


def test_videos_and_episodes_are_read(written):
    text = GOOD.replace("iterations = 3", "episodes = 450")
    recipe = load_recipe(
        written(text + "[video]\nevery_episodes = 10\nformat = 'gif'\nsteps = 99\n")
    )
    assert recipe.budget.episodes == 450
    assert (recipe.video.every_episodes, recipe.video.format, recipe.video.steps) == (10, "gif", 99)
    assert load_recipe(written(GOOD)).video.every_episodes == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD + "[video]\nevery = 10\n", r"unknown key video\.every"),
        (GOOD + "[video]\nformat = 'avi'\n", r"video\.format: .*'mp4' or 'gif', got 'avi'"),
        (GOOD + "[video]\nevery_episodes = -1\n", r"video\.every_episodes: .*to 0, got -1"),
        (GOOD.replace("iterations = 3", "episodes = 0"), r"budget\.episodes: .*to 1, got 0"),
        (GOOD + "[network]\nscale_inputs = 'range'\n", r"inputs: .*False or 'ranges', got 'range'"),
        (GOOD.replace("[algorithm]", "backend = 'pool'\n[algorithm]"), r"env\.backend: .*envpool"),
    ],
)
def test_new_tables_are_read_or_refused(written, text, said):
    with pytest.raises(InputError, match=said) as refusal:
        load_recipe(written(text))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("scale_inputs", [True, False, "ranges"])
def test_inputs_are_scaled_in_one_of_three_ways(written, scale_inputs):
    value = f"'{scale_inputs}'" if isinstance(scale_inputs, str) else str(scale_inputs).lower()
    recipe = load_recipe(written(GOOD + f"[network]\nscale_inputs = {value}\n"))
    assert recipe.network.scale_inputs == scale_inputs
    scaler = build_algorithm(recipe)[1].scaler
    assert (scaler is None) == (scale_inputs is False)
    assert scaler is None or scaler.frozen == (scale_inputs == "ranges")


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


# 3 copies take 34 steps each for at least 100 of all together, so an iteration is 102 steps.
@pytest.mark.parametrize("kind", ["dqn", "ddpg"])
@pytest.mark.parametrize(
    ("budget", "total"),
    [
        ({"iterations": 7}, 7),
        ({"env_steps": 102}, 1),
        ({"env_steps": 103}, 2),
        ({"env_steps": 1020, "iterations": 3}, 3),
        ({"minutes": 1}, None),
        ({"episodes": 450}, None),
        ({"episodes": 450, "env_steps": 204}, 2),
    ],
)
def test_the_budget_in_iterations_of_steps(kind, budget, total):
    algorithm = {"kind": kind, "num_envs": 3, "iteration_steps": 100}
    recipe = recipe_of("cartpole", algorithm=algorithm, budget=budget)
    assert total_iterations(recipe) == total


@pytest.mark.parametrize(
    "env",
    [
        'id = "tests.envs.own_module:own/Clock-v0"',
        'id = "own/Clock-v0"\nmodule = "tests.envs.own_module"',
        'id = "tests.envs.own_module:own/Clock-v0"\nmodule = "tests.envs.own_module"',
    ],
)
def test_a_module_that_registers_the_environment_is_named_either_way(written, env):
    recipe = load_recipe(written(GOOD.replace('id = "compagnon/Workshop-v0"', env)))
    assert recipe.env.id == "tests.envs.own_module:own/Clock-v0"
    assert build_algorithm(recipe)[1].schema.env_id == recipe.env.id


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ('id = "other:own/Clock-v0"\nmodule = "tests.envs.own_module"', "names another one"),
        ('id = "own/Clock-v0"\nmodule = 3', "should be the name of a Python module"),
        ('id = "own/Clock-v0"\nmodule = "no_such"', "env.id: .*there is no module 'no_such'"),
    ],
)
def test_a_module_that_does_not_fit_is_refused(written, env, words):
    with pytest.raises(InputError, match=words):
        load_recipe(written(GOOD.replace('id = "compagnon/Workshop-v0"', env)))

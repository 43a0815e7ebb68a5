"""A run's policies say what they come from, and a recipe that is changed on the way says so."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import compagnon as cp
from compagnon.cli import main
from compagnon.errors import InputError
from compagnon.files import file_sha256
from compagnon.policy import load_artefact
from compagnon.policy.provenance import Provenance, RecipeChange, data_sha256, env_sha256
from compagnon.rl.buffers.demonstrations import Demonstrations
from compagnon.rl.provenance import recipe_sha256, training_data
from compagnon.rl.recipe import Recipe, change_recipe, load_recipe, parse_recipe
from compagnon.rl.recipe_history import HISTORY_FILE, read_history, recipe_changes
from compagnon.rl.run import Run
from compagnon.rl.run_report import _how_it_went, _settings
from compagnon.rl.trainer import Trainer, start
from tests.rl.cases import bandit_expert
from tests.rl.small import BANDIT, CONTEXTS, PPO, recipe_of
from tests.tiers import full

RULE = """
class First:
    def act(self, obs, action_mask):
        return action_mask.argmax(axis=1)
"""
IMITATION = {"kind": "dagger", "num_envs": 2, "collect_steps": 20, "gradient_steps": 2}


def bandit(algorithm: dict[str, Any], **changes: Any) -> Recipe:
    tree = {
        "name": "small",
        "threads": 1,
        "env": {"id": BANDIT},
        "network": {"hidden": [8]},
        "algorithm": algorithm,
        "budget": {"iterations": 4},
        "evaluation": {"every": 2, "episodes": 2},
    }
    return parse_recipe({**tree, **changes}, "a test")


def imitated(expert: str) -> Recipe:
    return bandit({**IMITATION, "expert": expert, "iterations": 2})


def recorded(folder: Path, last: int = 0) -> Path:
    """Twenty decisions of the Bandit; `last` is the last one's action."""
    actions = np.zeros(20, np.int64)
    actions[-1] = last
    obs = np.eye(CONTEXTS, dtype=np.float32)[np.arange(20) % CONTEXTS]
    np.savez(folder / "decisions.npz", observations=obs, actions=actions)
    return folder / "decisions.npz"


def of(path: Path) -> Provenance:
    return load_artefact(path).manifest.provenance


# -- recipe and data ------------------------------------------------------------------------------


def test_a_recipe_has_one_hash_however_it_is_written():
    recipe = bandit(PPO)
    spelt_out = recipe.model_dump(mode="json", exclude_none=True)
    assert recipe_sha256(parse_recipe(spelt_out, "a test")) == recipe_sha256(recipe)
    for key, value in (("algorithm.gamma", 0.5), ("env.args", {"pays": "number"}), ("seed", 1)):
        assert recipe_sha256(change_recipe(recipe, {key: value}, "x")) != recipe_sha256(recipe)


def test_a_run_s_policies_name_its_recipe_and_environment(tmp_path):
    recipe = bandit(PPO, seed=3, env={"id": BANDIT, "args": {"pays": "number"}})
    start(recipe, tmp_path / "run").train()
    for name in ("best", "last"):
        found = of(tmp_path / "run" / name)
        assert found.recipe_sha256 == recipe_sha256(Run(tmp_path / "run").recipe)
        assert found.env_sha256 == env_sha256(BANDIT, {"pays": "number"})
        assert (found.seed, found.recipe_changes) == (3, ())
        assert (found.data, found.data_sha256, found.parent) == ((), None, None)
        assert found.versions["compagnon"]


def test_a_changed_byte_of_an_order_book_gives_another_hash(tmp_path):
    book = tmp_path / "orders.csv"
    args = {"demand": str(book)}
    book.write_text("time,product,quantity\n2026-03-02T08:00,P1,5\n")
    before = training_data(recipe_of("ppo", env={"id": "compagnon/Workshop-v0", "args": args}))
    assert [(one.role, one.path) for one in before] == [("env.args.demand", str(book))]
    assert before[0].sha256 == file_sha256(book)
    book.write_text("time,product,quantity\n2026-03-02T08:00,P1,6\n")
    after = training_data(recipe_of("ppo", env={"id": "compagnon/Workshop-v0", "args": args}))
    assert data_sha256(after) != data_sha256(before)


def test_days_in_a_folder_are_hashed_by_name_and_content(tmp_path):
    days = tmp_path / "days"
    days.mkdir()
    recipe = parse_recipe(
        {
            "name": "small",
            "env": {"id": "compagnon/Dispatch-v1", "args": {"days": str(days)}},
            "algorithm": PPO,
            "budget": {"iterations": 1},
        },
        "a test",
    )
    (days / "a.json").write_text("1")
    (days / "b.json").write_text("2")
    found = [training_data(recipe)]
    (days / "b.json").write_text("3")
    found.append(training_data(recipe))
    (days / "b.json").rename(days / "c.json")
    found.append(training_data(recipe))
    assert len({data_sha256(one) for one in found}) == 3
    (days / ".hidden").touch()
    assert training_data(recipe) == found[-1]


def test_a_clone_names_the_decisions_that_it_imitates(tmp_path):
    file = recorded(tmp_path)
    start(imitated(f"file:{file}"), tmp_path / "run").train()
    found = of(tmp_path / "run" / "best")
    (data,) = found.data
    assert (data.role, data.path) == ("algorithm.expert", f"file:{file}")
    assert data.sha256 == found.data_sha256 == file_sha256(file)
    recorded(tmp_path, last=1)
    assert data_sha256(training_data(imitated(f"file:{file}"))) != found.data_sha256


def test_decisions_in_memory_have_a_hash_of_their_numbers(tmp_path):
    recipe = imitated("file:(in memory)")
    loaded = [Demonstrations.load(recorded(tmp_path, last)) for last in (0, 0, 1)]
    hashes = [data_sha256(training_data(recipe, one)) for one in loaded]
    assert hashes[0] == hashes[1] != hashes[2]
    named = Demonstrations(loaded[0].obs, loaded[0].actions, fields=["a", "b", "c", "d"])
    assert data_sha256(training_data(recipe, named)) != hashes[0]


def test_a_rule_is_known_by_its_file_and_a_policy_by_its_weights(tmp_path):
    rule = tmp_path / "rules.py"
    rule.write_text(RULE)
    (found,) = training_data(imitated(f"expert:{rule}:First"))
    assert found.sha256 == file_sha256(rule)
    path = bandit_expert(tmp_path)
    (found,) = training_data(imitated(str(path)))
    assert found.sha256 == load_artefact(path).manifest.weights_sha256
    assert training_data(imitated("constant:0")) == ()
    shipped = recipe_of("dagger")
    assert training_data(shipped) == ()
    levels = tmp_path / "levels.json"
    levels.write_text("{}")
    with_file = f"expert:workshop-base-stock:{levels}"
    (found,) = training_data(change_recipe(shipped, {"algorithm.expert": with_file}, "x"))
    assert found.sha256 == file_sha256(levels)


def test_a_file_that_is_gone_is_named(tmp_path):
    recipe = imitated(f"file:{tmp_path / 'gone.csv'}")
    with pytest.raises(InputError, match=r"gone\.csv"):
        training_data(recipe)


# -- parents --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def practised(tmp_path_factory) -> Path:
    """A run that clones for two iterations, then practises for two."""
    folder = tmp_path_factory.mktemp("runs")
    expert = str(bandit_expert(folder))
    dagger = {k: v for k, v in IMITATION.items() if k != "kind"}
    algorithm = {
        "kind": "hybrid",
        "dagger": {**dagger, "iterations": 2, "expert": expert},
        "ppo": {key: value for key, value in PPO.items() if key != "kind"},
    }
    start(bandit(algorithm), folder / "run").train()
    return folder / "run"


def test_practice_names_the_clone_that_it_began_with(practised):
    clone, last = load_artefact(practised / "clone"), of(practised / "last")
    assert last.parent is not None
    assert (last.parent.how, last.parent.sha256) == ("clone", clone.manifest.weights_sha256)
    assert clone.manifest.provenance.parent is None
    assert Trainer.resume(practised).policy().manifest.provenance.parent == last.parent


def test_a_policy_that_never_practised_has_no_parent(practised, tmp_path):
    expert = str(bandit_expert(tmp_path))
    start(imitated(expert), tmp_path / "run").train()
    assert of(tmp_path / "run" / "last").parent is None


def test_the_python_side_keeps_it(practised, tmp_path):
    policy = cp.load_policy(practised)
    policy.save(tmp_path / "kept")
    kept = cp.load_policy(tmp_path / "kept")
    assert kept.provenance == policy.provenance == of(practised / "best")
    learner = cp.PPO(BANDIT, seed=5, num_envs=2, rollout_steps=8, minibatch_size=8)
    learner.learn({"iterations": 1})
    assert learner.recipe is not None
    found = learner.policy.provenance
    assert found is not None
    assert (found.recipe_sha256, found.seed) == (recipe_sha256(learner.recipe), 5)


# -- what is changed on the way -------------------------------------------------------------------


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (path / HISTORY_FILE).read_text().splitlines()]


def test_a_resume_with_other_settings_is_written_down(tmp_path, capsys):
    path = tmp_path / "run"
    start(bandit(PPO), path).train()
    before = of(path / "last")
    (begun,) = lines_of(path)
    assert (begun["iteration"], begun["fields"]["algorithm.gamma"][0]) == (0, None)
    changed = ["--set", "algo.learning_rate=0.002", "budget.iterations=6"]
    assert main(["learn", str(path), "--resume", *changed]) == 0
    _, line = lines_of(path)
    rate = begun["fields"]["algorithm.learning_rate"][1]
    assert line["fields"] == {
        "algorithm.learning_rate": [rate, 0.002],
        "budget.iterations": [4, 6],
    }
    assert (line["iteration"], line["env_steps"]) == (4, before.env_steps)
    assert line["time"]
    after = of(path / "last")
    assert after.recipe_sha256 != before.recipe_sha256
    assert (before.recipe_changes, len(after.recipe_changes)) == ((), 1)
    assert after.recipe_changes[0].fields["algorithm.learning_rate"] == (rate, 0.002)
    said = f"iteration 4: algorithm.learning_rate {rate} -> 0.002, budget.iterations 4 -> 6"
    assert after.recipe_changes[0].words == said
    run = Run.open(path)
    assert f"Its recipe was changed at {said}." in _how_it_went(run)
    assert _settings(run)["algorithm.learning_rate"] == f"{rate}, from iteration 4 on 0.002"
    assert _settings(run)["algorithm.gamma"] == begun["fields"]["algorithm.gamma"][1]


def test_the_same_recipe_again_is_no_change(tmp_path):
    path = tmp_path / "run"
    recipe = bandit(PPO)
    start(recipe, path).train(lambda info: info.iteration < 2)
    Trainer.resume(path).train()
    Trainer.resume(path, recipe).train()
    assert len(lines_of(path)) == 1
    found = of(path / "last")
    assert (found.recipe_changes, found.recipe_sha256) == ((), recipe_sha256(recipe))


def test_a_resume_without_the_change_goes_back_and_says_so(tmp_path):
    path = tmp_path / "run"
    start(bandit(PPO), path).train(lambda info: info.iteration < 2)
    wanted = load_recipe(str(path / "recipe.toml"), {"algorithm.entropy_coef": 0.5})
    Trainer.resume(path, wanted).train(lambda info: info.iteration < 3)
    Trainer.resume(path).train()
    first, second = of(path / "last").recipe_changes
    assert (first.iteration, second.iteration) == (2, 3)
    (key,) = first.fields
    assert second.fields == {key: first.fields[key][::-1]}
    # The settings are those of the beginning again, what was learnt with others is still told.
    assert of(path / "last").recipe_sha256 == recipe_sha256(bandit(PPO))


def test_changes_that_were_lost_with_their_iterations_are_forgotten(tmp_path):
    path = tmp_path / "run"
    start(bandit(PPO), path).train(lambda info: info.iteration < 2)
    longer = load_recipe(str(path / "recipe.toml"), {"budget.iterations": 9})
    Trainer.resume(path, longer).train(lambda info: info.iteration < 3)
    for newest in sorted((path / "checkpoints").iterdir())[-1:]:
        newest.rename(tmp_path / "gone")
    Trainer.resume(path).train(lambda info: info.iteration < 3)
    # At iteration 2 it was changed, and changed back before anything was learnt with it.
    assert of(path / "last").recipe_changes == ()
    assert len(lines_of(path)) == 3


def test_changes_at_one_iteration_are_one():
    def line(iteration: int, **fields: Any) -> RecipeChange:
        return RecipeChange(iteration=iteration, fields=fields)

    begun = line(0, a=(None, 1), b=(None, 1))
    lines = [begun, line(5, a=(1, 2)), line(5, a=(2, 3), b=(1, 2)), line(5, b=(2, 1)), line(9)]
    assert [change.fields for change in recipe_changes(lines)] == [{"a": (1, 3)}]
    assert recipe_changes([begun]) == recipe_changes([]) == ()


def test_data_that_changes_on_the_way_is_a_change_too(tmp_path):
    path, file = tmp_path / "run", recorded(tmp_path)
    start(imitated(f"file:{file}"), path).train(lambda info: info.iteration < 1)
    before = file_sha256(file)
    recorded(tmp_path, last=1)
    Trainer.resume(path).train()
    (change,) = of(path / "last").recipe_changes
    assert change.fields == {"data.algorithm.expert": (before, file_sha256(file))}
    assert of(path / "last").data_sha256 == file_sha256(file)


def test_a_recipe_that_is_edited_in_the_folder_is_a_change_too(tmp_path):
    path = tmp_path / "run"
    start(bandit(PPO), path).train(lambda info: info.iteration < 2)
    toml = path / "recipe.toml"
    toml.write_text(toml.read_text().replace("iterations = 4", "iterations = 5"))
    Trainer.resume(path).train()
    (change,) = of(path / "last").recipe_changes
    assert change.fields == {"budget.iterations": (4, 5)}


def test_a_run_from_before_there_were_histories_goes_on(tmp_path):
    path = tmp_path / "run"
    start(bandit(PPO), path).train(lambda info: info.iteration < 2)
    (path / HISTORY_FILE).unlink()
    longer = load_recipe(str(path / "recipe.toml"), {"budget.iterations": 6})
    Trainer.resume(path, longer).train()
    (change,) = of(path / "last").recipe_changes
    assert change.fields == {"budget.iterations": (4, 6)}
    assert read_history(tmp_path) == []


def test_a_line_that_a_kill_cut_short_is_written_again(tmp_path):
    path = tmp_path / "run"
    start(bandit(PPO), path).train(lambda info: info.iteration < 2)
    whole = (path / HISTORY_FILE).read_text()
    (path / HISTORY_FILE).write_text(whole + '{"iteration": 2, "fie')
    Trainer.resume(path).train()
    assert (path / HISTORY_FILE).read_text() == whole


@pytest.mark.parametrize("kind", ["cartpole", full("dagger"), full("sequence"), full("ppo-box")])
def test_a_run_is_begun_with_its_own_recipe(kind, tmp_path):
    recipe = recipe_of(kind, budget__iterations=1)
    trainer = start(recipe, tmp_path / "run")
    trainer.train()
    assert len(lines_of(tmp_path / "run")) == 1
    assert trainer.origin.changes == ()

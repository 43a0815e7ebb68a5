"""A learner is a recipe written in Python: the same run, kept, gone on with, and told off alike."""

import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

import compagnon as cp
from compagnon.cli import main
from compagnon.rl.recipe import parse_recipe
from compagnon.rl.run import Run
from compagnon.rl.trainer import start
from tests.rl.cases import DAGGER, DDPG, DQN, LEARN_DAGGER, LEARN_DDPG, LEARN_DQN, LEARN_PPO
from tests.rl.cases import PPO as SMALL_PPO
from tests.rl.small import BANDIT, CONTEXTS, ECHO, MaskedBandit
from tests.rl.test_trainer import assert_same_run, metrics_of

TINY = {"threads": 1, "network": {"hidden": [8]}, "evaluation": {"every": 3, "episodes": 1}}
SIX = {"iterations": 6}


def settings_of(case: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """An algorithm's settings as keywords: what is an argument of its own is left out."""
    return {k: v for k, v in case.items() if k not in ("kind", "expert")} | TINY | changes


def ppo(env: Any = BANDIT, **changes: Any) -> cp.PPO:
    return cp.PPO(env, **settings_of(SMALL_PPO, **changes))


def says_what_it_sees(obs: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
    """The Bandit's answer, which is always possible."""
    return obs.argmax(axis=1)


def mostly_right(obs: np.ndarray, action_mask: np.ndarray) -> np.ndarray:
    """The Bandit's answer, but in one of four contexts."""
    seen = obs.argmax(axis=1)
    wrong = action_mask.argmax(axis=1)
    return np.where(seen == CONTEXTS - 1, wrong, seen)


# -- the same run as a recipe's -------------------------------------------------------------------

ALL = pytest.mark.parametrize("kind", ["ppo", "dqn", "ddpg", "dagger", "hybrid"])
OWN: dict[str, dict[str, Any]] = {
    "ppo": {k: v for k, v in SMALL_PPO.items() if k != "kind"},
    "dqn": {k: v for k, v in DQN.items() if k != "kind"},
    "ddpg": {k: v for k, v in DDPG.items() if k != "kind"},
    "dagger": {k: v for k, v in DAGGER.items() if k not in ("kind", "expert")},
    "hybrid": {
        "dagger": {k: v for k, v in DAGGER.items() if k != "kind"} | {"iterations": 2},
        "ppo": {k: v for k, v in SMALL_PPO.items() if k != "kind"},
    },
}


def learner_of(kind: str, env: Any = BANDIT, **changes: Any) -> cp.Learner:
    given: dict[str, Any] = {**OWN[kind], **TINY, "seed": 3, "name": "mine", **changes}
    if kind == "hybrid":
        given["dagger"] = {k: v for k, v in given["dagger"].items() if k != "expert"}
    make: Any = {
        "ppo": cp.PPO, "dqn": cp.DQN, "ddpg": cp.DDPG, "dagger": cp.DAgger, "hybrid": cp.Hybrid,
    }[kind]  # fmt: skip
    return make(*(["random"] if kind in ("dagger", "hybrid") else []), env, **given)


def recipe_tree(kind: str) -> dict[str, Any]:
    own = {**OWN[kind], "kind": kind}
    if kind == "dagger":
        own["expert"] = "random"
    if kind == "hybrid":
        own["dagger"] = {**own["dagger"], "expert": "random"}
    tree = {"name": "mine", "seed": 3, "env": {"id": BANDIT}, "algorithm": own, **TINY}
    if kind == "dagger":
        own["iterations"] = 6
        return tree
    return {**tree, "budget": SIX}


@ALL
@pytest.mark.full
def test_it_is_the_run_of_the_recipe_bit_for_bit(kind, tmp_path):
    learner = learner_of(kind).learn(SIX, out=tmp_path / "python")
    recipe = parse_recipe(recipe_tree(kind), "a test")
    assert learner.recipe == recipe
    start(recipe, tmp_path / "recipe").train()
    assert_same_run(tmp_path / "python", tmp_path / "recipe")


def test_it_is_the_run_of_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    learner = ppo("CartPole-v1", seed=1).learn(SIX, out="python")
    (tmp_path / "mine.toml").write_text((tmp_path / "python" / "recipe.toml").read_text())
    assert main(["learn", "mine.toml", "--out", "typed"]) == 0
    assert_same_run(Path("python"), Path("typed"))
    assert learner.path == Path("python")


def test_defaults_are_those_of_a_recipe_without_settings():
    bare = {"name": "mine", "env": {"id": "CartPole-v1"}, "budget": {"env_steps": 50_000}}
    for kind, make in (("ppo", cp.PPO), ("dqn", cp.DQN)):
        recipe = parse_recipe({**bare, "algorithm": {"kind": kind}}, "a test")
        assert make("CartPole-v1", name="mine").recipe_for(50_000) == recipe


def test_budgets_are_steps_times_or_tables():
    learner = cp.PPO("CartPole-v1")
    assert learner.recipe_for(5_000).budget.env_steps == 5_000
    assert learner.recipe_for(np.int64(5_000)).budget.env_steps == 5_000
    assert learner.recipe_for(2e4).budget.env_steps == 20_000
    assert learner.recipe_for("2e4").budget.env_steps == 20_000
    assert learner.recipe_for("90s").budget.minutes == 1.5
    assert learner.recipe_for({"episodes": 7}).budget.episodes == 7
    for wrong, words in (
        (0, "give environment steps"),
        (0.5, "give environment steps"),
        (True, "give environment steps"),
        ("soon", "give a time such as"),
        ({"iteratons": 5}, "did you mean iterations"),
        (None, "give iterations, env_steps, episodes or minutes"),
    ):
        with pytest.raises(cp.InputError, match=words):
            learner.recipe_for(wrong)


# -- what is wrong with a setting -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"learning_rat": 1e-3}, "no setting 'learning_rat'; did you mean learning_rate"),
        ({"epsilon_end": 0.1}, r"no setting 'epsilon_end': it is one of cp\.DQN"),
        ({"kind": "dqn"}, "no setting 'kind'"),
        ({"expert": "random"}, "no setting 'expert'"),
        ({"gamma": 1.5}, "cp.PPO: gamma: .* less than or equal to 1, got 1.5"),
        ({"epochs": True}, "epochs: .*"),
        ({"network": {"hiden": [8]}}, "unknown key network.hiden; did you mean hidden"),
        ({"evaluation": {"every": 0}}, "evaluation.every: .* got 0"),
        ({"seed": -1}, "seed: .* got -1"),
        ({"env_args": {"gravity": 1}, "env": "CartPol-v1"}, "did you mean CartPole-v1"),
    ],
)
def test_a_setting_that_cannot_be_is_named_at_once(settings, words):
    env = settings.pop("env", "CartPole-v1")
    with pytest.raises(cp.InputError, match=words):
        cp.PPO(env, **settings)


def test_settings_of_a_table_are_named_by_it():
    with pytest.raises(cp.InputError, match=r"cp\.Hybrid: ppo\.gamma: .*, got 2"):
        cp.Hybrid("random", "CartPole-v1", ppo={"gamma": 2})


def test_an_algorithm_that_does_not_serve_the_actions_says_so():
    with pytest.raises(cp.InputError, match="dqn serves discrete actions"):
        cp.DQN("Pendulum-v1").learn(1000)


# -- environments in every form -------------------------------------------------------------------


def small_bandit() -> gymnasium.Env:
    return MaskedBandit()


@pytest.mark.parametrize(
    "env",
    [
        small_bandit,
        MaskedBandit,
        "tests.api.test_learners:small_bandit",
        gymnasium.make(BANDIT),
        MaskedBandit(),
        lambda: MaskedBandit(),  # noqa: PLW0108
        gymnasium.vector.SyncVectorEnv([MaskedBandit] * 4),
    ],
    ids=["function", "class", "by name", "made", "object", "lambda", "copies"],
)
def test_the_environment_may_be_an_object_or_a_factory(env, tmp_path):
    learner = ppo(env).learn(SIX, out=tmp_path / "run")
    ppo(BANDIT).learn(SIX, out=tmp_path / "known")
    assert metrics_of(tmp_path / "run") == metrics_of(tmp_path / "known")
    assert learner.policy.act(np.eye(CONTEXTS)[1], np.ones(6, bool)) in range(6)


def test_copies_that_are_given_are_so_many_copies():
    assert cp.PPO(gymnasium.make_vec("CartPole-v1", 3)).recipe_for(5000).algorithm.num_envs == 3
    twice = cp.PPO(gymnasium.make_vec("CartPole-v1", 3), num_envs=2)
    assert twice.recipe_for(5000).algorithm.num_envs == 2


def test_an_environment_s_arguments_arrive(tmp_path):
    learner = ppo(BANDIT, env_args={"pays": "number"}).learn(SIX)
    assert learner.recipe.env.args == {"pays": "number"}
    assert learner.policy.policy.manifest.provenance.env_args == {"pays": "number"}


# -- what is kept ---------------------------------------------------------------------------------


def test_without_a_folder_nothing_is_left_on_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    learner = ppo().learn(SIX)
    assert learner.path is None
    assert any(tmp_path.iterdir())
    policy = learner.policy
    del learner
    assert not any(tmp_path.iterdir())
    assert policy.act(np.eye(CONTEXTS), np.ones((4, 6), bool)).shape == (4,)


def test_best_last_and_metrics_are_those_of_the_run(tmp_path):
    learner = ppo().learn(SIX, out=tmp_path / "run")
    run = Run.open(tmp_path / "run")
    assert learner.metrics == run.metrics()
    assert [line["iteration"] for line in learner.metrics] == [1, 2, 3, 4, 5, 6]
    for name, kept in (("best", learner.best), ("last", learner.last)):
        on_disk = cp.load_policy(tmp_path / "run" / name)
        for weight, array in on_disk.policy.weights.items():
            np.testing.assert_array_equal(kept.policy.weights[weight], array)
    assert learner.policy is learner.best
    assert learner.clone is None
    assert learner.outcome.finished
    assert "finished after 384 environment steps" in repr(learner)


def test_before_learning_there_is_no_policy():
    with pytest.raises(cp.InputError, match="nothing has been learnt yet"):
        ppo().policy  # noqa: B018


def test_where_nothing_was_judged_the_last_policy_is_the_policy():
    learner = ppo().learn({"iterations": 6}, callbacks=lambda info: info.iteration < 2)
    assert learner.best is None
    assert learner.policy is learner.last


def test_expert_iteration_takes_the_tables_of_both():
    """In the workshop, since the Bandit cannot be looked ahead in."""
    imitation = {k: v for k, v in DAGGER.items() if k not in ("kind", "expert")}
    learner = cp.ExpertIteration(
        "workshop-v2", "compagnon/Workshop-v0", env_args={"decision_points": True},
        rounds=1, practice=1, looks=4, num_envs=2, collect_steps=4, futures=2, candidates=2,
        gradient_steps=2, network={"hidden": [8]}, evaluation={"every": 3, "episodes": 1},
        dagger={**imitation, "iterations": 1, "collect_steps": 20},
        ppo={k: v for k, v in SMALL_PPO.items() if k != "kind"},
    )  # fmt: skip
    phases: list[str] = []
    learner.learn({"iterations": 3}, callbacks=lambda info: phases.append(info.phase))
    assert phases == ["dagger", "look_ahead", "ppo"]
    assert learner.policy.name


def test_a_hybrid_keeps_its_clone():
    learner = learner_of("hybrid").learn(SIX)
    assert learner.clone is not None


def test_a_folder_that_holds_something_is_not_written_over(tmp_path):
    (tmp_path / "mine").mkdir()
    ppo().learn(SIX, out=tmp_path / "mine")
    with pytest.raises(cp.InputError, match=r"is there already: cp\.resume"):
        ppo().learn(SIX, out=tmp_path / "mine")
    file = tmp_path / "file"
    file.write_text("kept")
    with pytest.raises(cp.InputError, match="is there already"):
        ppo().learn(SIX, out=file)
    assert file.read_text() == "kept"


# -- going on -------------------------------------------------------------------------------------


@ALL
@pytest.mark.full
def test_to_learn_twice_is_to_learn_so_much_at_once(kind, tmp_path):
    # A rate that is left open falls over the budget, which is another one then.
    still = {"learning_rate": 1e-3} if kind == "dqn" else {}
    learner = learner_of(kind, **still).learn({"iterations": 3}, out=tmp_path / "twice")
    learner.learn({"iterations": 3})
    learner_of(kind, **still).learn(SIX, out=tmp_path / "once")
    assert_same_run(tmp_path / "twice", tmp_path / "once")
    assert learner.outcome.iterations == 6


def test_a_second_budget_is_so_much_more():
    learner = ppo().learn(128)
    assert learner.learn(64).outcome.env_steps == 192
    assert learner.learn({"episodes": 10}).outcome.episodes >= 202
    steps = learner.outcome.env_steps
    assert learner.learn().outcome.env_steps == steps  # nothing is left of the budget


def test_another_folder_for_the_same_run_is_refused(tmp_path):
    learner = ppo().learn(SIX, out=tmp_path / "a")
    with pytest.raises(cp.InputError, match="goes on with its run"):
        learner.learn(SIX, out=tmp_path / "b")
    learner.learn({"iterations": 1}, out=tmp_path / "a")
    assert learner.outcome.iterations == 7


def test_a_run_in_a_folder_is_resumed(tmp_path):
    ppo().learn(SIX, out=tmp_path / "cut", callbacks=lambda info: info.iteration < 2)
    learner = cp.resume(tmp_path / "cut")
    assert learner.outcome.finished
    ppo().learn(SIX, out=tmp_path / "whole")
    assert_same_run(tmp_path / "cut", tmp_path / "whole")
    assert cp.resume(tmp_path / "cut", {"iterations": 2}).outcome.iterations == 8
    with pytest.raises(cp.InputError, match="is not a run"):
        cp.resume(tmp_path)


def test_the_command_line_resumes_a_run_of_python(tmp_path):
    ppo().learn(SIX, out=tmp_path / "cut", callbacks=lambda info: info.iteration < 4)
    assert main(["learn", str(tmp_path / "cut"), "--resume"]) == 0
    ppo().learn(SIX, out=tmp_path / "whole")
    assert_same_run(tmp_path / "cut", tmp_path / "whole")


def test_what_only_a_program_had_is_given_again(tmp_path):
    def bandit() -> gymnasium.Env:
        return MaskedBandit()

    class Rule:
        def act(self, obs, action_mask):
            return says_what_it_sees(obs, action_mask)

    def begun(path: Path, **more: Any) -> cp.Learner:
        settings = settings_of(DAGGER, iterations=4)
        return cp.DAgger(Rule(), bandit, **settings).learn(out=path, **more)

    begun(tmp_path / "cut", callbacks=lambda info: info.iteration < 2)
    begun(tmp_path / "whole")
    env_id = Run.open(tmp_path / "cut").recipe.env.id
    del gymnasium.registry[env_id]  # as in a program that begins
    with pytest.raises(cp.InputError, match="give it again"):
        cp.resume(tmp_path / "cut")
    with pytest.raises(cp.InputError, match=r"python:Rule.*give it again"):
        cp.resume(tmp_path / "cut", env=bandit)
    assert cp.resume(tmp_path / "cut", env=bandit, expert=Rule()).outcome.finished
    assert_same_run(tmp_path / "cut", tmp_path / "whole")


# -- callbacks, loops, Ctrl-C ---------------------------------------------------------------------


def test_callbacks_see_iterations_and_end_the_run():
    seen: list[int] = []
    live: list[float] = []

    def look(info: cp.IterationInfo) -> None:
        seen.append(info.iteration)
        if info.evaluation is not None:
            live.append(info.evaluation)

    def stop(info: cp.IterationInfo) -> None:
        if info.iteration == 4:
            raise cp.StopLearning("enough")

    learner = ppo().learn(SIX, callbacks=[look, stop])
    assert seen == [1, 2, 3, 4]
    assert live == [line["eval/return"] for line in learner.metrics if "eval/return" in line]
    assert learner.outcome.words == "stopped after 4 of 6 iterations: enough"


def test_a_plateau_ends_it():
    still = ppo(learning_rate=1e-12, evaluation={"every": 1, "episodes": 4})
    learner = still.learn({"iterations": 50}, callbacks=cp.StopOnPlateau(patience=2))
    assert (learner.outcome.state, learner.outcome.iterations) == ("stopped", 3)


def test_a_loop_over_iterations_is_the_same_run(tmp_path):
    learner = ppo()
    numbers = [info.iteration for info in learner.stream(SIX, out=tmp_path / "loop")]
    assert numbers == [1, 2, 3, 4, 5, 6]
    ppo().learn(SIX, out=tmp_path / "call")
    assert_same_run(tmp_path / "loop", tmp_path / "call")
    assert learner.outcome.finished
    assert learner.policy is learner.best


def test_to_leave_the_loop_keeps_what_was_learnt():
    learner = ppo()
    for info in learner.stream(SIX):
        if info.iteration == 3:
            break
    assert (learner.outcome.state, learner.outcome.iterations) == ("stopped", 3)
    assert learner.policy.name == "ppo-tests-maskedbandit-v0"
    assert learner.learn().outcome.finished


def test_ctrl_c_keeps_what_was_learnt():
    def interrupt(info: cp.IterationInfo) -> None:
        if info.iteration == 3:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    learner = ppo().learn(SIX, callbacks=interrupt)
    assert signal.getsignal(signal.SIGINT) is before
    assert (learner.outcome.state, learner.outcome.iterations) == ("interrupted", 3)
    assert learner.best is not None
    assert learner.learn().outcome.finished


def test_other_signals_are_the_program_s_own():
    caught: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: caught.append(number))
    try:
        learner = ppo().learn(SIX, callbacks=lambda _: signal.raise_signal(signal.SIGTERM))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert learner.outcome.finished
    assert len(caught) == 6


def test_progress_is_shown_where_it_is_asked_for(capsys):
    ppo().learn(SIX)
    assert capsys.readouterr() == ("", "")
    ppo().learn(SIX, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("greedy") == 2


# -- recipes --------------------------------------------------------------------------------------


def test_a_recipe_built_in_python_is_the_one_in_toml(tmp_path):
    built = cp.Recipe(
        name="mine",
        seed=3,
        threads=1,
        env={"id": BANDIT},
        network={"hidden": [8]},
        algorithm={"kind": "ppo", **OWN["ppo"]},
        budget=SIX,
        evaluation={"every": 3, "episodes": 1},
    )
    learner = cp.run(built, tmp_path / "built")
    assert learner.recipe == parse_recipe(recipe_tree("ppo"), "a test")
    learner_of("ppo").learn(SIX, out=tmp_path / "learner")
    assert_same_run(tmp_path / "built", tmp_path / "learner")
    again = cp.run(tmp_path / "built" / "recipe.toml", tmp_path / "read")
    assert again.recipe == learner.recipe
    assert_same_run(tmp_path / "built", tmp_path / "read")


def test_a_shipped_recipe_is_run_with_changes():
    learner = cp.run(
        "cartpole-ppo",
        changes={"budget": {"iterations": 2}, "evaluation.episodes": 1, "threads": 1},
    )
    assert learner.recipe.name == "cartpole-ppo"
    assert learner.outcome.iterations == 2
    with pytest.raises(cp.InputError, match="did you mean cartpole-ppo"):
        cp.run("cartpole-pppo")


def test_a_recipe_with_variants_is_refused():
    tree = {**recipe_tree("ppo"), "variants": {"more": {"seed": 4}}}
    with pytest.raises(cp.InputError, match="has variants: more"):
        cp.run(parse_recipe(tree, "a test"))


# -- learning -------------------------------------------------------------------------------------

SEEDS = pytest.mark.parametrize("seed", range(2))
LESSON: dict[str, Any] = {"network": {"hidden": [32], "activation": "tanh"}, "threads": 1}


def reached(learner: cp.Learner, env: str) -> float:
    assert learner.last is not None
    return cp.evaluate(learner.last, env, episodes=200).scores[0].mean


@SEEDS
def test_ppo_learns(seed):
    settings = {**OWN["ppo"], **LEARN_PPO, **LESSON}
    learner = cp.PPO(MaskedBandit, seed=seed, **settings).learn({"iterations": 30})
    assert reached(learner, BANDIT) >= 0.97


@SEEDS
def test_dqn_learns(seed):
    settings = {**OWN["dqn"], **LEARN_DQN, **LESSON}
    learner = cp.DQN(BANDIT, seed=seed, **settings).learn({"iterations": 12})
    assert reached(learner, BANDIT) >= 0.97


@SEEDS
def test_ddpg_learns(seed):
    settings = {**OWN["ddpg"], **LEARN_DDPG, **LESSON}
    learner = cp.DDPG(ECHO, seed=seed, **settings).learn({"iterations": 30})
    assert reached(learner, ECHO) >= -0.03


@SEEDS
def test_dagger_clones_a_function(seed):
    settings = {**OWN["dagger"], **LEARN_DAGGER, **LESSON, "iterations": 3}
    learner = cp.DAgger(says_what_it_sees, BANDIT, seed=seed, **settings).learn()
    assert reached(learner, BANDIT) >= 0.97


@SEEDS
@pytest.mark.full
def test_practice_passes_an_expert_that_is_not_always_right(seed):
    imitation = {**OWN["dagger"], **LEARN_DAGGER, "iterations": 2}
    practice = {**OWN["ppo"], **LEARN_PPO}
    learner = cp.Hybrid(
        mostly_right, BANDIT, seed=seed, dagger=imitation, ppo=practice, **LESSON
    ).learn({"iterations": 30})
    expert = cp.evaluate(mostly_right, BANDIT, episodes=200).scores[0].mean
    assert expert <= 0.9
    assert reached(learner, BANDIT) >= max(0.95, expert + 0.05)


# -- recorded decisions ---------------------------------------------------------------------------


def recorded(path: Path, decisions: int = 400) -> Path:
    """The Bandit's answers as somebody's table, 20 an episode."""
    rng = np.random.default_rng(5)
    fields = cp.schema_of(BANDIT).observation.names
    lines = [",".join([*fields, "action", "mask_ids", "episode"])]
    for number in range(decisions):
        seen = int(rng.integers(CONTEXTS))
        possible = sorted({seen, *rng.integers(6, size=3).tolist()})
        cells = [*("1" if k == seen else "0" for k in range(CONTEXTS)), str(seen)]
        lines.append(",".join([*cells, " ".join(map(str, possible)), str(number // 20)]))
    path.write_text("\n".join(lines))
    return path


CLONE: dict[str, Any] = {"gradient_steps": 100, "learning_rate": 1e-2, **LESSON}


@SEEDS
def test_recorded_decisions_are_cloned_as_an_expert_is(seed, tmp_path):
    data = cp.Demonstrations.load(recorded(tmp_path / "decisions.csv"))
    learner = cp.DAgger(data, BANDIT, seed=seed, **CLONE).learn()
    assert learner.outcome.finished
    assert learner.metrics[-1]["accuracy"] == 1.0
    assert reached(learner, BANDIT) >= 0.97


def test_recorded_decisions_come_from_python_a_recipe_and_the_command_line(tmp_path):
    path = recorded(tmp_path / "decisions.csv")
    settings = {**CLONE, "iterations": 2, "name": "mine"}
    learner = cp.DAgger(str(path), BANDIT, **settings).learn(out=tmp_path / "path")
    assert learner.recipe.algorithm.expert == f"file:{path}"
    cp.DAgger(cp.Demonstrations.load(path), BANDIT, **settings).learn(out=tmp_path / "object")
    assert_same_run(tmp_path / "path", tmp_path / "object")
    (tmp_path / "mine.toml").write_text((tmp_path / "path" / "recipe.toml").read_text())
    # (the environment of the tests is known to this process)
    assert main(["learn", str(tmp_path / "mine.toml"), "--out", str(tmp_path / "typed")]) == 0
    assert_same_run(tmp_path / "path", tmp_path / "typed")
    assert cp.resume(tmp_path / "path", {"iterations": 1}).outcome.iterations == 3


def test_a_clone_of_recorded_decisions_is_practised(tmp_path):
    learner = cp.Hybrid(
        recorded(tmp_path / "decisions.csv"),
        BANDIT,
        dagger={"iterations": 1, "gradient_steps": 30},
        ppo=OWN["ppo"],
        **LESSON,
    ).learn({"iterations": 3})
    assert [line["phase"] for line in learner.metrics] == ["dagger", "ppo", "ppo"]
    assert learner.clone is not None
    # Nothing is stepped to clone them, so that the steps of a budget are all of practice.
    more = learner.learn(640).outcome
    assert (more.iterations, more.env_steps) == (13, 768)


def test_what_is_wrong_with_recorded_decisions_is_said_at_once(tmp_path):
    path = tmp_path / "decisions.csv"
    path.write_text("stock,action\n1,1\n")
    with pytest.raises(cp.InputError, match=r"decisions\.csv: there is no column"):
        cp.DAgger(cp.Demonstrations.load(path), BANDIT)
    with pytest.raises(cp.InputError, match="and not played"):
        cp.evaluate(f"file:{path}", BANDIT)


def test_arrays_of_a_program_are_given_again(tmp_path):
    data = cp.Demonstrations.load(recorded(tmp_path / "decisions.csv"))
    held = cp.Demonstrations(data.obs, data.actions, fields=data.fields)
    learner = cp.DAgger(held, BANDIT, **CLONE).learn(
        {"iterations": 3}, out=tmp_path / "run", callbacks=lambda info: info.iteration < 2
    )
    assert learner.recipe.algorithm.expert == "file:(in memory)"
    with pytest.raises(cp.InputError, match="give them again"):
        cp.resume(tmp_path / "run")
    assert cp.resume(tmp_path / "run", expert=held).outcome.finished

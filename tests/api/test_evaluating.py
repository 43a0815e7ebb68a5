"""`evaluate`, `load_policy`, `export` and `make` take whatever a person has."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

import compagnon as cp
from compagnon.cli import main
from tests.rl.small import ACTIONS, BANDIT, CONTEXTS, MaskedBandit
from tests.rl.test_trainer import recipe_of


def right(obs, action_mask):
    return obs.argmax(axis=1)


def last_possible(obs, action_mask):
    return action_mask.shape[1] - 1 - action_mask[:, ::-1].argmax(axis=1)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a few iterations, on disk."""
    path = tmp_path_factory.mktemp("runs") / "run"
    recipe = recipe_of("ppo", env={"id": BANDIT}, algorithm={"kind": "ppo", "num_envs": 4})
    return cp.run(recipe, path)


# -- evaluate -------------------------------------------------------------------------------------


def test_the_answer_is_paired_and_reads_as_a_table():
    found = cp.evaluate([right, last_possible], MaskedBandit, episodes=40)
    assert found.scores[0].mean == 1.0
    assert found.paired[0].mean == found.scores[1].mean - 1.0
    lines = str(found).splitlines()
    assert lines[0] == f"{found.env}: 40 episodes, seeds 1000000 to 1000039, greedy"
    assert lines[2].split() == ["policy", "mean", "return", "sd", "95", "%", "interval"]
    assert lines[3].split()[:2] == ["right", "1.000"]
    assert lines[6] == "Against right, on the same episodes"
    assert lines[9].startswith("last_possible")
    assert repr(found) == str(found)
    assert len({len(line) for line in lines[2:5]}) == 1


def test_it_says_what_the_command_line_says(capsys):
    names = ["random", "constant:1"]
    assert main(["evaluate", *names, "--env", "CartPole-v1", "--episodes", "9"]) == 0
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    found = str(cp.evaluate(names, "CartPole-v1", episodes=9))
    assert [line for line in printed if line] == [line for line in found.splitlines() if line]


def test_profit_has_a_column_where_there_is_one():
    found = cp.evaluate("expert:workshop-v2", "compagnon/Workshop-v0", episodes=1)
    assert "profit" in str(found).splitlines()[2]


def test_names_may_be_given_and_are_told_apart():
    found = cp.evaluate({"mine": right, "theirs": right}, BANDIT, episodes=5)
    assert [score.name for score in found.scores] == ["mine", "theirs"]
    twice = cp.evaluate([right, right, "random"], BANDIT, episodes=5)
    assert [score.name for score in twice.scores] == ["right", "right (2)", "random"]


def test_paths_and_objects_are_the_same_policy(run):
    found = cp.evaluate([run.policy, run.path, str(run.path / "last"), run.last], episodes=30)
    assert found.env == BANDIT
    assert found.scores[0].mean == found.scores[1].mean
    assert found.scores[2].mean == found.scores[3].mean
    assert cp.evaluate(run.policy, episodes=3).scores[0].name == run.policy.name


def test_without_a_trained_policy_the_environment_is_asked_for():
    with pytest.raises(cp.InputError, match="give env as well"):
        cp.evaluate([right, "random"])
    with pytest.raises(cp.InputError, match="at least one policy"):
        cp.evaluate([], BANDIT)
    with pytest.raises(cp.InputError, match="which its action mask forbids"):
        cp.evaluate(lambda obs, mask: mask.argmin(axis=1), BANDIT, episodes=20)


def test_arguments_change_what_a_policy_learnt_in(run):
    found = cp.evaluate(run.policy, env_args={"pays": "number"}, episodes=10)
    assert found.env_args == {"pays": "number"}
    assert found.scores[0].mean > 1.0


# -- load_policy ----------------------------------------------------------------------------------


def test_a_policy_is_loaded_by_path_by_name_and_as_a_rule(run):
    row, mask = np.eye(CONTEXTS)[2], np.ones(ACTIONS, bool)
    assert cp.load_policy(run.path).act(row, mask) == run.best.act(row, mask)
    assert cp.load_policy(run.path / "last").act(row, mask) == run.last.act(row, mask)
    assert cp.load_policy("constant:3", BANDIT).act(row, mask) == 3
    assert cp.load_policy(right, MaskedBandit).act(row, mask) == 2
    assert cp.load_policy(run.policy) is run.policy
    with pytest.raises(cp.InputError, match="give env as well"):
        cp.load_policy(right)
    with pytest.raises(cp.InputError, match="no policy is called missing"):
        cp.load_policy("missing")


def test_it_plays_what_make_gives():
    class Two(gymnasium.Env):
        """An observation with parts, and actions with parts."""

        observation_space = spaces.Dict(
            {"level": spaces.Box(0, 1, (1,), np.float32), "day": spaces.Discrete(3)}
        )
        action_space = spaces.MultiDiscrete([2, 3])

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return {"level": np.ones(1, np.float32), "day": 2}, {}

        def step(self, action):
            assert action.shape == (2,)
            return self.reset()[0], float(action.sum()), True, False, {}

    env = cp.make(Two)
    obs, info = env.reset(seed=1)
    assert cp.schema_of(Two).action.n == 6
    policy = cp.load_policy("constant:5", Two)
    assert set(policy.fields) == {"day=0", "day=1", "day=2", "level"}
    action = policy.act(obs, info.get("action_mask"))
    assert env.step(action)[1] == 3.0  # the last combination: 1 and 2


# -- export ---------------------------------------------------------------------------------------


def test_an_exported_policy_decides_the_same(run, tmp_path):
    made = cp.export(run.policy, tmp_path / "served", states=128)
    assert made.directory == tmp_path / "served"
    assert made.record.parity["real"]["states"] == 128
    found = cp.evaluate([run.policy, f"onnx:{tmp_path / 'served'}"], episodes=40)
    assert found.paired[0].mean == 0.0
    row, mask = np.eye(CONTEXTS)[1], np.ones(ACTIONS, bool)
    assert cp.load_policy(f"onnx:{tmp_path / 'served'}").act(row, mask) == run.policy.act(row, mask)
    by_path = cp.export(run.path, tmp_path / "again", states=128)
    assert by_path.record.weights_sha256 == made.record.weights_sha256


def test_int8_is_judged(run, tmp_path):
    made = cp.export(run.policy, tmp_path / "served", int8=True, states=128, episodes=4)
    assert made.record.files["int8"].judged["verdict"]


def test_what_has_no_network_is_not_exported(tmp_path):
    with pytest.raises(cp.InputError, match="right is not a trained policy"):
        cp.export(cp.load_policy(right, BANDIT), tmp_path / "served")
    with pytest.raises(cp.InputError, match="no policy is called missing"):
        cp.export("missing", tmp_path / "served")
    assert not (tmp_path / "served").exists()


def test_export_does_not_write_over_other_things(run, tmp_path):
    (tmp_path / "kept.txt").write_text("kept")
    with pytest.raises(cp.InputError, match="something else than a policy"):
        cp.export(run.policy, tmp_path, states=64)
    assert (tmp_path / "kept.txt").read_text() == "kept"

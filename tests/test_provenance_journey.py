"""Clone, practice, export, registry: at the end it can be told where a version comes from."""

import json
from pathlib import Path

import numpy as np
import pytest

import compagnon as cp
from compagnon.cli import main
from compagnon.files import file_sha256
from compagnon.policy.exported import read_record
from tests.rl.small import BANDIT, CONTEXTS

SMALL = {"threads": 1, "network": {"hidden": [8]}, "evaluation": {"every": 1, "episodes": 2}}
FEW = {"states": 64, "episodes": 2}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Path:
    """Decisions of somebody who does what the Bandit wants."""
    file = tmp_path_factory.mktemp("data") / "decisions.npz"
    actions = np.arange(40) % CONTEXTS
    obs = np.eye(CONTEXTS, dtype=np.float32)[actions]
    np.savez(file, observations=obs, actions=actions)
    return file


def test_a_version_can_be_followed_to_its_data(recorded, tmp_path, capsys):
    run = tmp_path / "run"
    learner = cp.Hybrid(
        recorded,
        BANDIT,
        dagger={"iterations": 1, "gradient_steps": 20},
        ppo={"num_envs": 2, "rollout_steps": 8, "minibatch_size": 8},
        **SMALL,
    )
    learner.learn({"iterations": 3}, out=run)
    database = f"sqlite:///{tmp_path / 'log.db'}"
    assert main(["db", "upgrade", "--db", database]) == 0
    for name in ("clone", "last"):
        made = cp.export(run / name, tmp_path / name, env=BANDIT, **FEW)
        assert made.record.policy == learner.policy.name
        words = ["registry", "add", str(tmp_path / name), "--model", "bandit", "--db", database]
        assert main(words) == 0
    assert "made from version 1" in capsys.readouterr().out
    assert main(["registry", "show", "bandit", "2", "--db", database]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["parent"] == "version 1"
    assert shown["data_sha256"] == file_sha256(recorded)
    told = shown["provenance"]
    assert told["data"][0]["path"] == f"file:{recorded}"
    assert told["parent"]["sha256"] == read_record(tmp_path / "clone").weights_sha256
    assert (
        cp.load_policy(f"onnx:{tmp_path / 'last'}").provenance.recipe_sha256
        == (told["recipe_sha256"])
    )

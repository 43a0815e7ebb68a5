"""A pairwise policy goes through `compagnon export`, plays alike, and decides over HTTP."""

from dataclasses import replace

import numpy as np
import pytest

from compagnon.cli import main
from compagnon.envs import BatchEnv
from compagnon.policy import Schema, save_policy
from compagnon.policy.loading import load_policy
from compagnon.serving.settings import ServiceSettings
from compagnon.store.log import find
from compagnon.worlds.dispatch import DISPATCH
from compagnon.worlds.dispatch.env import DispatchEnv
from tests.policy.boards import pairwise_policy
from tests.serving.client import served
from tests.test_cli import refused
from tests.worlds.dispatch.boards import board_of

ENV = {"preset": "clinic-day"}
DRIVERS, PLACES = 4, 8  # of that preset


def saved(path, head=None):
    policy = pairwise_policy(DRIVERS, PLACES, head=head, seed=1)
    provenance = policy.manifest.provenance.model_copy(update={"env_args": ENV})
    manifest = policy.manifest.model_copy(update={"provenance": provenance})
    save_policy(replace(policy, manifest=manifest), path)
    return path


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    path = saved(tmp_path_factory.mktemp("pairwise") / "policy")
    assert main(["export", str(path), "--states", "64", "--episodes", "1"]) == 0
    return path


@pytest.mark.full
def test_it_plays_the_same_actions_on_real_boards(exported):
    env = BatchEnv(DISPATCH, ENV, 4)
    schema = Schema.of(env)
    ours, onnx = (load_policy(name, schema) for name in (str(exported), f"onnx:{exported}"))
    env.reset([1, 2, 3, 4])
    taken = set()
    for step in range(60):
        mask = env.action_mask
        actions = ours.act(env.obs, mask)
        np.testing.assert_array_equal(onnx.act(env.obs, mask), actions)
        np.testing.assert_allclose(
            onnx.probabilities(env.obs, mask), ours.probabilities(env.obs, mask), atol=1e-5
        )
        taken |= set(actions.tolist())
        # Draws in between, so that boards differ that greedy play would not reach.
        if step % 2:
            actions = ours.act(env.obs, mask, np.random.default_rng(step))
        env.step(actions)
    assert len(taken) > 5


def test_it_decides_about_a_board_over_http(exported, tmp_path):
    env = DispatchEnv(**ENV)
    ours = load_policy(str(exported), Schema.of(BatchEnv(DISPATCH, ENV, 1)))
    obs, info = env.reset(seed=5)
    db = f"sqlite:///{tmp_path / 'd.db'}"
    with served(ServiceSettings(policy=str(exported), db=db)) as client:
        for step in range(25):
            mask = info["action_mask"]
            answer = client.decide(state=board_of(env.world), id=f"s{step}")
            row = find(client.parts.repository.store, f"s{step}")
            assert answer["action"] == ours.act(obs[None], mask[None])[0]
            assert np.frombuffer(row.probabilities)[answer["action"]] == 1.0
            assert mask[answer["action"]]
            obs, _, _, _, info = env.step(answer["action"])
    assert main(["log", "replay", str(exported), "--db", db, "--verify"]) == 0


def test_one_that_matches_is_refused(tmp_path, capsys):
    from compagnon.policy.manifest import MatchingHead

    path = saved(tmp_path / "matching", head=MatchingHead())
    assert "match" in refused(capsys, "export", path, "--states", "16")

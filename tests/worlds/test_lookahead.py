"""Look-ahead: what it tries is possible, what it foresees is drawn, and it beats its rule."""

import numpy as np
import pytest

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.evaluation.episodes import decisions, play_episodes
from compagnon.evaluation.evaluate import evaluate
from compagnon.policy import Schema, load_policy
from compagnon.worlds.dispatch import DISPATCH
from compagnon.worlds.lookahead import LookAhead, rounds
from compagnon.worlds.workshop import WORKSHOP

CLINIC = {"preset": "clinic-day", "tightness": 0.5}
VOLATILE = {"setup_minutes": 30, "minutes_between_failures": 300.0}


def looking(env_id, args, name):
    return load_policy(name, Schema.of(BatchEnv(env_id, args, 1)))


@pytest.mark.parametrize(
    ("candidates", "futures", "until"),
    [(1, 32, [32]), (2, 32, [32]), (3, 32, [16, 32]), (8, 32, [8, 16, 32]),
     (12, 32, [4, 8, 16, 32]), (12, 2, [1, 2])],
)  # fmt: skip
def test_half_of_the_futures_are_for_the_last_two(candidates, futures, until):
    assert rounds(candidates, futures) == until


@pytest.mark.parametrize(
    ("env_id", "args", "name"),
    [(DISPATCH, CLINIC, "expert:dispatch-rollout:4"),
     (WORKSHOP, {}, "expert:workshop-rollout:2")],
)  # fmt: skip
def test_candidates_are_possible_and_none_comes_twice(env_id, args, name):
    policy = looking(env_id, args, name)
    env = BatchEnv(env_id, args, 2)
    env.reset([5, 6])
    rng = np.random.default_rng(0)
    for _ in range(60):
        for obs, mask in zip(env.obs, env.action_mask, strict=True):
            tried = policy.forks.candidates(policy.schema, obs, mask)
            assert len(tried) == len(set(tried.tolist())) > 0
            assert mask[tried].all()
        env.step(np.array([rng.choice(np.flatnonzero(mask)) for mask in env.action_mask]))


def test_what_is_chosen_does_not_depend_on_who_is_played_beside_it():
    policy = looking(DISPATCH, CLINIC, "expert:dispatch-rollout:2")
    alone = play_episodes(DISPATCH, CLINIC, policy, [31])
    together = play_episodes(DISPATCH, CLINIC, policy, [30, 31, 32])
    assert together.returns[1] == alone.returns[0]
    assert play_episodes(DISPATCH, CLINIC, policy, [31]).returns[0] == alone.returns[0]


def test_the_rest_of_a_day_is_not_known_to_it():
    """Two days with one past and different ends: the same choice, whatever the true future is."""
    policy = looking(DISPATCH, CLINIC, "expert:dispatch-rollout:4")
    env = BatchEnv(DISPATCH, CLINIC, 4)
    env.reset([8, 8, 8, 8])
    chosen = []
    below = policy.below
    for _ in range(25):
        env.step(below.act(env.obs.copy(), env.action_mask.copy()))
        env.vec.redraw(np.arange(4, dtype=np.uint64) + np.uint64(77))  # other ends of these days
        assert (env.obs == env.obs[0]).all()
        actions = policy.playing(env).act(env.obs.copy(), env.action_mask.copy())
        assert (actions == actions[0]).all()
        chosen.append(actions[0])
        env.vec.load_state_dict(
            {name: np.repeat(a[:1], 4, axis=0) for name, a in env.vec.state_dict().items()}
        )
    assert len(set(chosen)) > 3


def test_an_ended_episode_is_left_to_the_policy_below():
    policy = looking(DISPATCH, {**CLINIC, "tightness": 0.25}, "expert:dispatch-rollout:2")
    env = BatchEnv(DISPATCH, {**CLINIC, "tightness": 0.25}, 2)
    env.reset([1, 4])
    bound = policy.playing(env)
    looked = []
    bound.look = lambda root, obs, mask, usual: looked.append(1) or LookAhead
    ended = np.zeros(2, np.bool_)
    while not ended.all():
        ended |= env.step(policy.below.act(env.obs.copy(), env.action_mask.copy())).terminated
    obs, mask = env.obs.copy(), env.action_mask.copy()
    assert (bound.act(obs, mask) == policy.below.act(obs, mask)).all()
    assert not looked


@pytest.mark.parametrize(
    ("name", "words"),
    [("expert:dispatch-rollout:1", "K=1 should be a whole number from 2 to 4096"),
     ("expert:dispatch-rollout:100000", "from 2 to 4096"),
     ("expert:dispatch-rollout:dispatch-nowhere", "dispatch-nowhere"),
     ("expert:dispatch-rollout:dispatch-clairvoyant", "reads the episode itself"),
     ("expert:workshop-rollout:8", "Dispatch")],
)  # fmt: skip
def test_what_it_cannot_be_is_said(name, words):
    with pytest.raises(InputError, match=words):
        looking(DISPATCH, CLINIC, name)


def test_alone_with_an_observation_it_refuses():
    policy = looking(DISPATCH, CLINIC, "expert:dispatch-rollout")
    assert policy.below.name == "expert:dispatch-regret:3:opportunity"
    assert policy.futures == 32
    with pytest.raises(InputError, match="plays on from a running episode"):
        policy.act(np.zeros((1, len(policy.schema.observation.names)), np.float32))


@pytest.mark.full
@pytest.mark.parametrize(
    ("env_id", "args", "names", "episodes"),
    [(DISPATCH, {"preset": "clinic-day"},
      ("expert:dispatch-rollout:dispatch-insertion:8", "expert:dispatch-insertion"), 6),
     (WORKSHOP, {"decision_points": True},
      ("expert:workshop-rollout:workshop-v2:2", "expert:workshop-v2"), 1)],
)  # fmt: skip
def test_one_step_of_look_ahead_improves_a_rule(env_id, args, names, episodes):
    found = evaluate(list(names), env_id, args, episodes=episodes, seed=640_000)
    ahead, below = (score.mean for score in found.scores)
    assert ahead > below + 0.05 * abs(below)


def test_the_decisions_of_a_whole_day_are_possible():
    policy = looking(DISPATCH, {**CLINIC, "tightness": 0.25}, "expert:dispatch-rollout:2")
    env = BatchEnv(DISPATCH, {**CLINIC, "tightness": 0.25}, 1)
    env.reset([3])
    seen = list(decisions(env, policy))  # it raises where a masked action is chosen
    assert seen[-1].step.terminated.all()


@pytest.mark.parametrize(
    ("env_id", "args", "name"),
    [
        *((DISPATCH, CLINIC, f"expert:dispatch-rollout:dispatch-{rule}:8") for rule in (
            "insertion", "nearest", "earliest", "least-loaded", "regret:3", "regret:3:slack",
            "regret:3:hold", "regret:3:opportunity",
        )),
        *((WORKSHOP, args, f"expert:workshop-rollout:workshop-{rule}:8")
          for rule in ("v2", "base-stock", "over-producer") for args in ({}, VOLATILE)),
    ],
)  # fmt: skip
def test_compiled_it_earns_what_it_earns_step_by_step(env_id, args, name):
    policy = looking(env_id, args, name)
    env = BatchEnv(env_id, args, 6)
    env.reset(list(range(6)))
    horizon = 400 if env_id == WORKSHOP else None
    rng = np.random.default_rng(1)
    for _ in range(30):
        env.step(np.array([rng.choice(np.flatnonzero(mask)) for mask in env.action_mask]))
    policy.forks.horizon = horizon
    bound = policy.playing(env)
    first = policy.below.act(env.obs.copy(), env.action_mask.copy())
    begun = env.vec.state_dict()
    compiled = policy.forks.finish(env.vec, first, policy.below)
    env.vec.load_state_dict(begun)
    assert np.allclose(compiled, bound._step(env, first, 6), rtol=0.0, atol=1e-7)
    assert len(set(compiled.tolist())) > 1


def test_over_a_network_it_goes_step_by_step():
    policy = looking(DISPATCH, CLINIC, "expert:dispatch-rollout:random:2")
    assert policy.below.name == "random"
    assert policy.forks.finish(None, np.zeros(1, np.int64), policy.below) is None

"""Look-ahead: what it tries is possible, what it foresees is drawn, and it beats its rule."""

import numpy as np
import pytest

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.evaluation.episodes import decisions, play_episodes
from compagnon.evaluation.evaluate import evaluate
from compagnon.policy import Schema, load_policy
from compagnon.worlds import lookahead
from compagnon.worlds.copying import put, states_of
from compagnon.worlds.dispatch import DISPATCH
from compagnon.worlds.halving import rounds, stops
from compagnon.worlds.registry import find_world
from compagnon.worlds.workshop import WORKSHOP
from tests.worlds.ladder import DOWN, LADDER, STOP, UP, ahead

CLINIC = {"preset": "clinic-day", "tightness": 0.5}
STAYING = {**CLINIC, "replan": False}  # in futures rules move no planned rides
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
    ("until", "asked"),
    [([32], [8, 16, 32]), ([16, 32], [8, 16, 32]), ([4, 8, 16, 32], [4, 8, 16, 32]),
     ([3, 5, 10, 20], [3, 5, 8, 10, 16, 20]), ([8], [8]), ([1, 2], [1, 2])],
)  # fmt: skip
def test_long_rounds_are_looked_at_in_between(until, asked):
    assert stops(until) == asked


@pytest.mark.parametrize(("env_id", "args"), [(DISPATCH, CLINIC), (WORKSHOP, {})])
def test_copies_stand_where_they_are_put(env_id, args):
    env, other = BatchEnv(env_id, args, 3), BatchEnv(env_id, args, 4)
    env.reset([1, 2, 3])
    for _ in range(9):
        env.step(np.array([np.flatnonzero(mask)[-1] for mask in env.action_mask]))
    states, rows = states_of(env), np.array([2, 0, 0, 1])
    put(other, states, "it", rows)
    for name, array in states_of(other).items():
        np.testing.assert_array_equal(array, states[name][rows], err_msg=name)
    env.vec.load_state_dict({name: array[[2, 0, 1]] for name, array in states.items()})
    last = env.step(np.array([np.flatnonzero(mask)[-1] for mask in states["mask"][[2, 0, 1]]]))
    again = other.step(np.array([np.flatnonzero(mask)[-1] for mask in states["mask"][rows]]))
    assert again.obs[[0, 1, 3]].tolist() == last.obs.tolist()
    assert again.reward[[0, 1, 3]].tolist() == last.reward.tolist()


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
    bound.values = lambda *given: looked.append(given) or []
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
    assert policy.below.name == "expert:dispatch-regret:clinic"
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
    ("env_id", "args", "below", "horizon"),
    [
        *((DISPATCH, STAYING, f"dispatch-{rule}", None) for rule in (
            "insertion", "nearest", "earliest", "least-loaded", "regret:3", "regret:3:slack",
            "regret:3:hold", "regret:3:opportunity", "regret:3:weigh:hope=0.1",
        )),
        *((DISPATCH, STAYING, "dispatch-regret:3:weigh", horizon) for horizon in (0, 90, 1440)),
        *((WORKSHOP, args, f"workshop-{rule}", 400)
          for rule in ("v2", "base-stock", "over-producer") for args in ({}, VOLATILE)),
    ],
)  # fmt: skip
def test_compiled_it_earns_what_it_earns_step_by_step(env_id, args, below, horizon):
    ahead = "dispatch-rollout" if env_id == DISPATCH else "workshop-rollout"
    policy = looking(env_id, args, f"expert:{ahead}:{below}:8")
    env = BatchEnv(env_id, args, 6)
    env.reset(list(range(6)))
    rng = np.random.default_rng(1)
    for _ in range(30):
        env.step(np.array([rng.choice(np.flatnonzero(mask)) for mask in env.action_mask]))
    policy.forks.horizon = horizon
    bound = policy.playing(env)
    first = policy.below.act(env.obs.copy(), env.action_mask.copy())
    begun = env.vec.state_dict()
    compiled = policy.forks.finish(env.vec, first, policy.below, np.arange(6))
    env.vec.load_state_dict(begun)
    assert np.allclose(compiled, bound._step(env, first, 6), rtol=0.0, atol=1e-7)
    assert len(set(compiled.tolist())) > 1


@pytest.mark.parametrize("moves", [False, True])
@pytest.mark.parametrize("args", [CLINIC, {"preset": "city"}])
def test_futures_of_one_decision_share_what_the_rule_does_before_time_passes(args, moves):
    policy = looking(DISPATCH, args, "expert:dispatch-rollout:dispatch-regret:clinic:8")
    policy.forks.moves = moves
    env = BatchEnv(DISPATCH, args, 3)
    env.reset([5, 6, 7])
    for _ in range(2):
        env.step(policy.below.act(env.obs.copy(), env.action_mask.copy()))
    roots = np.repeat(np.arange(3), 16)  # of each two candidates in eight futures
    wide = BatchEnv(DISPATCH, args, len(roots))
    wide.vec.load_rows(env.vec.state_dict(), roots)
    wide.vec.redraw(np.tile(np.arange(8, dtype=np.uint64), 6))
    usual = policy.below.act(env.obs.copy(), env.action_mask.copy())
    other = np.array([np.flatnonzero(mask)[-1] for mask in env.action_mask])
    first = np.where(np.arange(len(roots)) % 16 < 8, usual[roots], other[roots])
    begun = wide.vec.state_dict()
    alone = policy.forks.finish(wide.vec, first, policy.below, np.arange(len(roots)))
    ends = wide.vec.state_dict()
    wide.vec.load_state_dict(begun)
    shared = policy.forks.finish(wide.vec, first, policy.below, roots)
    assert shared.tolist() == alone.tolist()
    assert len(set(alone.tolist())) > 24
    again = wide.vec.state_dict()
    for name in ("money", "status", "rides", "codes", "stops", "state", "times"):
        assert np.array_equal(ends[name], again[name]), name


@pytest.mark.parametrize(
    ("env_id", "args", "name"),
    [(DISPATCH, CLINIC, "expert:dispatch-rollout:4"),
     (WORKSHOP, {"decision_points": True}, "expert:workshop-rollout:2"),
     (WORKSHOP, {"decision_points": True}, "expert:workshop-rollout:random:2")],
)  # fmt: skip
def test_many_decisions_are_valued_at_once_as_each_alone(env_id, args, name, monkeypatch):
    policy = looking(env_id, args, name)
    policy.forks.horizon = 300 if env_id == WORKSHOP else None
    env = BatchEnv(env_id, args, 5)
    env.reset([3, 4, 5, 6, 7])
    for _ in range(12):
        env.step(policy.below.act(env.obs.copy(), env.action_mask.copy()))
    bound, roots = policy.playing(env), states_of(env)
    obs, mask = env.obs.copy(), env.action_mask.copy()
    together = bound.values(roots, obs, mask)
    assert len({len(found.actions) for found in together}) > 1 or len(together[0].actions) > 2
    for i, found in enumerate(together):
        one = {key: array[i : i + 1] for key, array in roots.items()}
        (alone,) = bound.values(one, obs[i : i + 1], mask[i : i + 1])
        assert (alone.actions == found.actions).all()
        np.testing.assert_array_equal(alone.earned, found.earned)
    monkeypatch.setattr(lookahead, "_WIDTH", 8)  # in parts, for want of memory
    for found, again in zip(together, bound.values(roots, obs, mask), strict=True):
        np.testing.assert_array_equal(again.earned, found.earned)


def test_values_are_those_of_the_candidates_of_the_last_round_and_before():
    policy = looking(WORKSHOP, {"decision_points": True}, "expert:workshop-rollout:8")
    policy.forks.horizon = 600
    env = BatchEnv(WORKSHOP, {"decision_points": True}, 4)
    env.reset([1, 2, 3, 4])
    for _ in range(20):
        env.step(policy.below.act(env.obs.copy(), env.action_mask.copy()))
    usual = policy.below.act(env.obs, env.action_mask)
    for i, found in enumerate(policy.playing(env).values(states_of(env), env.obs, env.action_mask)):
        count = found.futures
        last = found.earned.shape[1]  # 8, unless it was clear before
        assert count[0] == last
        assert (np.diff(count) <= 0).all()
        assert set(count.tolist()) <= set(rounds(len(count), 8))
        assert found.usual == usual[i]
        assert count[found.actions.tolist().index(found.usual)] == last
        assert len(count) <= policy.forks.most
        assert found.mean[0] == found.mean[count == last].max()
        assert found.advantage[found.actions.tolist().index(found.usual)] == 0.0


def test_it_ends_early_where_nothing_is_in_doubt_any_more():
    for noise, futures in ((0, 8), (20, 32)):
        args = {"noise": noise, "start": 3}
        env = BatchEnv(LADDER, args, 1)
        env.reset([1])
        looked = ahead(args, futures=32).playing(env)
        (found,) = looked.values(states_of(env), env.obs, env.action_mask)
        assert found.earned.shape == (3, futures)


def test_a_shortlist_is_as_short_as_it_is_asked_to_be():
    policy = looking(WORKSHOP, {}, "expert:workshop-rollout:2")
    policy.candidates, policy.forks.horizon = 3, 60
    env = BatchEnv(WORKSHOP, {}, 1)
    env.reset([1])
    (found,) = policy.playing(env).values(states_of(env), env.obs, env.action_mask)
    assert len(found.actions) == 3
    assert found.usual in found.actions


@pytest.mark.parametrize(("rung", "wanted"), [(4, UP), (3, STOP), (0, STOP)])
def test_in_an_environment_of_plain_python_it_finds_one_better_step(rung, wanted):
    args = {"noise": 5, "start": rung}
    policy = ahead(args, futures=64)
    env = BatchEnv(LADDER, args, 2)
    env.reset([3, 4])
    assert policy.playing(env).act(env.obs, env.action_mask).tolist() == [wanted, wanted]


def test_there_its_values_are_the_true_ones():
    """From rung 3: to stop pays nothing, UP 1 less, DOWN 2 less; luck is the same for all."""
    policy = ahead({"noise": 5, "start": 3}, futures=16)
    env = BatchEnv(LADDER, {"noise": 5, "start": 3}, 1)
    env.reset([3])
    (found,) = policy.playing(env).values(states_of(env), env.obs, env.action_mask)
    assert found.actions.tolist() == [STOP, UP, DOWN]
    # Whoever moves on meets the luck of one step more.
    luck = found.earned[0]
    assert len(set(luck.tolist())) > 3
    assert set(np.unique(found.earned[1] - luck)) <= set(range(-6, 5))
    certain = ahead({"noise": 0, "start": 3})
    env = BatchEnv(LADDER, {"noise": 0, "start": 3}, 1)
    env.reset([3])
    (found,) = certain.playing(env).values(states_of(env), env.obs, env.action_mask)
    assert found.behind.tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("env_id", "args", "words"),
    [("CartPole-v1", {}, "CartPole-v1 cannot be copied in the middle of an episode"),
     (LADDER, {"keeps": False, "start": 3}, "what it says of its state is not what it was given")],
)  # fmt: skip
def test_what_cannot_be_copied_is_refused(env_id, args, words):
    policy = ahead({})
    env = BatchEnv(env_id, args, 1)
    env.reset([4])
    with pytest.raises(InputError, match=words):
        policy.playing(env).act(env.obs, env.action_mask)


def test_a_world_says_how_its_futures_are_tried():
    for env_id in (DISPATCH, WORKSHOP):
        schema = Schema.of(BatchEnv(env_id, {}, 1))
        assert find_world(env_id).forks(schema).most > 2
    assert find_world("CartPole-v1").forks(Schema.of(BatchEnv("CartPole-v1", {}, 1))) is None


def test_over_a_network_it_goes_step_by_step():
    policy = looking(DISPATCH, CLINIC, "expert:dispatch-rollout:random:2")
    assert policy.below.name == "random"
    none = np.zeros(1, np.int64)
    assert policy.forks.finish(None, none, policy.below, none) is None

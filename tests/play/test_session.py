"""The game counts what was played, compares on one episode, and never plays a masked action."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compagnon.evaluation.episodes import play_episodes
from compagnon.play.games import games
from compagnon.play.opening import open_session
from compagnon.play.session import Phase
from compagnon.policy import load_policy
from compagnon.worlds import controls
from compagnon.worlds.controls import Controls, Keys
from tests.play.line import session

GAMES = games()

RIGHT, LEFT = Keys(frozenset({controls.RIGHT})), Keys(frozenset({controls.LEFT}))
NOTHING = Keys()


def tap(key):
    return Keys(taps=(key,))


def test_score_steps_and_end_by_hand():
    game, env = session()
    for keys in (RIGHT, RIGHT, NOTHING, LEFT):
        game.tick(keys)
    assert env.taken == [2, 2, 1, 0]
    assert (game.score, game.steps, game.elapsed) == (1 + 2 + 2 + 1, 4, 4)
    assert game.phase is Phase.PLAYING
    game.tick(RIGHT)
    assert game.phase is Phase.OVER
    game.tick(RIGHT)  # nothing moves any more
    assert len(env.taken) == 5
    (played,) = game.results
    assert (played.seed, played.score, played.steps, played.ended) == (0, 8, 5, True)
    assert (played.agent_score, played.likeness) == (None, None)


def test_it_waits_for_the_first_key_unless_told_otherwise():
    game, env = session(at_once=False)
    for keys in (NOTHING, tap(controls.WAIT), NOTHING):
        game.tick(keys)
    assert (game.phase, env.taken) == (Phase.READY, [])
    game.tick(tap(controls.LEFT))
    game.tick(NOTHING)
    assert (game.phase, env.taken) == (Phase.PLAYING, [0, 1])


def test_pause_stops_time_and_nothing_else():
    game, env = session()
    game.tick(RIGHT)
    game.tick(Keys(frozenset({controls.RIGHT}), (controls.PAUSE,)))
    game.tick(RIGHT)
    assert (game.phase, game.steps, env.taken) == (Phase.PAUSED, 1, [2])
    game.tick(tap(controls.PAUSE))
    game.tick(RIGHT)
    assert (game.phase, game.score) == (Phase.PLAYING, 1 + 2)


def test_restart_is_the_same_episode_and_keeps_no_result():
    game, _ = session(seed=3)
    game.tick(RIGHT)
    before = game.moment
    game.tick(tap(controls.RESTART))
    assert (game.score, game.steps, game.seed, game.results) == (0, 0, 3, [])
    assert game.moment != before
    game.tick(RIGHT)
    assert game.score == 4


def test_the_next_episode_has_the_next_seed_and_the_last_one_ends_the_game():
    game, _ = session(seed=1, episodes=2)
    for _ in range(5):
        game.tick(NOTHING)
    game.tick(tap(controls.DO))
    assert (game.seed, game.phase) == (2, Phase.PLAYING)
    for _ in range(5):
        game.tick(NOTHING)
    assert game.phase is Phase.OVER
    game.tick(tap(controls.DO))
    assert game.phase is Phase.DONE
    assert [(p.seed, p.score) for p in game.results] == [(1, 5), (2, 10)]
    game.tick(RIGHT)
    game.leave()
    assert len(game.results) == 2


def test_leaving_keeps_what_was_played():
    game, _ = session(agent=2)
    game.tick(LEFT)
    game.tick(RIGHT)
    game.tick(tap(controls.QUIT))
    (played,) = game.results
    assert (played.score, played.steps, played.ended) == (-1, 2, False)
    assert (played.agent_score, played.agent_steps) == (1 + 2, 2)  # in the same time
    empty, _ = session()
    empty.leave()
    assert (empty.results, empty.phase) == ([], Phase.DONE)


def test_the_agents_choice_stands_beside_yours_at_the_same_moment():
    game, _ = session(agent=2, walls=True)
    assert (game.advice, game.theirs, game.likeness) == (2, None, None)
    game.tick(RIGHT)  # to place 1, where the wall is: now the agent stays
    assert (game.yours, game.theirs, game.advice, game.likeness) == (2, 2, 1, 1.0)
    game.tick(LEFT)
    assert (game.yours, game.theirs, game.advice, game.likeness) == (0, 1, 2, 0.5)


def test_the_agent_plays_the_same_episode_afterwards():
    game, env = session(seed=4, agent=2)
    for _ in range(5):
        game.tick(LEFT)
    (played,) = game.results
    assert (played.score, played.agent_score) == (3 + 2 + 1 + 0 - 1, 5 + 6 + 7 + 8 + 9)
    assert (played.agent_steps, played.likeness) == (5, 0.0)
    assert env.taken == [0] * 5  # in an environment of its own


def test_a_masked_choice_is_refused_and_time_stands_still():
    game, env = session(walls=True)
    game.tick(RIGHT)
    game.tick(RIGHT)
    assert (env.taken, game.steps, game.score) == ([2], 1, 1)
    assert game.message == "RIGHT is not possible now"
    game.tick(LEFT)
    assert (game.message, game.steps) == ("", 2)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                controls.LEFT,
                controls.RIGHT,
                controls.UP,
                controls.DOWN,
                controls.DO,
                controls.WAIT,
                "1",
                "2",
                "3",
                "4",
            ]
        )
    )
)
def test_no_keys_ever_launch_a_masked_action_in_the_workshop(taps):
    game = open_session(GAMES["workshop"], 3, agent="random")
    for key in taps:
        mask, steps = game.mask, game.steps
        game.tick(tap(key))
        assert mask is not None
        assert game.steps in (steps, steps + 1)
        if game.steps > steps:
            assert mask[game.yours]
            assert game.message == ""


class Obedient(Controls):
    """A person who always does what the agent says."""

    def __init__(self, game):
        self.game = game
        self.like = game.controls

    def for_space(self, space):
        return self

    def action(self, keys, step, mask):
        return self.game.advice

    def label(self, action):
        return ""

    def likeness(self, yours, theirs):
        return self.like.likeness(yours, theirs)


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        ("mountain", "random"),
        ("pendulum", "random"),
        ("lunar", "random"),
        ("ball", "random"),
        ("workshop", "expert:workshop-v2"),
    ],
)
def test_who_does_what_the_agent_does_gets_what_it_gets(name, policy):
    """The person's score, the agent's, and the evaluation's of the same episode are one number."""
    pytest.importorskip("pygame")
    pytest.importorskip("Box2D")
    game = open_session(GAMES[name], 11, policy, at_once=True, episodes=1)
    game.controls = Obedient(game)
    while game.phase is Phase.PLAYING:
        game.tick(NOTHING)
    (played,) = game.results
    assert played.likeness == pytest.approx(1)
    assert played.score == pytest.approx(played.agent_score)
    assert played.steps == played.agent_steps
    args = dict(GAMES[name].env_args)
    from compagnon.envs import BatchEnv
    from compagnon.policy import Schema

    schema = Schema.of(BatchEnv(GAMES[name].env_id, args, 1))
    alone = play_episodes(GAMES[name].env_id, args, load_policy(policy, schema), [11])
    assert played.score == pytest.approx(alone.returns[0], rel=1e-6)


def test_the_same_keys_on_the_same_seed_give_the_same_score():
    pytest.importorskip("pygame")
    pytest.importorskip("Box2D")
    for name in GAMES:
        game = open_session(GAMES[name], 5, at_once=True)
        scores = []
        for _ in range(2):
            for tick in range(12):
                keys = frozenset({controls.UP, controls.WAIT} if tick % 3 else {controls.LEFT})
                game.tick(Keys(keys))
            scores.append(game.score)
            game.tick(tap(controls.RESTART))
        assert scores[0] == scores[1] != 0
        assert np.asarray(game.picture()).dtype == np.uint8

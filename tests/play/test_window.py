"""The window, on a screen that nobody sees: keys reach the world, and the world the picture."""

import numpy as np
import pytest
from PIL import Image

from compagnon.envs import make
from compagnon.play.games import games
from compagnon.play.opening import open_session, prepare
from compagnon.play.session import Phase, Session
from tests.play.line import session

pygame = pytest.importorskip("pygame")
pytest.importorskip("Box2D")

GAMES = games()
window = pytest.importorskip("compagnon.play.window")
FAST = 1_000.0


@pytest.fixture(autouse=True)
def _no_screen(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


@pytest.fixture
def press(monkeypatch):
    """Posts events just before the frames of their numbers are read."""

    def plan(events):
        read = window.Keyboard.read
        frames = iter(range(10_000))

        def post_and_read(keyboard):
            for event in events.get(next(frames), ()):
                pygame.event.post(event)
            return read(keyboard)

        monkeypatch.setattr(window.Keyboard, "read", post_and_read)

    return plan


def down(key):
    return pygame.event.Event(pygame.KEYDOWN, key=key)


def up(key):
    return pygame.event.Event(pygame.KEYUP, key=key)


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.full
def test_every_world_runs_fifty_frames_and_shows_itself(name, tmp_path, press):
    world = GAMES[name]
    file = tmp_path / "deep" / f"{name}.png"
    prepare(world)
    agent = None if name == "car" else "random"
    game = open_session(world, 1, agent, at_once=True)
    press({0: [down(pygame.K_SPACE)]})  # time runs in the workshop; elsewhere it means nothing
    window.show(game, FAST, 50, file)
    (played,) = game.results
    assert played.steps == 50 or played.ended
    with Image.open(file) as picture:
        pixels = np.asarray(picture.convert("RGB"), int)
    assert pixels.shape == (window.SIZE[1], window.SIZE[0], 3)
    world_part, panel = pixels[:, :960], pixels[:, 960:]
    assert world_part.std() > 5
    for colour in ("#2f7fc1", "#e8962a"):  # your choice; the agent's, where there is one
        wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        seen = bool((panel == wanted).all(axis=2).any())
        assert seen == (colour == "#2f7fc1" or agent is not None)


@pytest.mark.parametrize(
    ("name", "keys", "action"),
    [
        ("mountain", ["K_a"], 0),
        ("mountain", ["K_LEFT"], 0),
        ("mountain", ["K_d"], 2),
        ("mountain", ["K_s"], 1),
        ("lunar", ["K_w"], 2),
        ("lunar", ["K_UP"], 2),
        ("pendulum", ["K_RIGHT"], [-2]),
        ("car", ["K_w", "K_d"], [1, 1, 0]),
        ("car", ["K_DOWN", "K_LEFT"], [-1, 0, 0.8]),
        ("ball", ["K_a", "K_w"], [-1, 1]),
    ],
)
def test_the_environment_gets_the_action_of_the_keys(name, keys, action, press):
    world = GAMES[name]
    env = Spy(world)
    game = Session(world, env, world.controls_for(env.action_space), 1, at_once=True)
    codes = [getattr(pygame, key) for key in keys]
    press({2: [down(code) for code in codes], 5: [up(code) for code in codes]})
    window.show(game, FAST, 8)
    assert len(env.taken) == 8
    rest = world.controls_for(env.action_space).action(window.Keys(), 0, None)
    expected = [rest] * 2 + [action] * 3 + [rest] * 3
    for taken, wanted in zip(env.taken, expected, strict=True):
        assert np.asarray(taken).tolist() == pytest.approx(np.asarray(wanted).tolist())


class Spy:
    """A world's environment that remembers its actions."""

    def __init__(self, world):
        self.env = make(world.env_id, render_mode="rgb_array", **world.env_args)
        self.action_space = self.env.action_space
        self.taken = []

    def reset(self, **more):
        return self.env.reset(**more)

    def step(self, action):
        self.taken.append(action)
        return self.env.step(action)

    def render(self):
        return self.env.render()


def test_a_batch_is_launched_by_keys_once_however_long_they_are_held(press):
    game = open_session(GAMES["workshop"], 1)
    held = [down(pygame.K_RETURN)]
    # 4 is to order; up twice, the second time as a repeat of the held key; Enter repeats too
    press({0: [down(pygame.K_4), up(pygame.K_4)], 1: [down(pygame.K_w)] * 2, 3: held, 4: held})
    window.show(game, FAST, 20)
    assert game.steps == 1
    assert game.controls.label(game.yours) == "order 22 raw"
    assert game.score == -22


def test_a_key_pressed_twice_over_is_let_go_by_halves(press):
    game, env = session()
    press({0: [down(pygame.K_a), down(pygame.K_LEFT)], 1: [up(pygame.K_a)], 2: [up(pygame.K_LEFT)]})
    window.show(game, FAST, 3)
    assert env.taken == [0, 0, 1]


def test_keys_are_let_go_when_the_window_is_left(press):
    game, env = session()
    press({0: [down(pygame.K_a)], 2: [pygame.event.Event(pygame.WINDOWFOCUSLOST)]})
    window.show(game, FAST, 4)
    assert env.taken == [0, 0, 1, 1]


@pytest.mark.parametrize("leave", ["K_q", "K_ESCAPE", None])
def test_leaving(leave, press):
    game, env = session()
    event = down(getattr(pygame, leave)) if leave else pygame.event.Event(pygame.QUIT)
    press({2: [event]})
    window.show(game, FAST)
    assert (len(env.taken), game.phase) == (2, Phase.DONE)
    assert [played.ended for played in game.results] == [False]


def test_pause_restart_and_the_next_episode(press):
    game, env = session(episodes=1)
    keys = pygame
    press(
        {
            1: [down(keys.K_p), up(keys.K_p)],
            3: [down(keys.K_p), up(keys.K_p)],
            4: [down(keys.K_r), up(keys.K_r)],
            10: [down(keys.K_RETURN)],
        }
    )
    window.show(game, FAST)  # 1 step, paused, begun again, 5 steps, the end, Enter
    assert len(env.taken) == 1 + 5
    assert (game.phase, len(game.results)) == (Phase.DONE, 1)


def test_an_interruption_leaves_like_any_other(monkeypatch):
    game, env = session()

    def interrupt(_):
        if len(env.taken) == 2:
            raise KeyboardInterrupt
        return window.Keys()

    monkeypatch.setattr(window.Keyboard, "read", interrupt)
    window.show(game, FAST)
    assert (game.phase, len(game.results)) == (Phase.DONE, 1)
    assert not pygame.display.get_init()


def test_gymnasiums_own_pygame_and_the_windows_live_together(tmp_path, press):
    """The workshop's picture fits without scaling, so every pixel of it can be compared."""
    before = make("LunarLander-v3", render_mode="rgb_array")
    before.reset(seed=1)
    first = before.render()
    game = open_session(GAMES["workshop"], 1)
    press({0: [down(pygame.K_SPACE)], 1: [up(pygame.K_SPACE)]})
    window.show(game, FAST, 4, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        shown = np.asarray(picture)[50:590, :960]
    assert np.array_equal(shown, game.picture())
    assert np.array_equal(before.render(), first)
    before.close()
    window.show(open_session(GAMES["lunar"], 1, at_once=True), FAST, 3, tmp_path / "b.png")
    assert (tmp_path / "b.png").is_file()

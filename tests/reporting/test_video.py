"""A video holds the episode it says it holds, and appears whole or not at all."""

import sys

import numpy as np
import pytest
from PIL import Image

from compagnon.errors import InputError
from compagnon.evaluation.episodes import play_episodes
from compagnon.policy import load_policy
from compagnon.reporting import video
from compagnon.reporting.video import check_video, make_shown, play, record
from compagnon.worlds.workshop import WORKSHOP

imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
V2 = "expert:workshop-v2"


@pytest.fixture
def shown():
    env, schema = make_shown(WORKSHOP, {"demand": "tight"}, "rgb_array")
    return env, load_policy(V2, schema)


def test_play_is_the_episode_that_evaluation_plays():
    env, schema = make_shown(WORKSHOP, {"decision_points": True}, "ansi")
    policy = load_policy(V2, schema)
    *_, last = play(env, policy, seed=5)
    expected = play_episodes(WORKSHOP, {"decision_points": True}, policy, [5])
    assert last.ended
    assert last.minutes == 10_080
    assert last.steps == expected.lengths[0]
    assert last.episode_return == pytest.approx(expected.returns[0])


def test_limits(shown):
    moments = list(play(*shown, seed=1, minutes=30))
    assert [moment.minutes for moment in moments] == list(range(31))
    assert not moments[-1].ended
    assert len(list(play(*shown, seed=1, steps=3))) == 4


def test_mp4(shown, tmp_path):
    path = tmp_path / "new" / "hour.mp4"
    made = record(*shown, path, seed=1, minutes=60, every=10, fps=10)
    frames, seconds = imageio_ffmpeg.count_frames_and_secs(str(path))
    assert made.frames == frames == 7
    assert seconds == pytest.approx(0.7, abs=0.05)
    assert [file.name for file in path.parent.iterdir()] == ["hour.mp4"]


def test_gif_shows_what_was_drawn(shown, tmp_path):
    path = tmp_path / "hour.gif"
    made = record(*shown, path, seed=1, minutes=60, every=20, fps=10)
    with Image.open(path) as gif:
        assert gif.n_frames == made.frames == 4
        assert gif.size == (640, 360)
        gif.seek(3)
        last = np.asarray(gif.convert("RGB"), float)
    drawn = Image.fromarray(shown[0].render()).resize((640, 360), Image.Resampling.BOX)
    assert np.abs(last - np.asarray(drawn, float)).mean() < 3


def test_a_week_is_about_a_minute_and_a_day_too(shown):
    assert video._default_every(shown[0], 15, None, None) == 11
    assert video._default_every(shown[0], 15, 1_440, None) == 2
    assert video._default_every(shown[0], 15, 60, None) == 1


def test_the_last_moment_is_always_shown(shown, tmp_path):
    made = record(*shown, tmp_path / "a.gif", seed=1, minutes=25, every=10)
    assert made.frames == 4  # minutes 0, 10, 20, and 25
    assert made.last.minutes == 25


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_what_fails_half_way_leaves_nothing(shown, tmp_path, suffix):
    env, policy = shown
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"old")
    drawn = []

    def fail_later():
        drawn.append(1)
        if len(drawn) > 3:
            raise RuntimeError("no more ink")
        return np.zeros((540, 960, 3), np.uint8)

    env.unwrapped.render = fail_later
    with pytest.raises(RuntimeError, match="no more ink"):
        record(env, policy, path, seed=1, minutes=60, every=1)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_sizes_that_the_codec_refuses_are_made_even(tmp_path):
    path = tmp_path / "odd.mp4"
    with video._writer(path, 10) as writer:
        for shade in range(5):
            writer.add(np.full((33, 51, 3), 40 * shade, np.uint8))
    assert imageio_ffmpeg.count_frames_and_secs(str(path))[0] == 5


def test_other_suffixes_and_a_missing_package(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"week\.avi: a video ends in \.mp4 or \.gif"):
        check_video(tmp_path / "week.avi")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(InputError, match=r"compagnon\[video\]"):
        check_video(tmp_path / "week.mp4")
    check_video(tmp_path / "week.gif")


@pytest.mark.parametrize("wrong", [{"fps": 0}, {"fps": 500}, {"every": 0}])
def test_numbers_that_make_no_sense(shown, tmp_path, wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        record(*shown, tmp_path / "a.gif", seed=1, minutes=5, **wrong)
    assert list(tmp_path.iterdir()) == []


def test_an_environment_that_is_not_text():
    with pytest.raises(InputError, match=r"CartPole-v1 cannot be shown as text \(ansi\); it ren"):
        make_shown("CartPole-v1", {}, "ansi")

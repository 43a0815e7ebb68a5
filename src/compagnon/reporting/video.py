"""Plays one episode before somebody's eyes: step by step, or as an .mp4 or .gif."""

import contextlib
import importlib
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.error import DependencyNotInstalled
from numpy.typing import NDArray
from PIL import Image, ImageChops
from PIL.GifImagePlugin import getdata, getheader

from compagnon.envs import BatchEnv, make, make_adapted
from compagnon.errors import InputError
from compagnon.evaluation.progress import episode_units
from compagnon.policy import Policy, Schema

SUFFIXES: Final = (".mp4", ".gif")
_SECONDS: Final = 60  # a whole episode lasts about so long by default
_DEFAULT_FPS: Final = 15
_MIN_FPS, _MAX_FPS = 1, 60
_GIF_WIDTH: Final = 640

Frame = NDArray[np.uint8]


class EpisodeState(NamedTuple):
    """Where an episode stands.

    Attributes:
        minutes: time units since it began (steps, unless the environment says how long one took).
        steps: decisions so far.
        episode_return: sum of the rewards so far.
        ended: it is over.
    """

    minutes: int
    steps: int
    episode_return: float
    ended: bool


@dataclass(frozen=True)
class Film:
    """A video that was written: the file, how many frames it has, where the episode stood."""

    path: Path
    frames: int
    fps: int
    last: EpisodeState


def make_shown(
    env_id: str, env_args: dict[str, Any], mode: str
) -> tuple[gymnasium.Env[Any, Any], Schema]:
    """One environment that renders in `mode`, and the schema that a policy is bound to.

    Raises:
        InputError: it does not render so, or cannot be made.
    """
    schema = Schema.of(BatchEnv(env_id, env_args, 1))
    if "render_mode" in env_args:
        raise InputError("render_mode is not yours to choose here: the picture needs its own")
    modes = make(env_id, **env_args).metadata.get("render_modes", [])
    if mode not in modes:
        known = ", ".join(modes) or "no way at all"
        wish = "as text (ansi)" if mode == "ansi" else "as pictures (rgb_array)"
        hint = "; `--video FILE` films it" if "rgb_array" in modes else ""
        raise InputError(f"{env_id} cannot be shown {wish}; it renders in {known}{hint}")
    return make_adapted(env_id, render_mode=mode, **env_args), schema


def play(
    env: gymnasium.Env[Any, Any],
    policy: Policy,
    seed: int,
    rng: np.random.Generator | None = None,
    minutes: int | None = None,
    steps: int | None = None,
) -> Iterator[EpisodeState]:
    """Play one episode, giving the state at its start and after each step.

    Args:
        policy: bound to this environment's schema.
        rng: draws from the policy's distribution; None plays greedily.
        minutes, steps: stop once so much has been played; None for the whole episode.
    """
    obs, info = env.reset(seed=seed)
    state = EpisodeState(0, 0, 0.0, False)
    discrete = isinstance(env.action_space, spaces.Discrete)
    everything = np.ones((1, env.action_space.n), np.bool_) if discrete else None  # type: ignore[attr-defined]
    while True:
        yield state
        enough = minutes is not None and state.minutes >= minutes
        enough |= steps is not None and state.steps >= steps
        if state.ended or enough:
            return
        mask = info.get("action_mask")
        possible = everything if mask is None else np.asarray(mask, np.bool_)[None]
        action = policy.act(np.asarray(obs, np.float32)[None], possible, rng)[0]
        obs, reward, terminated, truncated, info = env.step(action)
        state = EpisodeState(
            state.minutes + int(info.get("elapsed", 1)),
            state.steps + 1,
            state.episode_return + float(reward),
            bool(terminated or truncated),
        )


def record(
    env: gymnasium.Env[Any, Any],
    policy: Policy,
    path: Path,
    seed: int,
    rng: np.random.Generator | None = None,
    minutes: int | None = None,
    steps: int | None = None,
    every: int | None = None,
    fps: int | None = None,
) -> Film:
    """Play one episode and write it as a video; the file appears whole or not at all.

    Frames go to the file one by one, so that a long episode needs no more memory than a short one.

    Args:
        env: renders in `rgb_array`.
        path: ends in .mp4 (needs the extra ``video``) or .gif.
        every: minutes between two frames; None gives a whole episode about a minute of video.
        fps: frames a second; None for the environment's own.

    Raises:
        InputError: another suffix, a missing package, or a number that makes no sense.
    """
    check_video(path)
    shown = int(env.metadata.get("render_fps", _DEFAULT_FPS)) if fps is None else fps
    if not _MIN_FPS <= shown <= _MAX_FPS:
        raise InputError(f"fps={shown}: give {_MIN_FPS} to {_MAX_FPS} frames a second")
    if every is None:
        every = _default_every(env, shown, minutes, steps)
    if every < 1:
        raise InputError(f"every={every}: at least 1 minute between frames")
    next_frame, frames = 0, 0
    state = EpisodeState(0, 0, 0.0, False)
    shown_at = -1
    with _writer(path, shown) as writer:
        for state in play(env, policy, seed, rng, minutes, steps):
            if state.minutes >= next_frame:
                writer.add(_picture(env))
                frames, shown_at = frames + 1, state.steps
                next_frame = state.minutes - state.minutes % every + every
        if shown_at != state.steps:
            writer.add(_picture(env))
            frames += 1
    return Film(path, frames, shown, state)


def check_video(path: Path) -> None:
    """Raise InputError unless a video can be written to `path`."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: a video ends in {' or '.join(SUFFIXES)}")
    if path.suffix.lower() == ".mp4":
        _ffmpeg()


def _default_every(
    env: gymnasium.Env[Any, Any], fps: int, minutes: int | None, steps: int | None
) -> int:
    spec = env.spec
    length = None if spec is None else episode_units(spec.id) or spec.max_episode_steps
    known = [value for value in (length, minutes, steps) if value is not None]
    return max(1, round(min(known) / (_SECONDS * fps))) if known else 1


def _picture(env: gymnasium.Env[Any, Any]) -> Frame:
    try:
        frame = env.render()
    except DependencyNotInstalled as error:
        raise InputError(f"the environment cannot be drawn: {error}") from None
    picture = np.asarray(frame, np.uint8)
    if picture.ndim != 3 or picture.shape[2] != 3:
        raise InputError(f"the environment draws arrays of shape {picture.shape}, not pictures")
    return picture


class _Writer(Protocol):
    def add(self, frame: Frame) -> None:
        """Write a frame."""

    def close(self) -> None:
        """End the file."""

    def abandon(self) -> None:
        """Let go of a file that nobody wants any more."""


class _Mp4Writer:
    """Frames through ffmpeg, H.264 in a form that every browser plays.

    Raises:
        InputError: ffmpeg could not write it; `shown` is the name that a person knows.
    """

    def __init__(self, path: Path, shown: Path, fps: int) -> None:
        self._path = path
        self._shown = shown
        self._fps = fps
        self._process: subprocess.Popen[bytes] | None = None
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)

    def add(self, frame: Frame) -> None:
        # The codec needs even sides.
        height, width = frame.shape[:2]
        frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        if self._process is None:
            self._process = self._start(frame.shape[1], frame.shape[0])
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(np.ascontiguousarray(frame).data)
        except OSError:
            self.close()  # which says why it ended
            raise InputError(f"{self._shown} cannot be written (ffmpeg ended early)") from None

    def _start(self, width: int, height: int) -> "subprocess.Popen[bytes]":
        raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
        coded = ["-vcodec", "libx264", "-pix_fmt", "yuv420p", "-crf", "15"]
        return subprocess.Popen(
            [_ffmpeg().get_ffmpeg_exe(), "-y", "-v", "error", *raw, "-r", str(self._fps), "-i", "-",
             "-an", *coded, "-movflags", "+faststart", str(self._path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            start_new_session=True,  # Ctrl-C is this program's to deal with
        )  # fmt: skip

    def close(self) -> None:
        if self._process is None:
            return
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it ended: its code says how
            self._process.stdin.close()
        code = self._process.wait()
        self._said.seek(0)
        words = self._said.read().decode(errors="replace").strip().splitlines()
        self._said.close()
        if code:
            reason = words[-1] if words else f"ffmpeg ended with {code}"
            raise InputError(f"{self._shown} cannot be written ({reason})")

    def abandon(self) -> None:
        if self._process is not None:
            self._process.kill()
            with contextlib.suppress(InputError):
                self.close()


class _GifWriter:
    """Frames one by one: Pillow's own way of saving would hold all of them in memory."""

    def __init__(self, path: Path, shown: Path, fps: int) -> None:
        self._shown = shown
        self._file = path.open("wb", buffering=0)  # a full disk is met where it is dealt with
        self._duration = max(20, 1000 // fps)  # viewers slow down anything faster
        self._before: Image.Image | None = None

    def add(self, frame: Frame) -> None:
        picture = Image.fromarray(frame)
        if picture.width > _GIF_WIDTH:
            height = round(picture.height * _GIF_WIDTH / picture.width)
            picture = picture.resize((_GIF_WIDTH, height), Image.Resampling.BOX)
        box = (0, 0, *picture.size)
        if self._before is not None:
            box = ImageChops.difference(picture, self._before).getbbox() or (0, 0, 1, 1)
        # Only what changed is written, with colours of its own.
        region = picture.crop(box).quantize(256, dither=Image.Dither.NONE)
        blocks: list[bytes] = []
        if self._before is None:
            blocks, _ = getheader(region, info={"loop": 0, "duration": self._duration})
        options = {"duration": self._duration, "include_color_table": True}
        for block in chain(blocks, getdata(region, box[:2], **options)):
            self._write(block)
        self._before = picture

    def _write(self, block: bytes) -> None:
        rest = memoryview(block)
        try:
            while rest:  # a disk that is nearly full takes a part
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise _unwritable(self._shown, error) from None

    def close(self) -> None:
        self._write(b";")
        self._file.close()

    def abandon(self) -> None:
        self._file.close()


@contextlib.contextmanager
def _writer(path: Path, fps: int) -> Iterator[_Writer]:
    """A writer to a temporary name, renamed into place when the block succeeds."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise _unwritable(path, error) from None
    with folder as name:
        suffix = path.suffix.lower()
        draft = Path(name) / f"video{suffix}"
        kind = _GifWriter if suffix == ".gif" else _Mp4Writer
        writer: _Writer = kind(draft, path, fps)
        try:
            yield writer
        except BaseException:
            writer.abandon()
            raise
        writer.close()
        try:
            draft.replace(path.resolve() if path.is_symlink() else path)
        except OSError as error:
            raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(f"{path} cannot be written ({error.strerror or error})")


def _ffmpeg() -> Any:
    try:
        return importlib.import_module("imageio_ffmpeg")
    except ImportError:
        raise InputError(
            ".mp4 needs the package imageio-ffmpeg: pip install 'compagnon[video]', "
            "or name the file .gif"
        ) from None

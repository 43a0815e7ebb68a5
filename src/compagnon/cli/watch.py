"""`watch`: one episode, live in the terminal or as a video."""

import contextlib
import math
import sys
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import arg

from compagnon import output
from compagnon.arguments import CommandFunction, Force, check_seed, flag, optional
from compagnon.cli.options import OnePolicy, Where, without_window
from compagnon.errors import InputError

_LIVE_FPS = 15


@dataclass(frozen=True)
class WatchOptions:
    """How long, how fast, and where to."""

    video: Annotated[
        Path | None, optional("FILE", "write .mp4 or .gif instead of playing it here")
    ] = None
    seed: Annotated[int, arg(metavar="S", help="which episode")] = 1_000_000
    sampled: Annotated[bool, flag("draw actions instead of taking the best one")] = False
    minutes: Annotated[int | None, optional("N", "stop after so much simulated time")] = None
    steps: Annotated[int | None, optional("N", "stop after so many decisions")] = None
    speed: Annotated[
        float, arg(metavar="M", help="simulated minutes a second, in the terminal")
    ] = 60.0
    fps: Annotated[int | None, optional("N", "frames a second of the video")] = None
    every: Annotated[int | None, optional("N", "minutes between two frames of the video")] = None
    force: Force = False


def watch(policy: OnePolicy, /, where: Where, look: WatchOptions) -> int:
    """Watch a policy play one episode, in the terminal or as a video.

    $ compagnon watch expert:workshop-v2 --speed 120
    $ compagnon watch runs/demo --video week.mp4
    """
    output.claim(look.force, look.video, text=False)
    import numpy as np

    from compagnon.policy import load_policy
    from compagnon.reporting.video import check_video, make_shown

    for name, value in (("minutes", look.minutes), ("steps", look.steps)):
        if value is not None and value < 1:
            raise InputError(f"--{name} {value}: at least 1")
    if not 0 < look.speed < math.inf:
        raise InputError(f"--speed {look.speed:g}: more than 0 minutes a second")
    check_seed(look.seed)
    if look.video is not None:
        check_video(look.video)
    mode = "ansi" if look.video is None else "rgb_array"
    without_window()
    env, schema = make_shown(*where.resolve(policy), mode)
    bound = load_policy(policy, schema)
    rng = np.random.default_rng(look.seed) if look.sampled else None
    with contextlib.closing(env):
        if look.video is None:
            return _live(env, bound, rng, look)
        return _record(env, bound, rng, look, look.video)


def _record(env: Any, policy: Any, rng: Any, look: WatchOptions, path: Path) -> int:
    from compagnon.reporting.video import record

    with output.busy(f"filming {policy.name}"):
        made = record(
            env, policy, path, look.seed, rng, look.minutes, look.steps, look.every, look.fps
        )
    out = output.console()
    out.print(_result(env, policy.name, look.seed, made.last))
    out.print(f"wrote {path}: {made.frames} frames, {made.frames / made.fps:.0f} s", soft_wrap=True)
    return 0


def _live(env: Any, policy: Any, rng: Any, look: WatchOptions) -> int:
    from rich.live import Live
    from rich.text import Text

    from compagnon.reporting.video import EpisodeState, play

    out = output.console()
    last = EpisodeState(0, 0, 0.0, False)
    stopped = ""
    moments = play(env, policy, look.seed, rng, look.minutes, look.steps)
    if not sys.stdout.isatty():
        last = deque(moments, maxlen=1)[0]  # nobody watches a file: how it ended is enough
        out.print(env.render())
        out.print(_result(env, policy.name, look.seed, last))
        return 0
    began = time.monotonic()
    drawn = -1.0
    with Live(console=out, auto_refresh=False) as screen:
        try:
            for last in moments:
                due = last.minutes / look.speed
                # Frames that nobody could see are not drawn; early ones are waited for.
                if due - drawn >= 1 / _LIVE_FPS:
                    time.sleep(max(0.0, began + due - time.monotonic()))
                    screen.update(Text.from_ansi(env.render()), refresh=True)
                    drawn = due
        except KeyboardInterrupt:
            stopped = "; you stopped it"
        screen.update(Text.from_ansi(env.render()), refresh=True)
    out.print(_result(env, policy.name, look.seed, last) + stopped)
    return 0


def _result(env: Any, name: str, seed: int, last: Any) -> str:
    from compagnon.evaluation.labels import labels_of

    verb = "ended" if last.ended else "stands"
    where = f"after {last.steps:,} steps"
    if env.spec is not None and labels_of(env.spec.id).clock:
        where = f"at minute {last.minutes:,} after {last.steps:,} decisions"
    gained = output.number(last.episode_return)
    return f"{name}, seed {seed}: the episode {verb} {where}, return {gained}"


COMMANDS: dict[str, CommandFunction] = {"watch": watch}

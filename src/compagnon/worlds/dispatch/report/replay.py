"""A day of dispatch on a map, to be played in a page: recorded here, drawn here, moved by a script.

The server draws every road, place and driver once; the page's script only moves drivers, colours
places and redraws routes from the recording. Without a script the page shows the last frame.
"""

import json
from dataclasses import dataclass, replace
from html import escape
from typing import Any, Final

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from compagnon.envs import BatchEnv
from compagnon.evaluation.episodes import decisions
from compagnon.policy import Policy
from compagnon.worlds.dispatch import DISPATCH, plans, running_days, tables
from compagnon.worlds.dispatch.render import route_colour

WIDTH: Final = 440
HEIGHT: Final = 400
STEP: Final = 5.0  # minutes from frame to frame
MAX_FRAMES: Final = 320
_MARGIN: Final = 14
_STATUS = "lopbsrcnt"  # one letter a status, in the order of `world`; L: served late
_LATE = 1.0  # minutes that count as late


@dataclass(frozen=True)
class Frame:
    """One moment.

    Attributes:
        minute: of the clock. drivers: (D, 2), pixels. off: (D,), home. routes: pixels of the stops
            ahead of each driver. places: a letter a booking. served, lost, waiting: rides served,
            refused or missed, and open.
        cost: of the day so far.
    """

    minute: float
    drivers: NDArray[np.float64]
    off: NDArray[np.bool_]
    routes: list[list[tuple[float, float]]]
    places: str
    served: int
    lost: int
    waiting: int
    cost: float


@dataclass(frozen=True)
class DayReplay:
    """One policy's day.

    Attributes:
        pickups, dropoffs: (bookings, 2), pixels.
    """

    policy: str
    pickups: NDArray[np.float64]
    dropoffs: NDArray[np.float64]
    frames: list[Frame]


def record(policy: Policy, env_args: dict[str, Any], seed: int) -> DayReplay:
    """Play one day and keep a frame every five minutes of its clock.

    Between two decisions, and after the last one, drivers do what their plans say; a door that
    takes longer is seen at the next decision. The cost of the last frame is that of the day.

    Args:
        policy: bound to the environment's schema.
    """
    env = BatchEnv(DISPATCH, env_args, 1)
    env.reset([seed])
    moments, cost = [_copy(env)], 0.0
    for decision in decisions(env, policy):
        cost -= float(decision.step.reward[0])
        if not decision.step.terminated[0]:
            moments.append(_copy(env))
    pixels = _projection(moments[0])
    bookings = int(moments[0].size[tables.BOOKINGS])
    places = pixels(moments[0].near[: 2 * bookings])
    frames = _frames(moments, pixels)
    frames[-1] = replace(frames[-1], cost=cost)
    return DayReplay(policy.name, places[::2], places[1::2], frames)


def _copy(env: BatchEnv) -> running_days.RunningDays:
    return running_days.RunningDays(*(array[0].copy() for array in env.vec.world))


class _Pixels:
    """From km east and north to pixels of the map."""

    def __init__(self, points: NDArray[np.float64]) -> None:
        low, high = points.min(axis=0), points.max(axis=0)
        self._middle = (low + high) / 2
        span = np.maximum(high - low, 1e-6)
        room = np.array([WIDTH - 2 * _MARGIN, HEIGHT - 2 * _MARGIN])
        self._scale = float((room / span).min())

    def __call__(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        offset = (points - self._middle) * self._scale * np.array([1.0, -1.0])
        return np.asarray(np.round(offset + np.array([WIDTH / 2, HEIGHT / 2]), 1), np.float64)


def _projection(w: running_days.RunningDays) -> _Pixels:
    n, m, drivers = int(w.size[tables.BOOKINGS]), len(w.status), int(w.size[tables.DRIVERS])
    return _Pixels(w.near[np.r_[0 : 2 * n, 2 * m : 2 * m + 2 * drivers]])


def _frames(moments: list[running_days.RunningDays], pixels: _Pixels) -> list[Frame]:
    """Frames on the clock: each shows the moment before it, with drivers under way moved on."""
    clocks = np.array([w.money[running_days.NOW] for w in moments])
    last = max(clocks[-1], float(moments[-1].stops[..., plans.START].max()))
    step = max(STEP, (last - clocks[0]) / MAX_FRAMES)
    frames = []
    for minute in np.arange(clocks[0], last + step, step):
        k = int(np.searchsorted(clocks, minute + 1e-9, side="right")) - 1
        following = moments[min(k + 1, len(moments) - 1)]
        frames.append(_frame(moments[k], following, float(minute), pixels))
    return frames


def _frame(
    w: running_days.RunningDays, following: running_days.RunningDays, minute: float, pixels: _Pixels
) -> Frame:
    drivers, letters = int(w.size[tables.DRIVERS]), _letters(w, minute)
    if following is not w:
        letters = _as_it_went(letters, following)
    return Frame(
        minute,
        pixels(np.array([where(w, d, minute) for d in range(drivers)])),
        w.state[:drivers, plans.PHASE] == plans.OFF,
        [_route(w, d, minute, pixels) for d in range(drivers)],
        letters,
        letters.count("s") + letters.count("L"),
        letters.count("r"),
        letters.count("o"),
        float(w.money[: running_days.PARTS].sum()),
    )


def where(w: running_days.RunningDays, driver: int, minute: float) -> NDArray[np.float64]:
    """Where a driver is at a minute if all goes as planned: km east and north of the middle."""
    at, free = w.near[w.state[driver, plans.AT]], float(w.times[driver, plans.FREE])
    if w.state[driver, plans.PHASE] == plans.DRIVES:
        free = float(w.times[driver, plans.LEFT])
    for k in range(int(w.state[driver, plans.COUNT])):
        node, stop = int(w.codes[driver, k, plans.NODE]), w.stops[driver, k]
        start = float(stop[plans.START])
        if node != plans.BREAK:
            # He leaves just in time; who is under way has left already.
            under_way = k == 0 and w.state[driver, plans.PHASE] == plans.DRIVES
            leaves = free if under_way else max(free, start - float(stop[plans.LEG]))
            if minute < start:
                share = min(1.0, max(0.0, (minute - leaves) / max(start - leaves, 1e-9)))
                return np.asarray(at + share * (w.near[node] - at), np.float64)
            at = w.near[node]
        free = start + float(stop[plans.SERVICE])
    return np.asarray(at, np.float64)


def _letters(w: running_days.RunningDays, minute: float) -> str:
    """What has become of each booking at a minute if all goes as planned; see `_STATUS`."""
    bookings = int(w.size[tables.BOOKINGS])
    late = (w.rides[:, running_days.LATE_PICKUP] + w.rides[:, running_days.LATE_DROPOFF]) > _LATE
    letters = [
        "L" if status == running_days.SERVED and late[b] else _STATUS[status]
        for b, status in enumerate(w.status[:bookings])
    ]
    for driver in range(int(w.size[tables.DRIVERS])):
        for k in range(int(w.state[driver, plans.COUNT])):
            node, stop = int(w.codes[driver, k, plans.NODE]), w.stops[driver, k]
            dead = w.codes[driver, k, plans.PICKED_AT] == plans.DEAD
            done = minute >= stop[plans.START] + stop[plans.SERVICE] and not dead
            if 0 <= node < 2 * len(w.status) and done:
                letters[node // 2] = "b" if node % 2 == 0 else "s"
    return "".join(letters)


def _as_it_went(letters: str, following: running_days.RunningDays) -> str:
    """The letters without what the next moment shows not to have happened: doors take longer."""
    found = list(letters)
    for b, letter in enumerate(letters):
        status = int(following.status[b])
        early = letter == "s" and status != running_days.SERVED
        if early or (letter == "b" and status == running_days.PLANNED):
            found[b] = _STATUS[status]
    return "".join(found)


def _route(
    w: running_days.RunningDays, driver: int, minute: float, pixels: _Pixels
) -> list[tuple[float, float]]:
    last = max(0, int(w.state[driver, plans.COUNT]) - 1)  # the way home is not drawn
    ahead = w.stops[driver, :last, plans.START] > minute
    nodes = w.codes[driver, :last, plans.NODE][ahead]
    return [(float(x), float(y)) for x, y in pixels(w.near[nodes[nodes != plans.BREAK]])]


def to_html(recordings: list[DayReplay], title: str) -> Markup:
    """The maps side by side, one clock for all, as a fragment of a page.

    Every text from outside is escaped, in markup and in the recording alike.
    """
    longest = max(len(recording.frames) for recording in recordings)
    data = json.dumps([_data(recording, longest) for recording in recordings])
    maps = "".join(_map(recording) for recording in recordings)
    # "<" would let a name end the script.
    safe = data.replace("<", "\\u003c")
    return Markup(
        f'<div class="replay"><p class="soft">{escape(title)}</p>'
        f'<div class="maps">{maps}</div>'
        '<div class="controls"><button type="button" aria-label="Play or pause">Play</button>'
        f'<input type="range" min="0" max="{longest - 1}" value="{longest - 1}" '
        'aria-label="Time of day"><output></output></div>'
        '<p class="soft legend"><span class="o">open, at its pickup</span>'
        '<span class="p">planned</span><span class="b">on board</span>'
        '<span class="s">served, at its drop-off</span><span class="L">served late</span>'
        '<span class="r">refused or missed</span><span class="t">by taxi</span></p>'
        f'<script type="application/json">{safe}</script></div>'
    )


def _data(recording: DayReplay, frames: int) -> dict[str, Any]:
    padded = recording.frames + [recording.frames[-1]] * (frames - len(recording.frames))
    return {
        "t": [round(frame.minute) for frame in padded],
        "d": [frame.drivers.ravel().tolist() for frame in padded],
        "off": ["".join("1" if off else "0" for off in frame.off) for frame in padded],
        "r": [[_path(route) for route in frame.routes] for frame in padded],
        "s": [frame.places for frame in padded],
        "n": [[frame.served, frame.lost, frame.waiting, round(frame.cost)] for frame in padded],
    }


def _path(route: list[tuple[float, float]]) -> str:
    return "".join(f"L{x:g} {y:g}" for x, y in route)


def _map(recording: DayReplay) -> str:
    last = recording.frames[-1]
    body = [f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" class="ground"/>']
    for d in range(len(last.drivers)):
        body.append(f'<path class="route" stroke="{route_colour(d)}" d=""/>')
    for b, (start, end) in enumerate(zip(recording.pickups, recording.dropoffs, strict=True)):
        body.append(
            f'<g class="ride {last.places[b]}">'
            f'<circle class="from" cx="{start[0]:g}" cy="{start[1]:g}" r="4"/>'
            f'<circle class="to" cx="{end[0]:g}" cy="{end[1]:g}" r="2.5"/></g>'
        )
    for d, (x, y) in enumerate(last.drivers):
        body.append(
            f'<g class="driver" transform="translate({x:g} {y:g})"><circle r="8" '
            f'fill="{route_colour(d)}"/><text y="3.5" text-anchor="middle">{d}</text></g>'
        )
    name = escape(recording.policy)
    figures = f"served {last.served}, lost {last.lost}, open {last.waiting}, cost {last.cost:,.0f}"
    return (
        f"<figure><figcaption>{name}<small>{figures}</small></figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Map of the day of {name}">'
        f"{''.join(body)}</svg></figure>"
    )

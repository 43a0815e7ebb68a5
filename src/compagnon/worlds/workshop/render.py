"""A picture of the shop that its manager understands at a glance."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from compagnon.envs.drawing import (
    BLUE,
    CARD,
    FAINT,
    HEADER,
    HEADER_SOFT,
    INK,
    RED,
    SOFT,
    TRACK,
    Box,
    Pen,
)
from compagnon.worlds.workshop import constants, snapshot
from compagnon.worlds.workshop.snapshot import WorkshopSnapshot, to_text

__all__ = ["HEIGHT", "WIDTH", "Block", "WorkshopSnapshot", "machine_blocks", "to_image", "to_text"]

WIDTH: Final = 960
HEIGHT: Final = 540
GANTT_MINUTES: Final = 720

_RAW = "#8a6d4b"
_P1 = BLUE
_STEP1 = "#e8962a"
_STEP2 = "#2a9d78"
_SETUP = "#a9b4c0"
_DOWN = RED


@dataclass(frozen=True)
class Block:
    """What a machine did from minute `begins` to minute `ends`; `size` units in its batch."""

    begins: float
    ends: float
    kind: str  # "P1", "step 1", "step 2", "set-up" or "breakdown"
    batch: int  # blocks of one batch share this number
    size: int


_COLOURS: Final = {
    "P1": _P1,
    "step 1": _STEP1,
    "step 2": _STEP2,
    "set-up": _SETUP,
    "breakdown": _DOWN,
}


def machine_blocks(history: NDArray[np.float64]) -> tuple[list[Block], list[Block]]:
    """What M1 and M2 did, from the moments at which steps ended.

    Args:
        history: (T, HISTORY_COLUMNS), see `snapshot.History`. Between two of its rows a machine
            changes at most once, from set-up to work: everything else ends a step.
    """
    m1: list[Block] = []
    m2: list[Block] = []
    batches = [0, 0]
    sizes = [0, 0]
    rows = history.tolist()
    for before, after in pairwise(rows):
        begins, ends = before[snapshot.H_TIME], after[snapshot.H_TIME]
        task = int(before[snapshot.H_M1_TASK] or after[snapshot.H_M1_TASK])
        unit = constants.P1_MINUTES if task == constants.MAKES_P1 else constants.STEP1_MINUTES
        if task and (not before[snapshot.H_M1_TASK] or not sizes[0]):
            batches[0] += 1
            sizes[0] = -int(-max(before[snapshot.H_M1_LEFT], after[snapshot.H_M1_LEFT]) // unit)
        work = "P1" if task == constants.MAKES_P1 else "step 1"
        if before[snapshot.H_M1_DOWN]:
            _extend(m1, Block(begins, ends, "breakdown", -1, 0))
        elif task:
            worked = begins + after[snapshot.H_SETUP] - before[snapshot.H_SETUP]
            _extend(m1, Block(begins, worked, "set-up", batches[0], 0))
            _extend(m1, Block(worked, ends, work, batches[0], sizes[0]))
        left = before[snapshot.H_M2_LEFT] or after[snapshot.H_M2_LEFT]
        if left and (not before[snapshot.H_M2_LEFT] or not sizes[1]):
            batches[1] += 1
            sizes[1] = -int(-left // constants.STEP2_MINUTES)
        if before[snapshot.H_M2_DOWN]:
            _extend(m2, Block(begins, ends, "breakdown", -1, 0))
        elif left:
            _extend(m2, Block(begins, ends, "step 2", batches[1], sizes[1]))
    return m1, m2


def _extend(blocks: list[Block], block: Block) -> None:
    """Add a block, joined to the last one if it goes on with the same."""
    if block.ends <= block.begins:
        return
    last = blocks[-1] if blocks else None
    if last and (last.kind, last.batch, last.ends) == (block.kind, block.batch, block.begins):
        blocks[-1] = Block(last.begins, block.ends, block.kind, block.batch, block.size)
    else:
        blocks.append(block)


def to_image(shop: WorkshopSnapshot, history: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Draw the shop, uint8 of shape (540, 960, 3).

    Args:
        shop: the moment.
        history: (T, HISTORY_COLUMNS), the moments of the week until this one, see
            `snapshot.History`; may be empty.
    """
    pen = Pen(WIDTH, HEIGHT)
    _draw_header(pen, shop)
    _draw_gantt(pen, shop, history)
    _draw_stocks(pen, shop)
    _draw_orders(pen, shop)
    _draw_week(pen, history)
    return pen.picture()


def _draw_header(pen: Pen, shop: WorkshopSnapshot) -> None:
    pen.box((0, 0, WIDTH, 60), HEADER)
    title = f"{shop.day} {shop.clock}"
    pen.text(24, 30, title, 28, "#ffffff")
    x = 24 + pen.length(title, 28) + 24
    pen.text(x, 22, "last decision", 11, HEADER_SOFT)
    pen.text(x, 39, constants.describe_action(shop.last_action), 15, "#ffffff")
    if shop.rush:
        pen.box((560, 18, 616, 42), _DOWN, 12)
        pen.text(588, 30, "RUSH", 12, "#ffffff", "mm")
    profit = f"{shop.profit:,.0f}"
    pen.text(WIDTH - 24, 30, profit, 28, "#ffffff", "rm")
    pen.text(WIDTH - 36 - pen.length(profit, 28), 31, "profit this week", 13, HEADER_SOFT, "rm")


def _draw_gantt(pen: Pen, shop: WorkshopSnapshot, history: NDArray[np.float64]) -> None:
    pen.box((16, 72, WIDTH - 16, 250), CARD, 8)
    pen.text(32, 92, "Machines, last 12 hours", 15)
    x = WIDTH - 32.0
    for kind in reversed(_COLOURS):
        x -= pen.length(kind, 12)
        pen.text(x, 92, kind, 12, SOFT)
        pen.box((x - 18, 86, x - 6, 98), _COLOURS[kind], 3)
        x -= 34
    left, right, begins = 86.0, WIDTH - 36.0, float(max(0, shop.time - GANTT_MINUTES))

    def at(minute: float) -> float:
        return left + (right - left) * min(1.0, max(0.0, (minute - begins) / GANTT_MINUTES))

    now = at(shop.time)
    hour = int(begins // 120) * 120
    for minute in range(hour, shop.time + 1, 120):
        if minute >= begins:
            pen.line([(at(minute), 112), (at(minute), 224)], FAINT)
            if abs(at(minute) - now) > 30:
                clock = f"{minute % constants.MINUTES_PER_DAY // 60:02}:00"
                pen.text(at(minute), 234, clock, 11, SOFT, "mm")
    pen.text(now, 234, "now", 11, INK, "mm")
    # From before the window, so that a batch that is cut off keeps its size.
    since = begins - constants.BATCHES * constants.STEP2_MINUTES
    first = max(0, int(np.searchsorted(history[:, snapshot.H_TIME], since, side="right")) - 1)
    words = (snapshot.m1_in_words(shop), snapshot.m2_in_words(shop))
    for row, blocks in enumerate(machine_blocks(history[first:])):
        top = 118 + row * 54
        pen.text(32, top + 16, f"M{row + 1}", 18)
        pen.box((left, top, now, top + 32), TRACK, 4)
        for block in blocks:
            if block.ends <= begins:
                continue
            box = (at(block.begins) + 0.5, top, at(block.ends) - 0.5, top + 32)
            pen.box(box, _COLOURS[block.kind], 4)
            label = str(block.size) if block.size else ""
            if label and box[2] - box[0] > pen.length(label, 12) + 4:
                pen.text((box[0] + box[2]) / 2, top + 16, label, 12, "#ffffff", "mm")
        if now + 10 + pen.length(words[row], 12) < right:
            pen.text(now + 10, top + 16, words[row], 12, SOFT)
        else:
            pen.text(now - 6, top + 42, words[row], 12, SOFT, "rm")
    pen.line([(now, 108), (now, 224)], INK, 1.5)


def _draw_stocks(pen: Pen, shop: WorkshopSnapshot) -> None:
    pen.box((16, 262, 332, 524), CARD, 8)
    pen.text(32, 282, f"Stock, of at most {constants.STOCK_CAP} each", 15)
    stocks = (
        ("raw", shop.raw, _RAW),
        ("P1", shop.p1, _P1),
        ("P2 half", shop.p2_inter, _STEP1),
        ("P2", shop.p2, _STEP2),
    )
    left, right = 96.0, 276.0
    for index, (name, units, colour) in enumerate(stocks):
        y = 326 + index * 44
        pen.text(32, y, name, 14, SOFT)
        pen.box((left, y - 11, right, y + 11), TRACK, 4)
        pen.box(
            (left, y - 11, left + (right - left) * units / constants.STOCK_CAP, y + 11), colour, 4
        )
        pen.text(316, y, str(units), 18, _DOWN if units >= constants.STOCK_CAP else INK, "rm")
    lost = f"lost this week: {shop.overflow} over the cap, {shop.theft} stolen"
    pen.text(32, 504, lost, 12, SOFT)


def _draw_orders(pen: Pen, shop: WorkshopSnapshot) -> None:
    pen.box((344, 262, 576, 524), CARD, 8)
    pen.text(360, 282, "Orders", 15)
    pen.text(470, 304, "waiting", 11, SOFT, "rm")
    pen.text(560, 304, "sold", 11, SOFT, "rm")
    rows = (
        ("P1", shop.backlog_p1, shop.sold_p1, _P1),
        ("P2", shop.backlog_p2, shop.sold_p2, _STEP2),
    )
    for index, (name, backlog, sold, colour) in enumerate(rows):
        y = 332 + index * 38
        pen.box((360, y - 8, 376, y + 8), colour, 3)
        pen.text(384, y, name, 14, SOFT)
        pen.text(470, y, f"{backlog:,}", 24, anchor="rm")
        pen.text(560, y, f"{sold:,}", 18, SOFT, "rm")
    pen.line([(360, 404), (560, 404)], FAINT)
    pen.text(360, 426, "Raw on its way", 15)
    pen.text(560, 460, f"{shop.raw_in_transit:,}", 24, anchor="rm")
    pen.box((360, 452, 376, 468), _RAW, 3)
    pen.text(384, 460, "units", 14, SOFT)
    coming = "none" if shop.next_delivery is None else f"in {shop.next_delivery} min"
    pen.text(360, 496, "next delivery", 14, SOFT)
    pen.text(560, 496, coming, 16, anchor="rm")


def _draw_week(pen: Pen, history: NDArray[np.float64]) -> None:
    pen.box((588, 262, WIDTH - 16, 524), CARD, 8)
    pen.text(604, 282, "This week", 15)
    left, right = 604.0, WIDTH - 32.0
    for day in range(8):
        x = left + (right - left) * day / 7
        pen.line([(x, 300), (x, 500)], FAINT)
        if day < 7:
            pen.text(x + (right - left) / 14, 511, snapshot.DAYS[day][:3], 11, SOFT, "mm")
    profit = history[:, snapshot.H_PROFIT]
    backlog = history[:, snapshot.H_BACKLOG_P1] + history[:, snapshot.H_BACKLOG_P2]
    minutes = history[:, snapshot.H_TIME]
    _draw_curve(pen, (left, 316, right, 404), minutes, profit, INK, "profit")
    _draw_curve(pen, (left, 428, right, 496), minutes, backlog, _DOWN, "backlog")


def _draw_curve(
    pen: Pen,
    box: Box,
    minutes: NDArray[np.float64],
    values: NDArray[np.float64],
    colour: str,
    name: str,
) -> None:
    """One quantity over the week, on its own scale that holds zero."""
    x0, y0, x1, y1 = box
    pen.text(x0 + 2, y0 - 9, name, 11, colour)
    if not len(values):
        return
    low, high = min(0.0, float(values.min())), max(1.0, float(values.max()))
    pen.text(x1, y0 - 9, f"{low:,.0f} to {high:,.0f}", 11, SOFT, "rm")
    zero = y1 + (y1 - y0) * low / (high - low)
    pen.line([(x0, zero), (x1, zero)], FAINT)
    # One point a pixel is all that can be seen.
    grid = np.linspace(0, constants.EPISODE_MINUTES, int(x1 - x0))
    grid = grid[(grid >= minutes[0]) & (grid <= minutes[-1])]
    rows = np.append(np.searchsorted(minutes, grid, side="right") - 1, len(minutes) - 1)
    xs = x0 + (x1 - x0) * np.append(grid, minutes[-1]) / constants.EPISODE_MINUTES
    ys = y1 - (y1 - y0) * (values[rows] - low) / (high - low)
    points = list(zip(xs.tolist(), ys.tolist(), strict=True))
    if len(points) > 1:
        pen.line(points, colour, 1.5)

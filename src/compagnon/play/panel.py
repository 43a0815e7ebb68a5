"""The panel beside the world: score, your choice and the agent's, keys; and the banner."""

from io import BytesIO
from typing import Any, Final

import numpy as np
import pygame
from PIL import ImageFont

from compagnon.play.session import Phase, Session
from compagnon.worlds.controls import LEFT, Axis

WIDTH: Final = 340
_MARGIN: Final = 20
_FONT_SCALE: Final = 0.75
_PAPER: Final = "#f4f5f7"
_INK: Final = "#1f2933"
_SOFT: Final = "#66727f"
_TRACK: Final = "#dfe3e8"
_YOU: Final = "#2f7fc1"
_AGENT: Final = "#e8962a"
_ALIKE: Final = "#2a9d78"
_WARNING: Final = "#d64545"
_KEYS_OF_EVERY_WORLD: Final = (("P", "pause"), ("R", "begin again"), ("Esc Q", "leave"))


def _typeface() -> BytesIO | None:
    """The letters of our own pictures, which read better than pygame's; None where there are none.

    Made anew for every size: pygame reads on from where the last one ended.
    """
    path = getattr(ImageFont.load_default(size=12), "path", None)
    return BytesIO(path.getvalue()) if isinstance(path, BytesIO) else None


class Panel:
    """Draws what a session says of itself; keeps nothing but where the next line goes."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._y = 0
        self._fonts: dict[int, pygame.font.Font] = {}  # they live as long as the display, no longer

    def draw(self, screen: pygame.Surface, box: pygame.Rect) -> None:
        """Fill `box` of the screen."""
        session = self._session
        screen.fill(_PAPER, box)
        self._y = box.top + 18
        x, width = box.left + _MARGIN, box.width - 2 * _MARGIN
        self._text(screen, x, session.world.title, 40)
        self._words(screen, x, session.world.goal, 20, width, _SOFT)
        self._y += 8
        self._draw_score(screen, x, width)
        self._y += 8
        self._draw_choices(screen, x, width)
        self._draw_menu(screen, x, width)
        if session.message:
            self._y += 6
            self._words(screen, x, session.message, 20, width, _WARNING)
        self._draw_keys(screen, x, box.bottom - 14)

    def draw_banner(self, screen: pygame.Surface, box: pygame.Rect) -> None:
        """Lay a strip over the world while it does not move."""
        lines = _banner(self._session)
        if not lines:
            return
        height = 30 + 34 * len(lines)
        strip = pygame.Surface((box.width, height), pygame.SRCALPHA)
        strip.fill((31, 41, 51, 215))
        top = box.centery - height // 2
        screen.blit(strip, (box.left, top))
        for index, line in enumerate(lines):
            text = self._font(34 if index == 0 else 26).render(line, True, "#ffffff")
            screen.blit(text, text.get_rect(center=(box.centerx, top + 32 + 34 * index)))

    def _draw_score(self, screen: pygame.Surface, x: int, width: int) -> None:
        session = self._session
        top = self._y
        self._text(screen, x, "score", 18, _SOFT)
        self._text(screen, x, score_words(session.score), 44)
        bottom, self._y = self._y, top
        right = x + width * 6 // 10
        of = "" if session.episodes is None else f" of {session.episodes}"
        for line in (
            f"episode {session.episode + 1}{of}",
            f"step {session.steps:,}",
            f"time {session.world.clock(session.elapsed)}",
        ):
            self._text(screen, right, line, 20, _SOFT)
        self._y = max(bottom, self._y)

    def _draw_choices(self, screen: pygame.Surface, x: int, width: int) -> None:
        """What you chose and what the agent chose (or, where the world waits, would choose)."""
        session = self._session
        yours, theirs = session.yours, session.theirs
        if session.controls.turn_based or yours is None:
            theirs = session.advice
        words = session.controls.label
        self._word(screen, x, width, "you", _YOU, "-" if yours is None else words(yours))
        if session.agent is not None:
            now = " now" if session.controls.turn_based else ""
            said = "-" if theirs is None else words(theirs)
            self._word(screen, x, width, f"agent{now}", _AGENT, said)
        self._y += 4
        if session.controls.labels:
            self._draw_labels(screen, x, width, yours, theirs)
        for index, axis in enumerate(session.controls.axes):
            self._draw_axis(screen, x, width, axis, index, (yours, theirs))
        if session.agent is not None:
            self._draw_likeness(screen, x, width)

    def _draw_labels(
        self, screen: pygame.Surface, x: int, width: int, yours: Any, theirs: Any
    ) -> None:
        """One row an action: your mark at its left, the agent's at its right."""
        for index, label in enumerate(self._session.controls.labels):
            row = pygame.Rect(x, self._y, width, 24)
            pygame.draw.rect(screen, _TRACK, row.inflate(-56, -4), border_radius=6)
            text = self._font(20).render(label, True, _INK)
            screen.blit(text, text.get_rect(center=row.center))
            if yours is not None and int(yours) == index:
                pygame.draw.circle(screen, _YOU, (x + 11, row.centery), 9)
            if theirs is not None and int(theirs) == index:
                pygame.draw.circle(screen, _AGENT, (x + width - 11, row.centery), 9)
            self._y += 26
        self._y += 4

    def _draw_axis(
        self,
        screen: pygame.Surface,
        x: int,
        width: int,
        axis: Axis,
        index: int,
        choices: tuple[Any, Any],
    ) -> None:
        """One number of the action, yours above the agent's, from the zero of its range."""
        self._text(screen, x, axis.name, 18, _SOFT)

        # An axis whose plus key is the left one is drawn so that left is left.
        low, high = (axis.high, axis.low) if LEFT in axis.plus else (axis.low, axis.high)

        def at(value: float) -> int:
            return x + round(width * (value - low) / (high - low))

        zero = at(min(max(0.0, axis.low), axis.high))
        for value, colour in zip(choices, (_YOU, _AGENT), strict=True):
            if colour == _AGENT and self._session.agent is None:
                continue
            pygame.draw.rect(screen, _TRACK, (x, self._y, width, 12), border_radius=4)
            if value is not None:
                end = at(float(np.clip(value[index], axis.low, axis.high)))
                bar = pygame.Rect(min(zero, end), self._y, max(2, abs(end - zero)), 12)
                pygame.draw.rect(screen, colour, bar, border_radius=4)
            pygame.draw.line(screen, _SOFT, (zero, self._y - 1), (zero, self._y + 12))
            self._y += 16
        self._y += 4

    def _draw_likeness(self, screen: pygame.Surface, x: int, width: int) -> None:
        share = self._session.likeness
        said = "-" if share is None else f"{share:.0%}"
        self._text(screen, x, f"agreement in this episode: {said}", 20, _SOFT)
        pygame.draw.rect(screen, _TRACK, (x, self._y, width, 8), border_radius=4)
        filled = round(width * (share or 0.0))
        if filled:
            pygame.draw.rect(screen, _ALIKE, (x, self._y, filled, 8), border_radius=4)
        self._y += 16

    def _draw_menu(self, screen: pygame.Surface, x: int, width: int) -> None:
        for line in self._session.controls.menu(self._session.mask):
            row = pygame.Rect(x - 6, self._y, width + 12, 26)
            if line.chosen:
                pygame.draw.rect(screen, _YOU, row, border_radius=6)
            colour = "#ffffff" if line.chosen else _INK if line.possible else _SOFT
            text = self._font(21).render(line.text, True, colour)
            screen.blit(text, text.get_rect(midleft=(x, row.centery)))
            self._y += 28

    def _draw_keys(self, screen: pygame.Surface, x: int, bottom: int) -> None:
        """The legend, at the foot of the panel."""
        session = self._session
        rows = (*session.world.legend, *_KEYS_OF_EVERY_WORLD)
        self._y = bottom - 20 * (len(rows) + 1)
        self._text(screen, x, "keys (arrows are A D W S)", 18, _SOFT)
        for keys, meaning in rows:
            top = self._y
            self._text(screen, x, keys, 20)
            self._y = top
            self._text(screen, x + 96, meaning, 20, _SOFT)
            self._y = top + 20

    def _word(
        self, screen: pygame.Surface, x: int, width: int, who: str, colour: str, said: str
    ) -> None:
        """Whose choice it is, and the choice in words; smaller where it is long."""
        top = self._y
        self._text(screen, x, who, 20, colour)
        size = 28
        while size > 16 and self._font(size).size(said)[0] > width - 84:
            size -= 2
        self._y = top - (size - 20) // 4
        self._text(screen, x + 84, said, size, colour)
        self._y = top + 26

    def _font(self, size: int) -> pygame.font.Font:
        if size not in self._fonts:
            self._fonts[size] = pygame.font.Font(_typeface(), round(size * _FONT_SCALE))
        return self._fonts[size]

    def _text(
        self, screen: pygame.Surface, x: int, text: str, size: int, colour: str = _INK
    ) -> None:
        drawn = self._font(size).render(text, True, colour)
        screen.blit(drawn, (x, self._y))
        self._y += drawn.get_height() + 3

    def _words(
        self, screen: pygame.Surface, x: int, text: str, size: int, width: int, colour: str
    ) -> None:
        """Text over as many lines as it needs."""
        line = ""
        for word in text.split():
            longer = f"{line} {word}".strip()
            if line and self._font(size).size(longer)[0] > width:
                self._text(screen, x, line, size, colour)
                longer = word
            line = longer
        self._text(screen, x, line, size, colour)


def score_words(score: float) -> str:
    """A score: whole if it is, else with one decimal."""
    text = f"{score:,.0f}" if abs(score - round(score)) < 1e-9 else f"{score:,.1f}"
    return text if float(text.replace(",", "")) else text.lstrip("-")


def _banner(session: Session) -> list[str]:
    """What the strip over the world says, line by line; nothing while it plays."""
    if session.phase is Phase.READY:
        return ["Press A, S, D, W or an arrow to begin"]
    if session.phase is Phase.PAUSED:
        return ["Paused", "P goes on"]
    if session.phase is not Phase.OVER:
        return []
    last = session.results[-1]
    lines = [f"The end: {score_words(last.score)} after {last.steps:,} steps"]
    if session.agent is not None and last.agent_score is not None:
        lines.append(
            f"{_short(session.agent.policy.name)} gets {score_words(last.agent_score)} "
            f"after {last.agent_steps:,} steps of the same episode"
        )
    more = session.episodes is None or session.episode + 1 < session.episodes
    lines.append(f"Enter {'for the next episode' if more else 'to finish'}, R to play it again")
    return lines


def _short(name: str, most: int = 40) -> str:
    return name if len(name) <= most else f"...{name[3 - most :]}"

"""The window: pygame's keys in, the world's picture and the panel out, one frame a tick.

Nothing else of the package imports pygame, and this only once somebody plays.
"""

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pygame
from PIL import Image

from compagnon.errors import InputError
from compagnon.files import write_file
from compagnon.play.opening import no_screen
from compagnon.play.panel import WIDTH as PANEL_WIDTH
from compagnon.play.panel import Panel
from compagnon.play.session import Phase, Session
from compagnon.worlds import controls
from compagnon.worlds.controls import Keys

# Measured in the window's own pixels; it fits a screen of 1366 x 768.
_PICTURE_WIDTH, _PICTURE_HEIGHT = 960, 640
SIZE: Final = (_PICTURE_WIDTH + PANEL_WIDTH, _PICTURE_HEIGHT)
_BACKGROUND: Final = "#22303c"
_REPEAT_AFTER_MS, _REPEAT_EVERY_MS = 350, 60

MEANINGS: Final = {
    pygame.K_a: controls.LEFT,
    pygame.K_LEFT: controls.LEFT,
    pygame.K_d: controls.RIGHT,
    pygame.K_RIGHT: controls.RIGHT,
    pygame.K_w: controls.UP,
    pygame.K_UP: controls.UP,
    pygame.K_s: controls.DOWN,
    pygame.K_DOWN: controls.DOWN,
    pygame.K_RETURN: controls.DO,
    pygame.K_KP_ENTER: controls.DO,
    pygame.K_SPACE: controls.WAIT,
    pygame.K_p: controls.PAUSE,
    pygame.K_r: controls.RESTART,
    pygame.K_q: controls.QUIT,
    pygame.K_ESCAPE: controls.QUIT,
    **{getattr(pygame, f"K_{digit}"): str(digit) for digit in range(1, 10)},
}


class Keyboard:
    """Which keys are down, from the events of the window alone."""

    def __init__(self) -> None:
        self._down: set[int] = set()

    def read(self) -> Keys:
        """What happened since the last look."""
        taps: list[str] = []
        for event in pygame.event.get():
            if event.type == pygame.QUIT:
                taps.append(controls.QUIT)
            elif event.type == pygame.WINDOWFOCUSLOST:
                self._down.clear()  # the key's release goes to another window
            elif event.type == pygame.KEYUP:
                self._down.discard(event.key)
            elif event.type == pygame.KEYDOWN and event.key in MEANINGS:
                meaning = MEANINGS[event.key]
                # A key that is held repeats: good for choosing a size, not for launching a batch.
                if event.key not in self._down or meaning in controls.DIRECTIONS:
                    taps.append(meaning)
                self._down.add(event.key)
        return Keys(frozenset(MEANINGS[key] for key in self._down), tuple(taps))


class Window:
    """The world at the left, the panel at the right."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._screen = pygame.display.set_mode(SIZE)
        pygame.display.set_caption(f"Compagnon: {session.world.title}")
        pygame.key.set_repeat(_REPEAT_AFTER_MS, _REPEAT_EVERY_MS)
        self._panel = Panel(session)
        self._picture: pygame.Surface | None = None
        self._drawn: tuple[int, int] | None = None

    def draw(self) -> None:
        """Show the game as it stands."""
        self._screen.fill(_BACKGROUND)
        picture = self._current()
        left = (_PICTURE_WIDTH - picture.get_width()) // 2
        top = (_PICTURE_HEIGHT - picture.get_height()) // 2
        self._screen.blit(picture, (left, top))
        self._panel.draw_banner(self._screen, pygame.Rect(0, 0, _PICTURE_WIDTH, _PICTURE_HEIGHT))
        self._panel.draw(self._screen, pygame.Rect(_PICTURE_WIDTH, 0, PANEL_WIDTH, SIZE[1]))
        pygame.display.flip()

    def save(self, path: Path) -> None:
        """Write the last frame as a PNG, whole or not at all."""
        pixels = pygame.image.tobytes(self._screen, "RGB")
        file = io.BytesIO()
        Image.frombytes("RGB", SIZE, pixels).save(file, "PNG")
        try:
            write_file(path, file.getvalue())
        except OSError as error:
            raise InputError(f"{path} cannot be written ({error.strerror or error})") from None

    def _current(self) -> pygame.Surface:
        """The world's picture, as large as it fits; drawn anew only when the world has moved."""
        if self._picture is None or self._drawn != self._session.moment:
            frame = self._session.picture()
            height, width = frame.shape[:2]
            scale = min(_PICTURE_WIDTH / width, _PICTURE_HEIGHT / height)
            raw = pygame.image.frombytes(frame.tobytes(), (width, height), "RGB")
            size = (round(width * scale), round(height * scale))
            self._picture = raw if scale == 1 else pygame.transform.smoothscale(raw, size)
            self._drawn = self._session.moment
        return self._picture


@contextlib.contextmanager
def _display() -> Iterator[None]:
    """pygame's display, from its opening to its end.

    Raises:
        InputError: there is no screen.
    """
    try:
        pygame.display.init()
    except pygame.error as error:
        raise no_screen(str(error)) from None
    try:
        # Without a screen SDL draws into nothing, unasked.
        unseen = pygame.display.get_driver() in ("dummy", "offscreen")
        if unseen and not os.environ.get("SDL_VIDEODRIVER"):
            raise no_screen("none answers")
        pygame.font.init()
        yield
    finally:
        pygame.quit()


def show(
    session: Session, speed: float = 1.0, frames: int | None = None, screenshot: Path | None = None
) -> None:
    """Play a game in a window until the person leaves.

    Args:
        speed: of time; 1 is the world's own.
        frames: leave after so many; None for never.
        screenshot: a PNG to write of the last frame.

    Raises:
        InputError: no window can be opened, or the picture cannot be written.
    """
    with _display():
        window = Window(session)
        keyboard = Keyboard()
        clock = pygame.time.Clock()
        shown = 0
        with contextlib.suppress(KeyboardInterrupt):  # a way to leave like any other
            while session.phase is not Phase.DONE and (frames is None or shown < frames):
                session.tick(keyboard.read())
                window.draw()
                shown += 1
                clock.tick(session.world.fps * speed)
        session.leave()
        if screenshot is not None:
            window.save(screenshot)

"""What every picture of an environment is drawn with, so that they look like one family."""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

PAPER: Final = "#f4f5f7"
CARD: Final = "#ffffff"
INK: Final = "#1f2933"
SOFT: Final = "#66727f"
FAINT: Final = "#dfe3e8"
TRACK: Final = "#eceff3"
HEADER: Final = "#22303c"
HEADER_SOFT: Final = "#9fb0bf"
BLUE: Final = "#2f7fc1"
RED: Final = "#d64545"

_SMOOTH: Final = 2  # drawn twice as large, then halved: Pillow's lines have hard edges

Point = tuple[float, float]
Box = tuple[float, float, float, float]


class Pen:
    """Draws in the picture's own pixels, whatever the scale underneath.

    Args:
        width, height: of the picture, in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self._image = Image.new("RGB", (width * _SMOOTH, height * _SMOOTH), PAPER)
        self._draw = ImageDraw.Draw(self._image)

    def picture(self) -> NDArray[np.uint8]:
        """What was drawn so far, uint8 of shape (height, width, 3)."""
        return np.asarray(self._image.reduce(_SMOOTH))

    def box(self, box: Box, fill: str, radius: float = 0) -> None:
        """A filled rectangle with round corners; nothing where it is thinner than a pixel."""
        x0, y0, x1, y1 = (v * _SMOOTH for v in box)
        if x1 - x0 < 1 or y1 - y0 < 1:
            return
        radius = min(radius * _SMOOTH, (x1 - x0) / 2, (y1 - y0) / 2)
        self._draw.rounded_rectangle((x0, y0, x1 - 1, y1 - 1), radius, fill=fill)

    def dot(self, at: Point, radius: float, fill: str) -> None:
        """A filled disc."""
        x, y, r = at[0] * _SMOOTH, at[1] * _SMOOTH, radius * _SMOOTH
        self._draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)

    def line(self, points: list[Point], fill: str, width: float = 1) -> None:
        """A line through all the points."""
        scaled = [(x * _SMOOTH, y * _SMOOTH) for x, y in points]
        self._draw.line(scaled, fill=fill, width=round(width * _SMOOTH), joint="curve")

    def text(
        self, x: float, y: float, text: str, size: int, fill: str = INK, anchor: str = "lm"
    ) -> None:
        """A line of text; `anchor` is Pillow's, by default the middle of the left edge."""
        at = (x * _SMOOTH, y * _SMOOTH)
        self._draw.text(at, text, fill=fill, font=_font(size * _SMOOTH), anchor=anchor)

    def length(self, text: str, size: int) -> float:
        """How many pixels wide a line of text is."""
        return float(_font(size * _SMOOTH).getlength(text)) / _SMOOTH


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size=size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # as it always is where FreeType is built in
    return font

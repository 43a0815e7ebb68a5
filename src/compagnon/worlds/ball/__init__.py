"""The ball: keep a drifting ball inside a box, in any number of dimensions."""

from typing import Final

BALL: Final = "compagnon/Ball-v0"

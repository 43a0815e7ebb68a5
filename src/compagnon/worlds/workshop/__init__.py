"""The production workshop: rules, compiled kernel, environments, order books, pictures."""

from typing import Final

WORKSHOP: Final = "compagnon/Workshop-v0"

"""Figures and tables as plain text, the same in a terminal, a notebook and a file."""

import math
from collections.abc import Sequence

_GAP = "  "


def number(value: float) -> str:
    """A figure with as many decimals as a person wants to read."""
    if math.isnan(value):
        return "-"
    size = abs(value)
    decimals = 0 if size >= 1_000 else 1 if size >= 10 else 3
    text = f"{value:,.{decimals}f}"
    return text if float(text.replace(",", "")) else text.lstrip("-")


def interval(bounds: tuple[float, float]) -> str:
    """A confidence interval, or a dash where one episode gives none."""
    low, high = bounds
    return "-" if math.isnan(low) else f"{number(low)} to {number(high)}"


def text_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column stands to the left and whose others stand to the right."""
    lines = [columns, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return "\n".join(
        _GAP.join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )

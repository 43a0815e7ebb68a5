"""However narrow the terminal: every column of a table is there, and every figure is whole."""

import io

import pytest
from rich.console import Console
from rich.table import Table

from compagnon import output
from compagnon.wide_table import WideTable

NAMES = [f"expert:shop-rule-{k}" for k in range(7)]
ROWS = [[f"figure {r}", *(f"{r + 1}{k},{k}{r}7.{k}" for k in range(7))] for r in range(4)]


def shown(table: Table, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(table)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= width
    return text


def squeezed(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("width", [20, 33, 40, 58, 80, 100, 120, 200])
def test_no_figure_is_lost_at_any_width(width: int) -> None:
    text = shown(output.table(["cost", *NAMES], ROWS), width)
    missing = [cell for row in ROWS for cell in row[1:] if text.split().count(cell) != 1]
    assert not missing
    lines = [line.rstrip() for line in text.splitlines()]
    tables = lines.count("") + 1
    assert text.count("figure 0") == tables
    assert tables == 1 if width == 200 else tables > 1 or width == 120


def test_rich_by_itself_would_lose_some() -> None:
    table = Table("cost", box=None)
    for name in NAMES:
        table.add_column(name, no_wrap=True)
    for row in ROWS:
        table.add_row(*row)
    assert ROWS[0][-1] not in shown(table, 58).split()


def test_a_table_that_fits_stays_as_rich_draws_it() -> None:
    made = output.table(["cost", *NAMES[:2]], [row[:3] for row in ROWS])
    plain = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, header in enumerate(["cost", *NAMES[:2]]):
        plain.add_column(header, justify="right" if index else "left")
    for row in ROWS:
        plain.add_row(*row[:3])
    assert shown(made, 80) == shown(plain, 80)


def test_each_part_says_which_column_it_shows() -> None:
    parts = shown(output.table(["cost", *NAMES], ROWS), 58).split("\n\n")
    assert len(parts) > 2
    for index, name in enumerate(NAMES):
        [part] = [part for part in parts if ROWS[0][index + 1] in part]
        digits = part.partition("figure 0")[0]  # the header, folded where it had to be
        assert name[-1] in digits


def test_the_narrowest_terminal_folds_rather_than_drops() -> None:
    text = shown(output.table(["cost", "the rule"], [["a long name", "1,234,567.8"]]), 8)
    lines = [line.split() for line in text.splitlines()]
    assert "1,234,567.8" in "".join(line[-1] for line in lines if line)


def test_sentences_wrap_beside_what_they_are_of() -> None:
    words = "the size of a batch, which an order is rounded up to"
    text = shown(output.table(("option", "meaning"), [("batch", words)], numbers=False), 40)
    assert text.count("batch") == 2
    assert squeezed(words) in squeezed(text.replace("batch ", " ", 1))
    long = shown(output.table(("option", "meaning"), [("o", "x" * 100)], numbers=False), 40)
    assert long.count("x") == 100


def test_frames_titles_and_sections_stay_with_their_table() -> None:
    table = WideTable(title="Where it comes from")
    table.add_column("")
    for name in NAMES:
        table.add_column(name, justify="right", overflow="fold")
    for row in ROWS[:2]:
        table.add_row(*row)
    table.add_section()
    table.add_row(*ROWS[2], style="bold")
    text = shown(table, 60)
    assert text.count("Where it comes from") == 1
    assert text.count("┏") == text.count("┗") + text.count("└") > 1
    assert all(cell in text for row in ROWS[:3] for cell in row)
    assert text.count("├") == text.count("┏")


def test_a_table_without_names_of_rows_repeats_none() -> None:
    table = WideTable(repeat_first=False, show_header=False)
    for _ in range(8):
        table.add_column(justify="right")
    table.add_row(*(f"{hour:02}:00" for hour in range(8)))
    text = shown(table, 40)
    assert all(text.count(f"{hour:02}:00") == 1 for hour in range(8))

"""Tables that lose nothing in a narrow terminal: what does not fit beside goes below."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Column, Table

_TEXT = 16  # columns of the screen that a text is given before others go below
_HEADER = 12  # that a header's longest word is given


@dataclass(frozen=True)
class _Wish:
    """How wide a column would be, and how narrow it can be made with its figures still whole."""

    need: int
    most: int


class WideTable(Table):
    """A table of rich's that becomes several, one below another, where it is wider than the screen.

    Each of them begins with the first column again. Figures (what stands to the right, or must not
    wrap) are never broken, headers and texts are; rich by itself narrows all columns until the last
    ones are gone.

    Args:
        repeat_first: the first column says what a row is about.
    """

    def __init__(self, *headers: str, repeat_first: bool = True, **options: object) -> None:
        super().__init__(*headers, **options)  # type: ignore[arg-type]
        self._repeat_first = repeat_first

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wishes = [self._wish(console, options, column) for column in self.columns]
        width = options.max_width
        if sum(wish.most for wish in wishes) + self._between(len(wishes)) <= width:
            yield from super().__rich_console__(console, options)
            return
        for number, shown in enumerate(self._parts([wish.need for wish in wishes], width)):
            if number:
                yield ""
            room = width - self._between(len(shown))
            yield from self._part(
                shown, _share([wishes[k] for k in shown], room), number == 0
            ).__rich_console__(console, options)

    def _wish(self, console: Console, options: ConsoleOptions, column: Column) -> _Wish:
        endless = options.update(width=10_000)
        header, *cells = (
            Measurement.get(console, endless, cell) for cell in (column.header, *column.cells)
        )
        whole = max((cell.maximum for cell in cells), default=1)
        words = max((cell.minimum for cell in cells), default=1)
        named = header if self.show_header else Measurement(0, 0)
        if column.no_wrap:
            need = max(whole, min(named.minimum, _HEADER))
        elif column.justify == "right":
            need = max(words, min(named.minimum, _HEADER))
        else:
            need = min(max(whole, named.maximum), _TEXT)
        return _Wish(need, max(whole, named.maximum, need))

    def _between(self, columns: int) -> int:
        """What stands between so many columns, and around them."""
        _, right, _, left = self.padding
        return columns * (left + right) + (columns + 1 if self.box else 0)

    def _parts(self, needs: Sequence[int], width: int) -> list[list[int]]:
        """The columns of each table: as many as fit, but one at least."""
        first = [0] if self._repeat_first else []
        parts = [list(first)]
        for column in range(len(first), len(needs)):
            tried = [*parts[-1], column]
            fits = sum(needs[k] for k in tried) + self._between(len(tried)) <= width
            if fits or len(tried) == len(first) + 1:
                parts[-1] = tried
            else:
                parts.append([*first, column])
        return parts

    def _part(self, shown: Sequence[int], widths: Sequence[int], titled: bool) -> Table:
        part = Table(
            title=self.title if titled else None,
            title_justify=self.title_justify,
            box=self.box,
            padding=self.padding,
            pad_edge=self.pad_edge,
            show_header=self.show_header,
            header_style=self.header_style,
        )
        for column, width in zip(shown, widths, strict=True):
            given = self.columns[column]
            part.add_column(given.header, justify=given.justify, width=width, overflow="fold")
        cells = [list(self.columns[column].cells) for column in shown]
        for number, row in enumerate(self.rows):
            part.add_row(
                *(column[number] for column in cells), style=row.style, end_section=row.end_section
            )
        return part


def _share(wishes: Sequence[_Wish], room: int) -> list[int]:
    """Widths that take `room` together at most: the narrowest column is widened first."""
    widths = [wish.need for wish in wishes]
    while sum(widths) > max(room, len(widths)):  # not even these fit: the widest folds
        widths[widths.index(max(widths))] -= 1
    while sum(widths) < room:
        wanting = [k for k, wish in enumerate(wishes) if widths[k] < wish.most]
        if not wanting:
            break
        widths[min(wanting, key=lambda k: widths[k])] += 1
    return widths

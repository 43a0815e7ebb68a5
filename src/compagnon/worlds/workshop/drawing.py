"""A shop in SVG, for a page: stocks, what the machines do, and what is owed to customers."""

from typing import Final

from compagnon.worlds.workshop import constants
from compagnon.worlds.workshop.state import ShopState

WIDTH: Final = 480
_ROW: Final = 24
_LEFT: Final = 130  # where bars begin
_LONG: Final = 260  # a full store
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_TASKS: Final = {"idle": "free", "p1": "makes P1", "p2_step1": "makes P2, step 1"}
_STYLE: Final = (
    'style="font:13px system-ui,sans-serif;fill:currentColor;max-width:100%;height:auto"'
)


def shop_svg(shop: ShopState) -> str:
    """The shop at one moment; readable without a script, in light and in dark."""
    stocks = (
        ("raw", shop.raw),
        ("P1", shop.p1),
        ("P2, half-finished", shop.p2_inter),
        ("P2", shop.p2),
    )
    clock = _clock(shop.time)
    lines = [
        ("on its way", f"{shop.raw_in_transit} raw" if shop.raw_in_transit else "nothing"),
        ("M1", _m1(shop)),
        ("M2", _m2(shop)),
        ("backlog", f"{shop.backlog_p1} P1, {shop.backlog_p2} P2"),
    ]
    if shop.raw_in_transit:
        lines[0] = (lines[0][0], f"{lines[0][1]}, the next in {shop.next_delivery} min")
    body = [_text(0, 0, clock, bold=True)]
    for row, (name, count) in enumerate(stocks, 1):
        y = row * _ROW
        share = _LONG * count / constants.STOCK_CAP
        body.append(_text(0, row, name))
        body.append(
            f'<rect x="{_LEFT}" y="{y + 5}" width="{_LONG}" height="13" rx="3" opacity="0.15"/>'
        )
        body.append(
            f'<rect x="{_LEFT}" y="{y + 5}" width="{share:g}" height="13" rx="3" fill="#0072b2"/>'
        )
        body.append(_text(_LEFT + _LONG + 10, row, f"{count} of {constants.STOCK_CAP}"))
    for row, (name, said) in enumerate(lines, 1 + len(stocks)):
        body.append(_text(0, row, name))
        body.append(_text(_LEFT, row, said))
    height = _ROW * (1 + len(stocks) + len(lines))
    described = "; ".join(
        [*(f"{name} {count} of {constants.STOCK_CAP}" for name, count in stocks)]
        + [f"{name}: {said}" for name, said in lines]
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f"{_STYLE}><title>The shop, {clock}</title><desc>{described}</desc>{''.join(body)}</svg>"
    )


def _clock(time: int) -> str:
    day, minute = divmod(time, constants.MINUTES_PER_DAY)
    name = _DAYS[day] if day < len(_DAYS) else "end"
    return f"{name} {minute // 60:02}:{minute % 60:02}"


def _m1(shop: ShopState) -> str:
    if shop.m1_down:
        return "broken down"
    left = shop.m1_minutes_left + shop.m1_setup_left
    return _TASKS[shop.m1_task] + (f", {left} min left" if left else "")


def _m2(shop: ShopState) -> str:
    if shop.m2_down:
        return "broken down"
    left = shop.m2_minutes_left
    return f"makes P2, step 2, {left} min left" if left else "free"


def _text(x: float, row: int, text: str, bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:g}" y="{row * _ROW + 16}"{weight}>{text}</text>'

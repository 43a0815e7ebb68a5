"""The shop in pictures: SVG for a page, pixels for a game; and its own part of a report."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

import compagnon as cp
from compagnon.reporting import svg
from inventory import shop

_SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 480 176" role="img" '
_LETTERS = 'style="font:13px system-ui,sans-serif;fill:currentColor;max-width:100%">'


def title(state: shop.Shop) -> str:
    """``Tuesday, day 9 of 28``."""
    return f"{shop.WEEKDAYS[state.day % 7]}, day {min(state.day + 1, shop.DAYS)} of {shop.DAYS}"


def rows(state: shop.Shop) -> Iterator[tuple[int, str, float, float]]:
    """Where a shelf is drawn, in words, and how full: now, and with what is on its way."""
    for k, (product, shelf) in enumerate(state.stocked, 1):
        words = f"{product.name}: {shelf.stock} of {product.room}, to come {shelf.coming} crates"
        full = shelf.stock + product.crate * sum(shelf.coming)
        yield 44 * k, words, shelf.stock / product.room, full / product.room


def shop_svg(state: shop.Shop) -> str:
    """The shelves as one SVG element, readable in light and in dark."""
    body = [f'<title>The shop</title><text y="16" font-weight="600">{title(state)}</text>']
    for y, words, now, then in rows(state):
        body.append(f'<text y="{y}">{words}</text>')
        for share, opacity in ((1.0, 0.15), (then, 0.3), (now, 1.0)):
            size = f'width="{300 * share:g}" height="10"'
            body.append(f'<rect y="{y + 6}" {size} opacity="{opacity}"/>')
    return f"{_SVG}{_LETTERS}{''.join(body)}</svg>"


def picture(state: shop.Shop) -> Any:
    """The same in pixels, (176, 480, 3) uint8."""
    from compagnon.envs import drawing  # only here: it needs Pillow

    pen = drawing.Pen(480, 176)
    pen.text(10, 18, title(state), 15)
    for y, words, now, then in rows(state):
        pen.text(10, y, words, 13, drawing.SOFT)
        for share, colour in ((1.0, drawing.TRACK), (then, drawing.SOFT), (now, drawing.BLUE)):
            pen.box((10, y + 10, 10 + 300 * share, y + 24), colour, 3)
    return pen.picture()


def draw_episode(policies: Sequence[Any], env_args: dict[str, Any], seed: int) -> Markup:
    """A month of the shelves under each policy, in the same demand."""
    charts, env, days = [], cp.make("shop/Inventory-v0", env_args), range(shop.DAYS)
    for policy in policies:
        obs, info = env.reset(seed=seed)
        stocks = []
        for _ in days:
            stocks.append([shelf.stock for _, shelf in env.unwrapped.shop.stocked])
            obs, *_, info = env.step(policy.act(obs[None], info["action_mask"][None])[0])
        lines = zip(shop.PRODUCTS, np.transpose(stocks), strict=True)
        name = f"{policy.name}: the shelves in the month of seed {seed}"
        series = [svg.Series(product.name, days, line) for product, line in lines]
        charts.append(svg.line_chart(series, name, "day", f"units; {name}"))
    return Markup("".join(charts))


def report_part(evaluation: Any, policies: Sequence[Any]) -> Markup:
    """What was missed of each product, and a month of the first policy beside the last."""
    scores, title = evaluation.scores, "Share of demand that was missed, by product"
    missed = [[1 - score.kpis[f"served_{p.name}"] for p in shop.PRODUCTS] for score in scores]
    names = [score.name for score in scores], [product.name for product in shop.PRODUCTS]
    chart = svg.term_bars(*names, missed, title, "share of demand")
    month = draw_episode([*policies[:1], *policies[1:][-1:]], evaluation.env_args, evaluation.seed)
    return Markup(f'<div class="card"><h3>The shelves</h3><p>{title}</p>{chart}{month}</div>')

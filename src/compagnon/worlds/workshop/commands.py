"""`order-book`: what belongs to the workshop alone."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Final

from tyro.conf import Positional, arg

from compagnon import output
from compagnon.arguments import Force, optional
from compagnon.errors import InputError
from compagnon.worlds.command import Command, CommandGroup

_File = Annotated[Path, Positional, arg(metavar="FILE", help="a CSV: time,product,quantity")]


def check(file: _File, /) -> int:
    """Read a whole order book and list every row that cannot be used.

    $ compagnon order-book check orders.csv
    """
    from compagnon.worlds.workshop.order_book import check_order_book

    report = check_order_book(file)
    screen = output.console()
    if report.bad_rows:
        rows = [(str(bad.row), bad.field, bad.given, bad.expected) for bad in report.bad_rows]
        screen.print(output.table(("row", "field", "given", "expected"), rows, numbers=False))
        count = len(report.bad_rows)
        raise InputError(
            f"order book {file}: {count} {'entry' if count == 1 else 'entries'} cannot be used "
            f"(listed above); {report.orders} orders can"
        )
    units = ", ".join(f"{total:,} {product}" for product, total in report.units.items())
    first = f", from Monday {report.first_day}" if report.first_day else ""
    screen.print(
        f"{file}: good. {report.orders:,} orders over {report.weeks} weeks{first}: {units}.",
        soft_wrap=True,
    )
    screen.print(f"Play it with --env-args demand={file}", soft_wrap=True)
    return 0


def generate(
    file: _File,
    /,
    weeks: Annotated[int, arg(metavar="N", help="how many weeks")] = 4,
    seed: Annotated[int, arg(metavar="S", help="of the orders")] = 0,
    demand: Annotated[
        str, arg(metavar="NAME|X", help="published, tight, overload, or a factor such as 1.8")
    ] = "published",
    start: Annotated[
        date | None, optional("DATE", "a Monday; without it, times are minutes")
    ] = None,
    growth: Annotated[float, arg(metavar="X", help="of the demand, from week to week")] = 0.0,
    force: Force = False,
) -> int:
    """Write an order book drawn from the workshop's own demand.

    $ compagnon order-book generate orders.csv --weeks 8 --demand tight --seed 1
    """
    output.claim(force, file)
    from compagnon.worlds.workshop.order_book_samples import generate_order_book, order_book_text

    try:
        factor: str | float = float(demand)
    except ValueError:
        factor = demand
    lines = generate_order_book(weeks, seed, factor, start, growth)
    output.write_text(file, order_book_text(lines))
    output.console().print(f"{len(lines):,} orders over {weeks} weeks")
    return 0


COMMANDS: Final[Mapping[str, Command | CommandGroup]] = {
    "order-book": CommandGroup(
        "Check an order book, or generate one to try.",
        {"check": Command(check), "generate": Command(generate)},
    ),
}

"""Goes through the decisions of a query in the order of the log, some at a time."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Row, Select

from compagnon.store.database import Store
from compagnon.store.tables import decisions

PAGE: Final = 1000  # rows


def pages(store: Store, query: Select[Any], after: int = 0) -> Iterator[Sequence[Row[Any]]]:
    """The rows of a query of decisions, a thousand at a time.

    Each page is read for itself, so that no long read holds the database up.

    Args:
        query: without an order; its first column is `decisions.c.seq`.
        after: the `seq` that was seen last.
    """
    while True:
        page = query.where(decisions.c.seq > after).order_by(decisions.c.seq).limit(PAGE)
        with store.read() as connection:
            rows = connection.execute(page).all()
        if not rows:
            return
        after = rows[-1][0]
        yield rows

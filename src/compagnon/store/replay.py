"""Goes through the log model by model, and has every decision computed again."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import sqlalchemy

from compagnon.errors import InputError
from compagnon.store import paging
from compagnon.store.database import Store
from compagnon.store.decision_row import REPLAYED
from compagnon.store.decisions import COLUMNS, DecisionRow, as_row
from compagnon.store.tables import decisions

# Computes decisions of one model again: from their ids, features and masks alone.
Recompute = Callable[[Sequence[DecisionRow]], Sequence[DecisionRow]]


class ReplayMismatch(NamedTuple):
    """A decision that did not come out as it was logged, and in which field first."""

    id: str
    model_sha256: str
    field: str


class Replayed(NamedTuple):
    """What a replay found.

    Attributes:
        checked: decisions that were computed again. same: those that came out bit for bit.
        differences: the others, the first `keep` of them.
        unknown: by model that could not be loaded, why and for how many decisions.
    """

    checked: int
    same: int
    differences: list[ReplayMismatch]
    unknown: dict[str, tuple[str, int]]

    @property
    def good(self) -> bool:
        """Every decision of the log was computed again and came out the same."""
        return self.checked == self.same and not self.unknown


def replay(
    store: Store,
    load: Callable[[str], Recompute],
    *,
    model_sha256: str | None = None,
    keep: int = 20,
    watch: Callable[[int], object] = lambda _: None,
) -> Replayed:
    """Compute every logged decision again, a model at a time and a thousand rows at a time.

    Args:
        load: the recomputation of a model, by the hash in the log; InputError if it is not there.
        model_sha256: of the only model to look at.
        keep: how many differences to return.
        watch: is told how many decisions were checked.
    """
    checked = same = 0
    differences: list[ReplayMismatch] = []
    unknown: dict[str, tuple[str, int]] = {}
    for model, count in models_in_log(store).items():
        if model_sha256 not in (None, model):
            continue
        try:
            recompute = load(model)
        except InputError as error:
            unknown[model] = (str(error), count)
            continue
        for page in pages(store, model):
            again = recompute(page)
            if len(again) != len(page):
                raise ValueError(f"{len(page)} decisions to recompute, {len(again)} came back")
            for logged, found in zip(page, again, strict=True):
                field = first_difference(logged, found)
                same += field is None
                if field is not None and len(differences) < keep:
                    differences.append(ReplayMismatch(logged.id, model, field))
            checked += len(page)
            watch(checked)
    return Replayed(checked, same, differences, unknown)


def first_difference(logged: DecisionRow, found: DecisionRow) -> str | None:
    """The first replayed field that is not the same; None when all are, bit for bit."""
    for name in REPLAYED:
        a, b = getattr(logged, name), getattr(found, name)
        if isinstance(a, float) and isinstance(b, float):
            a, b = a.hex(), b.hex()  # tells 0.0 from -0.0, which == does not
        if a != b:
            return name
    return None


def models_in_log(store: Store) -> dict[str, int]:
    """How many decisions each model made, by its hash."""
    query = sqlalchemy.select(decisions.c.model_sha256, sqlalchemy.func.count())
    with store.read() as connection:
        rows = connection.execute(query.group_by(decisions.c.model_sha256)).all()
    return {row[0]: row[1] for row in sorted(tuple(row) for row in rows)}


def pages(
    store: Store, model_sha256: str | None = None, after: int = 0
) -> Iterator[list[DecisionRow]]:
    """The log in its order, of a model or whole, see `paging.pages`."""
    query = sqlalchemy.select(decisions.c.seq, *COLUMNS)
    if model_sha256 is not None:
        query = query.where(decisions.c.model_sha256 == model_sha256)
    for rows in paging.pages(store, query, after):
        yield [as_row(row[1:]) for row in rows]

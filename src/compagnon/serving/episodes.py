"""Which decisions may still explore: at most so many of one episode, however many processes decide.

A process remembers the episodes that explored, those that did so last, and counts them from the log
when it starts. Several processes that serve together share the number of each episode out among
themselves beforehand, so that none has to ask another: of 3 explored decisions in an episode the
one of two workers may make 2, the other 1, and which is which depends on the episode's name.
"""

import zlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import sqlalchemy

from compagnon.store.database import Store
from compagnon.store.tables import EXPLORED_ROWS, decisions

REMEMBERED: Final = 100_000  # episodes that explored, at most


class Episodes:
    """Counts what was explored.

    Args:
        rate: the share of decisions that explore.
        most: explored decisions of one episode, of all workers together; 0 for no limit.
        worker, workers: which of how many processes this one is, counted from 0.
    """

    def __init__(self, rate: float, most: int = 0, worker: int = 0, workers: int = 1) -> None:
        self._rate = rate
        self._most = most
        self._worker = worker
        self._workers = workers
        self._counts: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._counts)

    def learn(self, counts: dict[str, int]) -> None:
        """Count what was explored before, the latest last."""
        for episode, count in counts.items():
            self._add(episode, count)

    def rate(self, episode: str | None) -> float:
        """The share of exploration that applies to the next decision of an episode."""
        if episode is None or not self._most:
            return self._rate
        return self._rate if self._counts.get(episode, 0) < self._share(episode) else 0.0

    def explored(self, episode: str | None) -> None:
        """A decision of an episode explores."""
        if episode is not None and self._most:
            self._add(episode, 1)

    def take_back(self, episode: str | None) -> None:
        """One that was counted was never made: another answer stood under its id."""
        if episode is not None and self._counts.get(episode, 0) > 0:
            self._counts[episode] -= 1

    def asking(self, episodes: Sequence[str | None]) -> "Asking":
        """The quota of decisions that are made together, by the episode of each."""
        return Asking(self, episodes)

    def _share(self, episode: str) -> int:
        """How many of an episode's explored decisions this process may make."""
        first = zlib.crc32(episode.encode()) % self._workers
        place = (self._worker - first) % self._workers
        return self._most // self._workers + (place < self._most % self._workers)

    def _add(self, episode: str, count: int) -> None:
        self._counts[episode] = self._counts.get(episode, 0) + count
        self._counts.move_to_end(episode)
        if len(self._counts) > REMEMBERED:
            self._counts.popitem(last=False)


class Asking:
    """See `policy.action_selection.Quota`."""

    def __init__(self, episodes: Episodes, names: Sequence[str | None]) -> None:
        self._episodes = episodes
        self._names = names

    def rate(self, row: int, /) -> float:
        """Of the episode of this row."""
        return self._episodes.rate(self._names[row])

    def explored(self, row: int, /) -> None:
        """This row explores."""
        self._episodes.explored(self._names[row])


def explored_before(store: Store, application: str) -> dict[str, int]:
    """How many decisions of each episode explored, of the last `REMEMBERED` ones, the latest last.

    Raises:
        StoreUnavailable: the log cannot be read.
    """
    c = decisions.c
    last = sqlalchemy.func.max(c.seq)
    query = (
        sqlalchemy.select(c.episode, sqlalchemy.func.count())
        .where(c.application == application, c.episode.is_not(None))
        .where(sqlalchemy.text(EXPLORED_ROWS))
        .group_by(c.episode)
        .order_by(last.desc())
        .limit(REMEMBERED)
    )
    with store.read() as connection:
        rows = connection.execute(query).all()
    return {row[0]: row[1] for row in reversed([tuple(row) for row in rows])}

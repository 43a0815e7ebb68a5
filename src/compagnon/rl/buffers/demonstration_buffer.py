"""The expert's decisions collected so far, bounded in memory by a fair sample of them all."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

# Of `one_in` episodes this one is held out: seven are trained on before the first one is missing.
_HELD_OUT: Final = 7


class DemonstrationBuffer:
    """Observations, masks and labels; once full, a uniform sample of everything ever added.

    The sample is kept by reservoir sampling (Vitter 1985, algorithm R).

    Attributes:
        obs: (capacity, F) float32, unscaled. action_mask: (capacity, A). labels: (capacity,).
        episode: (capacity,), the number of the episode that a decision was made in.
        episodes: how many have begun.
    """

    def __init__(self, capacity: int, num_fields: int, num_actions: int) -> None:
        self.capacity = capacity
        self.num_actions = num_actions
        self.added = self.episodes = 0
        self._seen: NDArray[np.int64] = np.zeros(num_actions, np.int64)
        self._size = 0
        self.obs: NDArray[np.float32] = np.zeros((0, num_fields), np.float32)
        self.action_mask: NDArray[np.bool_] = np.zeros((0, num_actions), np.bool_)
        self.labels: NDArray[np.int64] = np.zeros(0, np.int64)
        self.episode: NDArray[np.int64] = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return self._size

    def new_episodes(self, count: int) -> NDArray[np.int64]:
        """The numbers (count,) of episodes that begin."""
        self.episodes += count
        return np.arange(self.episodes - count, self.episodes)

    def add(
        self,
        obs: NDArray[np.float32],
        action_mask: NDArray[np.bool_],
        labels: NDArray[np.int64],
        episode: NDArray[np.int64],
        rng: np.random.Generator,
        keep_share: float = 1.0,
    ) -> None:
        """Add a batch of decisions, (B, ...); keep a share of those that carry the commonest label.

        Thinning the commonest label leaves room for the rare ones, which are what counts.
        """
        self._seen += np.bincount(labels, minlength=self.num_actions)
        if keep_share < 1.0 and self._size:
            kept = (labels != self.commonest_label()) | (rng.random(len(labels)) < keep_share)
            obs, action_mask = obs[kept], action_mask[kept]
            labels, episode = labels[kept], episode[kept]
        room = min(len(labels), self.capacity - self._size)
        self._grow(self._size + room)
        places = np.arange(self._size, self._size + room)
        self._size += room
        late = len(labels) - room
        if late:
            seen = self.added + room + 1 + np.arange(late)
            drawn = (rng.random(late) * seen).astype(np.int64)
            places = np.concatenate([places, drawn])
        self.added += len(labels)
        inside = places < self.capacity
        places = places[inside]
        self.obs[places] = obs[inside]
        self.action_mask[places] = action_mask[inside]
        self.labels[places] = labels[inside]
        self.episode[places] = episode[inside]

    def _grow(self, needed: int) -> None:
        if needed <= len(self.labels):
            return
        size = min(self.capacity, max(needed, 2 * len(self.labels)))
        more = size - len(self.labels)
        self.obs = np.concatenate([self.obs, np.zeros((more, self.obs.shape[1]), np.float32)])
        self.action_mask = np.concatenate(
            [self.action_mask, np.zeros((more, self.num_actions), np.bool_)]
        )
        self.labels = np.concatenate([self.labels, np.zeros(more, np.int64)])
        self.episode = np.concatenate([self.episode, np.zeros(more, np.int64)])

    def commonest_label(self) -> int:
        """The label that most decisions carried, those that were not kept included."""
        return int(self._seen.argmax())

    def split(self, one_in: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows to train on, and to evaluate on: those of every `one_in`-th episode, 0 for none.

        Decisions of one episode follow from each other, so single ones among those that were
        trained on would say little of new ones. Which episodes are held out is settled when they
        begin; the eighth is the first.
        """
        rows = np.arange(self._size)
        if one_in == 0:
            return rows, rows[:0]
        held_out = self.episode[: self._size] % one_in == min(_HELD_OUT, one_in - 1)
        return rows[~held_out], rows[held_out]

    def label_weights(self, balance: float, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """(A,): each label's frequency in `rows` to the power -balance; 0 leaves them alone."""
        counts = np.bincount(self.labels[rows], minlength=self.num_actions)
        weights = np.zeros(self.num_actions)
        present = counts > 0
        weights[present] = (counts[present] / max(len(rows), 1)) ** -balance
        return weights

    def state_dict(self) -> dict[str, Any]:
        """Everything collected."""
        return {
            "added": self.added,
            "episodes": self.episodes,
            "seen": self._seen,
            "obs": self.obs[: self._size],
            "action_mask": np.packbits(self.action_mask[: self._size], axis=1),
            "labels": self.labels[: self._size],
            "episode": self.episode[: self._size],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.added = int(state["added"])
        self.episodes = int(state["episodes"])
        self._seen = np.array(state["seen"], np.int64)
        self.obs = np.array(state["obs"], np.float32)
        bits = np.unpackbits(np.array(state["action_mask"]), axis=1, count=self.num_actions)
        self.action_mask = bits.astype(np.bool_)
        self.labels = np.array(state["labels"], np.int64)
        self.episode = np.array(state["episode"], np.int64)
        self._size = len(self.labels)

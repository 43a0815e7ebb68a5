"""Look-ahead over any policy: each candidate is tried against drawn futures, the best is taken.

At a decision the running episode is copied, what nobody can know yet is drawn anew in each copy
(the same futures for every candidate: common random numbers), a candidate is taken, and the policy
below plays on. This is one step of policy improvement by simulation: rollout (Tesauro and Galperin
1996; Bertsekas, Tsitsiklis and Wu 1997). Half of the candidates are dropped again and again, so
that most futures are spent on the close ones: sequential halving (Karnin, Koren and Somekh 2013).
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from compagnon.envs import BatchEnv, streams
from compagnon.errors import InputError
from compagnon.policy.loading import expert_points, load_policy
from compagnon.policy.protocol import DayReader, Policy
from compagnon.policy.schema import Schema

DEFAULT_FUTURES: Final = 32
MOST_FUTURES: Final = 4096
_WIDTH: Final = 1024  # copies that are played at once, at most ...
_BYTES: Final = 256_000_000  # ... and the memory that their states may take
_STEP: Final = 8  # batches come in multiples of this, so that few are made


class Forks(Protocol):
    """What a world brings so that a look-ahead can try what might come."""

    @property
    def horizon(self) -> int | None:
        """Time units that are looked ahead; None to the episode's end."""
        ...

    @property
    def most(self) -> int:
        """Candidates of one decision, at most."""
        ...

    def redraw(self, vec: Any, seeds: NDArray[np.uint64]) -> None:
        """Draw what nobody can know yet in every copy of `vec`, copy i from ``seeds[i]``.

        What has been observed must stay as it is.
        """
        ...

    def finish(
        self, vec: Any, first: NDArray[np.int64], below: Policy
    ) -> NDArray[np.float64] | None:
        """What every copy of `vec` earns, to the horizon, by `first` (N,) and `below` after it.

        None where the world cannot do it faster than step by step; nothing has moved then.
        """
        ...

    def candidates(
        self, schema: Schema, obs: NDArray[np.float32], action_mask: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """Possible actions worth a try in one state, the most promising ones first.

        Args:
            obs: (F,). action_mask: (A,).
        """
        ...


@dataclass(frozen=True, slots=True)
class Survivor:
    """What a candidate earned, on average over the futures that it was tried on."""

    action: int
    mean: float
    futures: int


class LookAhead:
    """One step of look-ahead over another policy; it must be told which episodes it plays.

    Args:
        name: what people call it.
        schema: of the environment.
        below: the policy that plays on after a candidate.
        forks: of the world.
        futures: how many a candidate is tried on that survives to the last round.
        seed: of the futures; they do not depend on the episode's own.
    """

    def __init__(
        self,
        name: str,
        schema: Schema,
        below: Policy,
        forks: Forks,
        futures: int = DEFAULT_FUTURES,
        seed: int = 0,
    ) -> None:
        if isinstance(below, DayReader):
            raise InputError(
                f"{name}: {below.name} reads the episode itself; look ahead over another"
            )
        self.name = name
        self.schema = schema
        self.below = below
        self.forks = forks
        self.futures = futures
        self.seed = seed

    def act(
        self,
        obs: NDArray[np.float32],  # noqa: ARG002
        action_mask: NDArray[np.bool_] | None = None,  # noqa: ARG002
        rng: np.random.Generator | None = None,  # noqa: ARG002
    ) -> NDArray[np.int64]:
        """Refused: an observation cannot be played on from.

        Raises:
            InputError: always.
        """
        raise InputError(
            f"{self.name} plays on from a running episode; `compagnon evaluate` lets it"
        )

    def playing(self, env: BatchEnv) -> "Looking":
        """This policy for the copies of `env`, see `compagnon.policy.DayReader`."""
        return Looking(self, env)


class Looking:
    """A look-ahead, bound to the copies of one environment."""

    def __init__(self, policy: LookAhead, env: BatchEnv) -> None:
        self.name = policy.name
        self._policy, self._env = policy, env
        self._batches: dict[int, BatchEnv] = {}
        self._room = _WIDTH
        self._began_at = env.began_at

    def act(
        self,
        obs: NDArray[np.float32],
        action_mask: NDArray[np.bool_] | None = None,
        rng: np.random.Generator | None = None,  # noqa: ARG002
    ) -> NDArray[np.int64]:
        """One action a copy, int64 (N,); of one whose episode is over the policy below decides."""
        env = self._env
        if action_mask is None or len(obs) != env.num_envs:
            raise InputError(f"{self.name}: give it all {env.num_envs} copies and their mask")
        actions = self._policy.below.act(obs, action_mask).astype(np.int64)
        open_ones = (action_mask.sum(axis=1) > 1) & (env.began_at == self._began_at)
        if not open_ones.any():
            return actions
        state = env.vec.state_dict()
        for i in np.flatnonzero(open_ones):
            root = {name: array[[i]] for name, array in state.items()}
            found = self.look(root, obs[i], action_mask[i], int(actions[i]))
            actions[i] = found[0].action
        return actions

    def look(
        self,
        root: dict[str, NDArray[Any]],
        obs: NDArray[np.float32],
        action_mask: NDArray[np.bool_],
        usual: int,
    ) -> list[Survivor]:
        """The candidates of the last round, best first.

        Args:
            root: the state of one copy, a leading axis of one in every array.
            usual: what the policy below would do; it is never dropped.
        """
        policy = self._policy
        ranked = policy.forks.candidates(policy.schema, obs, action_mask).tolist()
        left = [usual, *(a for a in ranked if a != usual)][: policy.forks.most]
        # From what is seen alone, so that the choice does not depend on who else is played.
        digest = hashlib.blake2b(np.ascontiguousarray(obs).tobytes(), digest_size=8).digest()
        key = np.uint64(int.from_bytes(digest, "little")) ^ streams.mix(np.uint64(policy.seed))
        sums, done = dict.fromkeys(left, 0.0), 0
        for until in rounds(len(left), policy.futures):
            seeds = np.array([streams.episode_seed(key, k) for k in range(done, until)], np.uint64)
            for action, total in zip(left, self._try(root, left, seeds), strict=True):
                sums[action] += total
            done = until
            best = sorted(left, key=lambda action: -sums[action])
            left = best[: max(2, (len(best) + 1) // 2)]
            if usual not in left:
                left.append(usual)
        ended = sorted(left, key=lambda action: (-sums[action], action != usual))
        return [Survivor(action, sums[action] / done, done) for action in ended]

    def _try(
        self, root: dict[str, NDArray[Any]], actions: list[int], seeds: NDArray[np.uint64]
    ) -> list[float]:
        """What each action earns in sum over the futures of `seeds`."""
        size = sum(array.nbytes for array in root.values())
        self._room = max(_STEP, min(_WIDTH, _BYTES // max(1, size)))
        count = max(1, self._room // len(actions))
        totals = np.zeros(len(actions))
        for begin in range(0, len(seeds), count):
            futures = self._futures(root, seeds[begin : begin + count])
            drawn = np.arange(len(seeds[begin : begin + count]))
            rows = np.tile(drawn, len(actions))
            earned = self._play(futures, rows, np.repeat(actions, len(drawn)))
            totals += earned.reshape(len(actions), len(drawn)).sum(axis=1)
        return totals.tolist()

    def _futures(
        self, root: dict[str, NDArray[Any]], seeds: NDArray[np.uint64]
    ) -> dict[str, NDArray[Any]]:
        """States in which `root` goes on, row i drawn from ``seeds[i]``."""
        batch = self._batch(len(seeds))
        rows = np.minimum(np.arange(batch.num_envs), len(seeds) - 1)
        batch.vec.load_state_dict({name: a[np.zeros_like(rows)] for name, a in root.items()})
        self._policy.forks.redraw(batch.vec, seeds[rows])
        state: dict[str, NDArray[Any]] = batch.vec.state_dict()
        return state

    def _play(
        self, futures: dict[str, NDArray[Any]], rows: NDArray[np.int64], first: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Rewards of each first action in its future, the policy below after it.

        Args:
            futures: states. rows: (n,), which of them each is tried in. first: (n,), actions.
        """
        batch, count = self._batch(len(first)), len(first)
        every = np.minimum(np.arange(batch.num_envs), count - 1)  # the last one fills the batch
        batch.vec.load_state_dict({name: a[rows[every]] for name, a in futures.items()})
        earned = self._policy.forks.finish(batch.vec, first[every], self._policy.below)
        return (self._step(batch, first[every], count) if earned is None else earned)[:count]

    def _step(self, batch: BatchEnv, actions: NDArray[np.int64], count: int) -> NDArray[np.float64]:
        """The same step by step, for any policy; of the first `count` copies."""
        earned, time = np.zeros(batch.num_envs), np.zeros(batch.num_envs, np.int64)
        playing = np.arange(batch.num_envs) < count
        horizon = self._policy.forks.horizon
        while True:
            obs, reward, terminated, truncated, info = batch.vec.step(actions)
            earned += reward * playing
            time += info["elapsed"]
            playing &= ~(terminated | truncated)
            if horizon is not None:
                playing &= time < horizon
            if not playing.any():
                return earned
            actions = self._policy.below.act(obs, info["action_mask"])

    def _batch(self, count: int) -> BatchEnv:
        """Copies for at least `count`; they are kept, within bounds, since many looks are alike."""
        size = -(-count // _STEP) * _STEP
        if size not in self._batches:
            if sum(self._batches) + size > 2 * self._room:
                self._batches.clear()
            self._batches[size] = BatchEnv(self._env.env_id, self._env.env_args, size)
        return self._batches[size]


def rounds(candidates: int, futures: int) -> list[int]:
    """How many futures every survivor has been tried on after each round of sequential halving.

    The last round is as long as all before it together.
    """
    halvings = max(1, int(np.ceil(np.log2(max(2, candidates)))))
    until = [max(1, int(np.ceil(futures / 2 ** (halvings - 1 - k)))) for k in range(halvings)]
    return sorted(set(until))


def look_ahead(
    name: str, schema: Schema, argument: str | None, forks: Forks, usual: str
) -> LookAhead:
    """``NAME[:POLICY][:K]``: look-ahead over POLICY with K futures.

    Args:
        argument: what follows the name. POLICY is an expert's name, perhaps with an argument of its
            own, or the path of a run or an artefact. A whole number at the end is K.
        usual: the policy where none is named.

    Raises:
        InputError: no such policy, or K is not a whole number from 2 to 4096.
    """
    who = name if argument is None else f"{name}:{argument}"
    below, _, last = ("" if argument is None else argument).rpartition(":")
    futures = DEFAULT_FUTURES
    if last.isdecimal():
        futures = int(last) if len(last) <= 5 else MOST_FUTURES + 1
    else:
        below = argument or ""
    if not 2 <= futures <= MOST_FUTURES:
        raise InputError(f"{who}: K={last} should be a whole number from 2 to {MOST_FUTURES}")
    below = below or usual
    known = below.partition(":")[0] in expert_points()
    policy = load_policy(f"expert:{below}" if known else below, schema)
    return LookAhead(who, schema, policy, forks, futures)

"""Look-ahead over any policy: each candidate is tried against drawn futures, the best is taken.

At a decision the running episode is copied, what nobody can know yet is drawn anew in each copy
(the same futures for every candidate: common random numbers), a candidate is taken, and the policy
below plays on. This is one step of policy improvement by simulation: rollout (Tesauro and Galperin
1996; Bertsekas, Tsitsiklis and Wu 1997). Most futures are spent on the close ones, see `halving`.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from compagnon.envs import BatchEnv
from compagnon.envs.kernels import Threads
from compagnon.envs.making import is_compiled
from compagnon.errors import InputError
from compagnon.policy.loading import expert_points, load_policy
from compagnon.policy.protocol import DayReader, Policy
from compagnon.policy.schema import Schema
from compagnon.worlds.action_values import ActionValues
from compagnon.worlds.copying import States, bytes_of, check_copies, put, states_of
from compagnon.worlds.halving import Halving

DEFAULT_FUTURES: Final = 32
MOST_FUTURES: Final = 4096
_WIDTH: Final = 1024  # copies that are played at once, at most ...
_BYTES: Final = 256_000_000  # ... and the memory that their states may take
_PART: Final = 256  # of them, for which a network is asked at once
_STEP: Final = 8  # batches come in multiples of this, so that few are made
_THREADS: Final = Threads(worth=2)


class Forks(Protocol):
    """What a world brings so that a look-ahead can try what might come."""

    @property
    def horizon(self) -> int | None:
        """Time units that are looked ahead; None to the episode's end."""
        ...

    def rest(self, vec: Any) -> NDArray[np.float64]:
        """What every copy of `vec` may be reckoned to earn beyond the horizon, (N,)."""
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
        self, vec: Any, first: NDArray[np.int64], below: Policy, roots: NDArray[np.int64]
    ) -> NDArray[np.float64] | None:
        """What every copy of `vec` earns by `first` and `below` after it, `rest` included.

        Args:
            first: (N,), the actions that are tried.
            roots: (N,), copies of the same number differ in nothing but what `redraw` drew.

        Returns:
            (N,); None where the world cannot do it faster than step by step, and nothing has moved.
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


class LookAhead:
    """One step of look-ahead over another policy; it must be told which episodes it plays.

    Args:
        name: what people call it.
        schema: of the environment.
        below: the policy that plays on after a candidate.
        forks: of the world.
        futures: how many a candidate is tried on that survives to the last round.
        seed: of the futures; they do not depend on the episode's own.
        candidates: how many of a decision at most; None for as many as the world says.
    """

    def __init__(
        self,
        name: str,
        schema: Schema,
        below: Policy,
        forks: Forks,
        futures: int = DEFAULT_FUTURES,
        seed: int = 0,
        candidates: int | None = None,
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
        self.candidates = candidates

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

    def over(self, below: Policy, seed: int | None = None) -> "LookAhead":
        """The same over another policy, and perhaps in other futures.

        Raises:
            InputError: one that reads the episode itself.
        """
        seed = self.seed if seed is None else seed
        return LookAhead(
            self.name, self.schema, below, self.forks, self.futures, seed, self.candidates
        )

    def playing(self, env: BatchEnv) -> "Looking":
        """This policy for the copies of `env`, see `compagnon.policy.DayReader`."""
        return Looking(self, env)


class Looking:
    """A look-ahead at work, with the copies of an environment that it tries futures in.

    Args:
        env: which environment it is; what is looked at need not be one of its copies.

    Raises:
        InputError: the environment cannot be copied in the middle of an episode.
    """

    def __init__(self, policy: LookAhead, env: BatchEnv) -> None:
        self.name = policy.name
        self._policy, self._env = policy, env
        self._batches: dict[int, BatchEnv] = {}
        self._room = _WIDTH
        self._began_at = env.began_at
        check_copies(env, self.name)

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
        running = (action_mask.sum(axis=1) > 1) & (env.began_at == self._began_at)
        rows = np.flatnonzero(running)
        if len(rows):
            roots = {name: array[rows] for name, array in states_of(env).items()}
            found = self.values(roots, obs[rows], action_mask[rows], actions[rows])
            actions[rows] = [values.actions[0] for values in found]
        return actions

    def values(
        self,
        roots: States,
        obs: NDArray[np.float32],
        action_mask: NDArray[np.bool_],
        usual: NDArray[np.int64] | None = None,
    ) -> list[ActionValues]:
        """What the candidates of n decisions earn; each the same, whatever stands beside it.

        Args:
            roots: states, a leading axis of n in every array. obs: (n, F). action_mask: (n, A).
            usual: (n,), what would be done otherwise, which is never dropped; what the policy
                below would do, without it.
        """
        policy = self._policy
        if usual is None:
            usual = policy.below.act(obs, action_mask).astype(np.int64)
        self._room = max(_STEP, min(_WIDTH, _BYTES // max(1, bytes_of(roots) // len(obs))))
        decisions = [self._begun(obs[i], action_mask[i], int(usual[i])) for i in range(len(obs))]
        while any(one.open for one in decisions):
            # All decisions at once: wide batches are what a network, and threads, are quick at.
            trials = [
                _Trial(i, one, seed) for i, one in enumerate(decisions) for seed in one.seeds()
            ]
            for group in self._groups(trials):
                self._try(roots, group)
            for one in decisions:
                one.halve()
        return [one.values() for one in decisions]

    def _begun(
        self, obs: NDArray[np.float32], action_mask: NDArray[np.bool_], usual: int
    ) -> Halving:
        """A decision of which nothing was tried yet."""
        policy = self._policy
        ranked = policy.forks.candidates(policy.schema, obs, action_mask).tolist()
        most = policy.candidates or policy.forks.most
        candidates = [usual, *(a for a in ranked if a != usual)][:most]
        return Halving(candidates, usual, policy.futures, obs, policy.seed)

    def _groups(self, trials: "list[_Trial]") -> "Iterator[list[_Trial]]":
        """As many at a time as there is room for."""
        group: list[_Trial] = []
        width = 0
        for trial in trials:
            more = len(trial.decision.left)
            if group and width + more > self._room:
                yield group
                group, width = [], 0
            group.append(trial)
            width += more
        if group:
            yield group

    def _try(self, roots: States, group: "list[_Trial]") -> None:
        """Play every candidate that is left in the future of each trial."""
        futures = self._futures(
            roots,
            np.array([trial.root for trial in group]),
            np.array([trial.seed for trial in group], np.uint64),
        )
        widths = [len(trial.decision.left) for trial in group]
        first = np.concatenate([trial.decision.left for trial in group]).astype(np.int64)
        earned = self._play(futures, np.repeat(np.arange(len(group)), widths), first, group)
        for trial, found in zip(group, np.split(earned, np.cumsum(widths)[:-1]), strict=True):
            trial.decision.note(found)

    def _futures(self, roots: States, rows: NDArray[np.int64], seeds: NDArray[np.uint64]) -> States:
        """States in which a root goes on: of row ``rows[i]``, drawn from ``seeds[i]``."""
        batch = self._batch(len(seeds))
        every = np.minimum(np.arange(batch.num_envs), len(seeds) - 1)
        put(batch, roots, self.name, rows[every])
        self._policy.forks.redraw(batch.vec, seeds[every])
        return states_of(batch)

    def _play(
        self,
        futures: States,
        rows: NDArray[np.int64],
        first: NDArray[np.int64],
        trials: "list[_Trial]",
    ) -> NDArray[np.float64]:
        """Rewards of each first action in its future, the policy below after it.

        Args:
            rows: (n,), which of the futures each is tried in. first: (n,), actions.
            trials: one for each of the futures.
        """
        batch, count = self._batch(len(first)), len(first)
        every = np.minimum(np.arange(batch.num_envs), count - 1)  # the last one fills the batch
        put(batch, futures, self.name, rows[every])
        roots = np.array([trial.root for trial in trials])[rows[every]]
        earned = self._policy.forks.finish(batch.vec, first[every], self._policy.below, roots)
        return (self._step(batch, first[every], count) if earned is None else earned)[:count]

    def _step(self, batch: BatchEnv, actions: NDArray[np.int64], count: int) -> NDArray[np.float64]:
        """The same step by step, for any policy; of the first `count` copies."""
        earned, time = np.zeros(batch.num_envs), np.zeros(batch.num_envs, np.int64)
        playing = np.arange(batch.num_envs) < count
        horizon = self._policy.forks.horizon
        while True:
            step = batch.step(actions)
            earned += step.reward * playing
            time += step.duration
            playing &= ~(step.terminated | step.truncated)
            if horizon is not None and (over := playing & (time >= horizon)).any():
                earned[over] += self._policy.forks.rest(batch.vec)[over]
                playing &= ~over
            if not playing.any():
                return earned
            actions = self._below(step.obs, step.action_mask)

    def _below(
        self, obs: NDArray[np.float32], action_mask: NDArray[np.bool_] | None
    ) -> NDArray[np.int64]:
        """What the policy below does, (N,), asked for so many rows at a time by as many threads.

        The parts are the same whatever the threads, since products of matrices round by shape.
        """
        below, actions = self._policy.below, np.empty(len(obs), np.int64)

        def work(parts: NDArray[np.int64]) -> None:
            for part in parts:
                rows = slice(part * _PART, (part + 1) * _PART)
                mask = None if action_mask is None else action_mask[rows]
                actions[rows] = below.act(obs[rows], mask)

        _THREADS.share(work, np.arange(-(-len(obs) // _PART)))
        return actions

    def _batch(self, count: int) -> BatchEnv:
        """Copies for at least `count`; they are kept, within bounds, since many looks are alike."""
        step = max(_STEP, 1 << max(0, count.bit_length() - 4))  # an eighth more at most
        size = -(-count // step) * step
        if size not in self._batches:
            if sum(self._batches) + size > 2 * self._room:
                self._batches.clear()
            self._batches[size] = made = BatchEnv(self._env.env_id, self._env.env_args, size)
            if not is_compiled(made.env_id):
                made.reset([0] * size)  # wrappers want it before anything else
        return self._batches[size]


class _Trial(NamedTuple):
    """One future of one decision."""

    root: int
    decision: Halving
    seed: np.uint64


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

"""Look-ahead over any policy: each candidate is tried against drawn futures, the best is taken.

At a decision the running episode is copied, what nobody can know yet is drawn anew in each copy
(the same futures for every candidate: common random numbers), a candidate is taken, and the policy
below plays on. This is one step of policy improvement by simulation: rollout (Tesauro and Galperin
1996; Bertsekas, Tsitsiklis and Wu 1997). Half of the candidates are dropped again and again, so
that most futures are spent on the close ones: sequential halving (Karnin, Koren and Somekh 2013).
Where no other candidate may turn out better any more, it ends early.
"""

import hashlib
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from compagnon.envs import BatchEnv, streams
from compagnon.envs.kernels import Threads
from compagnon.envs.making import is_compiled
from compagnon.errors import InputError
from compagnon.policy.loading import expert_points, load_policy
from compagnon.policy.protocol import DayReader, Policy
from compagnon.policy.schema import Schema
from compagnon.worlds.action_values import ActionValues
from compagnon.worlds.copying import States, bytes_of, check_copies, put, states_of

DEFAULT_FUTURES: Final = 32
MOST_FUTURES: Final = 4096
_WIDTH: Final = 1024  # copies that are played at once, at most ...
_BYTES: Final = 256_000_000  # ... and the memory that their states may take
_PART: Final = 256  # of them, for which a network is asked at once
_FEW: Final = 4  # futures, before which nothing is sure
_LOOK: Final = 8  # futures, after which it is asked for the first time whether anything is in doubt
_SURE: Final = 2.0  # standard errors by which somebody must be behind, and more after few futures
_SAME: Final = 1e-9  # rewards that differ by less are the same
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
        decisions = [
            _Decision(policy, obs[i], action_mask[i], int(usual[i])) for i in range(len(obs))
        ]
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


class _Decision:
    """One decision under way: which candidates are left, and what each has earned so far."""

    def __init__(
        self,
        policy: LookAhead,
        obs: NDArray[np.float32],
        action_mask: NDArray[np.bool_],
        usual: int,
    ) -> None:
        ranked = policy.forks.candidates(policy.schema, obs, action_mask).tolist()
        most = policy.candidates or policy.forks.most
        self.left: list[int] = [usual, *(a for a in ranked if a != usual)][:most]
        self.usual = usual
        self._rounds = rounds(len(self.left), policy.futures)
        self._stops = stops(self._rounds)
        self._earned: dict[int, list[float]] = {action: [] for action in self.left}
        self._dropped: list[int] = []  # best first
        self._done = 0
        # From what is seen alone, so that the choice does not depend on who else is played.
        digest = hashlib.blake2b(np.ascontiguousarray(obs).tobytes(), digest_size=8).digest()
        self._key = np.uint64(int.from_bytes(digest, "little"))
        self._key ^= streams.mix(np.uint64(policy.seed))

    @property
    def open(self) -> bool:
        return bool(self._stops)

    def seeds(self) -> list[np.uint64]:
        """Of the futures that are added until the next stop."""
        until = self._stops[0] if self._stops else self._done
        return [streams.episode_seed(self._key, k) for k in range(self._done, until)]

    def note(self, earned: NDArray[np.float64]) -> None:
        """What everybody who is left earned in one future more."""
        for action, amount in zip(self.left, earned.tolist(), strict=True):
            self._earned[action].append(amount)

    def halve(self) -> None:
        """At a stop: all is over where nothing is in doubt.

        At the end of a round the better half stays, and what the policy below would do.
        """
        if not self._stops:
            return
        self._done = self._stops.pop(0)
        sums = {action: sum(self._earned[action]) for action in self.left}
        ranked = sorted(self.left, key=lambda action: (-sums[action], action != self.usual))
        if self._stops and not self._in_doubt(ranked):
            self._stops = []
        if not self._stops:
            self.left = ranked
            return
        if self._done not in self._rounds:
            return
        kept = ranked[: max(2, (len(ranked) + 1) // 2)]
        if self.usual not in kept:
            kept.append(self.usual)
        self._dropped[:0] = [action for action in ranked if action not in kept]
        self.left = kept

    def _in_doubt(self, ranked: list[int]) -> bool:
        """Whether any other candidate may yet turn out better than the first one of those ranked.

        One that earned the same in every future does not. The others are held against a bound of
        their paired differences, whose variance is taken halfway to that of all candidates: a few
        futures seldom show what is rare and dear.
        """
        earned = np.array([self._earned[action] for action in ranked])
        behind = (earned[0] - earned[1:])[(np.abs(earned[0] - earned[1:]) > _SAME).any(axis=1)]
        count = earned.shape[1]
        if not len(behind):
            return False
        if count < _FEW:
            return True
        variance = behind.var(axis=1, ddof=1)
        error = np.sqrt(0.5 * (variance + variance.mean()) / count)
        bound = _SURE * (1.0 + _FEW / (count - 1.0))
        return bool((behind.mean(axis=1) <= bound * error).any())

    def values(self) -> ActionValues:
        """What was found out, when the last round is over."""
        actions = [*self.left, *self._dropped]
        earned = np.full((len(actions), self._done), np.nan)
        for row, action in zip(earned, actions, strict=True):
            row[: len(self._earned[action])] = self._earned[action]
        return ActionValues(np.array(actions, np.int64), earned, self.usual)


class _Trial(NamedTuple):
    """One future of one decision."""

    root: int
    decision: _Decision
    seed: np.uint64


def rounds(candidates: int, futures: int) -> list[int]:
    """How many futures every survivor has been tried on after each round of sequential halving.

    The last round is as long as all before it together.
    """
    halvings = max(1, int(np.ceil(np.log2(max(2, candidates)))))
    until = [max(1, int(np.ceil(futures / 2 ** (halvings - 1 - k)))) for k in range(halvings)]
    return sorted(set(until))


def stops(until: list[int]) -> list[int]:
    """The ends of the rounds, and where it is asked besides whether anything is in doubt.

    Few candidates have long rounds, of which many are clear sooner.
    """
    looks = []
    look = _LOOK
    while look < until[-1]:
        looks.append(look)
        look *= 2
    return sorted({*until, *looks})


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

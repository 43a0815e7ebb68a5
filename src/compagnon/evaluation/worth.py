"""Prices single decisions: the same state, the same future, one action changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compagnon.envs import BatchEnv
from compagnon.evaluation.labels import WorldLabels
from compagnon.evaluation.statistics import Estimate, estimate
from compagnon.policy import Policy


@dataclass(frozen=True)
class Worth:
    """What something is worth, in reward and in profit.

    Attributes:
        samples: how many deviations were tried, or episodes compared.
        profit: None where the environment reports none.
    """

    samples: int
    reward: Estimate
    profit: Estimate | None

    @classmethod
    def of(cls, reward: NDArray[np.float64], profit: NDArray[np.float64]) -> "Worth":
        """The mean of sampled figures, (S,) each; a profit that is not known is NaN."""
        known = bool(np.isfinite(profit).all())
        return cls(len(reward), estimate(reward), estimate(profit) if known else None)

    @classmethod
    def total(cls, parts: "Sequence[tuple[float, Worth | None]]") -> "Worth":
        """The sum of frequency times worth.

        Its interval adds the parts' half widths as those of independent samples.
        """
        given = [(times, worth) for times, worth in parts if worth is not None]
        profits = [(times, worth.profit) for times, worth in given if worth.profit is not None]
        return cls(
            sum(worth.samples for _, worth in given),
            _weighted([(times, worth.reward) for times, worth in given]),
            _weighted(profits) if len(profits) == len(given) else None,
        )

    def as_json(self) -> dict[str, Any]:
        """``{"samples", "reward", "profit"}``."""
        return {
            "samples": self.samples,
            "reward": self.reward.as_json(),
            "profit": None if self.profit is None else self.profit.as_json(),
        }


def _weighted(parts: list[tuple[float, Estimate]]) -> Estimate:
    mean = sum(times * part.mean for times, part in parts)
    below = sum((times * (part.mean - part.ci95[0])) ** 2 for times, part in parts) ** 0.5
    above = sum((times * (part.ci95[1] - part.mean)) ** 2 for times, part in parts) ** 0.5
    return Estimate(float(mean), (float(mean - below), float(mean + above)))


@dataclass
class Deviation:
    """One decision at which the policy and the expert differ.

    Attributes:
        step, row: the `step`-th decision of episode `row`.
        kind: which kind of difference it is.
        reward, profit: what the policy's action gave beyond the expert's; NaN until known.
    """

    step: int
    row: int
    kind: int
    reward: float = float("nan")
    profit: float = float("nan")


def sample_deviations(
    differs: NDArray[np.bool_], kinds: NDArray[np.int64], samples: int, seed: int
) -> list[Deviation]:
    """Draw decisions that differ, spread over their kinds so that rare ones are seen too.

    Args:
        differs: (T, E); kinds: (T, E), the number of the kind.

    Returns:
        At most `samples`, in the order in which they are met.
    """
    places = np.argwhere(differs)
    of_kind = kinds[differs]
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(places))
    # Deal them out: first one of each kind, then a second of each, until the samples are used up.
    rank = np.empty(len(places), np.int64)
    for kind in np.unique(of_kind):
        mine = shuffled[of_kind[shuffled] == kind]
        rank[mine] = np.arange(len(mine))
    chosen = np.sort(np.lexsort((shuffled, rank))[:samples])
    return [
        Deviation(int(step), int(row), int(kind))
        for (step, row), kind in zip(places[chosen], of_kind[chosen], strict=True)
    ]


def worth_of(
    env: BatchEnv,
    seeds: list[int],
    taken: NDArray[np.int64],
    expert_action: NDArray[np.int64],
    deviations: list[Deviation],
    expert: Policy,
    labels: WorldLabels,
    horizon: int | None,
) -> None:
    """Fill in `reward` and `profit` of each deviation, all of them as rows of one batch.

    Args:
        env: the environment in which `taken` was recorded on `seeds`.
        taken, expert_action: (T, E), what the policy did and what the expert would have done.
        horizon: time units to follow the expert for, the deviation's step included; None to the
            episode's end.
    """
    if not deviations:
        return
    count = len(deviations)
    states = _states_at(env, seeds, taken, deviations)
    pairs = BatchEnv(env.env_id, env.env_args, 2 * count)
    pairs.vec.load_state_dict({name: np.concatenate([a, a]) for name, a in states.items()})
    steps = [deviation.step for deviation in deviations]
    rows = [deviation.row for deviation in deviations]
    first = np.concatenate([taken[steps, rows], expert_action[steps, rows]]).astype(np.int64)
    reward, profit = _follow(pairs, first, expert, labels, horizon)
    for i, deviation in enumerate(deviations):
        deviation.reward = float(reward[i] - reward[count + i])
        deviation.profit = float(profit[i] - profit[count + i])


def _states_at(
    env: BatchEnv, seeds: list[int], taken: NDArray[np.int64], deviations: list[Deviation]
) -> dict[str, NDArray[Any]]:
    """Replay the recording; the saved state of each deviation's episode just before it."""
    rows_at: dict[int, list[int]] = {}
    for deviation in deviations:
        rows_at.setdefault(deviation.step, []).append(deviation.row)
    env.reset(seeds)
    parts = []
    for step in range(max(rows_at) + 1):
        if step in rows_at:
            state = env.vec.state_dict()
            parts.append({name: array[rows_at[step]] for name, array in state.items()})
        env.step(taken[step].astype(np.int64))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _follow(
    env: BatchEnv,
    actions: NDArray[np.int64],
    expert: Policy,
    labels: WorldLabels,
    horizon: int | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Take `actions`, then the expert's, until the horizon or the episode's end; sums of both."""
    reward = np.zeros(env.num_envs)
    terms = list(env.reward_term_names)
    business = [terms.index(name) for name in labels.profit_terms]
    profit = np.zeros(env.num_envs) if business else np.full(env.num_envs, np.nan)
    time = np.zeros(env.num_envs, np.int64)
    playing = np.ones(env.num_envs, np.bool_)
    while True:
        # `vec.step` rather than `step`: only its info tells the reward's terms.
        obs, gained, terminated, truncated, info = env.vec.step(actions)
        reward += gained * playing
        if business:
            profit += info["reward_terms"][:, business].sum(axis=1) * playing
        time += info["elapsed"]
        playing &= ~(terminated | truncated)
        if horizon is not None:
            playing &= time < horizon
        if not playing.any():
            return reward, profit
        actions = expert.act(obs, info["action_mask"])

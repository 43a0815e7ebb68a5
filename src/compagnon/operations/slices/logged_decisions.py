"""A slice as what estimators take: episodes of decisions with their rewards, people's left out."""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.evaluation.offline.logged import LoggedDecisions
from compagnon.operations.slices.objective import Objective
from compagnon.operations.slices.slice import Slice
from compagnon.policy.action_selection import FALLBACK

_LARGEST: Final = 1e12  # of a reward that sums of squares can be made of


class SliceDecisions(NamedTuple):
    """Logged decisions, and which of the slice they are.

    Attributes:
        logged: what estimators take; rewards that are missing are NaN.
        rows: (N,), where each decision stands in the slice.
        overridden: decisions that were left out because a person, or the control for an arm that
            failed, took another action in their episode: what came of it is not the policy's.
        arms: what the numbers of `logged.arm` are called.
    """

    logged: LoggedDecisions
    rows: NDArray[np.int64]
    overridden: int
    arms: tuple[str, ...]


def logged_decisions(content: Slice, objective: Objective) -> SliceDecisions:
    """The decisions of a slice in episodes, each with its reward.

    An episode is what clients called one; a decision without is an episode of its own. A slice
    holds whole episodes, so the last decision of each is its end. The unit is what an experiment
    gave an arm to; without one the episode, else the key.

    Raises:
        InputError: every episode has a decision that a person replaced, or an outcome of the
            objective was not collected; or see `LoggedDecisions`.
    """
    episode = _numbered(
        [name or f"\x00{one}" for name, one in zip(content.episode, content.id, strict=True)]
    )
    replaced = np.array(
        [
            verdict == "overridden" or mode == FALLBACK
            for verdict, mode in zip(content.human, content.mode, strict=True)
        ],
        np.bool_,
    )
    kept = np.flatnonzero(~np.isin(episode, episode[replaced]))
    if not len(kept):
        raise InputError("people replaced a decision of every episode: nothing can be estimated")
    order = kept[np.lexsort((kept, content.time[kept], episode[kept]))]
    episode = episode[order]
    first = np.ones(len(order), np.bool_)
    first[1:] = episode[1:] != episode[:-1]
    begins = np.flatnonzero(first)
    step = np.arange(len(order)) - np.repeat(begins, np.diff([*begins, len(order)]))
    arms, arm = np.unique([content.arm[row] for row in order], return_inverse=True)
    rewards = objective.rewards(content.outcomes, content.outcome_names)
    wild = np.flatnonzero(np.abs(rewards) > _LARGEST)  # false of NaN
    if len(wild):
        raise InputError(
            f"the reward of decision {content.id[wild[0]]} is {rewards[wild[0]]:g}: no figure can "
            "be made of outcomes that large; leave the decision's time out, or give another weight"
        )
    logged = LoggedDecisions(
        unit=_units(content, order),
        episode=episode,
        step=step,
        obs=content.features[order],
        action_mask=content.mask[order],
        probabilities=content.probabilities[order],
        action=content.action[order],
        propensity=content.propensity[order],
        reward=rewards[order],
        terminated=np.append(first[1:], True),
        arm=arm.astype(np.int64),
        time=content.time[order],
    )
    return SliceDecisions(logged, order, len(content) - len(kept), tuple(arms.tolist()))


def _units(content: Slice, order: NDArray[np.int64]) -> NDArray[np.int64]:
    """What is independent of the others, by number."""
    names: list[Any] = []
    for row in order.tolist():
        for kind in ("unit", "episode", "key", "id"):
            name = getattr(content, kind)[row]
            if name:
                names.append(f"{kind} {name}")
                break
    return _numbered(names)


def _numbered(names: list[Any]) -> NDArray[np.int64]:
    """Equal names have equal numbers, in the order in which they come first."""
    known: dict[Any, int] = {}
    return np.array([known.setdefault(name, len(known)) for name in names], np.int64)

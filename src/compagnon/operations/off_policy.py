"""What another policy would have earned on a slice: its play on what was seen, then estimates."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.evaluation.offline.estimate import Estimate, estimate, estimate_difference
from compagnon.evaluation.offline.logged import LoggedDecisions
from compagnon.evaluation.offline.quality import QualityReport, check_quality
from compagnon.evaluation.statistics import mean_interval
from compagnon.operations.slices.logged_decisions import logged_decisions
from compagnon.operations.slices.objective import Objective
from compagnon.operations.slices.slice import Slice
from compagnon.policy import Policy
from compagnon.policy.action_selection import Play, played
from compagnon.policy.network import CategoricalPolicy, ValuesPolicy
from compagnon.policy.onnx_policy import OnnxPolicy

_PART: Final = 4096  # decisions that a policy is asked about at once


class OffPolicyEvaluation(NamedTuple):
    """What a slice says of a policy.

    Attributes:
        quality: of the log; nothing is estimated where it is not good.
        units, episodes, decisions: that the estimates are of.
        overridden, missing: decisions that were left out: of episodes in which a person replaced
            an action, or of which an outcome is missing.
        logged: the mean return of the episodes as they were played, with its 95 % interval.
        estimates: of the policy. differences: of it and the other one, paired by unit, if asked.
    """

    quality: QualityReport
    units: int
    episodes: int
    decisions: int
    overridden: int
    missing: int
    logged: tuple[float, float, float]
    estimates: tuple[Estimate, ...]
    differences: tuple[Estimate, ...]


def evaluate_off_policy(
    content: Slice,
    objective: Objective,
    policy: Policy,
    play: Play,
    champion: tuple[Policy, Play] | None = None,
    *,
    gamma: float = 1.0,
    seed: int = 0,
) -> OffPolicyEvaluation:
    """Estimate what a policy is worth, played so, and how much more than another one.

    Args:
        play: how it would be served. champion: the other policy, and how that is.
        gamma: discount of a step. seed: of folds and resamples.

    Raises:
        InputError: the log fails its tests (with the figures), a policy has no answer to what was
            seen, or no outcome is there.
    """
    taken = logged_decisions(content, objective)
    quality = check_quality(taken.logged)
    quality.refuse_unless_good()
    whole = taken.logged
    logged = whole.observed()
    both = [(policy, play), *([] if champion is None else [champion])]
    targets = [probabilities_of(one, logged, how) for one, how in both]
    return OffPolicyEvaluation(
        quality,
        logged.units,
        len(np.unique(logged.episode)),
        logged.rows,
        taken.overridden,
        whole.rows - logged.rows,
        _as_logged(logged, gamma),
        estimate(logged, targets[0], gamma, seed),
        estimate_difference(logged, targets[0], targets[1], gamma, seed) if champion else (),
    )


def probabilities_of(policy: Policy, logged: LoggedDecisions, play: Play) -> NDArray[np.float64]:
    """What a policy would be played with on what was seen, (N, A).

    Raises:
        InputError: it takes an impossible action, or has no answer.
    """
    found = np.zeros(logged.action_mask.shape)
    for start in range(0, logged.rows, _PART):
        rows = slice(start, start + _PART)
        obs, mask = logged.obs[rows], logged.action_mask[rows]
        if isinstance(policy, CategoricalPolicy | ValuesPolicy | OnnxPolicy):
            said = policy.say(obs, mask)
            made = played(said, mask, play, [0] * len(obs))
            found[rows] = [one.probabilities for one in made]
        else:  # a rule: it says what it does, and no more
            action = policy.act(obs, mask)
            if not mask[np.arange(len(obs)), action].all():
                raise InputError(f"{policy.name} takes an action that was not possible")
            found[np.arange(start, start + len(obs)), action] = 1.0
    return found


def _as_logged(logged: LoggedDecisions, gamma: float) -> tuple[float, float, float]:
    """The mean return of an episode, and its interval over units."""
    worth = logged.reward * gamma**logged.step
    sums = np.bincount(logged.unit_index, worth)
    episodes = np.bincount(logged.unit_index[logged.step == 0], minlength=len(sums))  # of each unit
    mean = float(sums.sum() / episodes.sum())
    # A ratio of sums; its error is that of what each unit is above the mean (Cochran 1977).
    above = (sums - mean * episodes) * len(sums) / episodes.sum()
    low, high = mean_interval(above)
    return mean, mean + low, mean + high

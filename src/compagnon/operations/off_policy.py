"""What another policy would have earned on a slice: its play on what was seen, then estimates."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compagnon.evaluation.offline.estimate import Estimate, estimate, estimate_difference
from compagnon.evaluation.offline.intervals import studentised_bootstrap
from compagnon.evaluation.offline.logged import LoggedDecisions
from compagnon.evaluation.offline.quality import QualityReport, check_quality
from compagnon.evaluation.offline.ratios import by_group, mean_of
from compagnon.operations.slices.logged_decisions import logged_decisions
from compagnon.operations.slices.objective import Objective
from compagnon.operations.slices.slice import Slice
from compagnon.policy import Policy
from compagnon.policy.action_selection import Play, output_of_rule, played
from compagnon.policy.network import CategoricalPolicy, ValuesPolicy
from compagnon.policy.onnx_policy import OnnxPolicy
from compagnon.policy.protocol import StochasticPolicy

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
    whole = taken.logged
    both = {"policy": (policy, play), **({} if champion is None else {"the other one": champion})}
    found = {name: probabilities_of(one, whole, how) for name, (one, how) in both.items()}
    quality = check_quality(whole, found)
    quality.refuse_unless_good()
    logged = whole.observed()
    targets = [one[~whole.unobserved] for one in found.values()]
    return OffPolicyEvaluation(
        quality,
        logged.units,
        len(np.unique(logged.episode)),
        logged.rows,
        taken.overridden,
        whole.rows - logged.rows,
        _as_logged(logged, gamma, seed),
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
        elif isinstance(policy, StochasticPolicy):  # such as one that knows nothing
            found[rows] = policy.probabilities(obs, mask)
            continue
        else:
            said = output_of_rule(policy, obs, mask)
        made = played(said, mask, play, [0] * len(obs))
        found[rows] = [one.probabilities for one in made]
    return found


def _as_logged(logged: LoggedDecisions, gamma: float, seed: int) -> tuple[float, float, float]:
    """The mean return of an episode, and its interval over units."""
    unit = logged.unit_index
    returns = by_group(logged.reward * gamma**logged.step, unit)
    episodes = by_group((logged.step == 0).astype(np.float64), unit)
    mean = mean_of(returns, episodes)
    return mean.value, *studentised_bootstrap(mean, seed=seed)

"""Logs of a softmax policy that explores, clean, and with each of the faults that were met."""

from dataclasses import replace

import numpy as np

from compagnon.evaluation.offline.logged import Floats, LoggedDecisions, of_bandit
from tests.evaluation.offline.problems import draw

ACTIONS, FIELDS, EPSILON = 8, 5, 0.1
ROWS = 2_000
FAULTS = ("greedy as 1", "eps / A", "before the mask", "stale")


def policy(obs: Floats, weights: Floats, mask: np.ndarray, epsilon: float = EPSILON) -> Floats:
    """Softmax inside the mask, with `epsilon` spread over what is possible."""
    logits = np.where(mask, obs @ weights, -np.inf)
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    soft = raised / raised.sum(axis=1, keepdims=True)
    return np.asarray((1 - epsilon) * soft + epsilon * mask / mask.sum(axis=1, keepdims=True))


def model(rng: np.random.Generator, sharpness: float) -> Floats:
    """Weights (F, A) of a policy whose logits have this deviation."""
    return np.asarray(rng.normal(size=(FIELDS, ACTIONS)) * sharpness / np.sqrt(FIELDS))


def greedy_with_epsilon(vectors: Floats, mask: np.ndarray, epsilon: float = EPSILON) -> Floats:
    best = np.eye(ACTIONS)[vectors.argmax(axis=1)]
    return np.asarray((1 - epsilon) * best + epsilon * mask / mask.sum(axis=1, keepdims=True))


def drawn(
    fault: str | None, rng: np.random.Generator, sharpness: float = 4.0, greedy: bool = False
) -> tuple[LoggedDecisions, Floats]:
    """A log of `ROWS` decisions with a fault, and what the stale model would have played."""
    obs = rng.normal(size=(ROWS, FIELDS))
    mask = rng.random((ROWS, ACTIONS)) < 0.5
    mask[:, 0] = True
    mask[np.arange(ROWS), rng.integers(1, ACTIONS, ROWS)] = True
    weights, old = model(rng, sharpness), model(rng, sharpness)
    vectors, stale = policy(obs, weights, mask), policy(obs, old, mask)
    if greedy or fault in ("greedy as 1", "eps / A"):
        vectors, stale = (greedy_with_epsilon(one, mask) for one in (vectors, stale))
    played = vectors
    if fault == "stale":
        played = np.where(rng.random((ROWS, 1)) < 0.05, stale, vectors)
    action = draw(played, rng)
    if fault == "greedy as 1":  # where nothing was explored; the explored ones are logged right
        best = vectors.argmax(axis=1)
        vectors = np.where((action == best)[:, None], np.eye(ACTIONS)[best], vectors)
    elif fault == "eps / A":  # the greedy one is given the rest, so that all rows sum to 1
        vectors = np.where(mask, EPSILON / ACTIONS, 0.0)
        best = played.argmax(axis=1)
        rows = np.arange(ROWS)
        vectors[rows, best] = 0.0
        vectors[rows, best] = 1.0 - vectors.sum(axis=1)
    elif fault == "before the mask":
        everything = np.ones_like(mask)
        vectors = np.where(mask, policy(obs, weights, everything), 0.0)
    return of_bandit(obs, mask, vectors, action, rng.normal(size=ROWS)), stale


def two_arms(logged: LoggedDecisions, rng: np.random.Generator) -> LoggedDecisions:
    """The same, with 200 units in two arms, and 3 % of the outcomes missing in both."""
    unit = np.arange(logged.rows) // 10
    missing = rng.random(logged.rows) < 0.03
    return replace(logged, unit=unit, arm=unit % 2, reward=np.where(missing, np.nan, logged.reward))

"""Two problems whose values are known exactly, and logs drawn from them."""

from dataclasses import dataclass

import numpy as np

from compagnon.evaluation.offline.logged import Floats, LoggedDecisions

NOISE = 0.5
UNIT_NOISE = 0.4  # shared by all decisions of a unit


@dataclass(frozen=True, eq=False)
class Problem:
    """S states, A actions.

    Attributes:
        start: (S,) probabilities.
        moves: (S, A, S); what is missing to 1 ends the episode.
        reward: (S, A) means.
        mask: (S, A).
        features: (S, F), what is seen of a state.
        behaviour: (S, A), the policy that decided.
        target: (S, A), the policy to be evaluated.
    """

    start: Floats
    moves: Floats
    reward: Floats
    mask: np.ndarray
    features: Floats
    behaviour: Floats
    target: Floats

    def q(self, policy: Floats, gamma: float) -> Floats:
        """(S, A), by linear algebra."""
        states = len(self.start)
        flow = np.einsum("sa,sat->st", policy, self.moves)
        own = (policy * self.reward).sum(axis=1)
        v = np.linalg.solve(np.eye(states) - gamma * flow, own)
        return self.reward + gamma * self.moves @ v

    def value(self, policy: Floats, gamma: float) -> float:
        return float(self.start @ (policy * self.q(policy, gamma)).sum(axis=1))

    def log(self, units: int, rng: np.random.Generator, per_unit: int = 2) -> LoggedDecisions:
        """`units` units of `per_unit` episodes, decided by the behaviour."""
        count = units * per_unit
        state = draw(np.tile(self.start, (count, 1)), rng)
        alive, step, parts = np.arange(count), 0, []
        shared = rng.normal(0.0, UNIT_NOISE, units)
        while len(alive):
            here = state[alive]
            action = draw(self.behaviour[here], rng)
            onward = self.moves[here, action]
            ended = rng.random(len(alive)) >= onward.sum(axis=1)
            reward = self.reward[here, action] + rng.normal(0.0, NOISE, len(alive))
            reward += shared[alive // per_unit]
            parts.append((alive, np.full(len(alive), step), here, action, reward, ended))
            sums = np.maximum(onward.sum(axis=1, keepdims=True), 1e-300)
            state[alive] = draw(onward / sums, rng)
            alive, step = alive[~ended], step + 1
        episode, steps, states, action, reward, ended = map(
            np.concatenate, zip(*parts, strict=True)
        )
        vectors = self.behaviour[states]
        return LoggedDecisions(
            unit=episode // per_unit,
            episode=episode,
            step=steps,
            obs=self.features[states],
            action_mask=self.mask[states],
            probabilities=vectors,
            action=action,
            propensity=vectors[np.arange(len(action)), action],
            reward=reward,
            terminated=ended,
            arm=np.zeros(len(action)),
            time=steps,
        )

    def on(self, logged: LoggedDecisions, policy: Floats) -> Floats:
        """(N, A), what a policy would play on the logged obs."""
        distance = ((logged.obs[:, None] - self.features[None].astype(np.float32)) ** 2).sum(axis=2)
        return policy[distance.argmin(axis=1)]


def draw(probabilities: Floats, rng: np.random.Generator) -> np.ndarray:
    cumulated = probabilities.cumsum(axis=1)
    points = rng.random((len(probabilities), 1)) * cumulated[:, -1:]
    return np.minimum((cumulated <= points).sum(axis=1), probabilities.shape[1] - 1)


def softmax(scores: Floats, mask: np.ndarray) -> Floats:
    raised = np.where(mask, np.exp(scores - scores.max(axis=1, keepdims=True)), 0.0)
    return raised / raised.sum(axis=1, keepdims=True)


def mdp(seed: int = 7, sharpness: float = 0.7, logged: float = 0.3) -> Problem:
    """Six states in a row, three actions, masks that differ; an episode lasts 1 to 6 steps."""
    rng = np.random.default_rng(seed)
    states, actions = 6, 3
    moves = np.triu(rng.random((actions, states, states)), 1).transpose(1, 0, 2)
    moves *= 0.85 / np.maximum(moves.sum(axis=2, keepdims=True), 1e-9)
    moves[-1] = 0.0
    mask = np.array([[1, 1, 1], [1, 1, 0], [0, 1, 1], [1, 0, 1], [1, 1, 1], [1, 1, 0]], bool)
    start = np.array([0.6, 0.2, 0.2, 0.0, 0.0, 0.0])
    reward = np.where(mask, rng.normal(1.0, 1.0, (states, actions)), 0.0)
    behaviour = softmax(logged * rng.normal(size=(states, actions)), mask)
    target = softmax(sharpness * rng.normal(size=(states, actions)), mask)
    return Problem(start, moves, reward, mask, np.eye(states), behaviour, target)


def contexts(seed: int = 3, sharpness: float = 1.0, logged: float = 0.5) -> Problem:
    """A bandit of eight contexts and four actions, whose rewards are not linear in what is seen."""
    rng = np.random.default_rng(seed)
    states, actions = 8, 4
    mask = rng.random((states, actions)) < 0.75
    mask[:, 0] = True
    mask[mask.sum(axis=1) < 2, 1] = True
    reward = np.where(mask, rng.normal(1.0, 1.0, (states, actions)), 0.0)
    return Problem(
        np.full(states, 1 / states),
        np.zeros((states, actions, states)),
        reward,
        mask,
        rng.normal(size=(states, 3)),
        softmax(logged * rng.normal(size=(states, actions)), mask),
        softmax(sharpness * rng.normal(size=(states, actions)), mask),
    )

"""The ball's rules, compiled: N balls in d dimensions, each a row of every array.

Everything random is drawn by `streams` from (episode seed, step, axis), so two policies meet the
same noise, and the first axes of a larger box meet the noise of a smaller one.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compagnon.envs import streams
from compagnon.envs.kernels import cached_njit

BOX: Final = 10.0  # the box is [-BOX, BOX] along each axis
PUSH: Final = 2.0  # an action is in [-PUSH, PUSH] along each axis
START: Final = 2.0  # an episode begins uniformly in [-START, START] along each axis
STEP_REWARD: Final = 1.0
OUT_REWARD: Final = -10.0

# Random streams: the start, then two for the noise of each axis.
_START_STREAM = 0
_NOISE_STREAM = 1


class BallParams(NamedTuple):
    """The options, as the kernel wants them."""

    sigma: float
    max_steps: int
    bonus: float
    terminal_bonus: bool


class Balls(NamedTuple):
    """The whole state of N balls; saved and restored as it stands."""

    position: NDArray[np.float64]  # (N, d)
    steps: NDArray[np.int64]  # (N,), of the running episode
    episode: NDArray[np.int64]  # (N,), how many have begun since the seed was given
    seeds: NDArray[np.uint64]  # (N, 2): the env's seed, the current episode's seed


class BallOutputs(NamedTuple):
    """What a step writes; every array is reused from step to step."""

    obs: NDArray[np.float32]  # (N, d)
    reward: NDArray[np.float64]  # (N,)
    terminated: NDArray[np.bool_]  # (N,)
    truncated: NDArray[np.bool_]  # (N,)
    final_obs: NDArray[np.float32]  # (N, d), valid where an episode ended
    survived: NDArray[np.float64]  # (N, 1), valid where an episode ended


def allocate(num_envs: int, dimension: int) -> tuple[Balls, BallOutputs]:
    """Zeroed arrays for `num_envs` balls."""
    balls = Balls(
        position=np.zeros((num_envs, dimension)),
        steps=np.zeros(num_envs, np.int64),
        episode=np.zeros(num_envs, np.int64),
        seeds=np.zeros((num_envs, 2), np.uint64),
    )
    outputs = BallOutputs(
        obs=np.zeros((num_envs, dimension), np.float32),
        reward=np.zeros(num_envs),
        terminated=np.zeros(num_envs, np.bool_),
        truncated=np.zeros(num_envs, np.bool_),
        final_obs=np.zeros((num_envs, dimension), np.float32),
        survived=np.zeros((num_envs, 1)),
    )
    return balls, outputs


@cached_njit
def begin_episode(i, balls, out):
    """Put ball `i` at the start of its next episode."""
    balls.seeds[i, 1] = streams.episode_seed(balls.seeds[i, 0], balls.episode[i])
    balls.episode[i] += 1
    balls.steps[i] = 0
    for axis in range(balls.position.shape[1]):
        u = streams.uniform(balls.seeds[i, 1], _START_STREAM, axis)
        balls.position[i, axis] = START * (2.0 * u - 1.0)
        out.obs[i, axis] = balls.position[i, axis]


@cached_njit
def noise(seed, step, axis):
    """The standard normal number that moves a ball along `axis` in its step number `step`."""
    stream = _NOISE_STREAM + 2 * axis
    return streams.normal(
        streams.uniform(seed, stream, step), streams.uniform(seed, stream + 1, step)
    )


@cached_njit
def play(i, balls, params, actions, out):
    """One step of ball `i`; True if its episode is over."""
    inside = True
    for axis in range(balls.position.shape[1]):
        push = min(PUSH, max(-PUSH, actions[i, axis]))
        moved = balls.position[i, axis] + push
        if params.sigma > 0.0:
            moved += params.sigma * noise(balls.seeds[i, 1], balls.steps[i], axis)
        balls.position[i, axis] = moved
        inside &= -BOX <= moved <= BOX
        # A ball that left is shown on the wall it crossed, so that every field keeps its range.
        out.obs[i, axis] = min(BOX, max(-BOX, moved))
    balls.steps[i] += 1
    survived = inside and balls.steps[i] >= params.max_steps
    out.reward[i] = STEP_REWARD if inside else OUT_REWARD
    if survived:
        out.reward[i] += params.bonus
    out.survived[i, 0] = 1.0 if survived else 0.0
    out.terminated[i] = not inside or (survived and params.terminal_bonus)
    out.truncated[i] = survived and not params.terminal_bonus
    return survived or not inside


@cached_njit
def step(balls, params, actions, out, autoreset):
    """Step every ball. Returns the first row whose action holds a NaN, or -1.

    Nothing moves where one does.
    """
    for i in range(actions.shape[0]):
        for axis in range(actions.shape[1]):
            if np.isnan(actions[i, axis]):
                return i
    for i in range(actions.shape[0]):
        if play(i, balls, params, actions, out):
            out.final_obs[i, :] = out.obs[i]
            if autoreset:
                begin_episode(i, balls, out)
    return -1


@cached_njit
def reset_rows(balls, out, rows):
    """Begin a new episode of each ball that `rows` (bool, (N,)) selects."""
    for i in range(rows.shape[0]):
        if rows[i]:
            begin_episode(i, balls, out)

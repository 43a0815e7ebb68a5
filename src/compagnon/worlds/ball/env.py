"""`compagnon/Ball-v0`: keep a drifting ball in its box, in any number of dimensions."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compagnon.envs.compiled import CompiledEnv
from compagnon.worlds.ball.core import KPI_NAMES, BallCore
from compagnon.worlds.ball.kernel import BOX
from compagnon.worlds.ball.options import BallOptions
from compagnon.worlds.ball.trajectory import Recorder, to_text


class BallEnv(CompiledEnv):
    """A ball that chance moves, and that pushes keep in its box.

    ## Description
    A ball lies in the box [-10, 10]^d. At each step it moves by the push that the policy chose and
    by noise: ``next = position + action + sigma N(0, 1)``, independently along each axis. The
    policy keeps it inside for as long as the episode lasts. Since a push reaches twice as far as
    the noise usually does, a good policy pushes towards the middle and hardly ever loses.

    The noise depends on the seed, the step and the axis alone, so two policies meet the same
    noise, whatever they do.

    ## Action space: `Box(-2, 2, (d,), float32)`
    | # | action | range |
    |---|---|---|
    | i | push along axis i | -2 to 2; what lies outside is clipped |

    ## Observation space: `Box(-10, 10, (d,), float32)`
    | # | field | unit | range | meaning |
    |---|---|---|---|---|
    | i | position_i |  | -10 to 10 | position along axis i |

    A ball that left the box is observed, that last time, on the wall it crossed.

    ## Reward
    | when | reward |
    |---|---|
    | the step ends inside the box | 1 |
    | the step ends outside | -10, instead |
    | the last step of a whole episode ends inside | 1 + `bonus` |

    So a whole episode is worth ``max_steps + bonus``: 550 with the defaults.

    ## Start
    Uniformly in [-2, 2]^d. A reset with a seed begins that seed's first episode; one without begins
    the next episode of the same seed.

    ## End
    Terminated when a step ends outside the box. After `max_steps` steps inside it the episode is
    truncated: the ball could have gone on, so its value may be bootstrapped, and the bonus is paid
    all the same. With `terminal_bonus` it is terminated instead.

    ## Arguments
    | argument | default | meaning |
    |---|---|---|
    | dimension | 1 | d, 1 to 64 |
    | sigma | 1.0 | standard deviation of a step's noise along each axis, at least 0 |
    | max_steps | 500 | steps of a whole episode, at least 1 |
    | bonus | 50.0 | added to the reward of the last step of a whole episode |
    | terminal_bonus | False | a whole episode is terminated rather than truncated |
    | render_mode | None | `rgb_array` (480, 720, 3) or `ansi` |

    ## Info
    After the last step `kpis`: a dict with `survived`, 1 if the episode lasted all its steps.

    ## Differences from the published ball
    That one tests the position before the move, begins its next episode by itself inside the step,
    refuses pushes out of range, and pays 50 at a step of its own after the 500th, wherever the ball
    is; the return of a whole episode is the same 550.

    ## Version history
    * v0: initial version.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (Gymnasium's base class declares it so)
        "render_modes": ["rgb_array", "ansi"],
        "render_fps": 15,
    }
    kpi_names = KPI_NAMES

    def __init__(self, render_mode: str | None = None, **options: object) -> None:
        super().__init__(render_mode)
        self.options = BallOptions.parse(**options)
        self._take(BallCore(1, self.options))
        self._recorder = None if render_mode is None else Recorder(self.options.max_steps)

    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Push the ball; (d,), clipped to [-2, 2].

        Raises:
            InputError: an action of another shape, or that is not a number.
            gymnasium.error.ResetNeeded: the episode has not begun, or is over.
        """
        self._require_reset()
        core, out = self._core, self._core.out
        core.step(np.asarray(action)[None], False)
        terminated, truncated = bool(out.terminated[0]), bool(out.truncated[0])
        reward = float(out.reward[0])
        info: dict[str, Any] = {}
        if terminated or truncated:
            info["kpis"] = dict(zip(KPI_NAMES, out.survived[0].tolist(), strict=True))
            self._needs_reset = True
        if self._recorder is not None:
            self._recorder.append(int(core.balls.steps[0]), core.balls.position[0], reward)
        return out.obs[0].copy(), reward, terminated, truncated, info

    def render(self) -> Any:
        """The episode as a picture, uint8 (480, 720, 3) (`rgb_array`), or as text (`ansi`)."""
        if self._recorder is None:
            return None
        if self.render_mode == "ansi":
            return to_text(self._recorder.trajectory)
        from compagnon.worlds.ball.render import to_image

        return to_image(self._recorder.trajectory)

    def _picture_anew(self) -> None:
        if self._recorder is not None:
            self._recorder.begin(int(self._core.balls.steps[0]), self._core.balls.position[0])

    def _standing(self) -> tuple[bool, bool]:
        balls = self._core.balls
        over = balls.steps[0] >= self.options.max_steps or (np.abs(balls.position[0]) > BOX).any()
        return bool(balls.episode[0] > 0), bool(over)

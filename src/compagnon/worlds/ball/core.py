"""N balls as arrays: what the single and the vector environment both stand on."""

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from compagnon.envs.field import Field
from compagnon.errors import InputError
from compagnon.worlds.ball import kernel
from compagnon.worlds.ball.options import BallOptions

KPI_NAMES = ("survived",)


class BallCore:
    """N balls on one kernel, with their outputs in arrays that every step overwrites."""

    def __init__(self, num_envs: int, options: BallOptions) -> None:
        self.num_envs = num_envs
        self.options = options
        self.fields = tuple(
            Field(
                f"position_{axis}",
                "",
                -kernel.BOX,
                kernel.BOX,
                kernel.BOX,
                f"position along axis {axis}",
            )
            for axis in range(options.dimension)
        )
        self.params = kernel.BallParams(
            options.sigma, options.max_steps, options.bonus, options.terminal_bonus
        )
        self.balls, self.out = kernel.allocate(num_envs, options.dimension)

    @property
    def observation_space(self) -> spaces.Box:
        """The space of one ball's observation."""
        return spaces.Box(-kernel.BOX, kernel.BOX, (self.options.dimension,), np.float32)

    @property
    def action_space(self) -> spaces.Box:
        """The space of one ball's action."""
        return spaces.Box(-kernel.PUSH, kernel.PUSH, (self.options.dimension,), np.float32)

    def seed(self, seeds: NDArray[np.uint64], rows: NDArray[np.bool_]) -> None:
        """Give the selected balls new seeds; their next episode is number 0."""
        self.balls.seeds[rows, 0] = seeds[rows]
        self.balls.episode[rows] = 0

    def reset(self, rows: NDArray[np.bool_]) -> None:
        """Begin the next episode of the selected balls."""
        kernel.reset_rows(self.balls, self.out, rows)

    def step(self, actions: NDArray[np.floating], autoreset: bool) -> None:
        """Step every ball by its action, (N, d); results stand in `out`.

        Raises:
            InputError: actions of another shape, or that are not numbers; no ball has moved then.
        """
        # One type, so that one compiled kernel serves whatever a policy gives.
        actions = np.ascontiguousarray(actions, np.float64)
        if actions.shape != self.balls.position.shape:
            expected = self.balls.position.shape
            raise InputError(f"actions of shape {actions.shape}; expected {expected}")
        bad = kernel.step(self.balls, self.params, actions, self.out, autoreset)
        if bad >= 0:
            raise InputError(f"action {actions[bad].tolist()} of copy {bad} is not a number")

    def state_dict(self) -> dict[str, NDArray[np.generic]]:
        """Everything that the next step depends on."""
        return {
            **{name: array.copy() for name, array in self.balls._asdict().items()},
            "obs": self.out.obs.copy(),
        }

    def load_state_dict(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Restore what `state_dict` gave, in place."""
        for name, array in self.balls._asdict().items():
            array[...] = state[name]
        self.out.obs[...] = state["obs"]

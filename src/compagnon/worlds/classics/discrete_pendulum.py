"""`compagnon/DiscretePendulum-v1`: Gymnasium's pendulum with a few torques to choose from.

For algorithms over discrete actions, on the world that those over vectors are measured on.
"""

from typing import Any, ClassVar, Final, cast

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.classic_control import PendulumEnv
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from compagnon.envs import known_state
from compagnon.envs.field import Field
from compagnon.envs.seeds import spread_seeds
from compagnon.errors import InputError

_STEPS: Final = 200
_TORQUE: Final = 2.0
_MOST_LEVELS: Final = 1001
_FIELDS: Final = (
    Field("cos_angle", "", -1.0, 1.0, 1.0, "cosine of the angle; 1 is upright"),
    Field("sin_angle", "", -1.0, 1.0, 1.0, "sine of the angle"),
    Field("angular_velocity", "rad/s", -8.0, 8.0, 8.0, "angular velocity"),
)


def torque_levels(levels: int) -> NDArray[np.float32]:
    """The torques of the actions, evenly from -2 to 2.

    Raises:
        InputError: fewer than 2, or more than 1,001.
    """
    whole = isinstance(levels, int | np.integer) and not isinstance(levels, bool)
    if not whole or not 2 <= levels <= _MOST_LEVELS:
        raise InputError(f"levels={levels!r}: give a whole number from 2 to {_MOST_LEVELS:,}")
    return np.linspace(-_TORQUE, _TORQUE, levels, dtype=np.float32)


class DiscretePendulumEnv(PendulumEnv):
    """The pendulum of `Pendulum-v1`, pushed with one of a few torques.

    ## Description
    Swing a pendulum up and keep it there. Everything but the actions is Gymnasium's `Pendulum-v1`:
    a seed gives the same episode, an action the step that its torque gives there.

    ## Action space: `Discrete(levels)`
    | action | torque, N m |
    |---|---|
    | i | -2 + 4 i / (levels - 1) |

    ## Observation space: `Box([-1, -1, -8], [1, 1, 8], (3,), float32)`
    | # | field | unit | range | meaning |
    |---|---|---|---|---|
    | 0 | cos_angle |  | -1 to 1 | cosine of the angle; 1 is upright |
    | 1 | sin_angle |  | -1 to 1 | sine of the angle |
    | 2 | angular_velocity | rad/s | -8 to 8 | angular velocity |

    ## Reward
    ``-(angle^2 + 0.1 velocity^2 + 0.001 torque^2)`` of the state that the action was chosen in.

    ## Start
    Angle uniform in [-pi, pi], velocity uniform in [-1, 1].

    ## End
    Truncated after 200 steps.

    ## Arguments
    | argument | default | meaning |
    |---|---|---|
    | levels | 5 | how many torques there are, 2 to 1,001 |
    | g | 10.0 | acceleration of gravity |
    | render_mode | None | as Gymnasium's: `human`, `rgb_array` |

    ## Version history
    * v1: initial version, numbered as the pendulum that it stands on.
    """

    observation_fields = _FIELDS

    def __init__(self, render_mode: str | None = None, levels: int = 5, g: float = 10.0) -> None:
        self.torques = torque_levels(levels)
        super().__init__(render_mode, g)
        self.action_space = spaces.Discrete(len(self.torques))
        self._elapsed = -1

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode, as `Pendulum-v1` does."""
        self._elapsed = 0
        return cast(
            tuple[NDArray[np.float32], dict[str, Any]], super().reset(seed=seed, options=options)
        )

    def step(self, action: int) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Push with the torque of an action.

        Raises:
            InputError: no such action.
            gymnasium.error.ResetNeeded: the episode has not begun, or is over.
        """
        if not 0 <= self._elapsed < _STEPS:
            raise ResetNeeded("the episode has not begun or is over: call reset()")
        if not 0 <= int(action) < len(self.torques):
            raise InputError(f"action {action}: there are 0 to {len(self.torques) - 1}")
        obs, reward, terminated, _, info = super().step(self.torques[int(action)][None])  # type: ignore[no-untyped-call]
        self._elapsed += 1
        return obs, float(reward), terminated, self._elapsed >= _STEPS, info


class DiscretePendulumVectorEnv(VectorEnv[NDArray[np.float32], NDArray[np.int64], NDArray[Any]]):
    """N of them; an ended episode is followed by the next one within the same step.

    Args:
        num_envs: how many copies.
        copy: hand out fresh arrays (default).
        levels, g: see `DiscretePendulumEnv`.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]  # as Gymnasium itself uses it
        "render_modes": [],
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }
    observation_fields = _FIELDS

    def __init__(
        self,
        num_envs: int = 1,
        copy: bool = True,
        render_mode: str | None = None,
        levels: int = 5,
        g: float = 10.0,
    ) -> None:
        if render_mode is not None:
            raise InputError("the vector pendulum does not render: render a single one")
        self.num_envs = num_envs
        self.torques = torque_levels(levels)
        self._inner = cast(
            SyncVectorEnv[Any, Any],
            gymnasium.make_vec(
                "Pendulum-v1",
                num_envs=num_envs,
                vectorization_mode="sync",
                vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP, "copy": copy},
                g=g,
            ),
        )
        self._obs = np.zeros((num_envs, len(_FIELDS)), np.float32)
        self.single_observation_space = self._inner.single_observation_space
        self.observation_space = self._inner.observation_space
        self.single_action_space = spaces.Discrete(len(self.torques))
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(
        self,
        *,
        seed: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode in every copy, with ``seed + i`` or ``seed[i]`` in copy i."""
        self._obs, info = self._inner.reset(
            seed=None if seed is None else spread_seeds(seed, self.num_envs),
            options=options,
        )
        return self._obs, info

    def observe(self) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """What every copy shows now."""
        return self._obs, {}

    def step(
        self, actions: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Push each copy with the torque of its action, (N,).

        Raises:
            InputError: no such action; no copy has moved then.
        """
        actions = np.asarray(actions)
        if actions.shape != (self.num_envs,) or actions.dtype.kind not in "iu":
            raise InputError(f"actions {actions!r}: give {self.num_envs} whole numbers")
        bad = (actions < 0) | (actions >= len(self.torques))
        if bad.any():
            row = int(np.argmax(bad))
            raise InputError(
                f"action {actions[row]} of copy {row}: there are 0 to {len(self.torques) - 1}"
            )
        self._obs, reward, terminated, truncated, info = self._inner.step(
            self.torques[actions][:, None]
        )
        return self._obs, reward, terminated, truncated, info

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return known_state.state_dict(self._inner)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave."""
        self._obs = known_state.load_state_dict(self._inner, state)

    def close_extras(self, **kwargs: Any) -> None:
        """Close the copies."""
        self._inner.close(**kwargs)

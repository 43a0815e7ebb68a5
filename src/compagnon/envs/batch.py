"""Many copies of any environment, seen the way learners and evaluators want to see them.

`BatchEnv` hides what differs between our compiled environments and Gymnasium's: where the action
mask stands, how the last observation of an episode is handed over, how long a step took, and how
the whole thing is saved and restored.
"""

from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from compagnon.envs import classic_state
from compagnon.envs.field import Field
from compagnon.envs.making import GYMNASIUM, is_ours, make_vec
from compagnon.errors import InputError


class Step(NamedTuple):
    """What one step of N copies gave; arrays are valid until the next step.

    Attributes:
        obs: (N, F) float32, of the state to act in next (a new episode where one ended).
        action_mask: (N, A) bool, or None where the action space is not discrete.
        reward: (N,) float64.
        terminated, truncated: (N,) bool.
        next_obs: (N, F) float32, of the state that the action led to, before any reset.
        elapsed: (N,) int64, time units the step took; 1 unless the environment says otherwise.
        kpis: (N, K) float64, valid where an episode ended; None where none did or none are kept.
        next_action_mask: (N, A) bool, of `next_obs`; None where the action space is not discrete.
            Where an episode was terminated nothing can be done any more, and it means nothing;
            where one was truncated it is all True if the environment does not say.
    """

    obs: NDArray[np.float32]
    action_mask: NDArray[np.bool_] | None
    reward: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    next_obs: NDArray[np.float32]
    elapsed: NDArray[np.int64]
    kpis: NDArray[np.float64] | None
    next_action_mask: NDArray[np.bool_] | None


class BatchEnv:
    """N copies of an environment with Box observations.

    Args:
        env_id: any Gymnasium id.
        env_args: its arguments.
        num_envs: how many copies.
        backend: what steps the copies, see `making.make_vec`.

    Raises:
        InputError: no such environment, a bad argument, or observations that are not vectors.
    """

    def __init__(
        self,
        env_id: str,
        env_args: dict[str, Any],
        num_envs: int,
        backend: str = GYMNASIUM,
    ) -> None:
        self.env_id = env_id
        self.env_args = dict(env_args)
        self.num_envs = num_envs
        self.backend = backend
        ours_alone = {"copy": False} if is_ours(env_id) else {}
        taken = [name for name in ("num_envs", "backend", *ours_alone) if name in env_args]
        if taken:
            raise InputError(f"{env_id}: {taken[0]} is not yours to choose here")
        self.vec: Any = make_vec(env_id, num_envs, backend=backend, **env_args, **ours_alone)
        space = self.vec.single_observation_space
        if not isinstance(space, spaces.Box) or len(space.shape) != 1:
            raise InputError(f"{env_id} observes {space}; vectors of numbers (Box) are needed")
        self.action_space = self.vec.single_action_space
        self.fields: tuple[Field, ...] = getattr(
            self.vec, "observation_fields", _fields_of_box(space)
        )
        # None where every seed gives another episode; an order book has so many weeks and no more
        self.distinct_episodes: int | None = getattr(self.vec, "distinct_episodes", None)
        self.scaling: str = getattr(self.vec, "scaling", "physical")
        self.kpi_names: tuple[str, ...] = getattr(self.vec, "kpi_names", ())
        self.reward_term_names: tuple[str, ...] = getattr(self.vec, "reward_term_names", ())
        self.obs: NDArray[np.float32] = np.zeros((num_envs, space.shape[0]), np.float32)
        self.action_mask: NDArray[np.bool_] | None = None
        self._ones = np.ones(num_envs, np.int64)
        self._all_actions = (
            np.ones((num_envs, int(self.action_space.n)), np.bool_)
            if isinstance(self.action_space, spaces.Discrete)
            else None
        )
        self._is_classic = classic_state.can_be_saved(self.vec)
        self._begun = False
        self._first_seed = 0
        self._restarts = 0

    def reset(self, seeds: list[int]) -> None:
        """Begin the episode number 0 of each seed; `obs` and `action_mask` then hold its start."""
        self._first_seed = int(seeds[0])
        self._begin(seeds)

    def _begin(self, seeds: list[int]) -> None:
        obs, info = self.vec.reset(seed=[int(seed) for seed in seeds])
        self._begun = True
        self._show(obs, info)

    def step(self, actions: NDArray[Any]) -> Step:
        """Step every copy; an ended episode is followed by the next one at once."""
        obs, reward, terminated, truncated, info = self.vec.step(actions)
        self._show(obs, info)
        kpis = None
        next_obs, next_action_mask = self.obs, self.action_mask
        if "final_obs" in info:
            ended, final = info["_final_obs"], info.get("final_info", {})
            next_obs = next_obs.copy()
            next_obs[ended] = np.stack(list(info["final_obs"][ended]))
            if self.kpi_names:
                kpis = final["kpis"]
            if next_action_mask is not None and "action_mask" in info and truncated.any():
                next_action_mask = _before_reset(next_action_mask, truncated, ended, final)
        return Step(
            self.obs,
            self.action_mask,
            reward,
            terminated,
            truncated,
            next_obs,
            info.get("elapsed", self._ones),
            kpis,
            next_action_mask,
        )

    def _show(self, obs: NDArray[Any], info: dict[str, Any]) -> None:
        self.obs = np.asarray(obs, np.float32)
        mask = info.get("action_mask", self._all_actions)
        self.action_mask = mask if mask is None else np.asarray(mask, np.bool_)

    def close(self) -> None:
        """Give back what the copies hold; physics engines do not by themselves."""
        self.vec.close()

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on.

        An environment that cannot be saved begins new episodes here, with seeds that
        `load_state_dict` will use again: so the run that saved and the run that resumes are the
        same run.
        """
        if hasattr(self.vec, "state_dict"):
            return {"state": self.vec.state_dict()}
        if self._is_classic and self._begun:
            return {"first_seed": self._first_seed, "classic": classic_state.state_dict(self.vec)}
        self._restarts += 1
        self._restart()
        return {"restarts": self._restarts, "first_seed": self._first_seed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave."""
        if "state" in state:
            self.vec.load_state_dict(state["state"])
            self._show(*self.vec.observe())
            return
        self._first_seed = int(state["first_seed"])
        if "classic" in state:
            self._begun = True
            self._show(classic_state.load_state_dict(self.vec, state["classic"]), {})
        else:
            self._restarts = int(state["restarts"])
            self._restart()

    def _restart(self) -> None:
        # Drawn as training draws its own: small whole numbers are what policies are compared on.
        rng = np.random.default_rng([self._first_seed, self._restarts])
        self._begin([int(seed) for seed in rng.integers(2**62, size=self.num_envs)])


def _before_reset(
    mask: NDArray[np.bool_],
    truncated: NDArray[np.bool_],
    ended: NDArray[np.bool_],
    final: dict[str, Any],
) -> NDArray[np.bool_]:
    """`mask` with the rows of truncated episodes as they stood before the next ones began."""
    mask = mask.copy()
    mask[truncated] = True
    if "action_mask" in final:
        told = truncated & final.get("_action_mask", ended)
        mask[told] = final["action_mask"][told]
    return mask


def _fields_of_box(space: spaces.Box) -> tuple[Field, ...]:
    low, high = space.low.astype(float), space.high.astype(float)
    return tuple(
        Field(f"obs_{i}", "", float(low[i]), float(high[i]), 1.0, f"observation number {i}")
        for i in range(space.shape[0])
    )

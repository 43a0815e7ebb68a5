"""Many envs of any kind, seen the way learners and evaluators want to see them.

`BatchEnv` hides what differs between our compiled environments and Gymnasium's: where the action
mask stands, how the last observation of an episode is handed over, how long a step took, and how
the whole thing is saved and restored.
"""

from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv
from numpy.typing import NDArray

from compagnon.envs import known_state
from compagnon.envs.adapter import names_said, said
from compagnon.envs.encoding import Encoder
from compagnon.envs.field import Field
from compagnon.envs.making import GYMNASIUM, is_compiled, make_vec
from compagnon.envs.products import ActionProduct
from compagnon.envs.step_checks import StepChecks
from compagnon.errors import FaultyEnvError, InputError


class Step(NamedTuple):
    """What one step of N envs gave; arrays are valid until the next step.

    Attributes:
        obs: (N, F) float32, of the state to act in next (a new episode where one ended).
        action_mask: (N, A) bool, or None where the action space is not discrete.
        reward: (N,) float64.
        terminated, truncated: (N,) bool.
        next_obs: (N, F) float32, of the state that the action led to, before any reset.
        duration: (N,) int64, time units the step took; 1 unless the environment says otherwise.
        kpis: (N, K) float64, valid where an episode ended; None where none did or none are kept.
            Reward terms that the environment has no KPI of come last, summed over the episode.
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
    duration: NDArray[np.int64]
    kpis: NDArray[np.float64] | None
    next_action_mask: NDArray[np.bool_] | None


class BatchEnv:
    """N envs, as vectors of named numbers.

    Args:
        env_id: any Gymnasium id, ``module:ID`` included.
        env_args: its arguments.
        num_envs: how many envs.
        backend: what steps the envs, see `making.make_vec`.

    Attributes:
        not_restored: what an env raised when it was last put back; None where none did.

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
        ours_alone = {"copy": False} if is_compiled(env_id) else {}
        taken = [name for name in ("num_envs", "backend", "batch", *ours_alone) if name in env_args]
        if taken:
            raise InputError(f"{env_id}: {taken[0]} is not yours to choose here")
        self.vec: Any = make_vec(
            env_id, num_envs, backend=backend, batch=BatchEnv, **env_args, **ours_alone
        )
        space = self.vec.single_observation_space
        if not isinstance(space, spaces.Box) or len(space.shape) != 1:
            raise InputError(f"{env_id} observes {space}; vectors of numbers (Box) are needed")
        self.action_space = self.vec.single_action_space
        source = self.vec.envs[0] if isinstance(self.vec, SyncVectorEnv) else self.vec
        fields = said(source, "observation_fields")
        self.fields: tuple[Field, ...] = Encoder(space).fields if fields is None else fields
        # How actions of several parts are numbered; None where they are numbers, or vectors.
        product: ActionProduct | None = said(source, "product")
        self.action_product = None if product is None or product.plain else product
        # None where every seed gives another episode; an order book has so many weeks and no more
        self.distinct_episodes: int | None = said(source, "distinct_episodes")
        self.scaling: str = getattr(self.vec, "scaling", "physical")
        self.reward_term_names = names_said(source, "reward_term_names")
        self._kpi_names = names_said(source, "kpi_names")
        self._named_at_end = False
        self._summed = [
            column
            for column, name in enumerate(self.reward_term_names)
            if name not in self._kpi_names
        ]
        self._sums = np.zeros((num_envs, len(self._summed)))
        self.obs: NDArray[np.float32] = np.zeros((num_envs, space.shape[0]), np.float32)
        self.action_mask: NDArray[np.bool_] | None = None
        self._ones = np.ones(num_envs, np.int64)
        self._all_actions = (
            np.ones((num_envs, int(self.action_space.n)), np.bool_)
            if isinstance(self.action_space, spaces.Discrete)
            else None
        )
        self._is_known = known_state.can_be_saved(self.vec)
        self._trusted = is_compiled(env_id)
        names = [field.name for field in self.fields]
        self._checks = StepChecks(env_id, (num_envs, space.shape[0]), names, self._trusted)
        self._begun = False
        self._masked = False
        self._steps = 0
        self._began_at = np.zeros(num_envs, np.int64)  # the step that each episode began after
        self._seeds: list[int] | None = None
        self.not_restored: FaultyEnvError | None = None

    @property
    def kpi_names(self) -> tuple[str, ...]:
        """What `Step.kpis` holds; an environment may name them only when an episode ends."""
        return (*self._kpi_names, *(self._sum_names[k] for k in self._shown_sums))

    @property
    def _sum_names(self) -> list[str]:
        return [self.reward_term_names[column] for column in self._summed]

    @property
    def _shown_sums(self) -> list[int]:
        """Which sums are figures: not those of which a KPI that was named at an end speaks."""
        return [k for k, name in enumerate(self._sum_names) if name not in self._kpi_names]

    @property
    def began_at(self) -> NDArray[np.int64]:
        """(N,), after how many steps of the batch the running episode of each env began."""
        return self._began_at.copy()

    def gives_masks(self) -> bool:
        """Whether the environment says what is possible; one that has not begun yet begins."""
        if self._all_actions is not None and not self._begun:
            self.reset(list(range(self.num_envs)))
        return self._masked

    def reset(self, seeds: list[int]) -> None:
        """Begin the episode number 0 of each seed; `obs` and `action_mask` then hold its start."""
        self._begin(seeds)

    def _begin(self, seeds: list[int]) -> None:
        self._seeds = [int(seed) for seed in seeds]
        self._steps = 0
        self._began_at[:] = 0
        self._sums[:] = 0.0
        try:
            obs, info = self.vec.reset(seed=self._seeds.copy())
            self._begun = True
            self._show(obs, info)
            self._checks.shown(self.obs, self.action_mask)
        except FaultyEnvError as fault:
            raise self._placed(fault) from None

    def step(self, actions: NDArray[Any]) -> Step:
        """Step every env; an ended episode is followed by the next one at once.

        Raises:
            FaultyEnvError: the environment gave something that is no number, a time below 0, or
                a mask that leaves nothing to choose.
        """
        self._steps += 1
        try:
            return self._step(actions)
        except FaultyEnvError as fault:
            raise self._placed(fault) from None

    def _step(self, actions: NDArray[Any]) -> Step:
        obs, reward, terminated, truncated, info = self.vec.step(actions)
        self._show(obs, info)
        self._checks.reward(reward)
        ended = info["_final_obs"] if "final_obs" in info else None
        ours = self._trusted
        elapsed = info.get("elapsed", self._ones) if ours else self._elapsed(info, ended)
        if self._summed:
            self._sum_terms(info, ended)
        kpis = None
        next_obs, next_action_mask = self.obs, self.action_mask
        if ended is not None:
            next_obs = next_obs.copy()
            next_obs[ended] = np.stack(list(info["final_obs"][ended]))
            self._checks.obs(next_obs)
            final = info.get("final_info", {})
            kpis = self._kpis(final, ended)
            told = "action_mask" in info or "action_mask" in final
            if told and next_action_mask is not None and truncated.any():
                next_action_mask = self._mask_before_reset(info, ended, truncated)
            self._began_at[ended] = self._steps
        self._checks.shown(self.obs, self.action_mask)
        return Step(
            self.obs,
            self.action_mask,
            reward,
            terminated,
            truncated,
            next_obs,
            elapsed,
            kpis,
            next_action_mask,
        )

    # -- what the envs say --------------------------------------------------------------------

    def _show(self, obs: NDArray[Any], info: dict[str, Any]) -> None:
        self.obs = np.asarray(obs, np.float32)
        if self._all_actions is None:
            return
        mask = info.get("action_mask")
        if mask is None:
            self.action_mask = self._all_actions
            return
        self._masked = True
        mask = np.asarray(mask, np.bool_)
        if mask.shape != self._all_actions.shape:
            raise FaultyEnvError(
                self.env_id,
                f"the action masks have shape {mask.shape}; they should have "
                f"{self._all_actions.shape}",
            )
        told = info.get("_action_mask")
        if told is not None and not told.all():
            # Some envs say what is possible, and some do not: there everything is.
            mask = mask | ~told[:, None]
        self.action_mask = mask

    def _elapsed(self, info: dict[str, Any], ended: NDArray[np.bool_] | None) -> NDArray[np.int64]:
        """Time units of the step, (N,); of an episode's last step they stand in ``final_info``."""
        given = info.get("elapsed")
        final = {} if ended is None else info.get("final_info", {})
        if given is None and "elapsed" not in final:
            return self._ones
        if given is not None and "_elapsed" not in info:  # all envs say it, ended ones as well
            elapsed = given
        else:
            elapsed = np.ones(self.num_envs)
            if given is not None:
                # Where an episode ended it is the next one's beginning that speaks here.
                told = info["_elapsed"] if ended is None else info["_elapsed"] & ~ended
                elapsed[told] = given[told]
            if "elapsed" in final:
                told = final.get("_elapsed", ended)
                elapsed[told] = final["elapsed"][told]
        return self._checks.whole_times(np.asarray(elapsed))

    def _sum_terms(self, info: dict[str, Any], ended: NDArray[np.bool_] | None) -> None:
        """Add what the reward is made of to the sums of the episodes under way."""
        terms = np.zeros((self.num_envs, len(self.reward_term_names)))
        given = info.get("reward_terms")
        if given is not None:
            told = info.get("_reward_terms", slice(None))
            terms[told] = given[told]
        final = {} if ended is None else info.get("final_info", {})
        if "reward_terms" in final:
            told = final.get("_reward_terms", ended)
            terms[told] = final["reward_terms"][told]
        self._checks.reward_terms(terms, self.reward_term_names)
        self._sums += terms[:, self._summed]

    def _kpis(self, final: dict[str, Any], ended: NDArray[np.bool_]) -> NDArray[np.float64] | None:
        given = final.get("kpis")
        if isinstance(given, dict):  # named by an env that ended, rather than beforehand
            if not self._named_at_end:
                self._named_at_end = True
                self._kpi_names = tuple(name for name in given if f"_{name}" in given)
            given = np.stack([self._kpi_column(given, name) for name in self._kpi_names], axis=1)
        elif given is None and self._kpi_names:
            given = np.full((self.num_envs, len(self._kpi_names)), np.nan)
        if not self._summed:
            return given
        sums = self._sums[:, self._shown_sums]
        self._sums[ended] = 0.0
        return sums if given is None else np.concatenate([given, sums], axis=1)

    def _kpi_column(self, given: dict[str, Any], name: str) -> NDArray[np.float64]:
        if name not in given:
            return np.full(self.num_envs, np.nan)
        return np.where(given[f"_{name}"], given[name], np.nan)

    def _mask_before_reset(
        self, info: dict[str, Any], ended: NDArray[np.bool_], truncated: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """The masks with those of truncated episodes as they stood before the next ones began."""
        assert self.action_mask is not None
        final = info.get("final_info", {})
        mask = self.action_mask.copy()
        mask[truncated] = True
        if "action_mask" in final:
            told = truncated & final.get("_action_mask", ended)
            mask[told] = final["action_mask"][told]
            self._checks.choice(mask)
        return mask

    def _placed(self, fault: FaultyEnvError) -> FaultyEnvError:
        """The fault with the seed and the step of its env."""
        copy = fault.copy
        if copy is None:
            return fault
        step = self._steps - int(self._began_at[copy])
        seed = "" if self._seeds is None else f" (begun with seed {self._seeds[copy]})"
        where = f"{seed}, step {step} of its episode"
        return FaultyEnvError(self.env_id, fault.what, fault.copy, where)

    def close(self) -> None:
        """Give back what the envs hold; physics engines do not by themselves."""
        self.vec.close()

    # -- saving -------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on; saving it changes nothing.

        Our environments and Gymnasium's classic ones are saved as they stand. Of any other is kept
        how its episodes came to where they stand, see `Recorded`.

        Raises:
            InputError: no episode has begun.
        """
        if hasattr(self.vec, "state_dict"):
            return {"state": self.vec.state_dict()}
        if not self._begun:
            raise InputError(f"{self.env_id} cannot be saved before its first reset")
        if self._is_known:
            return {"classic": known_state.state_dict(self.vec)}
        return {
            "copies": list(self.vec.get_attr("saved")),
            "obs": np.array(self.obs),
            "mask": None if self.action_mask is None else np.array(self.action_mask),
            "sums": self._sums.copy(),
            "seeds": list(self._seeds or ()),
            "steps": self._steps,
            "began_at": self._began_at.copy(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """Continue from what `state_dict` gave.

        Returns:
            Whether the envs stand where they stood. An environment whose episodes do not follow
            from their seeds and actions alone cannot be brought there; new episodes have begun
            then, and whoever keeps anything of the ones under way has to forget it. What an env
            raised meanwhile stands in `not_restored`.

        Raises:
            FaultyEnvError: no new episodes can be begun either.
        """
        self._begun = True
        self.not_restored = None
        if "state" in state:
            repeated = self.vec.load_state_dict(state["state"]) is not False
            if not repeated:
                self.not_restored = said(self.vec, "not_restored")
            self._show(*self.vec.observe())
            return repeated or self._begin_others()
        if "classic" in state:
            self._show(known_state.load_state_dict(self.vec, state["classic"]), {})
            return True
        copies = list(state["copies"])  # a state without any is refused by that
        self.vec.set_attr("saved", copies)
        self.obs = np.array(state["obs"], np.float32)
        mask = state["mask"]
        self.action_mask = None if mask is None else np.array(mask, np.bool_)
        self._sums = np.array(state["sums"])
        self._seeds = [int(seed) for seed in state["seeds"]]
        self._steps = int(state["steps"])
        self._began_at = np.array(state["began_at"])
        if all(self.vec.get_attr("restored")):
            return True
        faults = (fault for fault in self.vec.get_attr("fault") if fault is not None)
        self.not_restored = next(faults, None)
        return self._begin_others()

    def _begin_others(self) -> bool:
        """Begin new episodes where those that were saved could not be brought back; False."""
        # Drawn as training draws its own: small whole numbers are what policies are compared on.
        rng = np.random.default_rng([self._steps, *(self._seeds or ())[:1]])
        try:
            self._begin([int(seed) for seed in rng.integers(2**62, size=self.num_envs)])
        except FaultyEnvError:
            raise
        except Exception as error:  # whatever somebody's environment may raise
            if self.not_restored is None:
                raise
            raise FaultyEnvError(
                self.env_id,
                f"{self.not_restored.what}; nor could new episodes be begun ({error!r})",
                self.not_restored.copy,
                self.not_restored.where,
            ) from None
        return False

"""How DDPG tries other actions than its actor's: noise on actions or on weights, or by drawing."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from compagnon.errors import InputError
from compagnon.rl.exploration.noise import (
    GaussianNoise,
    Noise,
    NoisyActions,
    OrnsteinUhlenbeck,
)
from compagnon.rl.exploration.parameter_noise import ParameterNoise
from compagnon.rl.exploration.settings import Exploration, ExplorationSettings
from compagnon.rl.fast import masked
from compagnon.rl.networks.actor_critic import ActorCritic
from compagnon.rl.networks.mlp import NormedMlp

_SERVES: dict[str, tuple[Exploration, ...]] = {  # the first one is meant where none is named
    "box": ("ou", "gaussian", "parameters", "none"),
    "discrete": ("draws", "parameters", "none"),
}


class Explorer:
    """Chooses the actions that are tried, in N envs.

    Args:
        network: whose actor is followed. num_envs: N.

    Raises:
        InputError: an exploration that does not serve the actions at hand.
    """

    def __init__(self, settings: ExplorationSettings, network: ActorCritic, num_envs: int) -> None:
        serves = _SERVES[network.schema.action.kind]
        self.kind = settings.exploration or serves[0]
        if self.kind not in serves:
            raise InputError(
                f"ddpg: exploration = {self.kind!r} is not for the actions of "
                f"{network.schema.env_id} ({network.schema.action.words}); "
                f"{', '.join(serves)} are"
            )
        self.network, self._every = network, settings.parameter_every
        size = network.schema.action.n
        self.noisy: NoisyActions | None = None
        self.parameters: ParameterNoise | None = None
        if self.kind in ("ou", "gaussian"):
            noise = (
                OrnsteinUhlenbeck(
                    num_envs, size, settings.noise_std, settings.ou_theta, settings.ou_dt
                )
                if self.kind == "ou"
                else GaussianNoise(num_envs, size, settings.noise_std)
            )
            repulsion = settings.repulsion if settings.repulsive_boundary else 0.0
            self.noisy = NoisyActions(noise, repulsion)
        elif self.kind == "parameters":
            assert isinstance(network.actor, NormedMlp)
            self.parameters = ParameterNoise(
                network.actor,
                settings.parameter_std,
                settings.parameter_distance,
                settings.parameter_factor,
            )

    def explore(
        self,
        x: NDArray[np.float32],
        action_mask: NDArray[np.bool_] | None,
        rng: np.random.Generator,
    ) -> NDArray[Any]:
        """Actions to try in states as the networks read them, (N, F).

        Returns:
            (N, D) float32 in units of the half-range, or (N,) int64, all of them possible.

        Raises:
            FloatingPointError: the actor's outputs are no finite numbers.
        """
        network = self.network
        actor = network.actor if self.parameters is None else self.parameters.disturbed
        with torch.inference_mode():
            outputs = actor(network.tensor(x))
            if action_mask is None:
                units = network.head_forward(outputs, None).cpu().numpy()
                if not np.isfinite(units).all():
                    raise FloatingPointError("an action of the actor is not a finite number")
                return units if self.noisy is None else self.noisy(units, rng)
        logits, actions = outputs.cpu().numpy(), np.empty(len(x), np.int64)
        if self.kind == "draws":
            unused = np.empty(len(x), np.float32)
            masked.sample_actions(logits, action_mask, rng.random(len(x)), actions, unused)
        else:
            masked.greedy_actions(logits, action_mask, actions)
        return actions

    def anything(
        self, num_envs: int, action_mask: NDArray[np.bool_] | None, rng: np.random.Generator
    ) -> NDArray[Any]:
        """Uniform actions, as `explore` gives them."""
        size = self.network.schema.action.n
        if action_mask is None:
            return rng.uniform(-1, 1, (num_envs, size)).astype(np.float32)
        actions, unused = np.empty(num_envs, np.int64), np.empty(num_envs, np.float32)
        level = np.zeros((num_envs, size), np.float32)
        masked.sample_actions(level, action_mask, rng.random(num_envs), actions, unused)
        return actions

    def reset(self, ended: NDArray[np.bool_], rng: np.random.Generator) -> None:
        """Begin anew in the envs, (N,), whose episode ended.

        All envs follow one disturbed actor, so that one is replaced as soon as any episode ends.
        """
        if self.noisy is not None:
            self.noisy.noise.reset(ended)
        if self.parameters is not None:
            self.parameters.disturb(rng)

    def adapt(
        self, steps: int, x: torch.Tensor, mask: torch.Tensor | None, rng: np.random.Generator
    ) -> None:
        """Adapt the parameter noise, if that is due after so many steps, by the states given."""
        if self.parameters is not None and steps % self._every == 0:
            self.parameters.adapt(lambda actor: self.network.head_forward(actor(x), mask), rng)

    def metrics(self) -> dict[str, float]:
        """What is to be said of exploration."""
        return {} if self.parameters is None else {"parameter_std": self.parameters.std}

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next action depends on, but the generator and the actor."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Noise | ParameterNoise]:
        parts: dict[str, Noise | ParameterNoise] = {}
        if self.noisy is not None:
            parts["noise"] = self.noisy.noise
        if self.parameters is not None:
            parts["parameters"] = self.parameters
        return parts

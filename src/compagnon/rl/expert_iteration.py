"""Expert iteration: clone a master, look ahead over the pupil, learn what that found, practise.

Anthony, Tian and Barber 2017, "Thinking fast and slow with deep learning and tree search" (arXiv
1705.08439); what looks ahead is `worlds.lookahead`, and PPO practises between two rounds. All that
a look-ahead found is learnt, the value of each candidate and not its choice alone: the policy gains
probability times advantage of every one (mean actor-critic: Allen et al. 2017, arXiv 1709.00503),
less the KL by which it moves, which TRPO bounds (Schulman et al. 2015, arXiv 1502.05477, eq. 12).
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from compagnon.envs import BatchEnv
from compagnon.policy import DayReader, Policy
from compagnon.rl import dagger, ppo
from compagnon.rl.algorithm import BuildPlan, policy_network
from compagnon.rl.buffers.looks import Looks
from compagnon.rl.dagger import Dagger
from compagnon.rl.expert_iteration_settings import ExpertIterationSettings
from compagnon.rl.hybrid import CloningAndPractising
from compagnon.rl.networks.trainable import PolicyNetwork
from compagnon.rl.ppo import PPO
from compagnon.worlds import find_world
from compagnon.worlds.copying import states_of
from compagnon.worlds.lookahead import LookAhead

__all__ = ["ExpertIteration", "ExpertIterationSettings"]
_HELD_OUT_ONE_IN: Final = 10  # copies
_PART: Final = 1024  # decisions that are read at once
_IMPOSSIBLE: Final = -1e9  # a logit whose probability is 0, and whose product with that is, too


class ExpertIteration(CloningAndPractising):
    """Hands one network from the clone to look-ahead and practice, round after round.

    Args:
        settings: see `ExpertIterationSettings`.
        dagger, ppo: built on the same `PolicyNetwork`.
        look: a look-ahead; what plays on in it is the expert in the first round, where it can be
            asked about any state, and from then on the network as it is.
        env: the envs whose decisions are looked at; this object resets them.
        seed: of episodes, looks and minibatches.
    """

    def __init__(
        self,
        settings: ExpertIterationSettings,
        dagger: Dagger,
        ppo: PPO,
        look: LookAhead,
        env: BatchEnv,
        seed: int,
    ) -> None:
        self.settings, self.dagger, self.ppo = settings, dagger, ppo
        self.look, self.looked_in = look, env
        self.network: PolicyNetwork = ppo.network
        self.iteration = 0
        self.under_way: Callable[[float], object] = lambda _: None  # see `LongIterations`
        self.rng = np.random.default_rng(seed)
        self._look_steps = 0

    @property
    def env_steps(self) -> int:
        """Environment steps of all three parts; those of drawn futures do not count."""
        return super().env_steps + self._look_steps

    @property
    def phase(self) -> str:
        """Which part the next iteration belongs to."""
        return self.settings.phase(self.iteration)

    def iterate(self) -> dict[str, float]:
        """One iteration of the part whose turn it is; its metrics."""
        if self.phase == "dagger":
            metrics = self.dagger.iterate()
        elif self.phase == "look_ahead":
            looks = self._look_around()
            metrics = looks.metrics() | self._learn(looks)
        else:
            if self.settings.phase(self.iteration - 1) != "ppo":
                self.network.soften(self.settings.clone_temperature)
            metrics = self.ppo.iterate()
        self.iteration += 1
        return metrics

    # -- looking ahead ------------------------------------------------------------------------

    def _look_around(self) -> Looks:
        """Let the network play, and value some of the decisions that it meets."""
        settings, env, rng = self.settings, self.looked_in, self.rng
        for name, weights in self.network.actor.named_parameters():
            if not bool(weights.isfinite().all()):
                raise FloatingPointError(
                    f"a weight of the actor, in {name}, is not a finite number"
                )
        env.reset([int(s) for s in rng.integers(2**62, size=env.num_envs)])
        pupil = self.network.as_policy("the network")
        seed = int(rng.integers(2**62))
        looking = self.look.over(self._below(pupil), seed).playing(env)
        looks = Looks(len(self.network.schema.observation.fields), self.network.schema.action.n)
        # So many at each step that they come to what is wanted, spread over the whole collection.
        steps = np.arange(settings.collect_steps + 1) * settings.looks // settings.collect_steps
        for done, wanted in enumerate(np.diff(steps).tolist()):
            self.under_way(done / settings.collect_steps)
            obs, mask = env.obs.copy(), env.action_mask
            assert mask is not None
            actions = pupil.act(obs, mask)
            rows = np.flatnonzero(mask.sum(axis=1) > 1)
            rows = np.sort(rng.choice(rows, min(wanted, len(rows)), replace=False))
            if len(rows):
                roots = {name: array[rows] for name, array in states_of(env).items()}
                found = looking.values(roots, obs[rows], mask[rows], actions[rows])
                looks.add(self.network.project(obs[rows]), mask[rows], found, rows)
            env.step(actions)
        self._look_steps += settings.collect_steps * env.num_envs
        return looks

    def _below(self, pupil: Policy) -> Policy:
        """Who plays on: in the first round the expert, if it can be asked about any state."""
        expert = self.dagger.expert
        first = self.iteration == self.settings.dagger.iterations
        asked = first or self.settings.plays_on == "expert"
        return pupil if not asked or expert is None or isinstance(expert, DayReader) else expert

    # -- learning -----------------------------------------------------------------------------

    def _learn(self, looks: Looks) -> dict[str, float]:
        """Adam's steps down `policy_loss`, whose size falls to 0; the gain on copies held out."""
        settings, network = self.settings, self.network
        scale = looks.scale
        if scale == 0.0:  # nothing was told apart: there is nothing to learn
            return {}
        training, aside = looks.split(_HELD_OUT_ONE_IN)
        x, mask = network.tensor(network.scaled(looks.obs)), network.tensor(looks.action_mask)
        learnt = network.tensor(looks.weighted / scale)
        before = self._log_probs(x, mask)

        def gain(rows: NDArray[np.int64]) -> float:
            advantages = network.tensor(looks.advantages[rows])
            probs = self._log_probs(x[rows], mask[rows]).exp()
            return float((probs * advantages).sum(dim=1).mean())

        metrics = {"held_out_gain_before": gain(aside)} if len(aside) else {}
        optimiser = torch.optim.Adam(network.actor.parameters(), lr=settings.learning_rate)
        for step in range(settings.gradient_steps):
            rate = settings.learning_rate * (1.0 - step / settings.gradient_steps)
            optimiser.param_groups[0]["lr"] = rate
            rows = torch.from_numpy(self.rng.choice(training, settings.batch_size)).to(x.device)
            now = log_probs(network.actor(x[rows]), mask[rows])
            loss = policy_loss(now, before[rows], learnt[rows], settings.kl_coef)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        metrics["gain"] = gain(training)
        return metrics | ({"held_out_gain": gain(aside)} if len(aside) else {})

    def _log_probs(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Of what the network reads and masks, (B, A), as it is now; so many rows at a time."""
        with torch.no_grad():
            parts = zip(torch.split(x, _PART), torch.split(mask, _PART), strict=True)
            return torch.cat([log_probs(self.network.actor(some), m) for some, m in parts])

    # -- saving -------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """The states of clone and practice; of the looks nothing is kept from round to round."""
        own = {"look_steps": self._look_steps, "look_rng": self.rng.bit_generator.state}
        return super().state_dict() | own

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave."""
        super().load_state_dict(state)
        self._look_steps = int(state["look_steps"])
        self.rng.bit_generator.state = state["look_rng"]


def log_probs(logits: torch.Tensor, action_mask: torch.Tensor) -> torch.Tensor:
    """Of logits and masks (B, A); a large negative number where an action is impossible."""
    return logits.masked_fill(~action_mask, _IMPOSSIBLE).log_softmax(dim=1)


def policy_loss(
    log_probs: torch.Tensor, before: torch.Tensor, advantages: torch.Tensor, kl_coef: float
) -> torch.Tensor:
    """Minus the mean over rows of ``sum_a p_a A_a - kl_coef KL(before || p)``; all (B, A).

    What few futures say of one decision is mostly noise. It enters linearly, so over the states
    that the network cannot tell apart it averages out; an exponential of noisy values, as in
    targets that are a softmax of them, would be drawn to whoever was lucky.
    """
    gain = (log_probs.exp() * advantages).sum(dim=1)
    kl = (before.exp() * (before - log_probs)).sum(dim=1)
    return (kl_coef * kl - gain).mean()


def build(plan: BuildPlan) -> tuple[ExpertIteration, PolicyNetwork]:
    """Expert iteration as a recipe describes it.

    Raises:
        InputError: a setting that does not fit the environment, or one whose world cannot be
            looked ahead in.
    """
    settings = plan.settings
    assert isinstance(settings, ExpertIterationSettings)
    own = settings.ppo
    network = policy_network(plan, own.networks, own.std, own.initial_std)
    forks = find_world(plan.schema.env_id).forks(plan.schema)
    if forks is None:
        raise plan.refuse(
            f"nothing can be tried in {plan.schema.env_id}: its world brings no `forks`, which "
            "expert iteration looks ahead by; hybrid and dagger do without"
        )
    imitates = dagger.on_network(plan, settings.dagger, network)
    others = settings.dagger.iterations + settings.rounds
    total = None if plan.total is None else max(1, plan.total - others)
    practises = ppo.on_network(plan.of(own, total), own, network)
    # Whoever it is over here never plays: each round names who does.
    look = LookAhead(
        "look-ahead", plan.schema, network.as_policy("the network"), forks, settings.futures,
        plan.recipe.seed, settings.candidates or None,
    )  # fmt: skip
    env = plan.env(settings.num_envs)
    return ExpertIteration(settings, imitates, practises, look, env, plan.recipe.seed + 2), network

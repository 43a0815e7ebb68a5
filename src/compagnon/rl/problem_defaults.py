"""What a recipe leaves open, chosen by what is known of its problem before anything is learnt.

No one default fits sixty thousand steps of a small task and a hundred million of a compiled one:
what is 4 updates for the one is 400 for the other. So whatever a recipe says counts, and what it
leaves open follows from the budget in steps, the longest episode, and whether copies of the
environment step together in one compiled kernel. A run's own recipe names every setting: nothing
changes when it is resumed. `benchmarks/defaults.py` shows what these are worth.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

Chosen = dict[str, Any]

_UNKNOWN_STEPS: Final = 1_000_000  # where the budget is in episodes or minutes
EVALUATIONS: Final = 5  # of a run, about, where the recipe does not say
_UPDATES: Final = 40  # rollouts that a budget is cut into, unless they become too short or too long
_NETWORKS: Final = {
    "dqn": {"hidden": [128, 128], "activation": "relu"},
    "ddpg": {"hidden": [128, 128], "activation": "relu"},
}
_SMALL, _MEDIUM, _LARGE = 1_024, 2_048, 16_384  # steps of a rollout, of all copies together


@dataclass(frozen=True, slots=True)
class ProblemFacts:
    """What is known.

    Attributes:
        env_steps: the budget in environment steps; None where it is given otherwise.
        scheduled: the budget says where it ends, in iterations or steps, so that a rate may fall.
        episode_steps: steps after which an episode is cut; None where nobody says.
        compiled: copies step together, so that hundreds cost little more than one.
    """

    env_steps: int | None
    scheduled: bool
    episode_steps: int | None
    compiled: bool

    @property
    def steps(self) -> int:
        """The budget, or a large one where it is not known in steps."""
        return self.env_steps or _UNKNOWN_STEPS

    @property
    def gamma(self) -> float:
        """A discount that sees a fifth of the longest episode: 0.99 to 0.999."""
        horizon = min(max((self.episode_steps or 0) / 5, 100), 1_000)
        return round(1 - 1 / horizon, 4)


def ppo(problem: ProblemFacts, given: Mapping[str, Any]) -> Chosen:
    """A rollout of a fortieth of the budget, though not below 1,024 steps; many short passes.

    Args:
        given: what the recipe says of these settings; sizes follow the copies that it asks for.
    """
    most = _LARGE if problem.compiled else _MEDIUM
    rollout = min(max(_power_below(problem.steps // _UPDATES), _SMALL), most)
    num_envs = given.get("num_envs", max(8, rollout // 64) if problem.compiled else 8)
    large = rollout > _MEDIUM
    chosen = {
        "num_envs": num_envs,
        "rollout_steps": max(1, rollout // num_envs),
        "minibatch_size": rollout // 8 if large else 64,
        "epochs": 3 if large else 10,
        "gamma": problem.gamma,
    }
    if given.get("episodes_per_env"):
        del chosen["num_envs"], chosen["rollout_steps"]
    if problem.scheduled and "learning_rate" not in given:
        chosen |= {"learning_rate": 1e-3, "final_learning_rate": 1e-5}
    return chosen


def practice(problem: ProblemFacts, given: Mapping[str, Any]) -> Chosen:
    """The same for PPO after imitation: what a clone knows is not to be run over."""
    chosen = ppo(problem, given)
    for key in ("learning_rate", "final_learning_rate"):
        chosen.pop(key, None)
    return chosen


def dqn(problem: ProblemFacts, given: Mapping[str, Any]) -> Chosen:
    """Exploration that lasts for a tenth of the budget, and a memory that holds most of it.

    The target follows slowly, all the time; targets span three steps and are not overrated
    (double): both bring a reward that comes late to where it was earned. Large rewards are scaled,
    as a Huber loss learns values of hundreds one unit at a time.
    """
    num_envs = given.get("num_envs", 4)  # an update for each of their steps: fewer fail more often
    capacity = given.get("capacity", min(max(problem.steps, 10_000), 100_000))
    chosen = {
        "num_envs": num_envs,
        "updates": num_envs,
        "capacity": capacity,
        "learning_starts": min(1_000, capacity),
        "gamma": problem.gamma,
        "reward_scale": "auto",
        "target_every": num_envs,
        "tau": 0.01,
        "epsilon_steps": max(1_000, problem.steps // 10),
        "double": True,
        "n_step": 3,
    }
    if problem.scheduled and "learning_rate" not in given:
        chosen |= {"learning_rate": 5e-4, "final_learning_rate": 1e-5}
    return chosen


def ddpg(problem: ProblemFacts, given: Mapping[str, Any]) -> Chosen:
    """A memory that holds the budget, one network for state and action, and two of TD3's remedies.

    Twin critics and a slower actor (arXiv 1802.09477) keep the actor from climbing errors of the
    critic, which is how the plain algorithm breaks down. Noise is wide and pushes one way for some
    67 steps (1 over theta dt): what has to swing, such as a car in a valley, gets somewhere.
    """
    capacity = given.get("capacity", min(max(problem.steps, 10_000), 200_000))
    chosen = {
        "capacity": capacity,
        "learning_starts": min(500, capacity),
        "batch_size": 256,
        "gamma": problem.gamma,
        "reward_scale": "auto",
        "tau": 0.01,
        "critic_state_hidden": [],
        "critic_action_hidden": [],
        "squash": "tanh",
        "twin_critics": True,
        "actor_delay": 2,
    }
    if given.get("exploration") in (None, "ou"):
        chosen |= {"noise_std": 0.5, "ou_dt": 0.1}
    return chosen


def _power_below(number: int) -> int:
    """The largest power of two that is not above a number; 1 at the least."""
    return 1 << math.floor(math.log2(max(1, number)))


_RULES: Final = {"ppo": ppo, "dqn": dqn, "ddpg": ddpg}


def complete(kind: str, problem: ProblemFacts, tree: dict[str, Any]) -> None:
    """Put into a recipe's tree what it leaves open of its algorithm and its network.

    Args:
        kind: of the algorithm.
        tree: what was given, and nothing else; changed in place.
    """
    algorithm = tree["algorithm"]
    if kind == "hybrid":
        _fill(algorithm.setdefault("ppo", {}), practice(problem, algorithm.get("ppo", {})))
    elif kind in _RULES:
        _fill(algorithm, _RULES[kind](problem, algorithm))
    network = tree.setdefault("network", {})
    if network.get("kind", "mlp") == "mlp":
        _fill(network, _NETWORKS.get(kind, {}))
    if not problem.compiled:
        # A policy that fails one start in four passes 16 episodes now and then, and would be kept.
        _fill(tree.setdefault("evaluation", {}), {"episodes": 32})


def _fill(given: dict[str, Any], chosen: Chosen) -> None:
    for key, value in chosen.items():
        given.setdefault(key, value)

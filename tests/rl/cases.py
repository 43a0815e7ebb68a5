"""Every algorithm and variant that keeps the contract of `test_contract.py`: one entry each."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from compagnon.envs import BatchEnv
from compagnon.policy import Schema, save_policy
from compagnon.policy.manifest import CategoricalHead, Manifest, MlpSpec
from compagnon.policy.network import CategoricalPolicy
from compagnon.rl.recipe import Recipe, parse_recipe
from compagnon.worlds.dispatch import DISPATCH
from compagnon.worlds.workshop import WORKSHOP
from tests.rl.small import ACTIONS, BANDIT, CONTEXTS, ECHO, SAVED_BANDIT, SHORT, WALK

Settings = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """An algorithm on an environment that it does well to be tested on.

    Attributes:
        env_id, env_args: with the Workshop everything is saved, Gymnasium's classics too; the Walk
            and the Echo begin new episodes when they are saved, as any other environment does.
        algorithm, network: the recipe's tables.
        lesson: the changes of `algorithm` with which it learns, within seconds, to say what it
            sees: the Bandit's context, or the Echo's vector; None where another case shows it.
        lesson_env: where it does so, if it is neither of these. iterations: that this takes.
        within: how near to the best return it comes.
        saved_at: iterations after which, and within 3 more, every part of its state is in use.
        inert: parts of the state that decide nothing here; the reason stands beside each.
    """

    algorithm: Settings
    env_id: str
    env_args: Settings = field(default_factory=dict)
    network: Settings = field(default_factory=lambda: {"hidden": [8]})
    lesson: Settings | None = None
    lesson_env: str = ""
    iterations: int = 30
    within: float = 0.03
    saved_at: int = 3
    inert: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return str(self.algorithm["kind"])

    def recipe(self, seed: int = 0, **changes: Any) -> Recipe:
        """Small enough that an iteration takes a moment."""
        tree: dict[str, Any] = {
            "name": "small",
            "seed": seed,
            "threads": 1,
            "env": {"id": self.env_id, "args": self.env_args},
            "network": self.network,
            "algorithm": self.algorithm,
            "budget": {"iterations": 6},
            "evaluation": {"every": 3, "episodes": 1},
        }
        return parse_recipe({**tree, **changes}, "a test")

    def lesson_recipe(self, seed: int, folder: Path) -> Recipe:
        """The one with which it learns; `folder` is where its expert is kept, if it has one."""
        assert self.lesson is not None
        algorithm = {**self.algorithm, **self.lesson}
        discrete = Schema.of(BatchEnv(self.env_id, self.env_args, 1)).action.kind == "discrete"
        for table in (algorithm, *(algorithm.get(name, {}) for name in ("dagger",))):
            if "expert" in table:
                table["expert"] = str(bandit_expert(folder))
        return self.recipe(
            seed,
            env={"id": self.lesson_env or (BANDIT if discrete else ECHO)},
            network={"hidden": [32], "activation": "tanh"},
            algorithm=algorithm,
            budget={"iterations": self.iterations},
        )


def bandit_expert(folder: Path) -> Path:
    """A policy that knows the Bandit's answers, on disk."""
    schema = Schema.of(BatchEnv(BANDIT, {}, 1))
    manifest = Manifest(
        name="answers",
        schema=schema,
        schema_sha256=schema.sha256(),
        network=MlpSpec(hidden=()),
        scaler=None,
        head=CategoricalHead(),
        weights_sha256="",
    )
    weights = {
        "actor.0.weight": 5 * np.eye(ACTIONS, CONTEXTS, dtype=np.float32),
        "actor.0.bias": np.zeros(ACTIONS, np.float32),
    }
    save_policy(CategoricalPolicy(manifest, weights), folder / "expert")
    return folder / "expert"


DQN: Settings = {
    "kind": "dqn",
    "num_envs": 4,
    "iteration_steps": 64,
    "capacity": 150,
    "learning_starts": 20,
    "batch_size": 16,
    "target_every": 20,
    "epsilon_steps": 200,
}
PPO: Settings = {
    "kind": "ppo",
    "num_envs": 4,
    "rollout_steps": 16,
    "minibatch_size": 32,
    "epochs": 2,
    "learning_rate": 1e-3,
}
DDPG: Settings = {
    "kind": "ddpg",
    "num_envs": 4,
    "iteration_steps": 64,
    "capacity": 150,
    "learning_starts": 20,
    "batch_size": 16,
    "critic_state_hidden": [8],
    "critic_action_hidden": [8],
    "critic_hidden": [8],
}
DAGGER: Settings = {
    "kind": "dagger",
    "expert": "expert:workshop-v2",
    "num_envs": 4,
    "collect_steps": 50,
    "iterations": 6,
    "gradient_steps": 10,
    "batch_size": 32,
    "keep_share": 0.5,
    "capacity": 300,
}
SEQUENCE: Settings = {
    "kind": "hybrid",
    "dagger": {**DAGGER, "iterations": 2},
    "ppo": {**PPO, "final_learning_rate": 1e-4},
}
LOOKS: Settings = {
    "kind": "expert_iteration",
    "rounds": 1,
    "practice": 6,
    "looks": 6,
    "num_envs": 4,
    "collect_steps": 10,
    "futures": 2,
    "candidates": 3,
    "gradient_steps": 4,
    "batch_size": 4,
    "clone_temperature": 1.5,
    "dagger": {**DAGGER, "iterations": 2},
    "ppo": PPO,
}

LEARN_DQN: Settings = {
    "num_envs": 8,
    "iteration_steps": 200,
    "capacity": 2000,
    "learning_starts": 100,
    "batch_size": 64,
    "learning_rate": 5e-3,
    "epsilon_steps": 2000,
}
LEARN_PPO: Settings = {
    "num_envs": 32,
    "minibatch_size": 128,
    "learning_rate": 3e-3,
    "epochs": 3,
}
LEARN_DDPG: Settings = {
    "num_envs": 8,
    "iteration_steps": 200,
    "capacity": 2000,
    "learning_starts": 200,
    "batch_size": 64,
    "actor_learning_rate": 2e-3,
    "critic_learning_rate": 5e-3,
    "critic_state_hidden": [32],
    "critic_action_hidden": [32],
    "critic_hidden": [32],
}
LEARN_DAGGER: Settings = {"num_envs": 16, "gradient_steps": 100, "learning_rate": 1e-2}

SHORT_WALK: Settings = {"ends": False, "max_episode_steps": 7}
SHORT_SWING: Settings = {"max_episode_steps": 20}
SMALL_FLEET: Settings = {"preset": "clinic-day", "board": 3}
PAIRWISE: Settings = {
    "kind": "pairwise",
    "hidden": [8, 8],
    "embedding": 4,
    "activation": "relu",
    "fields": [
        "time", "driver_present", "driver_free_in", "place_shown", "place_pickup_by",
        "pair_feasible", "pair_added_cost",
    ],
}  # fmt: skip
NO_END = ("returns", "running")  # a week is longer than what is played here

CASES: dict[str, Case] = {
    "dqn": Case(DQN, "CartPole-v1", lesson=LEARN_DQN, iterations=12),
    "dqn, everything": Case(
        {
            **DQN,
            "double": True,
            "dueling": True,
            "prioritised": True,
            "n_step": 3,
            "tau": 0.5,
            "epsilon_spread": 2.0,
            "final_learning_rate": 1e-4,
        },
        WALK,
        SHORT_WALK,
        lesson=LEARN_DQN,
        iterations=12,
    ),
    "dqn, by ranges": Case(
        {**DQN, "n_step": 2, "prioritised": True},
        WORKSHOP,
        SHORT,
        {"hidden": [8], "activation": "relu", "scale_inputs": "ranges"},
        inert=NO_END,
    ),
    "ppo": Case({**PPO, "reference_coef": 0.1}, WORKSHOP, SHORT, lesson=LEARN_PPO, inert=NO_END),
    "ppo, joint": Case(
        {**PPO, "networks": "joint", "reward_scale": "running", "value_clip": 0.2},
        "CartPole-v1",
        lesson=LEARN_PPO,
        iterations=12,
    ),
    "ppo, masked": Case({**PPO, "target_kl": 0.05}, WALK, SHORT_WALK),
    "ppo, whole episodes": Case(
        {**PPO, "episodes_per_env": 2, "reward_scale": "per_trajectory"}, WALK, SHORT_WALK
    ),
    "ppo, box": Case({**PPO, "reference_coef": 0.1}, "Pendulum-v1", SHORT_SWING, lesson=LEARN_PPO),
    "ppo, box, by state": Case({**PPO, "std": "by_state"}, ECHO, lesson=LEARN_PPO),
    "ppo, box, joint, fixed": Case(
        {**PPO, "std": "fixed", "initial_std": 0.3, "networks": "joint"},
        "Pendulum-v1",
        SHORT_SWING,
        lesson=LEARN_PPO,
    ),
    "ddpg, box": Case(DDPG, "Pendulum-v1", SHORT_SWING, lesson=LEARN_DDPG),
    "ddpg, box, td3": Case(
        {
            **DDPG,
            "exploration": "gaussian",
            "twin_critics": True,
            "target_noise": 0.2,
            "actor_delay": 2,
            "squash": "tanh",
            "n_step": 3,
        },
        "Pendulum-v1",  # whose episodes do not end at once, so that targets are in use
        SHORT_SWING,
        lesson=LEARN_DDPG,
    ),
    "ddpg, box, parameters": Case(
        {**DDPG, "exploration": "parameters", "norm": "layer", "parameter_every": 5},
        "Pendulum-v1",
        SHORT_SWING,
        lesson=LEARN_DDPG,
    ),
    "ddpg, box, batch norm": Case(
        {**DDPG, "norm": "batch"},
        "Pendulum-v1",
        SHORT_SWING,
        lesson=LEARN_DDPG,
        iterations=45,
        within=0.12,  # the statistics of batches are noise to the actor
        inert=("num_batches_tracked",),  # torch counts batches and makes no use of it
    ),
    "ddpg, box, simple": Case({**DDPG, "version": "simple"}, ECHO),
    "ddpg, discrete": Case(
        {**DDPG, "n_step": 2}, WALK, SHORT_WALK, lesson=LEARN_DDPG, iterations=12
    ),
    "dagger": Case(DAGGER, WORKSHOP, SHORT, lesson=LEARN_DAGGER, iterations=3),
    "dagger, sampled": Case(
        {
            **DAGGER,
            "student": "sampled",
            "expert_share": 0.5,
            "fresh_optimiser": True,
            "capacity": 60,
        },
        WORKSHOP,
        SHORT,
        # Adam begins anew each time; of the labels seen only the commonest matters: WAIT, always
        inert=("optimiser", "state", "seen"),
    ),
    "hybrid, sequence": Case(
        SEQUENCE,
        WORKSHOP,
        SHORT,
        lesson={"dagger": {**DAGGER, **LEARN_DAGGER, "iterations": 2}, "ppo": {**PPO, **LEARN_PPO}},
        iterations=8,
        saved_at=1,
        inert=NO_END,
    ),
    "dqn, pairwise": Case({**DQN, "double": True}, DISPATCH, SMALL_FLEET, PAIRWISE, inert=NO_END),
    "ppo, pairwise": Case(
        {**PPO, "reference_coef": 0.1}, DISPATCH, SMALL_FLEET, PAIRWISE, inert=NO_END
    ),
    "hybrid, pairwise": Case(
        {
            **SEQUENCE,
            "clone_temperature": 2.0,
            "dagger": {**DAGGER, "expert": "expert:dispatch-regret", "iterations": 2},
        },
        DISPATCH,
        SMALL_FLEET,
        {**PAIRWISE, "greedy": "matching"},
        saved_at=1,
        inert=(*NO_END, "seen"),  # every decision is kept
    ),
    "expert iteration": Case(
        LOOKS,
        WORKSHOP,
        SHORT,
        lesson={
            **{"rounds": 2, "practice": 2, "looks": 200, "num_envs": 16, "collect_steps": 20},
            **{"gradient_steps": 100, "batch_size": 64, "learning_rate": 1e-2},
            "dagger": {**DAGGER, **LEARN_DAGGER, "iterations": 1},
            "ppo": {**PPO, **LEARN_PPO},
        },
        lesson_env=SAVED_BANDIT,
        iterations=7,
        saved_at=1,
        inert=(*NO_END, "look_rng"),  # after the last round nothing is drawn by it any more
    ),
    "hybrid, alternate": Case(
        {**SEQUENCE, "dagger": DAGGER, "mode": "alternate", "ppo_per_dagger": 1},
        WORKSHOP,
        SHORT,
        inert=NO_END,
    ),
}

# One of each algorithm is held to the contract in the quick tests too.
QUICK = (
    "dqn, everything", "ppo", "ddpg, box, td3", "dagger", "hybrid, sequence", "expert iteration",
)  # fmt: skip

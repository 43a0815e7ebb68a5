"""What every algorithm is to the trainer, and how a recipe becomes one."""

from typing import Any, Protocol

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.policy import Policy, Schema, load_policy
from compagnon.policy.loading import DECISIONS, IN_MEMORY
from compagnon.policy.manifest import CategoricalHead, MatchingHead, ValuesHead
from compagnon.rl.buffers.demonstrations import Demonstrations
from compagnon.rl.dagger import Dagger, DaggerSettings
from compagnon.rl.ddpg import DDPG, DDPGSettings
from compagnon.rl.dqn import DQN, DQNSettings, PairwiseQNetwork, QNetwork
from compagnon.rl.hybrid import Hybrid, HybridSettings
from compagnon.rl.networks.actor_critic import ActorCritic
from compagnon.rl.networks.trainable import PairwiseNetwork, PolicyNetwork, TrainableNetwork
from compagnon.rl.ppo import PPO, PPOSettings
from compagnon.rl.recipe import Recipe
from compagnon.worlds.registry import usual_expert

Expert = Policy | Demonstrations


class Algorithm(Protocol):
    """Improves a policy, one unit of work at a time.

    Attributes:
        iteration: units of work done.
        env_steps: environment steps taken.
        episodes: training episodes that ended.
    """

    iteration: int

    @property
    def goes_on(self) -> bool:
        """Whether what `load_state_dict` restored continues the episodes that were under way."""
        ...

    @property
    def env(self) -> BatchEnv:
        """The copies that it practises in."""
        ...

    @property
    def env_steps(self) -> int:
        """Environment steps taken so far."""
        ...

    @property
    def episodes(self) -> int:
        """Training episodes that have ended."""
        ...

    def iterate(self) -> dict[str, float]:
        """Do one unit of work; its metrics.

        Raises:
            FloatingPointError: something stopped being a finite number; it says what, and where.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything the next iteration depends on, but the network."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave."""
        ...


def total_iterations(recipe: Recipe) -> int | None:
    """Iterations that the budget allows, as far as it says so in iterations or steps.

    A bound in minutes or episodes is not counted: a schedule must not depend on how fast the
    machine is, nor on what the policy does.
    """
    algorithm, budget = recipe.algorithm, recipe.budget
    bounds = [budget.iterations]
    if isinstance(algorithm, DaggerSettings):
        bounds.append(algorithm.iterations)
    elif budget.env_steps is not None:
        bounds.append(algorithm.iterations_for(budget.env_steps))
    known = [bound for bound in bounds if bound is not None]
    return min(known) if known else None


def build_algorithm(
    recipe: Recipe, expert: Expert | None = None
) -> tuple[Algorithm, TrainableNetwork]:
    """The recipe's algorithm, with the network that it trains.

    Args:
        expert: what is imitated, where it has no name that it could be loaded by.

    Raises:
        InputError: a setting that does not fit the environment.
    """
    settings = recipe.algorithm
    schema = Schema.of(BatchEnv(recipe.env.id, recipe.env.args, 1))
    if schema.action.kind not in settings.serves:
        raise InputError(
            f"recipe {recipe.name}: {settings.kind} serves {' and '.join(settings.serves)} "
            f"actions; those of {recipe.env.id} are {schema.action.words}"
        )
    if isinstance(settings, DQNSettings):
        return _dqn(settings, recipe, schema)
    if isinstance(settings, DDPGSettings):
        return _ddpg(settings, recipe, schema)
    network = _policy_network(recipe, schema)
    if isinstance(settings, PPOSettings):
        return _ppo(settings, recipe, network, total_iterations(recipe)), network
    if isinstance(settings, DaggerSettings):
        return _dagger(settings, recipe, network, schema, expert), network
    dagger = _dagger(settings.dagger, recipe, network, schema, expert)
    total = total_iterations(recipe)
    practice = None if total is None else max(1, total - settings.dagger.iterations)
    return Hybrid(settings, dagger, _ppo(settings.ppo, recipe, network, practice)), network


def _practice_env(recipe: Recipe, num_envs: int) -> BatchEnv:
    return BatchEnv(recipe.env.id, recipe.env.args, num_envs, recipe.env.backend)


def _policy_network(recipe: Recipe, schema: Schema) -> PolicyNetwork:
    spec, algorithm = recipe.network, recipe.algorithm
    ppo = algorithm.ppo if isinstance(algorithm, HybridSettings) else algorithm
    if not isinstance(ppo, PPOSettings):
        ppo = PPOSettings()  # imitation alone: what practice would begin with
    if spec.kind == "pairwise":
        if ppo.networks == "joint":
            raise InputError(
                f"recipe {recipe.name}: algorithm.networks 'joint' is for perceptrons; "
                "pairwise actors and critics are separate"
            )
        head = MatchingHead() if spec.greedy == "matching" else CategoricalHead()
        return PairwiseNetwork(
            schema, spec.pairwise(), recipe.seed, spec.fields, recipe.device, head
        )
    return PolicyNetwork(
        schema,
        spec.hidden,
        spec.activation,
        recipe.seed,
        spec.fields,
        spec.scale_inputs,
        recipe.device,
        ppo.networks,
        ppo.std,
        ppo.initial_std,
    )


def _dqn(settings: DQNSettings, recipe: Recipe, schema: Schema) -> tuple[DQN, QNetwork]:
    spec = recipe.network
    if spec.kind == "pairwise":
        if settings.dueling:
            raise InputError(
                f"recipe {recipe.name}: algorithm.dueling is for perceptrons, not pairwise networks"
            )
        network: QNetwork = PairwiseQNetwork(
            schema, spec.pairwise(), recipe.seed, spec.fields, recipe.device,
            MatchingHead() if spec.greedy == "matching" else ValuesHead(),
        )  # fmt: skip
    else:
        network = QNetwork(
            schema,
            spec.hidden,
            spec.activation,
            recipe.seed,
            settings.dueling,
            spec.fields,
            spec.scale_inputs,
            recipe.device,
        )
    env = _practice_env(recipe, settings.num_envs)
    return DQN(settings, network, env, recipe.seed + 1, total_iterations(recipe)), network


def _ddpg(settings: DDPGSettings, recipe: Recipe, schema: Schema) -> tuple[DDPG, ActorCritic]:
    spec = recipe.network
    if spec.kind != "mlp":
        raise InputError(f"recipe {recipe.name}: ddpg trains perceptrons (network.kind 'mlp')")
    network = ActorCritic(
        schema,
        spec.hidden,
        spec.activation,
        recipe.seed,
        settings.critic_state_hidden,
        settings.critic_action_hidden,
        settings.critic_hidden,
        settings.norm,
        settings.squash,
        settings.twin_critics,
        spec.fields,
        spec.scale_inputs,
        recipe.device,
    )
    env = _practice_env(recipe, settings.num_envs)
    return DDPG(settings, network, env, recipe.seed + 1, total_iterations(recipe)), network


def _ppo(settings: PPOSettings, recipe: Recipe, network: PolicyNetwork, total: int | None) -> PPO:
    env = _practice_env(recipe, settings.num_envs)
    return PPO(settings, network, env, recipe.seed + 1, total)


def _dagger(
    settings: DaggerSettings,
    recipe: Recipe,
    network: PolicyNetwork,
    schema: Schema,
    expert: Expert | None,
) -> Dagger:
    if expert is None and settings.expert == IN_MEMORY:
        raise InputError(
            f"recipe {recipe.name}: what it imitates were arrays of a Python program; give them "
            "again there"
        )
    if expert is None and settings.expert.startswith(DECISIONS):
        expert = Demonstrations.load(settings.expert.removeprefix(DECISIONS))
    if expert is None:
        expert = load_policy(settings.expert or usual_expert(schema.env_id), schema)
    env = _practice_env(recipe, settings.num_envs)
    return Dagger(settings, network, env, expert, recipe.seed)

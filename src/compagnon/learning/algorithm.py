"""What every algorithm is to the trainer, and how a recipe becomes one."""

from typing import Any, Protocol

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.learning.dagger import Dagger, DaggerSettings
from compagnon.learning.hybrid import Hybrid, HybridSettings
from compagnon.learning.networks import PolicyNetwork
from compagnon.learning.ppo import PPO, PPOSettings
from compagnon.learning.recipe import Recipe
from compagnon.policy import Schema, load_policy


class Algorithm(Protocol):
    """Improves a policy, one unit of work at a time.

    Attributes:
        iteration: units of work done.
        env_steps: environment steps taken.
    """

    iteration: int

    @property
    def env_steps(self) -> int:
        """Environment steps taken so far."""
        ...

    def iterate(self) -> dict[str, float]:
        """Do one unit of work; its metrics."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything the next iteration depends on, but the network."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave."""
        ...


def total_iterations(recipe: Recipe) -> int | None:
    """Iterations that the budget allows, as far as it says so in iterations or steps.

    A bound in minutes is not counted: a schedule must not depend on how fast the machine is.
    """
    algorithm, budget = recipe.algorithm, recipe.budget
    if isinstance(algorithm, DaggerSettings):
        return min(algorithm.iterations, budget.iterations or algorithm.iterations)
    bounds = [] if budget.iterations is None else [budget.iterations]
    if budget.env_steps is not None and isinstance(algorithm, HybridSettings):
        bounds.append(algorithm.iterations_for(budget.env_steps))
    elif budget.env_steps is not None and isinstance(algorithm, PPOSettings):
        an_iteration = algorithm.num_envs * algorithm.rollout_steps
        bounds.append(-(-budget.env_steps // an_iteration))
    return min(bounds) if bounds else None


def build_algorithm(recipe: Recipe) -> tuple[Algorithm, PolicyNetwork]:
    """The recipe's algorithm, with the network that it trains.

    Raises:
        InputError: a setting that does not fit the environment.
    """
    settings = recipe.algorithm
    schema = Schema.of(BatchEnv(recipe.env.id, recipe.env.args, 1))
    if schema.action.kind != "discrete":
        raise InputError(
            f"recipe {recipe.name}: {settings.kind} serves discrete actions; "
            f"{recipe.env.id} has a vector of {schema.action.n}"
        )
    network = PolicyNetwork(
        schema,
        recipe.network.hidden,
        recipe.network.activation,
        recipe.seed,
        recipe.network.fields,
        recipe.network.scale_inputs,
        recipe.device,
    )
    if isinstance(settings, PPOSettings):
        return _ppo(settings, recipe, network, total_iterations(recipe)), network
    if isinstance(settings, DaggerSettings):
        return _dagger(settings, recipe, network, schema), network
    dagger = _dagger(settings.dagger, recipe, network, schema)
    total = total_iterations(recipe)
    practice = None if total is None else max(1, total - settings.dagger.iterations)
    return Hybrid(settings, dagger, _ppo(settings.ppo, recipe, network, practice)), network


def _ppo(settings: PPOSettings, recipe: Recipe, network: PolicyNetwork, total: int | None) -> PPO:
    env = BatchEnv(recipe.env.id, recipe.env.args, settings.num_envs)
    return PPO(settings, network, env, recipe.seed + 1, total)


def _dagger(
    settings: DaggerSettings, recipe: Recipe, network: PolicyNetwork, schema: Schema
) -> Dagger:
    expert = load_policy(settings.expert, schema)
    env = BatchEnv(recipe.env.id, recipe.env.args, settings.num_envs)
    return Dagger(settings, network, env, expert, recipe.seed)

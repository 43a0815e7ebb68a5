"""What every algorithm is to the trainer, and how a recipe becomes one, on the network it names."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self, runtime_checkable

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.policy import Policy, Schema
from compagnon.policy.manifest import CategoricalHead, MatchingHead
from compagnon.rl.buffers.demonstrations import Demonstrations
from compagnon.rl.networks.modules import ModulePolicyNetwork
from compagnon.rl.networks.registry import Networks, Std
from compagnon.rl.networks.trainable import PairwiseNetwork, PolicyNetwork, TrainableNetwork
from compagnon.rl.recipe import Recipe
from compagnon.rl.registry import find_algorithm
from compagnon.rl.settings import AlgorithmSettings

Expert = Policy | Demonstrations


class Algorithm(Protocol):
    """Improves a policy, one unit of work at a time.

    Attributes:
        iteration: units of work done.
    """

    iteration: int

    @property
    def phase(self) -> str:
        """What the next iteration belongs to, as metrics name it: mostly the algorithm's kind."""
        ...

    @property
    def imitating(self) -> bool:
        """Whether the next iteration imitates somebody, rather than practises."""
        ...

    @property
    def practice(self) -> "Algorithm":
        """What practises in it: mostly itself."""
        ...

    @property
    def goes_on(self) -> bool:
        """Whether what `load_state_dict` restored continues the episodes that were under way."""
        ...

    @property
    def env(self) -> BatchEnv:
        """The envs that it trains in."""
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


@runtime_checkable
class LongIterations(Protocol):
    """An algorithm that may take minutes for one iteration, and says how far that one is.

    Attributes:
        under_way: called now and then within an iteration, with the share of it that is done.
    """

    under_way: Callable[[float], object]


class Practising:
    """What an algorithm that practises all the time says of itself; a base to inherit from."""

    imitating = False
    settings: Any

    @property
    def phase(self) -> str:
        """See `Algorithm`."""
        return str(self.settings.kind)

    @property
    def practice(self) -> Self:
        """See `Algorithm`."""
        return self


@dataclass(frozen=True)
class BuildPlan:
    """What an algorithm is built from.

    Attributes:
        recipe: whose `settings` they mostly are; an algorithm made of others hands them theirs.
        schema: of the environment. total: iterations that the budget allows, where it says so.
        expert: what is imitated, where it has no name that it could be loaded by.
    """

    recipe: Recipe
    settings: AlgorithmSettings
    schema: Schema
    total: int | None
    expert: Expert | None = None

    def env(self, num_envs: int) -> BatchEnv:
        """So many envs to train in."""
        env = self.recipe.env
        return BatchEnv(env.id, env.args, num_envs, env.backend)

    def of(self, settings: AlgorithmSettings, total: int | None) -> "BuildPlan":
        """The same for a part with settings of its own."""
        return replace(self, settings=settings, total=total)

    def refuse(self, why: str) -> InputError:
        """An error that names the recipe."""
        return InputError(f"recipe {self.recipe.name}: {why}")


def policy_network(
    plan: BuildPlan,
    networks: Networks = "separate",
    std: Std = "learnt",
    initial_std: float = 1.0,
) -> PolicyNetwork:
    """The actor and the critic that a recipe describes.

    Args:
        networks, std, initial_std: see `PolicyNetwork`.

    Raises:
        InputError: a setting that does not fit the environment.
    """
    recipe, spec = plan.recipe, plan.recipe.network
    if spec.kind == "pairwise":
        if networks == "joint":
            raise plan.refuse(
                "algorithm.networks 'joint' is for perceptrons; pairwise actors and critics are "
                "separate"
            )
        head = MatchingHead() if spec.greedy == "matching" else CategoricalHead()
        return PairwiseNetwork(
            plan.schema, spec.pairwise(), recipe.seed, spec.fields, recipe.device, head
        )
    if spec.kind != "mlp":
        if networks == "joint":
            raise plan.refuse(
                "algorithm.networks 'joint' is for perceptrons; a network of one's own is made "
                "twice, for actor and critic"
            )
        return ModulePolicyNetwork(
            plan.schema, spec.kind, spec.options, recipe.seed, spec.fields, spec.scale_inputs,
            recipe.device, std, initial_std,
        )  # fmt: skip
    return PolicyNetwork(
        plan.schema, spec.hidden, spec.activation, recipe.seed, spec.fields, spec.scale_inputs,
        recipe.device, networks, std, initial_std,
    )  # fmt: skip


def total_iterations(recipe: Recipe) -> int | None:
    """Iterations that the budget allows, as far as it says so in iterations or steps.

    A bound in minutes or episodes is not counted: a schedule must not depend on how fast the
    machine is, nor on what the policy does.
    """
    algorithm, budget = recipe.algorithm, recipe.budget
    bounds = [budget.iterations]
    if algorithm.own_iterations is not None:
        bounds.append(algorithm.own_iterations)
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
    plan = BuildPlan(recipe, settings, schema, total_iterations(recipe), expert)
    built: tuple[Algorithm, TrainableNetwork] = find_algorithm(settings.kind).builder()(plan)
    return built

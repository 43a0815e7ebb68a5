"""Recipes: a validated description of environment, algorithm, budget and seed, read from TOML."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from compagnon.envs import making
from compagnon.envs.finding import find_env
from compagnon.errors import InputError
from compagnon.files import read_text
from compagnon.policy.loading import is_played
from compagnon.policy.manifest import PairwiseSpec
from compagnon.rl.networks.registry import is_known, known_networks
from compagnon.rl.problem_defaults import EVALUATIONS, ProblemFacts, fill
from compagnon.rl.registry import find_algorithm, kinds_in_words, settings_by_kind
from compagnon.rl.settings import AlgorithmSettings, Fixed, Free, Settings, set_key
from compagnon.worlds.registry import recipe_texts, usual_expert

RECIPE_FILE = "recipe.toml"  # of a run
_MAX_BYTES = 1_000_000


class EnvSpec(Settings):
    """Which environment, and its arguments."""

    id: Fixed[str] = Field(description="a Gymnasium id, or module:ID where a module registers it")
    args: Fixed[dict[str, Any]] = Field(default_factory=dict, description="its arguments")
    backend: Fixed[Literal["gymnasium", "envpool", "processes"]] = Field(
        "gymnasium",
        description="who steps it: gymnasium, processes of its own (slow simulators; the same "
        "episodes), or envpool, whose episodes are others: it is judged by gymnasium then",
    )

    @property
    def judged_by(self) -> str:
        """Who steps it in evaluations."""
        return self.backend if self.backend in making.SAME_EPISODES else making.GYMNASIUM

    @model_validator(mode="before")
    @classmethod
    def _with_module(cls, tree: Any) -> Any:
        """``module = "shop"`` beside ``id = "shop/Inventory-v0"`` is ``id = "shop:shop/..."``."""
        if not isinstance(tree, dict) or "module" not in tree:
            return tree
        tree = dict(tree)
        module, env_id = tree.pop("module"), tree.get("id")
        if not isinstance(module, str) or not module:
            raise ValueError("module: should be the name of a Python module, such as shop.envs")
        if isinstance(env_id, str):
            if ":" in env_id and env_id.partition(":")[0] != module:
                raise ValueError(f"module: id = {env_id!r} names another one")
            tree["id"] = f"{module}:{env_id.rpartition(':')[2]}"
        return tree


class NetworkSpec(Settings):
    """The networks, actor and critic alike."""

    kind: Fixed[str] = Field(
        "mlp",
        description="mlp, a perceptron; pairwise, a scorer of pairs for boards of any size; or a "
        "network of your own: module:function that makes one, or its registered name",
    )
    hidden: Fixed[tuple[Annotated[int, Field(ge=1, le=4096)], ...]] = Field(
        (64, 64), description="sizes of the hidden layers"
    )
    activation: Fixed[Literal["tanh", "relu"]] = Field("tanh", description="tanh or relu")
    scale_inputs: Fixed[Literal[True, False, "ranges"]] = Field(
        True, description="standardise observations as they come, not at all, or by their ranges"
    )
    fields: Fixed[tuple[str, ...] | None] = Field(
        None,
        description="observation fields to read, all if not given; pairwise: kinds of fields, "
        "such as time, driver_east, place_door, pair_slack",
    )
    embedding: Fixed[Annotated[int, Field(ge=1, le=4096)]] = Field(
        32, description="pairwise: numbers that a driver or a booking is summed up in"
    )
    greedy: Fixed[Literal["best", "matching"]] = Field(
        "best", description="pairwise: play the best action, or match a batch of pairs at once"
    )

    options: Fixed[dict[str, Any] | None] = Field(
        None,
        description="what the function that makes a network of your own is called with",
    )

    @model_validator(mode="after")
    def _fits(self) -> "NetworkSpec":
        if self.kind not in ("mlp", "pairwise") and not is_known(self.kind):
            known = ", ".join(map(repr, ["mlp", "pairwise", *known_networks()]))
            raise ValueError(f"kind: should be {known} or module:function, got {self.kind!r}")
        if self.kind in ("mlp", "pairwise") and self.options:
            raise ValueError("options: these are for a network of your own")
        if self.kind == "pairwise" and not self.hidden:
            raise ValueError("hidden: a pairwise network needs at least one hidden layer")
        if self.kind != "pairwise" and self.greedy == "matching":
            raise ValueError("greedy: only a pairwise network has pairs to match")
        return self

    def pairwise(self) -> PairwiseSpec:
        """What a network of pairs is made of."""
        return PairwiseSpec(
            embedding=self.embedding, hidden=self.hidden, activation=self.activation
        )


class BudgetSpec(Settings):
    """When to stop: the first bound reached."""

    iterations: Free[int | None] = Field(None, ge=1, description="units of the algorithm's work")
    env_steps: Free[int | None] = Field(None, ge=1, description="environment steps")
    episodes: Free[int | None] = Field(None, ge=1, description="training episodes that ended")
    minutes: Free[float | None] = Field(None, gt=0, description="minutes of wall clock")


class EvaluationSpec(Settings):
    """How the run judges itself; the best policy by these episodes is kept."""

    every: Free[int] = Field(20, ge=1, description="iterations between evaluations")
    episodes: Fixed[int] = Field(32, ge=1, description="episodes of each evaluation")
    seed: Fixed[int] = Field(900_000, ge=0, description="first seed; never used in training")
    against: Free[str | None] = Field(
        None, description="a policy to compare with on the same episodes"
    )
    beside: Free[tuple[str, ...]] = Field((), description="more policies for the report to compare")


class CheckpointSpec(Settings):
    """How often what a run needs to be resumed is saved; when it is changes nothing in the run."""

    every: Free[int | None] = Field(
        None, ge=1, description="iterations between checkpoints; as evaluations are, if not given"
    )


class VideoSpec(Settings):
    """Videos of training: one episode of the policy as it then is."""

    every_episodes: Free[int] = Field(
        0, ge=0, description="training episodes from one video to the next; 0: none"
    )
    format: Free[Literal["mp4", "gif"]] = Field("mp4", description="mp4 (extra `video`) or gif")
    steps: Free[int | None] = Field(
        None, ge=1, description="at most so many steps; a whole episode"
    )


def _by_kind(given: Any) -> Any:
    """A recipe's table of its algorithm, read by the settings of whoever brings that kind."""
    if isinstance(given, AlgorithmSettings):
        return given
    kind = given.get("kind") if isinstance(given, dict) else None
    if kind is None:
        raise PydanticCustomError("no_kind", "{kinds}", {"kinds": kinds_in_words()})
    try:
        settings = find_algorithm(str(kind)).settings
    except InputError as error:
        raise PydanticCustomError("no_such_kind", "{why}", {"why": str(error)}) from None
    try:
        return settings.model_validate(given)
    except ValidationError as error:  # which key it is: the kind first, as in a union by tag
        lines: list[InitErrorDetails] = [
            {
                "type": line["type"],
                "loc": (str(kind), *line["loc"]),
                "input": line["input"],
                "ctx": line.get("ctx", {}),
            }
            for line in error.errors()
        ]
        raise ValidationError.from_exception_data(settings.__name__, lines) from None


class Recipe(Settings):
    """Everything that decides a run."""

    name: Fixed[str] = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="what the run is called")
    description: Free[str] = Field("", description="one sentence for a person")
    seed: Fixed[int] = Field(0, ge=0, lt=2**32, description="of everything random in training")
    device: Free[str] = Field("cpu", description="cpu, or cuda where there is one")
    threads: Free[int] = Field(
        2, ge=1, le=64, description="threads of the networks and environments"
    )
    env: EnvSpec
    network: NetworkSpec = NetworkSpec()
    algorithm: Annotated[SerializeAsAny[AlgorithmSettings], BeforeValidator(_by_kind)]
    budget: BudgetSpec = BudgetSpec()
    evaluation: EvaluationSpec = EvaluationSpec()
    checkpoint: CheckpointSpec = CheckpointSpec()
    video: VideoSpec = VideoSpec()
    variants: Free[dict[str, dict[str, Any]]] = Field(
        default_factory=dict, description="name -> dotted keys changed: one run each"
    )

    def expert(self) -> str | None:
        """The policy that is imitated, if any is."""
        named = self.algorithm.imitated
        return None if named is None else named or usual_expert(self.env.id)

    def references(self) -> list[str]:
        """The policies that a report compares the run with, the one to beat first."""
        named = [self.evaluation.against, *self.evaluation.beside]
        expert = self.expert()
        if expert is not None and is_played(expert):
            named.insert(1, expert)
        return list(dict.fromkeys(name for name in named if name is not None))

    @model_validator(mode="after")
    def _bounded(self) -> "Recipe":
        budget = self.budget
        bounds = (budget.iterations, budget.env_steps, budget.episodes, budget.minutes)
        if self.algorithm.own_iterations is None and not any(bounds):
            raise ValueError("budget: give iterations, env_steps, episodes or minutes")
        return self


def shipped_recipes() -> list[str]:
    """Names of the recipes that ship, sorted."""
    return list(recipe_texts())


def recipe_text(name: str) -> tuple[str, str]:
    """(where it stands, its TOML) of a shipped recipe or a file.

    Raises:
        InputError: neither exists.
    """
    shipped = recipe_texts()
    if name in shipped:
        return name, shipped[name]
    path = Path(name)
    if path.is_dir():
        raise InputError(f"{name} is a folder; give a recipe (TOML) or a run (with {RECIPE_FILE})")
    if path.exists():
        return name, read_text(path, _MAX_BYTES, "a recipe is TOML")
    import difflib

    near = difflib.get_close_matches(name, shipped, n=2)
    hint = f"did you mean {' or '.join(near)}?" if near else "`compagnon recipes` lists them"
    raise InputError(f"no recipe is called {name!r} and no such file exists; {hint}")


def load_recipe(name: str, changes: dict[str, Any] | None = None) -> Recipe:
    """Read a recipe, apply changes such as ``{"algorithm.gamma": 0.99}``, and validate it.

    Args:
        name: a shipped recipe, or the path of a TOML file.
        changes: dotted key -> value. ``algo`` may stand for ``algorithm``.

    Raises:
        InputError: names the file, the key, what was given and what would be right.
    """
    where, text = recipe_text(name)
    try:
        tree = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not TOML: {error}") from None
    for key, value in (changes or {}).items():
        _change(tree, key, value, "--set")
    return parse_recipe(tree, where)


def expand_variants(recipe: Recipe) -> dict[str, Recipe]:
    """The recipe's variants as recipes; empty where it has none.

    Raises:
        InputError: a change that makes no valid recipe; it names the variant.
    """
    return {
        name: change_recipe(
            recipe,
            {"variants": {}, "name": f"{recipe.name}-{name}", **changes},
            f"{recipe.name}, variant {name}",
        )
        for name, changes in recipe.variants.items()
    }


def change_recipe(recipe: Recipe, changes: dict[str, Any], where: str) -> Recipe:
    """The recipe with dotted keys changed, validated anew.

    Raises:
        InputError: the changes make no valid recipe; it names `where` and the key.
    """
    tree = recipe.model_dump(mode="json", exclude_none=True)
    for key, value in changes.items():
        _change(tree, key, value, f"{where}:")
    return parse_recipe(tree, where)


def parse_recipe(tree: dict[str, Any], where: str) -> Recipe:
    """Validate a recipe's tree, and choose by its problem what it leaves open.

    Raises:
        InputError: names `where` and the key.
    """
    try:
        recipe = Recipe.model_validate(tree)
    except ValidationError as error:
        raise InputError(f"{where}: {explain(error)}") from None
    return complete_recipe(recipe, where)


def complete_recipe(recipe: Recipe, where: str) -> Recipe:
    """The recipe with what it leaves open chosen by its problem; see `problem_defaults`.

    One that leaves nothing open is itself.

    Raises:
        InputError: there is no such environment; names `where`.
    """
    try:
        episode_steps = find_env(recipe.env.id).max_episode_steps
    except InputError as error:
        raise InputError(f"{where}: env.id: {error}") from None
    budget = recipe.budget
    problem = ProblemFacts(
        budget.env_steps,
        budget.iterations is not None or budget.env_steps is not None,
        episode_steps,
        making.is_compiled(recipe.env.id),
    )
    tree = recipe.model_dump(mode="json", exclude_unset=True)
    recipe.algorithm.complete(problem, tree["algorithm"])
    network = tree.setdefault("network", {})
    if network.get("kind", "mlp") == "mlp":
        fill(network, dict(recipe.algorithm.network_defaults))
    if not problem.compiled:
        # A policy that fails one start in four passes 16 episodes now and then, and would be kept.
        fill(tree.setdefault("evaluation", {}), {"episodes": 32})
    completed = Recipe.model_validate(tree)
    every = completed.evaluation.every
    if "every" not in recipe.evaluation.model_fields_set and budget.env_steps is not None:
        total = completed.algorithm.iterations_for(budget.env_steps)
        every = every if total is None else max(1, total // EVALUATIONS)
    evaluation = completed.evaluation.model_copy(update={"every": every})
    return completed.model_copy(update={"evaluation": evaluation})


def _change(tree: dict[str, Any], key: str, value: Any, said: str) -> None:
    parts = key.split(".")
    if parts[0] == "algo":
        parts[0] = "algorithm"
    model: type[Settings] = Recipe
    if parts[0] == "algorithm" and len(parts) > 1:
        table = tree.setdefault(parts.pop(0), {})
        if not isinstance(table, dict):
            raise InputError(f"{said} {key}: algorithm is a value, not a table")
        tree = table
        model = settings_by_kind().get(str(table.get("kind")), AlgorithmSettings)
    try:
        set_key(model, tree, parts, value)
    except TypeError as error:
        raise InputError(f"{said} {key}: {error} is a value, not a table") from None


def explain(error: ValidationError) -> str:
    """What is wrong with a recipe, or with settings, in a sentence: the key, and what it got."""
    first = error.errors()[0]
    parts = [str(part) for part in first["loc"]]
    kind = parts[1] if parts[:1] == ["algorithm"] and len(parts) > 1 else None
    if kind is not None:
        del parts[1:2]  # the kind, which tells pydantic where to look; a person never wrote it
    where = ".".join(parts)
    if first["type"] == "extra_forbidden":
        return f"unknown key {where}{_other_kinds(kind, parts[1:])}{_near(where)}"
    if first["type"] == "missing":
        return f"the key {where} is missing"
    if first["type"] == "no_kind":
        return f"the key algorithm.kind is missing: {first['msg']}"
    if first["type"] == "no_such_kind":
        return first["msg"]
    if not where:
        return first["msg"].removeprefix("Value error, ")
    given = first.get("input")
    shown = f", got {given!r}" if not isinstance(given, dict) else ""
    return f"{where}: {first['msg'].removeprefix('Value error, ')}{shown}"


def _other_kinds(kind: str | None, rest: list[str]) -> str:
    """Whose key it is, where an algorithm was given one of another algorithm."""
    owners = [
        name for name, model in settings_by_kind().items() if rest and rest[0] in model.model_fields
    ]
    if kind is None or len(rest) != 1 or not owners:
        return ""
    return f": it is one of {' and '.join(owners)}, and this recipe is for {kind}"


def _near(key: str) -> str:
    import difflib

    known: set[str] = set()
    tables = (EnvSpec, NetworkSpec, BudgetSpec, EvaluationSpec, CheckpointSpec, VideoSpec)
    for model in (Recipe, *tables):
        known |= set(model.model_fields)
    for settings in settings_by_kind().values():
        known |= set(settings.model_fields)
    name = key.rpartition(".")[2]
    near = difflib.get_close_matches(name, sorted(known - {name}), n=1)
    if near:
        return f"; did you mean {near[0]}?"
    return "; `compagnon recipes NAME` prints a recipe with the keys in use"

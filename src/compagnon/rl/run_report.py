"""The report of a run: its expert, its clone and its best policy on weeks that none of them saw."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.evaluation.audit import Audit, audit_evaluation
from compagnon.evaluation.divergence import Divergence, divergence
from compagnon.evaluation.evaluate import Evaluation, evaluate
from compagnon.policy import Policy, Schema, load_artefact, load_onnx, load_policy
from compagnon.policy.as_served import AsServed
from compagnon.policy.exported import ONNX_FILES
from compagnon.policy.provenance import RecipeChange
from compagnon.reporting.report import Section, write_report
from compagnon.reporting.svg import Series
from compagnon.rl import run as files
from compagnon.rl.recipe import Recipe
from compagnon.rl.recipe_history import flat_settings, read_history, recipe_changes
from compagnon.rl.run import Run
from compagnon.worlds import find_world

UNSEEN_SEED = 1_000_000


@dataclass(frozen=True)
class RunReport:
    """What the report holds, for whoever prints it."""

    path: Path
    evaluation: Evaluation
    audit: Audit | None
    divergence: Divergence | None
    on_order_book: Evaluation | None


def report_run(
    run: Run,
    episodes: int = 100,
    seed: int = UNSEEN_SEED,
    order_book: Path | None = None,
    beside: Sequence[str] = (),
    command: Sequence[str] = (),
    progress: Callable[[str], None] | None = None,
) -> RunReport:
    """Evaluate a run on unseen episodes and write its ``report.html``.

    Args:
        episodes, seed: the episodes that everybody plays; they must not be the run's own.
        order_book: a CSV; the environment is also played on its demand.
        beside: more policies to play on the same episodes, besides the recipe's own list.
        command: what was typed, for the report.

    Raises:
        InputError: the run has no policy yet, a policy does not fit, or the episodes are those that
            the run's best policy was chosen by.
    """
    recipe = run.recipe
    if not (run.path / files.BEST).is_dir():
        raise InputError(f"{run.path} has no best policy yet: `compagnon learn` writes it")
    _check_unseen(recipe, episodes, seed)
    env = (recipe.env.id, recipe.env.args)
    book_env = env
    if order_book is not None:
        book_env = (recipe.env.id, _on_order_book(recipe, order_book))
        BatchEnv(*book_env, 1)  # a book that cannot be used is refused before anybody plays
    names = [*recipe.references(), *beside]
    policies = [*_policies(run, names, env), _as_served(run, env)]
    backend = recipe.env.judged_by
    evaluation = evaluate(policies, *env, episodes, seed, progress=progress, backend=backend)
    audit = _audit(evaluation)
    found = None
    if recipe.expert() is not None and audit is not None:
        if progress is not None:
            progress("where it differs from the expert")
        found = divergence(
            _policies(run, [], env)[-1], str(recipe.expert()), *env, episodes=20, seed=seed
        )
    sections, on_book = [], None
    if order_book is not None:
        on_book = evaluate(
            _policies(run, names, book_env),
            *book_env,
            episodes,
            seed,
            progress=progress,
            backend=backend,
        )
        sections.append(
            Section(
                f"On the order book {order_book.name}",
                on_book,
                _audit(on_book),
                note=f"The demand of {order_book}, week by week; each week is played once.",
            )
        )
    path = run.path / files.REPORT_FILE
    write_report(
        path,
        f"{recipe.name}: {recipe.description}" if recipe.description else recipe.name,
        evaluation,
        audit,
        found,
        learning_curves(run),
        sections,
        command,
        _settings(run),
        note=_how_it_went(run),
        part=find_world(env[0]).report_part(evaluation, _policies(run, names, env)),
    )
    return RunReport(path, evaluation, audit, found, on_book)


def report_variants(
    runs: dict[str, Run],
    path: Path,
    episodes: int = 100,
    seed: int = UNSEEN_SEED,
    progress: Callable[[str], None] | None = None,
) -> Evaluation:
    """Compare the best policies of a recipe's variants on the same unseen episodes."""
    recipe = next(iter(runs.values())).recipe
    for run in runs.values():
        _check_unseen(run.recipe, episodes, seed)
    env = (recipe.env.id, recipe.env.args)
    schema = _widest_schema([run.recipe for run in runs.values()])
    policies: list[Policy] = [load_policy(name, schema[1]) for name in recipe.references()]
    policies += [
        _Renamed(load_policy(str(run.path), schema[1]), name) for name, run in runs.items()
    ]
    evaluation = evaluate(
        policies, env[0], schema[0], episodes, seed, progress=progress, backend=recipe.env.judged_by
    )
    curves = {
        "Return of the evaluation, by environment steps": [
            Series(name, *_curve(run, "eval/return")) for name, run in runs.items()
        ]
    }
    settings = {name: str(run.path) for name, run in runs.items()}
    write_report(
        path, recipe.name, evaluation, _audit(evaluation), curves=curves, settings=settings
    )
    return evaluation


def learning_curves(run: Run) -> dict[str, list[Series]]:
    """The run's own evaluations and its losses, by environment steps."""
    charts = {
        "Return of the run's own evaluations": {
            "played greedily": "eval/return",
            "sampled": "eval/return_sampled",
        },
        "Imitation: cross-entropy": {"cross-entropy": "cross_entropy"},
        "Practice: entropy of the policy": {"entropy": "entropy"},
        "Practice: what is replayed is worth": {"mean value": "q_mean", "mean error": "td_error"},
        "Practice: return of the training episodes": {"exploration included": "episode_return"},
    }
    drawn: dict[str, list[Series]] = {}
    for title, names in charts.items():
        curves = {label: _curve(run, name) for label, name in names.items()}
        drawn[title] = [Series(label, x, y) for label, (x, y) in curves.items() if len(x) > 1]
    return {title: series for title, series in drawn.items() if series}


class _Renamed:
    """A policy under a name that tells it apart in a table."""

    def __init__(self, policy: Policy, name: str) -> None:
        self._policy, self.name = policy, name

    def act(self, *args: Any, **kwargs: Any) -> Any:
        """The policy's choice."""
        return self._policy.act(*args, **kwargs)


def _policies(run: Run, names: Sequence[str], env: tuple[str, dict[str, Any]]) -> list[Policy]:
    schema = Schema.of(BatchEnv(*env, 1))
    policies = [load_policy(name, schema) for name in names]
    if (run.path / files.CLONE).is_dir():
        policies.append(_Renamed(load_policy(str(run.path / files.CLONE), schema), "the clone"))
    else:  # practice can break down after its peak: what was kept stands beside what came of it
        last = load_policy(str(run.path / files.LAST), schema)
        policies.append(_Renamed(last, f"the last of {run.path.name}"))
    best = load_policy(str(run.path / files.BEST), schema)
    return [*policies, _Renamed(best, f"the best of {run.path.name}")]


def _as_served(run: Run, env: tuple[str, dict[str, Any]]) -> AsServed:
    """The best policy as `compagnon serve` plays it by default, from what was exported if it was.

    It should earn exactly what the best policy does; a report in which it does not says so.
    """
    best, schema = run.path / files.BEST, Schema.of(BatchEnv(*env, 1))
    if (best / ONNX_FILES["fp32"]).is_file() and find_spec("onnxruntime") is not None:
        return AsServed(load_onnx(best).bind(schema))
    return AsServed(load_artefact(best).bind(schema))


def _widest_schema(recipes: Sequence[Recipe]) -> tuple[dict[str, Any], Schema]:
    """Arguments of an environment that shows what every variant reads, and its schema."""
    names: dict[str, None] = {}
    for recipe in recipes:
        env = BatchEnv(recipe.env.id, recipe.env.args, 1)
        names |= dict.fromkeys(field.name for field in env.fields)
    args = dict(recipes[0].env.args)
    if any("observation" in recipe.env.args for recipe in recipes):
        args |= {"observation": list(names)}
    return args, Schema.of(BatchEnv(recipes[0].env.id, args, 1))


def _check_unseen(recipe: Recipe, episodes: int, seed: int) -> None:
    """Refuse the episodes by which the run chose its best policy: they flatter it."""
    chosen = recipe.evaluation
    if seed < chosen.seed + chosen.episodes and chosen.seed < seed + episodes:
        raise InputError(
            f"seeds {seed} to {seed + episodes - 1} include those that {recipe.name} chose its "
            f"best policy by ({chosen.seed} to {chosen.seed + chosen.episodes - 1}); "
            "give another --seed"
        )


def _on_order_book(recipe: Recipe, order_book: Path) -> dict[str, Any]:
    replayed = find_world(recipe.env.id).replay_args(order_book)
    if replayed is None and "demand" in recipe.env.args:  # as an environment of one's own takes it
        replayed = {"demand": str(order_book)}
    if replayed is None:
        raise InputError(f"{recipe.env.id} has no order book: its world reads no such file")
    return {**recipe.env.args, **replayed}


def _audit(evaluation: Evaluation) -> Audit | None:
    try:
        return audit_evaluation(evaluation)
    except InputError:  # not every environment splits its reward into terms
        return None


def _curve(run: Run, name: str) -> tuple[list[float], list[float]]:
    lines = [line for line in run.metrics() if name in line]
    return [float(line["env_steps"]) for line in lines], [float(line[name]) for line in lines]


def _settings(run: Run) -> dict[str, object]:
    """The settings that the run was begun with, and beside them what was changed on the way."""
    shown: dict[str, object] = flat_settings(run.recipe)
    for begun in read_history(run.path)[:1]:  # the recipe in the folder may have been edited
        shown = {key: value for key, (_, value) in begun.fields.items()}
    for change in _changes(run):
        for key, (_, new) in change.fields.items():
            shown[key] = f"{shown.get(key, '')}, from iteration {change.iteration} on {new}"
    return shown


def _changes(run: Run) -> tuple[RecipeChange, ...]:
    return recipe_changes(read_history(run.path))


def _how_it_went(run: Run) -> str:
    """The run in a few sentences: how long, whether to its end, what a person should know of it."""
    lines, outcome = run.metrics(), run.outcome()
    if not lines:
        return ""
    last = lines[-1]
    words = [f"{last['env_steps']:,} decisions in {last['seconds'] / 60:.1f} minutes of training"]
    words += [str(outcome.get(key, "")) for key in ("words", "guard")]
    words += [f"its recipe was changed at {change.words}" for change in _changes(run)]
    words += [str(notice) for notice in outcome.get("notices", [])]
    return " ".join(f"{each[:1].upper()}{each[1:]}." for each in words if each)

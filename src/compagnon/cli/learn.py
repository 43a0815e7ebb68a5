"""`learn` and `report`: run a recipe, see how it goes, and read what came of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from compagnon import output
from compagnon.amounts import read_budget
from compagnon.arguments import CommandFunction, Force, Json, check_seed, flag, optional, read_pairs
from compagnon.cli.evaluate import show_evaluation
from compagnon.cli.options import without_window
from compagnon.errors import InputError

if TYPE_CHECKING:
    from compagnon.evaluation.evaluate import Evaluation
    from compagnon.rl.progress import RunOutcome
    from compagnon.rl.recipe import Recipe

_RUNS = Path("runs")


def learn(
    recipe: Annotated[
        str, Positional, arg(metavar="RECIPE", help="a shipped recipe, a TOML file, or a run")
    ],
    /,
    out: Annotated[Path | None, optional("DIR", "the run's folder; runs/NAME without it")] = None,
    set: Annotated[
        tuple[str, ...],
        optional("KEY=V...", "change the recipe: algo.learning_rate=1e-4 budget.iterations=50"),
    ] = (),
    seed: Annotated[int | None, optional("S", "another seed than the recipe's")] = None,
    budget: Annotated[
        str | None,
        optional("25s|5m|5h|2e6", "a time, or environment steps; the recipe's without it"),
    ] = None,
    resume: Annotated[bool, flag("go on with the run from its last checkpoint")] = False,
) -> int:
    """Run a recipe: clone an expert, practise, or both; keep the best policy.

    $ compagnon learn workshop-tight
    $ compagnon learn workshop-tight --out runs/mine --seed 1 --set algo.ppo.entropy_coef=0.01
    $ compagnon learn mine.toml --budget 10m
    $ compagnon learn runs/mine --resume
    """
    without_window()
    from compagnon.rl.recipe import RECIPE_FILE, expand_variants, load_recipe

    changes: dict[str, Any] = read_pairs(set, "--set")
    if seed is not None:
        check_seed(seed)
        changes["seed"] = seed
    if (Path(recipe) / RECIPE_FILE).is_file():
        if not resume:
            raise InputError(f"{recipe} is a run: add --resume to go on with it")
        out, recipe = Path(recipe), str(Path(recipe) / RECIPE_FILE)
    changes |= _budget(budget)
    chosen = load_recipe(recipe, changes)
    folder = out or _RUNS / chosen.name
    # Before a minute of importing and compiling.
    output.claim_folder(folder, resumable=True, resume=resume)
    variants = expand_variants(chosen)
    if not variants:
        return _run(chosen, folder, resume, changes)
    trained = {}
    for name, variant in variants.items():
        code = _run(variant, folder / name, resume, changes)
        if code:
            return code
        trained[name] = _open(folder / name)
    from compagnon.rl.run_report import report_variants

    with output.busy("playing") as say:
        found = report_variants(trained, folder / "report.html", progress=say)
    show_evaluation(found)
    output.console().print(f"\nwrote {folder / 'report.html'}", soft_wrap=True)
    return 0


def report(
    run: Annotated[Path, Positional, arg(metavar="RUN", help="the folder of a run")],
    /,
    episodes: Annotated[int, arg(metavar="N", help="everybody plays the same N episodes")] = 100,
    seed: Annotated[int, arg(metavar="S", help="they have the seeds S to S + N - 1")] = 1_000_000,
    order_book: Annotated[
        Path | None, optional("FILE.csv", "play on this order book as well")
    ] = None,
    beside: Annotated[
        tuple[str, ...], optional("POLICY...", "more policies to play on the same episodes")
    ] = (),
    json: Json = None,
    force: Force = False,
) -> int:
    """Compare a run's expert, clone and best policy on unseen episodes; write RUN/report.html.

    $ compagnon report runs/workshop-tight
    $ compagnon report runs/workshop-tight --order-book orders.csv
    """
    output.claim(force, json)
    from compagnon.evaluation.audit import print_audit
    from compagnon.rl.run_report import report_run

    check_seed(seed)
    if order_book is not None and not order_book.is_file():
        raise InputError(f"--order-book {order_book}: there is no such file")
    command = output.typed.get()
    with output.busy("playing") as say:
        found = report_run(_open(run), episodes, seed, order_book, beside, command, say)
    out = output.console()
    show_evaluation(found.evaluation)
    if found.audit is not None:
        out.print()
        print_audit(out, found.audit)
    if len(found.evaluation.scores) > 2:
        out.print("\n" + _beside_the_strongest(found.evaluation))
    if found.on_order_book is not None:
        out.print()
        show_evaluation(found.on_order_book)
    if json is not None:
        output.write_json(json, found.evaluation.as_json())
    out.print(f"\nThe report to open: {found.path}", soft_wrap=True)
    return 0


def _beside_the_strongest(found: "Evaluation") -> str:
    """How the best policy of the run stands beside the strongest other one.

    It comes last but one: the last is the same policy, as it is served.
    """
    from compagnon.evaluation.evaluate import compare

    *others, best, _ = found.scores
    strongest = max(others, key=lambda score: score.mean)
    pair = compare(best, strongest)
    words = f"{best.name} against the strongest of the others, {strongest.name}: "
    words += f"{output.number(pair.mean)} an episode ({output.interval(pair.ci95)})"
    if strongest.mean > 0:
        words += f", {best.mean / strongest.mean:.1%} of its return"
    return words


def _open(path: Path) -> Any:
    from compagnon.rl.run import Run

    return Run.open(path)


def _budget(text: str | None) -> dict[str, Any]:
    """A time at most, beside the recipe's bounds; or steps, in their place."""
    if text is None:
        return {}
    given = read_budget(text, "--budget")
    if given.steps is not None:
        return {"budget": {"env_steps": given.steps}}
    return {"budget.minutes": given.seconds / 60}


def _run(recipe: "Recipe", folder: Path, resume: bool, changes: dict[str, Any]) -> int:
    """Train one recipe in one folder; 0 when its budget is spent, 130 when it was interrupted."""
    from compagnon.api.progress import shown
    from compagnon.rl.recipe import RECIPE_FILE, load_recipe
    from compagnon.rl.trainer import Trainer, TrainingError, start

    out = output.console()
    said = f"{recipe.name}: {recipe.description}" if recipe.description else recipe.name
    if resume and (folder / RECIPE_FILE).is_file():
        own = _open(folder).recipe
        if own.name != recipe.name:
            raise InputError(f"{folder} is a run of {own.name}, not of {recipe.name}")
        if own != recipe and not changes:
            said = f"{folder} goes on with the recipe that it was begun with, which differs\n{said}"
        # What is changed now is changed in the run's own recipe, not in the one that ships.
        wanted = load_recipe(str(folder / RECIPE_FILE), changes) if changes else None
        trainer = Trainer.resume(folder, wanted)
    else:
        trainer = start(recipe, folder)
    out.print(said, soft_wrap=True)  # only now: nothing more is refused
    try:
        with shown(trainer, output.console()) as callback:
            outcome = trainer.train(callback)
    except TrainingError as error:
        raise InputError(str(error)) from None
    _say_how_it_ended(outcome, folder, _clones_then_practises(recipe))
    return 130 if outcome.state == "interrupted" else 0


def _clones_then_practises(recipe: "Recipe") -> bool:
    algorithm = recipe.algorithm
    return algorithm.imitated is not None and algorithm.own_iterations is None


def _say_how_it_ended(outcome: "RunOutcome", folder: Path, practises: bool) -> None:
    from compagnon.rl.run import BEST, LAST

    out, progress = output.console(), outcome.progress
    if outcome.state == "interrupted":
        out.print(
            f"\ninterrupted after {outcome.iterations} iterations; everything is kept. "
            f"Go on with\n  compagnon learn {folder} --resume"
        )
        return
    if outcome.words:
        out.print(f"\n{outcome.words}", soft_wrap=True)
    kept = (
        f"the best policy (iteration {progress.best_iteration}, "
        f"{output.number(progress.best_return)} in the run's own evaluation) is kept"
    )
    if progress.best_iteration < 0:
        kept = f"no policy was judged, so that {folder / BEST} is missing; {folder / LAST} is there"
    out.print(f"\n{outcome.env_steps:,} environment steps in {progress.seconds:.0f} s; {kept}")
    if practises and progress.newest_clone is None and progress.clone_return is None:
        out.print(
            "the budget ended within the imitation: nothing was practised. The bound may be "
            "raised with --budget, and --resume goes on"
        )
    if progress.guard():
        out.print(progress.guard())
    if progress.best_iteration >= 0:
        out.print(f"next: compagnon report {folder}", soft_wrap=True)


COMMANDS: dict[str, CommandFunction] = {"learn": learn, "report": report}

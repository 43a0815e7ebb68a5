"""`tune` and `search-rule`: search a recipe's settings, or the numbers of a rule."""

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from tyro.conf import Positional, arg

from compagnon import output
from compagnon.amounts import read_time
from compagnon.arguments import CommandFunction, Force, check_seed, flag, optional, read_pairs
from compagnon.cli.options import Where, without_window
from compagnon.errors import InputError

if TYPE_CHECKING:
    from compagnon.tuning.progress import StudyProgress
    from compagnon.tuning.tune import TuningResult

_RUNS = Path("runs")


def tune(
    recipe: Annotated[
        str, Positional, arg(metavar="RECIPE", help="a shipped recipe or a TOML file")
    ],
    /,
    trials: Annotated[int, arg(metavar="N", help="trainings of the search")] = 50,
    budget: Annotated[
        str | None, optional("90s|20m|2h", "begin no trial of the search after so long")
    ] = None,
    set: Annotated[
        tuple[str, ...], optional("KEY=V...", "change the recipe, and with it the default")
    ] = (),
    space: Annotated[
        Path | None, optional("FILE", "where to look, as TOML; the algorithm's own without it")
    ] = None,
    storage: Annotated[
        str | None,
        optional("FILE|URL", "a journal, or postgresql://... to share; a file in --out without it"),
    ] = None,
    study: Annotated[str | None, optional("NAME", "its name; the recipe's without it")] = None,
    jobs: Annotated[int, arg(metavar="N", help="trainings at once, which share the cores")] = 1,
    pruner: Annotated[
        Literal["median", "halving", "none"], arg(help="what stops trials that fall behind")
    ] = "median",
    seed: Annotated[int, arg(metavar="S", help="of the sampler")] = 0,
    candidates: Annotated[int, arg(metavar="K", help="the best K are trained again")] = 3,
    seeds: Annotated[int, arg(metavar="N", help="fresh seeds for each of them")] = 5,
    episodes: Annotated[int, arg(metavar="N", help="unseen episodes that judge a policy")] = 100,
    out: Annotated[Path | None, optional("DIR", "its folder; runs/tune-NAME without it")] = None,
    resume: Annotated[bool, flag("go on with a search; its budget begins anew")] = False,
) -> int:
    """Search a recipe's settings; compare the best with the default on fresh seeds.

    $ compagnon tune mountaincar-dqn --trials 50 --budget 30m --jobs 2
    $ compagnon tune mine.toml --space ranges.toml --out runs/search
    $ compagnon tune workshop-tight --storage postgresql://me@host/studies
    """
    without_window()
    from compagnon.rl.recipe import load_recipe

    check_seed(seed)
    minutes = None if budget is None else read_time(budget, "--budget") / 60
    chosen = load_recipe(recipe, read_pairs(set, "--set"))
    folder = out or _RUNS / f"tune-{chosen.name}"
    # Before a minute of importing and compiling.
    output.claim_folder(folder, resumable=True, resume=resume)
    from compagnon.tuning.plan import StudyPlan
    from compagnon.tuning.space import load_space
    from compagnon.tuning.tune import JOURNAL
    from compagnon.tuning.tune import tune as search

    plan = StudyPlan(
        chosen,
        load_space(chosen, space),
        storage or folder / JOURNAL,
        study or chosen.name,
        folder,
        trials,
        minutes,
        jobs,
        seed,
        pruner,
        candidates,
        seeds,
        episodes,
        command=output.typed.get(),
    )
    try:
        with _watching() as watch:
            found = search(plan, resume, storage is not None, watch)
    except KeyboardInterrupt:
        words = [word for word in plan.command if word != "--resume"]
        output.console().print(
            f"\ninterrupted; everything is kept. Go on with\n  {shlex.join(words)} --resume",
            soft_wrap=True,
        )
        return 130
    _show(found)
    return 0


def search_rule(
    where: Where,
    trials: Annotated[int, arg(metavar="N", help="candidates to try")] = 1500,
    seed: Annotated[int, arg(metavar="S", help="of the candidates")] = 0,
    out: Annotated[
        Path | None, optional("FILE", "write the numbers, to be played as expert:NAME:FILE")
    ] = None,
    force: Force = False,
) -> int:
    """Search the numbers of a world's rule for a setting of its environment.

    $ compagnon search-rule --env-args demand=tight --out levels.json
    $ compagnon evaluate expert:workshop-base-stock:levels.json --env-args demand=tight
    """
    output.claim(force, out)
    from compagnon.worlds.registry import find_world, worlds

    check_seed(seed)
    env_id, env_args = where.resolve()
    search = find_world(env_id).rule_search()
    if search is None:
        known = ", ".join(world.env_ids[0] for world in worlds() if world.rule_search() is not None)
        raise InputError(
            f"--env {env_id}: it has no rule with numbers to search; these do: {known}"
        )
    with output.busy(f"trying {trials} sets of numbers"):
        found = search(env_args, trials, seed)
    rows = [(name, f"{value:g}") for name, value in found.values.items()]
    screen = output.console()
    screen.print(output.table(("number", "value"), rows))
    screen.print(f"\n{found.score}, on episodes that the search did not see; {found.trials} tried")
    if out is not None:
        output.write_json(out, dict(found.values))
        screen.print(f"play it as {found.policy}:{out}", soft_wrap=True)
    return 0


@contextmanager
def _watching() -> Iterator[Callable[["StudyProgress"], None]]:
    """Show how a search stands: a bar on a terminal, else a line for each trial that ends."""
    errors = Console(stderr=True)
    if not errors.is_terminal:
        yield _Lines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    with Progress(*columns, console=errors) as bar:
        task = bar.add_task("search", total=None, figures="")

        def show(now: "StudyProgress") -> None:
            bar.update(
                task,
                description="comparison" if now.comparing else "search",
                completed=len(now.ended),
                total=now.total,
                figures=_figures(now),
            )

        yield show


class _Lines:
    """Prints each trial once, when it has ended."""

    def __init__(self) -> None:
        self._said: set[tuple[bool, int]] = set()

    def __call__(self, now: "StudyProgress") -> None:
        for trial in now.ended:
            if (now.comparing, trial.number) in self._said:
                continue
            self._said.add((now.comparing, trial.number))
            what = "comparison" if now.comparing else "trial"
            value = "-" if trial.value is None else output.number(trial.value)
            state = {"COMPLETE": "done", "PRUNED": "pruned", "FAIL": "failed"}[trial.state.name]
            words = f"{what:10s} {trial.number:4d}  {state:6s}  {value:>9s}  {_figures(now)}"
            output.console().print(words, soft_wrap=True)


def _figures(now: "StudyProgress") -> str:
    """How many are done, pruned and failed, the best so far, and the time left."""
    shown = [f"{len(now.ended)} of {now.total}"]
    if not now.comparing:
        shown.append(f"{now.pruned} pruned")
    shown.append(f"{now.failed} failed")
    if now.best is not None:
        shown.append(f"best {output.number(now.best[0])} (trial {now.best[1]})")
    if now.seconds_left is not None:
        minutes, seconds = divmod(round(now.seconds_left), 60)
        shown.append(f"{minutes}:{seconds:02d} left")
    return ", ".join(shown)


def _show(found: "TuningResult") -> None:
    """The comparison as a table, the verdict, and what was written."""
    from compagnon.tuning.report import spent_in_words

    out, compared = output.console(), found.comparison
    rows = [(compared.default.who, output.number(compared.default.mean), "", "")]
    for one in compared.candidates:
        gain = compared.differences[one.who]
        between = output.interval(gain.interval)
        rows.append((one.who, output.number(one.mean), output.number(gain.mean), between))
    level = f"{compared.level:.1%} interval"
    out.print()
    out.print(output.table(("recipe", "mean return", "more than the default", level), rows))
    out.print(f"\n{compared.words}\n{spent_in_words(found.spent)}")
    out.print(f"\nThe winner: {found.winner}\nThe report to open: {found.report}")


COMMANDS: dict[str, CommandFunction] = {"tune": tune, "search-rule": search_rule}

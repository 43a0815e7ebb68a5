"""`evaluate`, `audit`, `divergence`: which policy is better, and why."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

from compagnon import output
from compagnon.arguments import CommandFunction, Force, Json, Page, check_seed, optional
from compagnon.cli.options import EpisodeOptions, OnePolicy, PolicyNames, Where

if TYPE_CHECKING:
    from markupsafe import Markup

    from compagnon.evaluation.audit import Audit
    from compagnon.evaluation.divergence import Divergence
    from compagnon.evaluation.evaluate import Evaluation


def evaluate(policies: PolicyNames, /, where: Where, play: EpisodeOptions) -> int:
    """Play policies on the same episodes, and compare each with the first.

    $ compagnon evaluate expert:workshop-v2 random --env-args demand=tight
    $ compagnon evaluate expert:workshop-v2 runs/demo      in the shop that the run learnt in
    $ compagnon evaluate random constant:0 --env CartPole-v1 --episodes 20 --json figures.json
    """
    output.claim(play.force, play.json, play.report)
    found = _evaluate(policies, where, play.episodes, play.seed, play.sampled, play.backend)
    show_evaluation(found)
    _write(found, play.json)
    if play.report is not None:
        part = _own_part(found, policies)
        write_report(play.report, "Evaluation", found, _audit_if_possible(found), part=part)
    return 0


def audit(policies: PolicyNames, /, where: Where, play: EpisodeOptions) -> int:
    """Split the reward into its terms, and tell money earned from a reward that was gamed.

    $ compagnon audit expert:workshop-v2 expert:workshop-over-producer
    $ compagnon audit expert:workshop-v2 runs/demo --report audit.html
    """
    output.claim(play.force, play.json, play.report)
    from compagnon.evaluation.audit import audit_evaluation, check_auditable, print_audit

    check_auditable(*where.resolve(*policies))  # before an hour of play, not after
    evaluation = _evaluate(policies, where, play.episodes, play.seed, play.sampled, play.backend)
    found = audit_evaluation(evaluation)
    print_audit(output.console(), found)
    _write(found, play.json)
    if play.report is not None:
        write_report(play.report, "Audit", evaluation, found)
    return 0


def divergence(
    policy: OnePolicy,
    /,
    expert: Annotated[
        str, arg(metavar="NAME", help="an expert, or any policy, to compare it with")
    ],
    where: Where,
    episodes: Annotated[int, arg(metavar="N", help="episodes that both play")] = 20,
    seed: Annotated[int, arg(metavar="S", help="the first of their seeds")] = 1_000_000,
    samples: Annotated[int, arg(metavar="N", help="decisions to try both ways; 0 for none")] = 200,
    horizon: Annotated[
        int | None, optional("MIN", "follow each of them so long; without it, to the end")
    ] = None,
    json: Json = None,
    report: Page = None,
    force: Force = False,
) -> int:
    """Find the decisions in which a policy differs from an expert, and what they are worth.

    $ compagnon divergence runs/demo --expert workshop-v2
    """
    output.claim(force, json, report)
    from compagnon.evaluation.divergence import divergence as run
    from compagnon.evaluation.divergence import print_divergence
    from compagnon.policy.loading import expert_points

    check_seed(seed)
    if expert.partition(":")[0] in expert_points():
        expert = f"expert:{expert}"
    with output.busy("comparing decisions"):
        env = where.resolve(policy, expert)
        found = run(policy, expert, *env, episodes, seed, samples, horizon)
    print_divergence(output.console(), found)
    _write(found, json)
    if report is not None:
        scores = _evaluate((expert, policy), where, episodes, seed, sampled=False)
        write_report(report, "Divergence", scores, _audit_if_possible(scores), found)
    return 0


def _evaluate(
    policies: tuple[str, ...],
    where: Where,
    episodes: int,
    seed: int,
    sampled: bool,
    backend: str = "gymnasium",
) -> "Evaluation":
    from compagnon.evaluation.evaluate import evaluate as run

    check_seed(seed)
    with output.busy("playing") as say:
        env = where.resolve(*policies)
        found = run(policies, *env, episodes, seed, sampled, say, backend=backend)
    if found.episodes < episodes:
        output.console().print(
            f"there are {found.episodes} different episodes, not {episodes}: each is played once"
        )
    return found


def _own_part(found: "Evaluation", policies: tuple[str, ...]) -> "Markup | None":
    """What the page of this environment has besides."""
    from compagnon.envs import BatchEnv
    from compagnon.policy import Schema, load_policy
    from compagnon.worlds import find_world

    schema = Schema.of(BatchEnv(found.env, found.env_args, 1))
    bound = [load_policy(name, schema) for name in policies]
    return find_world(found.env).report_part(found, bound)


def _audit_if_possible(found: "Evaluation") -> "Audit | None":
    from compagnon.errors import InputError
    from compagnon.evaluation.audit import audit_evaluation

    try:
        return audit_evaluation(found)
    except InputError:  # not every environment splits its reward into terms
        return None


def _write(found: Any, path: Path | None) -> None:
    if path is not None:
        output.write_json(path, found.as_json())


def write_report(
    path: Path,
    title: str,
    evaluation: "Evaluation",
    audit: "Audit | None" = None,
    divergence: "Divergence | None" = None,
    part: "Markup | None" = None,
) -> None:
    """Write a page, with the command that made it.

    Raises:
        InputError: it cannot be written.
    """
    from compagnon.reporting.report import render_report

    command = output.typed.get()
    page = render_report(title, evaluation, audit, divergence, command=command, part=part)
    output.write_text(path, page)


def show_evaluation(found: "Evaluation") -> None:
    """Print an evaluation: what was played, the scores, the differences paired by episode."""
    out = output.console()
    out.print(f"{found.headline}\n")
    out.print(output.table(*found.score_table()))
    _show_card(found)
    if found.paired:
        out.print(f"\nAgainst {found.paired[0].against}, on the same episodes\n", soft_wrap=True)
        out.print(output.table(*found.paired_table()))


def _show_card(found: "Evaluation") -> None:
    """What people look at in this world: no cost says by itself who waited for how long."""
    from compagnon.evaluation.labels import labels_of

    out = output.console()
    for title, figures in labels_of(found.env).card.items():
        rows = [
            (one.label, *(_card_cell(score.kpis.get(one.kpi), one.form) for score in found.scores))
            for one in figures
            if any(one.kpi in score.kpis for score in found.scores)
        ]
        if rows:
            out.print()
            out.print(output.table((title, *(score.name for score in found.scores)), rows))


def _card_cell(value: float | None, form: str) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:{form}}"


COMMANDS: dict[str, CommandFunction] = {
    "evaluate": evaluate,
    "audit": audit,
    "divergence": divergence,
}

"""Shows a diagnosis: in the terminal, and as a page that needs nothing else to be read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup, escape
from rich.console import Console
from rich.text import Text

from compagnon.evaluation.evaluate import Evaluation, compare
from compagnon.reporting import svg
from compagnon.reporting.report import Section, render_report
from compagnon.rl.diagnosis.diagnose import diagnose
from compagnon.rl.diagnosis.figures import CHANGES, QUICK, Diagnosis, Size
from compagnon.rl.diagnosis.phrases import Finding, PhraseSheet
from compagnon.rl.diagnosis.words import findings
from compagnon.rl.recipe import Recipe
from compagnon.wide_table import WideTable

_HEADER_END = "</header>"


@dataclass(frozen=True)
class ImitationReport:
    """A diagnosis that is ready to be shown; see `DiagnosisReport`."""

    found: Diagnosis

    def show(self, console: Console) -> None:
        """Print it."""
        print_diagnosis(console, self.found)

    def as_json(self) -> dict[str, Any]:
        """Its figures."""
        return self.found.as_json()

    def page(self, command: str | Sequence[str]) -> str:
        """It as HTML."""
        return render_diagnosis(self.found, command)


def diagnose_imitation(
    recipe: Recipe, quick: bool, episodes: int | None, progress: Callable[[str], None]
) -> ImitationReport:
    """Why a recipe's imitation fails, and what mends it; see `Diagnoser`.

    Raises:
        InputError: see `diagnose`.
    """
    size = QUICK if quick else Size()
    if episodes is not None:
        size = replace(size, episodes=episodes)
    return ImitationReport(diagnose(recipe, size, progress))


def print_diagnosis(console: Console, diagnosis: Diagnosis) -> None:
    """Each finding in words, and the table behind it."""
    for number, finding in enumerate(findings(diagnosis)):
        if number:
            console.print()
        console.print(Text(finding.title, style="bold"))
        console.print(Text(finding.words), soft_wrap=not console.is_terminal)
        for sheet in finding.sheets:
            table = WideTable(
                title=sheet.title,
                title_justify="left",
                box=None,
                pad_edge=False,
                padding=(0, 2, 0, 0),
                header_style="bold",
            )
            for index, column in enumerate(sheet.columns):
                table.add_column(column, justify="right" if index else "left", overflow="fold")
            for row in sheet.rows:
                table.add_row(*row)
            console.print()
            console.print(table)


def render_diagnosis(diagnosis: Diagnosis, command: str | Sequence[str] = "") -> str:
    """The page: the findings with tables and charts, then everybody's scores, as HTML."""
    d = diagnosis
    first = d.divergences[0] if d.divergences else None
    sections = [
        Section(f"Where {found.policy} departs", _pair(d.evaluation, found.policy), None, found)
        for found in d.divergences[1:]
    ]
    page = render_report(
        f"Diagnosis of {d.recipe}",
        d.evaluation,
        divergence=first,
        sections=sections,
        command=command,
        settings={"recipe": d.recipe, "seed": d.seed, "expert": d.expert},
        note=findings(d)[0].words,
    )
    # The report's page knows scores; the findings stand between its title and these.
    before, end, after = page.partition(_HEADER_END)
    body = "".join(_card(finding, d) for finding in findings(d)[1:])
    return before + end + f"<section><h2>Findings</h2>{body}</section>" + after


def _pair(evaluation: Evaluation, name: str) -> Evaluation:
    """The first policy and the one called `name`, by themselves."""
    first = evaluation.scores[0]
    other = next(score for score in evaluation.scores if score.name == name)
    return Evaluation(
        evaluation.env,
        evaluation.env_args,
        evaluation.episodes,
        evaluation.seed,
        [first, other],
        [compare(other, first)],
    )


def _card(finding: Finding, d: Diagnosis) -> str:
    parts = [Markup("<h3>{}</h3><p>{}</p>").format(finding.title, finding.words)]
    parts += [_table(sheet) for sheet in finding.sheets]
    parts += [
        Markup('<figure><figcaption>{}</figcaption><div class="scroll">{}</div></figure>').format(
            title, Markup(image)
        )
        for title, image in _charts(finding.title, d)
    ]
    return f'<div class="card">{"".join(parts)}</div>'


def _table(sheet: PhraseSheet) -> Markup:
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in sheet.columns)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in sheet.rows
    )
    return Markup(
        f'<div class="scroll"><table><caption>{escape(sheet.title)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _charts(title: str, d: Diagnosis) -> list[tuple[str, str]]:
    if title == "Labels" and d.labels.families:
        shares = [count / d.labels.decisions for count in d.labels.families.values()]
        caption = "Share of the expert's decisions"
        return [(caption, svg.column_chart(list(d.labels.families), shares, caption))]
    if title == "Training":
        ours = [loss for iteration in d.iterations for loss in iteration.losses]
        series = [svg.Series("ours", range(1, len(ours) + 1), ours)]
        if d.published is not None:
            theirs = [loss for losses in d.published.losses for loss in losses]
            series.append(svg.Series("published", range(1, len(theirs) + 1), theirs))
        caption = "Cross-entropy of the recipe as it is, all iterations in a row"
        return [(caption, svg.line_chart(series, caption, "epoch", "nats"))]
    if title == "What mends it":
        rungs = {" + ".join(CHANGES[c] for c in rung.changes): rung.name for rung in d.ladder[1:]}
        names = {d.expert: d.expert, "student 1": d.ladder[0].name, **rungs}
        rows = [
            svg.Interval(names[score.name], score.mean, *score.ci95)
            for score in d.evaluation.scores
            if score.name in names
        ]
        caption = "Mean reward of the expert and of each row, with 95 % intervals"
        return [(caption, svg.interval_plot(rows, caption, "reward"))]
    return []

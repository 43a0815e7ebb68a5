"""Findings on what there is to learn from: inputs, labels, the loss, and the ceiling."""

from compagnon.rl.diagnosis.data import Ceiling
from compagnon.rl.diagnosis.figures import Diagnosis
from compagnon.rl.diagnosis.phrases import (
    Finding,
    PhraseSheet,
    action,
    few,
    money,
    sentences,
)


def on_inputs(d: Diagnosis) -> Finding:
    """Inputs that cannot be seen, that repeat another or tell the past; what the expert reads."""
    fields = d.inputs.fields
    dead = [field.name for field in fields if field.dead]
    unseen = [field.name for field in fields if field.dead and field.read > 0]
    past = [field.name for field in fields if field.own_past]
    ignored = [field for field in fields if field.read == 0]
    words = []
    if dead:
        words.append(
            f"{len(dead)} of the {len(fields)} inputs vary by less than 0.01 as the network gets "
            f"them, which a fresh network cannot tell from nothing: {few(dead)}"
        )
    if unseen:
        words.append(f"the expert decides by {len(unseen)} of these: {few(unseen)}")
    if d.inputs.duplicates:
        pairs = [f"{second} repeats {first}" for first, second in d.inputs.duplicates]
        words.append(f"among the inputs, {few(pairs)}")
    if past:
        words.append(
            f"also among them is the student's own past ({few(past)}), which invites it to "
            "repeat itself"
        )
    if not words:
        words.append(
            "every input varies enough to be seen, none repeats another, none tells the student "
            "its own past"
        )
    if ignored:
        words.append(f"the expert does not look at {len(ignored)} of the {len(fields)}")
    rows = []
    twins: dict[str, str] = {second: first for first, second in d.inputs.duplicates}
    for field in fields:
        notes = ["dead"] if field.dead else []
        notes += [f"repeats {twins[field.name]}"] if field.name in twins else []
        notes += ["own past"] if field.own_past else []
        rows.append(
            (
                field.name,
                f"{field.mean:z.4f}",
                f"{field.sd:z.4f}",
                f"{field.low:z.3f}",
                f"{field.high:z.3f}",
                f"{field.read:.1%}" if field.read else "-",
                ", ".join(notes),
            )
        )
    columns = ("input", "mean", "sd", "low", "high", "expert reads", "")
    sheet = PhraseSheet("Inputs as the network gets them", columns, tuple(rows))
    return Finding("Inputs", sentences(words), (sheet,))


def on_labels(d: Diagnosis) -> Finding:
    """How lopsided the answers are, and what accuracy means then."""
    labels = d.labels
    commonest = action(d, labels.commonest)
    words = (
        f"{labels.share:.1%} of the expert's {labels.decisions:,} decisions are {commonest}: a "
        "student that always answers that is right as often"
    )
    if d.nothing is not None and d.nothing[0] == f"constant:{labels.commonest}":
        words += f", and earns {money(d.nothing[1])}"
    words += (
        f". The other {1 - labels.share:.1%} are spread over {labels.distinct - 1} actions of "
        f"{d.guessing.actions}: accuracy is to be read on these."
    )
    sheets: tuple[PhraseSheet, ...] = ()
    if labels.families:
        rows = tuple(
            (name, f"{count:,}", f"{count / labels.decisions:.2%}")
            for name, count in labels.families.items()
        )
        sheets = (PhraseSheet("Labels", ("the expert decides", "decisions", "share"), rows),)
    return Finding("Labels", words, sheets)


def on_loss(d: Diagnosis) -> Finding:
    """What the loss starts at, masked or not, and what it costs to know nothing but frequencies."""
    guess = d.guessing
    if d.mask_loss:
        words = (
            f"The loss is taken over the possible actions, {guess.possible:.0f} of "
            f"{guess.actions} on average: it starts at {guess.among_possible:.2f}, the cost of "
            f"guessing among these, and not at ln {guess.actions} = {guess.among_all:.2f}."
        )
    else:
        words = (
            f"The loss counts all {guess.actions} actions, though only {guess.possible:.0f} are "
            f"possible on average: it starts at ln {guess.actions} = {guess.among_all:.3f}, the "
            f"cost of guessing, and part of the training goes into what the mask says anyway. "
            f"Over the possible actions it would start at {guess.among_possible:.3f}."
        )
    last = d.iterations[-1].losses[-1]
    words += (
        " To know how often the expert gives each answer, and to look at nothing, costs "
        f"{d.labels.entropy:.3f}. The recipe ends at {last:.3f}"
    )
    words += ": it has not learnt even that." if last > d.labels.entropy else "."
    rows = (
        ("guessing among all actions", f"{guess.among_all:.3f}"),
        ("guessing among the possible ones", f"{guess.among_possible:.3f}"),
        ("quoting the expert's frequencies", f"{d.labels.entropy:.3f}"),
        ("the recipe, at its end", f"{last:.3f}"),
    )
    return Finding("Loss", words, (PhraseSheet("Cross-entropy, in nats", ("", "costs"), rows),))


def on_ceiling(d: Diagnosis) -> Finding:
    """Whether the inputs allow the expert's answers, by contradiction and by training well."""
    ceiling, core = d.ceiling, d.core_ceiling
    if ceiling.contradicted:
        words = (
            f"{ceiling.contradicted:,} of {ceiling.decisions:,} decisions have inputs that also "
            f"occur with another label: no student of these inputs can be right in more than "
            f"{ceiling.accuracy:.2%}."
        )
    else:
        words = "No two equal observations carry different labels: the inputs allow 100 %."
    if core is not None and core.inputs < ceiling.inputs and core.distinct < ceiling.distinct:
        words += (
            f" Nor is that the clock's doing: without clocks and own past, {core.inputs} inputs "
            f"and {core.distinct:,} different observations are left, and they allow "
            f"{core.accuracy:.2%}."
            if core.accuracy > 0.999 and not ceiling.contradicted
            else f" Without clocks and own past, {core.inputs} inputs are left, which allow "
            f"{core.accuracy:.2%}."
        )
    best = max(d.ladder, key=lambda rung: rung.rare_accuracy)
    words += (
        f" Trained well on all {ceiling.inputs} inputs, the same network is right in "
        f"{best.accuracy:.1%} of decisions it never saw, and in {best.rare_accuracy:.1%} of those "
        f"that are not {action(d, d.labels.commonest)}"
    )
    words += ": the inputs are no obstacle." if best.rare_accuracy > 0.95 else "."
    rows = [_ceiling_row("all inputs", ceiling)]
    rows += [] if core is None else [_ceiling_row("without clocks and own past", core)]
    columns = ("", "inputs", "different observations", "contradicted", "best accuracy")
    return Finding("Ceiling", words, (PhraseSheet("What the inputs allow", columns, tuple(rows)),))


def _ceiling_row(name: str, ceiling: Ceiling) -> tuple[str, ...]:
    return (
        name,
        str(ceiling.inputs),
        f"{ceiling.distinct:,}",
        f"{ceiling.contradicted:,}",
        f"{ceiling.accuracy:.2%}",
    )

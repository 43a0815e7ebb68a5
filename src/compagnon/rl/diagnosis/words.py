"""Puts a diagnosis into words: findings that follow from its figures, each with its table."""

from collections.abc import Sequence

import numpy as np

from compagnon.evaluation.divergence import Divergence
from compagnon.rl.diagnosis.data_words import on_ceiling, on_inputs, on_labels, on_loss
from compagnon.rl.diagnosis.figures import (
    CHANGES,
    DAGGER,
    Diagnosis,
    Iteration,
    Rung,
)
from compagnon.rl.diagnosis.phrases import (
    Finding,
    PhraseSheet,
    action,
    capital,
    each,
    family,
    joined,
    money,
    sentences,
)


def findings(d: Diagnosis) -> list[Finding]:
    """Everything that the figures say, what mends the imitation first."""
    return [
        _in_short(d),
        on_inputs(d),
        on_labels(d),
        on_loss(d),
        _training(d),
        on_ceiling(d),
        _rerun(d),
        _ladder(d),
        *([_differences(d)] if d.divergences else []),
    ]


def _in_short(d: Diagnosis) -> Finding:
    student = d.iterations[-1].student_return
    words = f"{d.recipe}: the student earns {money(student)} {each(d)}, the expert "
    words += money(d.expert_return)
    if d.nothing is not None:
        words += f", doing nothing {money(d.nothing[1])}"
    full, practised = d.ladder[-2], d.ladder[-1]
    if d.mends(d.ladder[0]) or d.is_as_good(student):
        return Finding("In short", words + ". It does what the expert does: nothing to mend.")
    words += ". "
    if d.mends(full):
        needed = _smallest(d)
        least = " or ".join(joined([CHANGES[change] for change in chosen]) for chosen in needed)
        single = len(needed[0]) == 1
        words += f"{capital(least)} {'mends' if single else 'together mend'} it: "
        best = next(rung for rung in _combinations(d) if rung.changes == needed[0])
        words += f"{money(best.mean_return)} from the same demonstrations and the same inputs"
        words += f", and {money(practised.mean_return)} with {practised.iterations} iterations."
    elif d.mends(practised):
        names = [CHANGES[change] for change in full.changes]
        all_of_it = [*names, f"{practised.iterations} iterations of DAgger"]
        words += f"{capital(joined(all_of_it))} mend it: {money(practised.mean_return)}."
    else:
        words += f"None of the changes tried mends it; the best reach {money(_best(d))}."
    return Finding("In short", words)


def _training(d: Diagnosis) -> Finding:
    training = d.training
    total = sum(training.steps)
    words = (
        f"{total:,} gradient steps in all ({joined([f'{n:,}' for n in training.steps])}) at "
        f"{training.learning_rate:g}: Adam moves a weight by about the learning rate in each, "
        f"{training.reach:.3g} in all; the weight that went farthest moved by "
        f"{training.moved:.3f}. "
    )
    if d.fresh_optimiser:
        words += "Each iteration begins with a new optimiser. "
    words += "The loss went from " + ", then from ".join(
        f"{iteration.losses[0]:.2f} to {iteration.losses[-1]:.2f}" for iteration in d.iterations
    )
    rows: list[tuple[str, ...]] = []
    columns: tuple[str, ...] = ("loss of each epoch", "ours", "published")
    for number, iteration in enumerate(d.iterations):
        ours = " ".join(f"{loss:.4f}" for loss in iteration.losses[:3])
        if len(iteration.losses) > 3:
            ours += f" ... {iteration.losses[-1]:.4f}"
        theirs = ""
        if d.published is not None and number < len(d.published.losses):
            theirs = " ".join(f"{loss:.4f}" for loss in d.published.losses[number])
        rows.append((f"iteration {number + 1}", ours, theirs))
    if d.published is not None:
        words += "; published: " + ", then ".join(
            f"{losses[0]:.2f} to {losses[-1]:.2f}" for losses in d.published.losses
        )
    else:
        columns, rows = columns[:2], [row[:2] for row in rows]
    sheet = PhraseSheet("Cross-entropy while training", columns, tuple(rows))
    return Finding("Training", words + ".", (sheet,))


def _rerun(d: Diagnosis) -> Finding:
    last = d.iterations[-1]
    words = f"After {len(d.iterations)} iteration{'s' if len(d.iterations) > 1 else ''} the "
    words += f"student earns {money(last.student_return)} {each(d)}"
    if last.unmasked_return is not None:
        same = abs(last.unmasked_return - last.student_return) < 0.5
        words += (
            " with or without the mask"
            if same
            else (f" ({money(last.unmasked_return)} when it ignores the mask)")
        )
    if d.nothing is not None:
        is_nothing = abs(last.student_return - d.nothing[1]) < 0.02 * abs(d.nothing[1])
        words += (
            ": what doing nothing earns"
            if is_nothing
            else (f"; doing nothing earns {money(d.nothing[1])}")
        )
    words += f". The expert earns {money(d.expert_return)}."
    for number, iteration in enumerate(d.iterations[1:], start=2):
        if iteration.label_share > 0.9 and iteration.label != d.labels.commonest:
            words += (
                f" While the student collected for iteration {number}, the expert's answer was "
                f"{action(d, iteration.label)} in {iteration.label_share:.1%} of the states: such "
                "a student brings back one lesson, however long it plays."
            )
            break
    rows = [_iteration_row(d, number, one) for number, one in enumerate(d.iterations)]
    columns = (
        "iteration", "decisions", "collected by the student at", "commonest new label",
        "student", "mask ignored", "published",
    )  # fmt: skip
    width = len(columns) if d.published is not None else len(columns) - 1
    sheet = PhraseSheet(
        f"The recipe as it is, reward {each(d)}",
        columns[:width],
        tuple(row[:width] for row in rows),
    )
    return Finding("Rerun", words, (sheet,))


def _iteration_row(d: Diagnosis, number: int, one: Iteration) -> tuple[str, ...]:
    published = d.published.returns if d.published is not None else ()
    return (
        str(number + 1),
        f"{one.decisions:,}",
        money(one.collection_return) if number else "the expert",
        f"{action(d, one.label)}, {one.label_share:.1%}",
        money(one.student_return),
        "" if one.unmasked_return is None else money(one.unmasked_return),
        f"{published[number]:,.0f}" if number < len(published) else "",
    )


def _ladder(d: Diagnosis) -> Finding:
    words = []
    full = d.ladder[-2]
    singles = [rung for rung in _combinations(d) if len(rung.changes) == 1]
    several = len(full.changes) > 1
    if several:
        told = joined([f"{CHANGES[r.changes[0]]} {money(r.mean_return)}" for r in singles])
        good = [CHANGES[r.changes[0]] for r in singles if d.mends(r)]
        verb = "mends" if len(good) == 1 else "mend"
        words.append(
            f"alone, {f'{joined(good)} {verb} it' if good else 'no change mends it'}: {told}"
        )
        missing = [
            (next(c for c in full.changes if c not in rung.changes), rung)
            for rung in _combinations(d)
            if len(rung.changes) == len(full.changes) - 1
        ]
        missing.sort(key=lambda pair: pair[1].mean_return)
        told = joined([f"without {CHANGES[c]} {money(r.mean_return)}" for c, r in missing])
        words.append(f"all together reach {money(full.mean_return)}; {told}")
    elif full.changes:
        words.append(f"{CHANGES[full.changes[0]]} reaches {money(full.mean_return)}")
    practised = d.ladder[-1]
    words.append(
        f"{practised.iterations} iterations of DAgger bring {money(practised.mean_return)} "
        f"({practised.rare_accuracy:.1%} right where the answer is not "
        f"{family(d, d.labels.commonest)})"
    )
    text = sentences(words)
    misleading = [
        rung
        for rung in (*d.ladder, *d.others)
        if not d.mends(rung) and rung.accuracy >= d.labels.share
    ]
    if misleading:
        worst = min(misleading, key=lambda rung: (rung.mean_return, -rung.accuracy))
        text += (
            f" Accuracy hides it: {_full_name(worst)} gives the expert's answer in "
            f"{worst.accuracy:.1%} of unseen decisions, but in {worst.rare_accuracy:.1%} of those "
            f"that are not {family(d, d.labels.commonest)}, and earns {money(worst.mean_return)}."
        )
    sheets = [_rungs("One change more in each row", d.ladder, d)]
    sheets += [_rungs("The other combinations", d.others, d)] if d.others else []
    return Finding("What mends it", text, tuple(sheets))


def _rungs(title: str, rungs: Sequence[Rung], d: Diagnosis) -> PhraseSheet:
    columns = ("", "steps", "rate", "cross-entropy", "right", "right, rare", f"reward {each(d)}",
               "mends")  # fmt: skip
    rows = tuple(
        (
            rung.name,
            f"{rung.steps:,}",
            f"{rung.learning_rate:g}",
            f"{rung.cross_entropy:.3f}",
            f"{rung.accuracy:.1%}",
            f"{rung.rare_accuracy:.1%}",
            money(rung.mean_return),
            "yes" if d.mends(rung) else "no",
        )
        for rung in rungs
    )
    return PhraseSheet(title, columns, rows)


def _differences(d: Diagnosis) -> Finding:
    words, rows = [], []
    for found in d.divergences:
        active = "" if found.share_active is None else f" ({found.share_active:.0%} of those where "
        active += "" if found.share_active is None else "either does more than wait)"
        if not found.differences:
            words.append(f"{found.policy} decides as the expert does everywhere")
            continue
        top = found.differences[0]
        words.append(
            f"{found.policy} differs in {found.share:.1%} of the states it visits{active}, in "
            f"{top.share:.0%} of these by {top.label}{_hours(found)}"
        )
        rows += [
            (
                found.policy,
                kind.label,
                f"{kind.per_episode:,.1f}",
                f"{kind.share:.1%}",
            )
            for kind in found.differences[:5]
        ]
    columns = ("policy", "expert would -> it does", f"times {each(d)}", "share")
    sheet = PhraseSheet("Where they differ", columns, tuple(rows))
    return Finding("Which states differ", sentences(words), (sheet,))


def _hours(found: Divergence) -> str:
    """Where in the day they differ most, if some hours have much more of it."""
    if not found.by_hour:
        return ""
    share = np.array(found.by_hour)
    hour = int(share.argmax())
    if share[hour] < 1.2 * share.mean():
        return ", at all hours alike"
    return f", most at {hour:02}:00 ({share[hour]:.1%})"


def _combinations(d: Diagnosis) -> list[Rung]:
    return [rung for rung in (*d.ladder, *d.others) if DAGGER not in rung.changes]


def _smallest(d: Diagnosis) -> list[tuple[str, ...]]:
    """The sets of changes that mend it, of the fewest changes that do."""
    good = [rung.changes for rung in _combinations(d) if rung.changes and d.mends(rung)]
    fewest = min(len(changes) for changes in good)
    return [changes for changes in good if len(changes) == fewest]


def _best(d: Diagnosis) -> float:
    return max(rung.mean_return for rung in (*d.ladder, *d.others))


def _full_name(rung: Rung) -> str:
    return " + ".join(CHANGES[change] for change in rung.changes) or "the recipe as it is"

"""The parts that findings are made of: sentences, tables, and how figures and actions are said."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from compagnon.evaluation.labels import labels_of
from compagnon.evaluation.verdict import amount
from compagnon.rl.diagnosis.figures import Diagnosis

_MANY = 6  # names in a sentence; the table has them all


@dataclass(frozen=True)
class PhraseSheet:
    """A table: column heads, and rows of as many cells."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Finding:
    """What was found, in words, and the figures behind it."""

    title: str
    words: str
    sheets: tuple[PhraseSheet, ...] = ()


def money(value: float) -> str:
    """A return, without a sign unless it is below 0."""
    return amount(value, sign=False)


def each(d: Diagnosis) -> str:
    """``a week``."""
    return labels_of(d.env).each


def family(d: Diagnosis, action: int) -> str:
    """What kind of action it is."""
    labels = labels_of(d.env)
    if not labels.families:
        return f"action {action}"
    return labels.families[int(labels.family_of(np.array(action)))]


def action(d: Diagnosis, action: int) -> str:
    """An action with its number."""
    name = family(d, action)
    return f"{name} (action {action})" if labels_of(d.env).families else name


def joined(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def few(words: Sequence[str]) -> str:
    """The first names of a list that may be long."""
    if len(words) <= _MANY:
        return joined(words)
    return ", ".join(words[:_MANY]) + f" and {len(words) - _MANY} more"


def capital(text: str) -> str:
    """With a capital first letter."""
    return text[:1].upper() + text[1:]


def sentences(parts: Iterable[str]) -> str:
    """Each part as a sentence."""
    return " ".join(f"{capital(part)}." for part in parts)

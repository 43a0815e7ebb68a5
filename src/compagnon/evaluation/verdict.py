"""Puts a difference between two policies into one sentence that follows from its figures."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Literal

from compagnon.evaluation.labels import WorldLabels
from compagnon.evaluation.statistics import Estimate

# With this share of a gain in reward, and a profit that surely rises, the gain is called profit.
PROFIT_SHARE = 0.8
# A term is named as the source of a gain when it makes up this share of it.
SOURCE_SHARE = 0.1

Kind = Literal[
    "gamed", "hollow", "mixed", "profit", "gain", "misjudged", "loss", "equal", "unclear"
]


@dataclass(frozen=True)
class Verdict:
    """A kind for machines and a sentence for people.

    The kinds: `gamed`, reward rises and profit falls; `hollow`, reward rises and profit does not;
    `mixed`, both rise and most of the gain is something else; `profit`, the gain is profit;
    `gain`, reward rises and the environment reports no profit; `misjudged`, reward falls and
    profit rises; `loss`, reward falls; `equal`, no difference can be told; `unclear`, too few
    episodes for an interval.
    """

    kind: Kind
    words: str


def give_verdict(
    labels: WorldLabels,
    against: str,
    reward: Estimate,
    terms: Mapping[str, Estimate],
    profit: Estimate | None = None,
    lost: Mapping[str, tuple[float, Estimate]] | None = None,
) -> Verdict:
    """Judge paired differences, a policy less `against`.

    Args:
        reward, profit: the differences; both as means an episode, with intervals.
        terms: the differences of the terms that make up the reward.
        lost: KPI -> (what the policy loses an episode, the difference).
    """
    kind = _kind(reward, profit)
    parts = [
        f"{with_interval(reward)} reward {labels.each} over {against}"
        + _sources(labels, reward, terms, kind)
    ]
    if profit is not None:
        parts.append(f"profit moves by {with_interval(profit)}")
    parts += _losses(labels, lost or {})
    return Verdict(kind, "; ".join(parts) + ": " + _conclusion(kind, reward, profit))


def amount(value: float, sign: bool = True) -> str:
    """A figure with as many digits as a person reads: +6,921, -53.2, +0.31."""
    plus = "+" if sign else ""
    if abs(value) >= 100 or abs(value) < 1e-9:
        return f"{value:{plus}z,.0f}"
    return f"{value:{plus}.1f}" if abs(value) >= 1 else f"{value:{plus}.2g}"


def with_interval(figure: Estimate) -> str:
    """``+433 [+402, +462]``; without an interval where there is none."""
    low, high = figure.ci95
    interval = f" [{amount(low)}, {amount(high)}]" if isfinite(low) else ""
    return amount(figure.mean) + interval


def _kind(reward: Estimate, profit: Estimate | None) -> Kind:
    if not all(map(isfinite, reward.ci95)):
        return "unclear"
    if not reward.rises and not reward.falls:
        return "equal"
    if reward.falls:
        return "misjudged" if profit is not None and profit.rises else "loss"
    if profit is None:
        return "gain"
    if profit.falls:
        return "gamed"
    if not profit.rises:
        return "hollow"
    return "profit" if profit.mean >= PROFIT_SHARE * reward.mean else "mixed"


def _sources(
    labels: WorldLabels, reward: Estimate, terms: Mapping[str, Estimate], kind: Kind
) -> str:
    """The terms that make the difference, largest first: those outside profit where it is gamed."""
    if kind in ("equal", "unclear"):
        return ""
    suspects = kind in ("gamed", "hollow", "mixed")
    share = {
        term: figure.mean / reward.mean
        for term, figure in terms.items()
        if not (suspects and term in labels.profit_terms)
    }
    named = sorted(share, key=lambda term: -share[term])[:2]
    named = [term for term in named if share[term] >= SOURCE_SHARE]
    if not named:
        return ""
    sources = " and ".join(
        f"{amount(terms[term].mean)} ({share[term]:.0%}) from {labels.label(term)}"
        for term in named
    )
    return f", of which {sources}"


def _losses(labels: WorldLabels, lost: Mapping[str, tuple[float, Estimate]]) -> list[str]:
    """What is lost more, or less, than before; nothing where no difference can be told."""
    told = [name for name, (_, change) in lost.items() if change.rises or change.falls]
    if not told:
        return []
    counts = " and ".join(
        f"{amount(lost[name][0], sign=False)} {labels.lost[name]} ({amount(lost[name][1].mean)})"
        for name in told
    )
    return [f"units {labels.each}: {counts}"]


def _conclusion(kind: Kind, reward: Estimate, profit: Estimate | None) -> str:
    share = profit.mean / reward.mean if profit is not None and reward.mean else 0.0
    if kind == "equal" and profit is not None and (profit.rises or profit.falls):
        way = "rises" if profit.rises else "falls"
        return f"the reward shows no difference, but profit {way}"
    if kind == "loss" and profit is not None:
        if profit.falls:
            return "worse, and profit falls too"
        return "the reward falls and profit shows no difference"
    rest = "the reward pays for the rest"
    return {
        "gamed": "the reward is gamed",
        "hollow": "the gain is hollow, for profit shows no rise; it is the reward's alone",
        "mixed": f"{'only ' if share < 0.5 else ''}{share:.0%} of the gain is profit; {rest}",
        "profit": "the gain is profit",
        "gain": "a gain in reward; this environment reports no profit to hold it against",
        "misjudged": "profit rises while the reward falls, so the reward misjudges it",
        "loss": "worse",
        "equal": "no difference can be told",
        "unclear": "too few episodes to tell",
    }[kind]

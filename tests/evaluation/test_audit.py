import dataclasses
import io
import json

import numpy as np
import pytest
from rich.console import Console

from compagnon.errors import InputError
from compagnon.evaluation.audit import audit, audit_evaluation, print_audit
from compagnon.evaluation.evaluate import Evaluation
from compagnon.evaluation.labels import WorldLabels, labels_of
from compagnon.evaluation.statistics import Estimate
from compagnon.evaluation.verdict import amount, give_verdict
from compagnon.worlds.workshop import WORKSHOP
from tests.evaluation.names import BASE_STOCK, OVER_PRODUCER, V2, WAIT


def around(mean: float, half: float = 1.0) -> Estimate:
    return Estimate(mean, (mean - half, mean + half))


def judge(reward: Estimate, profit: Estimate | None, **terms: float) -> tuple[str, str]:
    verdict = give_verdict(
        labels_of(WORKSHOP), V2, reward, {n: around(v) for n, v in terms.items()}, profit
    )
    return verdict.kind, verdict.words


def test_the_over_producer_is_called_gamed(published: Evaluation) -> None:
    found = audit_evaluation(published)
    gain = next(g for g in found.gains if g.policy == OVER_PRODUCER)
    assert gain.verdict.kind == "gamed"
    assert gain.words.endswith("the reward is gamed")
    # The words hold the figures of the table.
    difference = gain.difference
    assert difference.profit is not None
    assert amount(difference.reward.mean) in gain.words
    assert (
        f"{amount(difference.terms['launch_bonus'].mean)} (108%) from launch bonuses" in gain.words
    )
    assert f"profit moves by {amount(difference.profit.mean)}" in gain.words
    lost = next(p for p in found.policies if p.name == OVER_PRODUCER).lost["overflow"].mean
    assert 400 < lost < 450
    assert f"{lost:.0f} lost to a full store" in gain.words


def test_a_rule_that_raises_profit_is_not_called_gamed(published: Evaluation) -> None:
    gain = next(g for g in audit_evaluation(published).gains if g.policy == BASE_STOCK)
    assert gain.difference.profit is not None
    assert gain.difference.profit.rises
    assert gain.verdict.kind in ("mixed", "profit")
    assert "gamed" not in gain.words


@pytest.mark.full
def test_under_the_profit_reward_the_same_two_get_the_opposite_words() -> None:
    found = audit([V2, BASE_STOCK, OVER_PRODUCER], WORKSHOP, {"reward": "profit"}, episodes=10)
    base, over = found.gains
    assert (base.verdict.kind, over.verdict.kind) == ("profit", "loss")
    assert base.words.endswith("the gain is profit")
    assert "launch bonus" not in over.words
    assert list(found.policies[0].terms) == ["sales_p1", "sales_p2", "raw_cost", "backlog_cost"]
    assert set(found.policies[0].aside) == {"launch_bonus", "wait_cost", "invalid_cost"}


def test_the_terms_add_up_to_the_reward(published: Evaluation) -> None:
    found = audit_evaluation(published)
    for policy in [*found.policies, *(gain.difference for gain in found.gains)]:
        total = sum(term.mean for term in policy.terms.values())
        assert total == pytest.approx(policy.reward.mean, abs=1e-3)
        business = ("sales_p1", "sales_p2", "raw_cost", "backlog_cost")
        assert policy.profit is not None
        assert sum(policy.terms[n].mean for n in business) == pytest.approx(policy.profit.mean)


def test_reward_that_no_term_explains_is_shown_as_other(published: Evaluation) -> None:
    score = published.scores[0]
    odd = dataclasses.replace(score.results, returns=score.results.returns + 5.0)
    scores = [dataclasses.replace(score, results=odd)]
    found = audit_evaluation(dataclasses.replace(published, scores=scores, paired=[]))
    assert found.policies[0].terms["other"].mean == pytest.approx(5.0, abs=1e-3)


@pytest.mark.parametrize(
    ("reward", "profit", "kind", "words"),
    [
        (around(100), around(-20), "gamed", "the reward is gamed"),
        (around(100), around(0.5), "hollow", "the gain is hollow"),
        (around(100), around(6), "mixed", "only 6% of the gain is profit"),
        (around(100), around(79), "mixed", "79% of the gain is profit"),
        (around(100), around(81), "profit", "the gain is profit"),
        (around(100), around(130), "profit", "the gain is profit"),
        (around(100), None, "gain", "reports no profit"),
        (around(-100), around(20), "misjudged", "the reward misjudges it"),
        (around(-100), around(-20), "loss", "profit falls too"),
        (around(-100), around(0), "loss", "profit shows no difference"),
        (around(0), around(0), "equal", "no difference can be told"),
        (around(0), around(-5), "equal", "but profit falls"),
        (around(100, float("nan")), None, "unclear", "too few episodes"),
    ],
)
def test_each_verdict(reward: Estimate, profit: Estimate | None, kind: str, words: str) -> None:
    found = judge(reward, profit, launch_bonus=reward.mean)
    assert found[0] == kind
    assert words in found[1]
    assert ("gamed" in found[1]) == (kind == "gamed")


def test_only_real_sources_are_named_the_largest_first() -> None:
    terms = {"launch_bonus": 60.0, "wait_cost": 50.0, "invalid_cost": 5.0, "sales_p2": 90.0}
    _, words = judge(around(100), around(-15), **terms)
    assert "+60.0 (60%) from launch bonuses and +50.0 (50%) from waiting cost" in words
    assert "P2 sales" not in words  # profit is not a suspect when profit falls
    assert "impossible" not in words
    assert "P2 sales" in judge(around(100), around(90), **terms)[1]


def test_an_undescribed_env_is_spoken_of_by_its_own_names() -> None:
    verdict = give_verdict(WorldLabels(), "first", around(4), {"fuel_cost": around(3)})
    assert verdict.kind == "gain"
    assert "+4.0 [+3.0, +5.0] reward an episode over first" in verdict.words
    assert "+3.0 (75%) from fuel cost" in verdict.words


def test_an_env_without_terms_is_refused_before_anything_is_played() -> None:
    def told(name: str) -> None:
        raise AssertionError(f"played {name}")

    with pytest.raises(InputError, match="CartPole-v1 does not split its reward into terms"):
        audit(["random"], "CartPole-v1", {}, episodes=2, progress=told)


def test_json_and_table_hold_the_figures(published: Evaluation) -> None:
    found = audit_evaluation(published)
    data = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert [gain["verdict"] for gain in data["gains"]][1:] == ["gamed", "loss"]
    assert len(data["policies"][0]["terms"]) == 7
    assert data["seeds"] == list(range(1_000_000, 1_000_100))
    for policy in data["policies"]:
        every = policy["per_episode"]
        for term, figure in policy["terms"].items():
            assert np.mean(every["kpis"][term]) == pytest.approx(figure["mean"])
        assert np.mean(every["returns"]) == pytest.approx(policy["reward"]["mean"])
    console = Console(record=True, file=io.StringIO(), width=200)
    print_audit(console, found)
    text = console.export_text()
    assert f"{found.policies[2].reward.mean:,.0f}" in text
    assert found.gains[1].words in text
    for name in (V2, BASE_STOCK, OVER_PRODUCER, WAIT, "launch bonuses", "profit", "P1 served"):
        assert name in text


def test_one_episode_tells_nothing_and_says_so() -> None:
    found = audit([V2, OVER_PRODUCER], WORKSHOP, {}, episodes=1)
    assert found.gains[0].verdict.kind == "unclear"
    json.dumps(found.as_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("value", "text"),
    [(6920.4, "+6,920"), (-53.24, "-53.2"), (0.314, "+0.31"), (0.0, "+0"), (-1e-12, "+0")],
)
def test_amounts(value: float, text: str) -> None:
    assert amount(value) == text

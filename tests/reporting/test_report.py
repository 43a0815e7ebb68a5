import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from compagnon.evaluation.audit import audit_evaluation
from compagnon.evaluation.divergence import Divergence
from compagnon.evaluation.evaluate import Evaluation, evaluate
from compagnon.reporting.report import Section, render_report, write_report
from compagnon.reporting.svg import Series
from compagnon.worlds.workshop import WORKSHOP

VOID = {"meta", "br"}


class _Balanced(HTMLParser):
    """Fails on a tag that is closed out of turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(published: Evaluation, over_producer_divergence: Divergence) -> str:
    tight = evaluate(["expert:workshop-v2"], WORKSHOP, {"demand": "tight"}, episodes=3)
    return render_report(
        "Workshop",
        published,
        audit_evaluation(published),
        over_producer_divergence,
        {"Reward": [Series("ppo", [0, 1, 2], [0.0, 5.0, 9.0])]},
        [Section("On your order book", tight, note="Three weeks.")],
        command=["compagnon", "evaluate", "--env", "a b"],
        settings={"seed": 0, "env_args": {"demand": "published"}},
        note="A note.",
    )


def test_it_holds_the_figures(page: str, published: Evaluation) -> None:
    for score in published.scores:
        assert score.name in page
        assert f"{score.mean:,.0f}" in page
        assert f"{score.kpis['profit']:,.0f}" in page
    for pair in published.paired:
        assert f"{pair.mean:+,.0f}" in page
        assert f"{pair.win_share:.0%}" in page
    for gain in audit_evaluation(published).gains:
        assert gain.words in page


def test_it_holds_every_part(page: str) -> None:
    for text in (
        "A note.", "On your order book", "Three weeks.", "demand=tight", "seeds 1000000 to 1000099",
        "wait -&gt; step 1", "What the reward is made of", "Learning", "numpy",
        "compagnon evaluate --env &#39;a b&#39;", "{&#34;demand&#34;: &#34;published&#34;}",
    ):  # fmt: skip
        assert text in page, text


def test_it_needs_nothing_from_outside(page: str) -> None:
    parser = _Balanced()
    parser.feed(page)
    assert parser.open == []
    outside = {"src", "href", "srcset", "action", "data", "xlink:href", "onload"}
    assert not [name for name, _ in parser.attributes if name in outside]
    assert not re.search(r"@import|url\(|<script|<link|<iframe", page)
    addresses = set(re.findall(r"https?://[^\s\"'<]+", page))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # a name, never fetched


def test_names_cannot_inject_markup(published: Evaluation) -> None:
    page = render_report("<b>bold</b>", published, note="<img src=x>", command="a <b> c")
    assert "<b>" not in page
    assert "<img" not in page
    assert "&lt;b&gt;bold&lt;/b&gt;" in page


def test_optional_parts_leave_no_trace(published: Evaluation) -> None:
    page = render_report("Plain", published)
    for text in ("What the differences are made of", "departs from", "<h2>Learning", "<pre>"):
        assert text not in page


def test_one_policy_on_one_episode_of_any_env() -> None:
    page = render_report("One", evaluate(["constant:0"], "CartPole-v1", {}, episodes=1))
    assert "no interval" in page
    body = page.split("</style>", 1)[1]
    assert "profit" not in body
    assert not re.search(r"\bnan\b", body, re.IGNORECASE)


def test_the_same_figures_give_the_same_page(published: Evaluation) -> None:
    assert render_report("Same", published) == render_report("Same", published)


def test_it_is_written_whole_into_new_directories(tmp_path: Path, published: Evaluation) -> None:
    path = tmp_path / "new" / "report.html"
    write_report(path, "Written", published)
    text = path.read_text()
    assert text.startswith("<!doctype html>")
    assert text.rstrip().endswith("</html>")
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]

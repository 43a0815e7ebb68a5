"""A diagnosis finds what is wrong with a failing imitation, and says no more than its figures."""

import io
import json
from dataclasses import replace
from html.parser import HTMLParser

import numba
import numpy as np
import pytest
from rich.console import Console

from compagnon.cli import main
from compagnon.envs import BatchEnv
from compagnon.errors import InputError
from compagnon.evaluation.labels import labels_of
from compagnon.policy import Schema, load_policy
from compagnon.rl.diagnosis.data import (
    demonstrate,
    look_at_contradictions,
    look_at_inputs,
    look_at_labels,
    look_at_masks,
    what_expert_reads,
)
from compagnon.rl.diagnosis.data_words import on_inputs
from compagnon.rl.diagnosis.diagnose import diagnose, imitation_of
from compagnon.rl.diagnosis.figures import Diagnosis, Size
from compagnon.rl.diagnosis.pages import print_diagnosis, render_diagnosis
from compagnon.rl.diagnosis.words import findings
from compagnon.rl.recipe import load_recipe
from compagnon.worlds import find_world
from compagnon.worlds.workshop import WORKSHOP

SMALL = Size(episodes=4, held_out=1, steps=1_000, compared=1)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(threads)


@pytest.fixture(scope="module")
def diagnosis() -> Diagnosis:
    said: list[str] = []
    recipe = load_recipe("workshop-seed", {"threads": 1})
    found = diagnose(recipe, SMALL, said.append)
    assert "the expert's decisions" in said
    return found


def words(d: Diagnosis, title: str) -> str:
    return next(finding.words for finding in findings(d) if finding.title == title)


def inputs_of(**env_args):
    args = {"scaling": "published", **env_args}
    env = BatchEnv(WORKSHOP, args, 1)
    expert = load_policy("expert:workshop-v2", Schema.of(env))
    made = demonstrate(WORKSHOP, args, expert, [3])
    names = tuple(field.name for field in env.fields)
    return made, look_at_inputs(made.obs, names, what_expert_reads(expert, made, 0))


def test_dead_duplicate_and_leaking_inputs_of_the_published_vector_are_found():
    made, inputs = inputs_of(observation="full")
    assert made.obs.shape == (10_080, 23)
    names = [field.name for field in inputs.fields]
    assert inputs.duplicates == ((names[10], names[17]), (names[11], names[18]))
    dead = {index for index, field in enumerate(inputs.fields) if field.dead}
    assert dead == {9, 10, 11, 12, 17, 18, 20, 21}
    past = {index for index, field in enumerate(inputs.fields) if field.own_past}
    assert past == {13, 14, 15, 20, 21}
    read = {field.name for field in inputs.fields if field.read > 0}
    assert read == {
        "m1_busy", "m2_busy", "raw", "p2_inter", "backlog_p1", "backlog_p2", "raw_in_transit"
    }  # fmt: skip


def test_a_column_that_never_varies_is_dead_and_repeats_nothing():
    x = np.zeros((50, 4), np.float32)
    x[:, 1] = 0.1
    x[:, 2] = np.arange(50)
    x[:, 3] = 7 - 2 * x[:, 2]
    inputs = look_at_inputs(x, ("a", "b", "c", "d"), np.zeros(4))
    assert [field.dead for field in inputs.fields] == [True, True, False, False]
    assert inputs.duplicates == (("c", "d"),)


def test_labels_and_guessing_by_hand():
    labels = look_at_labels(np.array([200] * 6 + [0, 0, 159, 50]), labels_of(WORKSHOP))
    assert (labels.decisions, labels.distinct, labels.commonest) == (10, 4, 200)
    assert labels.share == 0.6
    assert labels.families == {"wait": 6, "P1": 2, "step 1": 1, "step 2": 0, "order": 1}
    shares = np.array([0.6, 0.2, 0.1, 0.1])
    assert labels.entropy == pytest.approx(-(shares * np.log(shares)).sum())
    guess = look_at_masks(np.array([[1, 1, 1, 1], [1, 0, 0, 0]], np.bool_))
    assert guess.among_all == pytest.approx(np.log(4))
    assert guess.among_possible == pytest.approx(np.log(4) / 2)
    assert guess.possible == 2.5


def test_the_ceiling_of_contradicting_labels_is_exact():
    x = np.array([[0, 1], [-0.0, 1], [0, 1], [1, 1], [1, 2]], np.float32)
    ceiling = look_at_contradictions(x, np.array([5, 5, 7, 7, 9]))
    assert (ceiling.distinct, ceiling.contradicted, ceiling.accuracy) == (3, 3, 4 / 5)
    clean = look_at_contradictions(x, np.array([5, 5, 5, 7, 9]))
    assert (clean.contradicted, clean.accuracy) == (0, 1.0)


@pytest.mark.full
def test_the_seed_is_reproduced(diagnosis):
    published = find_world(WORKSHOP).published_imitation("workshop-seed")
    for ours, theirs in zip(diagnosis.iterations, published.losses, strict=True):
        assert ours.losses == pytest.approx(theirs, rel=0.02)
        assert ours.losses[-1] > 4
        assert diagnosis.nothing is not None
        for played in (ours.student_return, ours.unmasked_return):
            assert played == pytest.approx(diagnosis.nothing[1], rel=0.01)
    assert diagnosis.training.steps == (60, 120)
    assert diagnosis.iterations[1].label == 159
    assert diagnosis.iterations[1].label_share > 0.99


@pytest.mark.full  # a diagnosis trains a dozen clones
def test_the_ladder_ends_well_and_begins_badly(diagnosis):
    first, last = diagnosis.ladder[0], diagnosis.ladder[-1]
    assert [len(rung.changes) for rung in diagnosis.ladder] == [0, 1, 2, 3, 4]
    assert len(diagnosis.others) == 4
    assert first.rare_accuracy < 0.05
    assert first.mean_return < 0
    assert not diagnosis.mends(first)
    assert last.rare_accuracy >= 0.97
    assert last.mean_return >= 0.95 * diagnosis.expert_return
    assert diagnosis.mends(last)
    with_all = diagnosis.ladder[-2]
    assert diagnosis.mends(with_all)
    assert not any(diagnosis.mends(rung) for rung in diagnosis.others)


@pytest.mark.full  # a diagnosis trains a dozen clones
def test_the_sentences_follow_the_figures(diagnosis):
    assert "expert decides by 3 of these: backlog_p1, backlog_p2 and raw_in_transit" in words(
        diagnosis, "Inputs"
    )
    assert "backlog_p1_value repeats backlog_p1" in words(diagnosis, "Inputs")
    assert "together mend it" in words(diagnosis, "In short")
    assert "ln 201 = 5.303" in words(diagnosis, "Loss")
    assert "what doing nothing earns" in words(diagnosis, "Rerun")
    assert "Accuracy hides it" in words(diagnosis, "What mends it")
    assert "the inputs are no obstacle" in words(diagnosis, "Ceiling")
    assert "order -> wait" in words(diagnosis, "Which states differ")

    _, compact = inputs_of(observation="compact")
    text = on_inputs(replace(diagnosis, inputs=compact)).words
    assert "repeats" not in text
    assert "own past" not in text
    all_seen = tuple(replace(field, dead=False, read=0.1) for field in compact.fields)
    text = on_inputs(replace(diagnosis, inputs=replace(compact, fields=all_seen))).words
    assert text == (
        "Every input varies enough to be seen, none repeats another, none tells the student its "
        "own past."
    )


@pytest.mark.full  # a diagnosis trains a dozen clones
def test_other_figures_give_other_sentences(diagnosis):
    earning = replace(diagnosis.iterations[-1], student_return=0.99 * diagnosis.expert_return)
    good = replace(diagnosis, iterations=(diagnosis.iterations[0], earning))
    assert "nothing to mend" in words(good, "In short")
    assert "what doing nothing earns" not in words(good, "Rerun")

    def poor(rung):
        return replace(rung, mean_return=min(rung.mean_return, -1.0))

    ladder = tuple(poor(rung) for rung in diagnosis.ladder)
    lost = replace(diagnosis, ladder=ladder, others=tuple(map(poor, diagnosis.others)))
    assert "None of the changes tried mends it" in words(lost, "In short")
    late = replace(diagnosis, ladder=(*ladder[:-1], diagnosis.ladder[-1]))
    assert "masked loss and 3 iterations of DAgger mend it" in words(late, "In short")

    one = replace(diagnosis.ladder[1], mean_return=diagnosis.expert_return, changes=("training",))
    alone = replace(diagnosis, ladder=(ladder[0], one, *diagnosis.ladder[2:]))
    assert "Longer training mends it" in words(alone, "In short")
    assert "longer training mends it" in words(alone, "What mends it").lower()

    masked = replace(diagnosis, mask_loss=True, published=None)
    assert "ln 201 = 5.30" in words(masked, "Loss")
    assert "is taken over the possible actions" in words(masked, "Loss")
    assert "published" not in words(masked, "Training")

    torn = replace(diagnosis, ceiling=replace(diagnosis.ceiling, contradicted=9, accuracy=0.8))
    assert "no student of these inputs can be right in more than 80.00%" in words(torn, "Ceiling")


@pytest.mark.full  # a diagnosis trains a dozen clones
def test_the_json_is_finite_and_whole(diagnosis):
    text = json.dumps(diagnosis.as_json(), allow_nan=False)
    found = json.loads(text)
    assert set(found) >= {"inputs", "labels", "guessing", "ceiling", "iterations", "ladder"}
    assert [rung["mends"] for rung in found["ladder"]] == [False, False, False, True, True]


class _Balance(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "br", "path", "rect", "line", "circle", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.open:
            assert self.open.pop() == tag


@pytest.mark.full  # a diagnosis trains a dozen clones
def test_it_is_printed_and_rendered(diagnosis):
    console = Console(file=io.StringIO(), width=120)
    print_diagnosis(console, diagnosis)
    text = console.file.getvalue()
    page = render_diagnosis(diagnosis, ["compagnon", "diagnose"])
    for finding in findings(diagnosis)[1:]:
        assert finding.title in text
        assert f"<h3>{finding.title}</h3>" in page
    for shown in (text, page):
        assert "nan" not in shown.replace("finance", "")
        assert "backlog_p2_value" in shown
    assert "compagnon diagnose" in page
    assert page.count("<svg") >= 6
    assert page.index("<h2>Findings</h2>") < page.index("<h2>Results</h2>")
    balance = _Balance()
    balance.feed(page)
    assert balance.open == []


def test_the_imitation_of_a_hybrid_is_what_is_looked_at():
    recipe = imitation_of(load_recipe("workshop-tight"))
    assert recipe.algorithm.kind == "dagger"
    assert recipe.budget.iterations is None


PPO = """
name = "practice"
[env]
id = "compagnon/Workshop-v0"
[algorithm]
kind = "ppo"
[budget]
iterations = 1
"""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["workshop-sed"], "did you mean workshop-seed"),
        (["ppo.toml"], "there is no diagnosis of ppo; there is one of dagger and hybrid"),
        (["--seed", "-1"], "--seed"),
        (["--episodes", "0"], "episodes=0"),
        (["--json", "."], "is a folder"),
    ],
)
def test_what_cannot_be_diagnosed_is_said_in_one_sentence(
    given, message, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ppo.toml").write_text(PPO)
    assert main(["diagnose", *given]) == 2
    said = capsys.readouterr().err
    assert said.startswith("compagnon: ")
    assert message in said
    assert said.count("\n") == 1


def test_the_recipe_must_imitate(tmp_path):
    (tmp_path / "ppo.toml").write_text(PPO)
    with pytest.raises(InputError, match="practice: ppo has no part that imitates as DAgger"):
        diagnose(load_recipe(str(tmp_path / "ppo.toml")))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
def test_the_seed_fails_whatever_the_training_seed(seed):
    from compagnon.evaluation.episodes import play_episodes
    from compagnon.rl.algorithm import build_algorithm

    recipe = load_recipe("workshop-seed", {"seed": seed})
    dagger, network = build_algorithm(recipe)
    for _ in range(2):
        metrics = dagger.iterate()
    assert 4 < metrics["cross_entropy"] < 4.3
    policy = network.as_policy("student")
    played = play_episodes(recipe.env.id, recipe.env.args, policy, list(range(20)))
    assert -6_400 < played.returns.mean() < -5_700


@pytest.mark.slow
def test_the_command_writes_its_files(capsys, tmp_path):
    figures, page = tmp_path / "figures.json", tmp_path / "page.html"
    words = ["diagnose", "workshop-compact", "--quick", "--episodes", "4"]
    assert main([*words, "--json", str(figures), "--report", str(page)]) == 0
    text = capsys.readouterr().out
    assert "none repeats another" in text
    assert "nothing to mend" in text
    assert json.loads(figures.read_text())["inputs"]["duplicates"] == []
    assert "compagnon diagnose workshop-compact" in page.read_text()

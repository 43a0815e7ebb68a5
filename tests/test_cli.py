"""The command line answers in tables, files and one sentence where something is wrong."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from compagnon.amounts import Budget, read_budget, read_time
from compagnon.arguments import read_pairs
from compagnon.cli import main
from compagnon.cli.app import groups, verbs
from compagnon.errors import InputError
from tests.tiers import full

V2, OVER = "expert:workshop-v2", "expert:workshop-over-producer"
FEW = ["--episodes", "3"]
EVERY_VERB = [[name] for name in verbs()] + [
    [group, name] for group, (_, verbs) in groups().items() for name in verbs
]


def run(*words: object) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own."""
    command = [sys.executable, "-c", "import sys; from compagnon.cli import main; sys.exit(main())"]
    return subprocess.run(
        [*command, *map(str, words)], capture_output=True, text=True, timeout=120, check=False
    )


def refused(capsys, *words: object) -> str:
    """The one sentence that these words are refused with."""
    assert main([str(word) for word in words]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("compagnon: ")
    assert captured.err.endswith("\n")
    assert "Traceback" not in captured.err
    return captured.err


def test_evaluate_prints_and_writes_the_same_figures(capsys, tmp_path):
    file = tmp_path / "out" / "figures.json"
    words = ["evaluate", V2, OVER, *FEW, "--env-args", "demand=tight", "setup_minutes=5"]
    assert main([*words, "--seed", "7", "--json", str(file)]) == 0
    found = json.loads(file.read_text())
    assert set(found) >= {"env", "env_args", "episodes", "seed", "policies", "paired"}
    assert found["env"] == "compagnon/Workshop-v0"
    assert found["env_args"] == {"demand": "tight", "setup_minutes": 5}
    assert (found["episodes"], found["seed"]) == (3, 7)
    assert [policy["name"] for policy in found["policies"]] == [V2, OVER]
    for policy in found["policies"]:
        assert set(policy) >= {"name", "mean", "sd", "ci95", "kpis"}
        low, high = policy["ci95"]
        assert low <= policy["mean"] <= high
        assert "profit" in policy["kpis"]
    (pair,) = found["paired"]
    assert (pair["policy"], pair["against"]) == (OVER, V2)
    assert pair["mean"] == pytest.approx(
        found["policies"][1]["mean"] - found["policies"][0]["mean"]
    )
    assert 0 <= pair["win_share"] <= 1
    text = capsys.readouterr().out
    assert f"{found['policies'][0]['mean']:,.0f}" in text
    assert f"{found['policies'][1]['kpis']['profit']:,.0f}" in text
    assert "3 episodes, seeds 7 to 9, greedy" in text
    assert [file.name for file in file.parent.iterdir()] == ["figures.json"]


def test_evaluate_is_repeatable_and_sampling_differs(tmp_path):
    def figures(name, *words):
        file = tmp_path / name
        base = ["evaluate", "random", "--env", "CartPole-v1", *FEW, "--json", str(file), "--force"]
        assert main([*base, *words]) == 0
        return json.loads(file.read_text())["policies"]

    assert figures("a") == figures("b")
    assert figures("c", "--sampled") == figures("d", "--sampled")
    assert figures("a") != figures("c", "--sampled")


def test_one_episode_has_no_interval_and_json_stays_json(capsys, tmp_path):
    file = tmp_path / "one.json"
    words = ["evaluate", "random", "--env", "CartPole-v1", "--episodes", "1", "--json", str(file)]
    assert main(words) == 0
    assert json.loads(file.read_text())["policies"][0]["ci95"] == [None, None]
    assert "nan" not in capsys.readouterr().out


@pytest.mark.full
def test_audit_divergence_and_their_pages(capsys, tmp_path):
    page, figures = tmp_path / "page.html", tmp_path / "figures.json"
    out = ["--report", str(page), "--json", str(figures)]
    assert main(["audit", V2, OVER, *FEW, *out]) == 0
    assert "launch bonuses" in capsys.readouterr().out
    assert "compagnon audit" in page.read_text()
    assert len(json.loads(figures.read_text())["policies"]) == 2
    words = ["divergence", OVER, "--expert", "workshop-v2", "--episodes", "1", "--samples", "4"]
    assert main([*words, *out, "--force"]) == 0
    assert f"{OVER} differs from {V2}" in " ".join(capsys.readouterr().out.split())
    assert json.loads(figures.read_text())["expert"] == V2
    assert "compagnon divergence" in page.read_text()


def test_watch_in_a_pipe_says_how_it_ended(capsys):
    assert main(["watch", V2, "--minutes", "90"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Monday 01:30")
    assert lines[-1].startswith(f"{V2}, seed 1000000: the episode stands at minute 90 after 90")


def test_watch_writes_a_video(capsys, tmp_path):
    file = tmp_path / "hour.gif"
    assert main(["watch", V2, "--minutes", "30", "--every", "10", "--video", str(file)]) == 0
    assert file.read_bytes().startswith(b"GIF89a")
    assert f"wrote {file}: 4 frames" in capsys.readouterr().out.replace("\n", "")


def test_lists(capsys):
    assert main(["policies"]) == 0
    text = capsys.readouterr().out
    for name in ("random", "constant:ACTION", V2, OVER, "expert:workshop-base-stock", "PATH"):
        assert name in text
    assert main(["envs"]) == 0
    assert "compagnon/Workshop-v0" in capsys.readouterr().out
    assert main(["envs", "compagnon/Workshop-v0"]) == 0
    text = capsys.readouterr().out
    for name in ("decision_points", "rush_minutes", "backlog_p1_value", "recent_demand"):
        assert name in text
    assert main(["envs", "CartPole-v1"]) == 0
    assert "obs_3" in capsys.readouterr().out


def test_recipes_print_as_toml(capsys):
    from compagnon.worlds.registry import recipe_texts

    shipped = recipe_texts()
    assert len(shipped) >= 9
    assert main(["recipes"]) == 0
    text = capsys.readouterr().out
    for name in shipped:
        assert name in text
        assert main(["recipes", name]) == 0
        assert tomllib.loads(capsys.readouterr().out)
    assert "no recipe is called 'nothing'" in refused(capsys, "recipes", "nothing")


@pytest.mark.parametrize("trials", ["1", full("4")])
def test_search_rule_writes_levels_that_play(trials, capsys, tmp_path):
    file = tmp_path / "levels.json"
    assert main(["search-rule", "--trials", trials, "--out", str(file)]) == 0
    assert "order_point" in capsys.readouterr().out
    name = f"expert:workshop-base-stock:{file}"
    assert main(["evaluate", name, "--episodes", "1", "--env-args", "decision_points=true"]) == 0


def test_order_book_is_generated_checked_and_played(capsys, tmp_path):
    file = tmp_path / "books" / "orders.csv"
    words = ["order-book", "generate", str(file), "--weeks", "2", "--seed", "3"]
    assert main([*words, "--demand", "tight", "--start", "2026-03-02"]) == 0
    assert main(["order-book", "check", str(file)]) == 0
    assert "good" in capsys.readouterr().out
    assert main(["evaluate", V2, "--episodes", "1", "--env-args", f"demand={file}"]) == 0


def test_a_bad_order_book_names_row_and_field(capsys, tmp_path):
    file = tmp_path / "orders.csv"
    file.write_text("time,product,quantity\n5,P1,2\n6,P3,1\n7,P2,-4\n")
    assert main(["order-book", "check", str(file)]) == 2
    captured = capsys.readouterr()
    assert "2 entries cannot be used" in captured.err
    for word in ("3", "product", "P3", "4", "quantity", "-4"):
        assert word in captured.out
    message = refused(capsys, "evaluate", V2, "--env-args", f"demand={file}")
    assert "row 3: product 'P3'" in message


REFUSED = {
    "no policy": (["evaluate"], "name at least one policy"),
    "unknown policy": (["evaluate", "nobody"], "no policy is called nobody"),
    "unknown expert": (["evaluate", "expert:nobody"], "workshop-v2"),
    "unknown env": (["evaluate", "random", "--env", "Cartpole-v1"], "did you mean CartPole-v1"),
    "unknown option": (["evaluate", "random", "--env-args", "colour=red"], "colour"),
    "bad option": (["evaluate", "random", "--env-args", "setup_minutes=-1"], "setup_minutes=-1"),
    "no pair": (["evaluate", "random", "--env-args", "tight"], "'tight' is not KEY=VALUE"),
    "twice": (
        ["evaluate", "random", "--env-args", "demand=1", "demand=2"],
        "demand is given twice",
    ),
    "no array": (["envs", "CartPole-v1", "--env-args", "observation=[raw]"], "is not TOML"),
    "no episodes": (["evaluate", "random", "--episodes", "0"], "episodes=0"),
    "negative seed": (["evaluate", "random", "--seed", "-1"], "seed"),
    "large seed": (["watch", "random", "--seed", str(2**70)], "--seed"),
    "wrong env": (["evaluate", V2, "--env", "CartPole-v1"], "plays compagnon/Workshop-v0 only"),
    "no terms": (["audit", "random", "--env", "CartPole-v1"], "does not split its reward"),
    "no text": (["watch", "random", "--env", "CartPole-v1"], "cannot be shown as text"),
    "no video": (["watch", "random", "--video", "a.avi"], "a.avi: a video ends in"),
    "no speed": (["watch", "random", "--speed", "0"], "--speed 0"),
    "no minutes": (["watch", "random", "--minutes", "0"], "--minutes 0"),
    "no trials": (["search-rule", "--trials", "0"], "trials=0"),
    "many trials": (["search-rule", "--trials", "99999999999"], "at most 1,000,000"),
    "many episodes": (["evaluate", "random", "--episodes", "99999999999"], "at most 1,000,000"),
    "many copies": (
        ["learn", "workshop-scratch", "--set", "algo.num_envs=1000000000"],
        "num_envs=1000000000: give 1 to 1,000,000",
    ),
    "no book": (["order-book", "check", "nowhere.csv"], "nowhere.csv"),
    "no weeks": (["order-book", "generate", "a.csv", "--weeks", "0"], "weeks=0"),
    "no demand": (["order-book", "generate", "a.csv", "--demand", "loose"], "'loose'"),
}


@pytest.mark.parametrize(("words", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_used_is_said_in_one_sentence(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = refused(capsys, *words)
    assert message in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_cannot_be_written_is_refused_before_any_work(capsys, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("compagnon.evaluation.evaluate.play_episodes", None)  # must not be reached
    assert "is a folder" in refused(capsys, "evaluate", "random", "--json", tmp_path)
    inside_a_file = tmp_path / "file" / "x.html"
    assert "is not a folder" in refused(capsys, "audit", "random", "--report", inside_a_file)


def test_nothing_is_half_written_when_the_work_fails(tmp_path, monkeypatch):
    file = tmp_path / "figures.json"
    file.write_text("old")

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr("compagnon.evaluation.evaluate.play_episodes", fail)
    with pytest.raises(RuntimeError, match="out of luck"):  # not ours to explain: it is a bug
        main(["evaluate", "random", "--json", str(file), "--force"])
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(file.name, "old")]


def test_an_interruption_is_130(capsys, monkeypatch):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("compagnon.evaluation.evaluate.play_episodes", interrupt)
    assert main(["evaluate", "random"]) == 130
    assert capsys.readouterr().err == "compagnon: interrupted\n"


@pytest.mark.parametrize("verb", EVERY_VERB, ids=" ".join)
def test_help_shows_what_it_does_and_an_example(verb, capsys):
    with pytest.raises(SystemExit) as end:
        main([*verb, "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert f"$ compagnon {' '.join(verb)}" in text


def test_help_lists_every_verb(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for name in (*verbs(), *groups()):
        assert name in text


def test_words_that_are_no_option(capsys):
    with pytest.raises(SystemExit) as end:
        main(["evaluate", "random", "--colour", "red"])
    assert end.value.code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["evalute"], "compagnon has no verb 'evalute'; did you mean evaluate"),
        (["order-book", "chek", "a.csv"], "compagnon order-book has no verb 'chek'; did you mean"),
        (["zzz"], "`compagnon --help` lists them"),
    ],
)
def test_a_verb_that_does_not_exist_names_one_that_does(words, said, capsys):
    assert said in refused(capsys, *words)


@pytest.mark.parametrize("words", [[], ["data"], ["db"]])
def test_without_a_verb_help_is_shown(words, capsys):
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 0
    assert "usage: compagnon" in capsys.readouterr().out


def test_the_version_is_that_of_the_package(capsys):
    import compagnon

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"compagnon {compagnon.__version__}\n"


@pytest.mark.parametrize(
    "words", [["--help"], full(["recipes", "workshop-tight"]), full(["recipes"])]
)
def test_a_reader_who_goes_away_is_no_error(words):
    code = "import sys; from compagnon.cli import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    _, said = process.communicate(timeout=120)
    assert said == b""
    assert process.returncode == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("words", [["--version"], full(["--help"]), full(["recipes"])])
def test_a_full_disk_behind_stdout_is_said(words):
    code = "import sys; from compagnon.cli import main; sys.exit(main())"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-c", code, *words],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, check=False,
            env=environment,
        )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stderr.startswith("compagnon: ")
    assert "No space left on device" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_more_than_the_memory_holds_is_said(capsys, monkeypatch):
    def too_much(*_: object, **__: object) -> None:
        raise MemoryError("Unable to allocate 7.28 TiB for an array with shape (1000000000000,)")

    monkeypatch.setattr("compagnon.evaluation.evaluate.play_episodes", too_much)
    said = refused(capsys, "evaluate", "random", "--env", "CartPole-v1")
    assert "not enough memory for this (Unable to allocate 7.28 TiB" in said
    assert "fewer episodes" in said


def test_budgets_have_one_grammar():
    assert read_budget("25s", "--budget") == Budget(25.0)
    assert read_budget("5m", "--budget") == Budget(300.0)
    assert read_budget("1.5H", "--budget") == Budget(5400.0)
    assert read_budget("2d", "--budget") == Budget(172_800.0)
    assert read_budget("2e6", "--budget") == Budget(steps=2_000_000)
    assert read_budget("640", "--budget") == Budget(steps=640)
    for wrong in ("", "soon", "-5m", "0s", "0.5", "nan", "nanm", "inf", "infh", "5x", "1e99"):
        with pytest.raises(InputError, match=f"--budget {wrong}: give a time such as 25s"):
            read_budget(wrong, "--budget")
    assert read_time("90s", "--matures-after") == 90
    for wrong in ("2e6", "", "7w"):
        with pytest.raises(InputError, match="give a time such as 90s"):
            read_time(wrong, "--matures-after")


def test_values_are_read_as_toml_or_as_text():
    pairs = ("a=1", "b=1.5", "c=true", 'd="1"', "e=tight", 'f=["raw", "p1"]', "g=", "h=x=y",
             "i=a b.csv", "j=2026-01-01", "k= 3 ", "l=-7", "m=1e3", "n=a\nb = 2")  # fmt: skip
    assert read_pairs(pairs, "--set") == {
        "a": 1, "b": 1.5, "c": True, "d": "1", "e": "tight", "f": ["raw", "p1"], "g": "",
        "h": "x=y", "i": "a b.csv", "j": "2026-01-01", "k": 3, "l": -7, "m": 1000.0,
        "n": "a\nb = 2",
    }  # fmt: skip
    for wrong in ("=1", "a", "", "a=[1", 'a="'):
        with pytest.raises(InputError, match="--set"):
            read_pairs((wrong,), "--set")


@pytest.mark.full
def test_as_a_process():
    good = run("evaluate", V2, "random", *FEW, "--env-args", "decision_points=true")
    assert (good.returncode, good.stderr) == (0, "")
    assert "Against expert:workshop-v2" in good.stdout
    assert "\x1b" not in good.stdout
    assert "…" not in good.stdout
    bad = run("evaluate", "nobody")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr.startswith("compagnon: no policy is called nobody")
    assert run("fly").returncode == 2


def test_help_does_not_wait_for_what_it_does_not_need():
    code = (
        "import sys\nfrom compagnon.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('torch', 'numba', 'scipy', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.splitlines()[-1] == "[]"


HEAVY = ("torch", "numba", "scipy", "PIL", "onnxruntime", "optuna")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["learn", "workshop-tihgt"], "did you mean workshop-tight"),
        full(["learn", "workshop-tight", "--set", "algo.ppo.gama=0.9"], "did you mean gamma"),
        full(["learn", "workshop-tight", "--budget", "soon"], "--budget soon"),
        full(["diagnose", "workshop-tihgt"], "did you mean workshop-tight"),
    ],
)
def test_a_wrong_word_is_refused_before_anything_heavy_is_imported(words, said):
    code = (
        "import sys\nfrom compagnon.cli import main\n"
        f"code = main({words!r})\nprint(code, [m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert said in done.stderr
    assert done.stdout.splitlines()[-1] == "2 []"

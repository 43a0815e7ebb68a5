"""Whatever stands where a verb expects a file, a number or a name is answered in one sentence."""

import sys
from pathlib import Path

import pytest

from compagnon.cli import main

PLACES = {
    "learn": ["learn", "{}"],
    "learn set": ["learn", "workshop-tight", "--set", "{}"],
    "learn a value": ["learn", "workshop-tight", "--set", "algo.ppo.gamma={}"],
    "learn budget": ["learn", "workshop-tight", "--budget", "{}"],
    "diagnose": ["diagnose", "{}"],
    "report": ["report", "{}"],
    "tune space": ["tune", "mountaincar-dqn", "--space", "{}"],
    "evaluate": ["evaluate", "{}", "--env", "CartPole-v1"],
    "evaluate env": ["evaluate", "random", "--env", "{}"],
    "evaluate option": ["evaluate", "random", "--env-args", "demand={}"],
    "evaluate onnx": ["evaluate", "onnx:{}", "--env", "CartPole-v1"],
    "evaluate constant": ["evaluate", "constant:{}", "--env", "CartPole-v1"],
    "evaluate expert": ["evaluate", "expert:{}"],
    "evaluate levels": ["evaluate", "expert:workshop-base-stock:./{}"],
    "divergence": ["divergence", "{}", "--expert", "random"],
    "watch": ["watch", "{}"],
    "export": ["export", "{}"],
    "bench": ["bench", "{}"],
    "serve": ["serve", "{}"],
    "recipes": ["recipes", "{}"],
    "envs": ["envs", "{}"],
    "order-book check": ["order-book", "check", "{}"],
    "order-book generate": ["order-book", "generate", "new.csv", "--demand", "{}"],
    "data check": ["data", "check", "{}", "--drivers", "{}"],
    "data import": ["data", "import", "{}", "--drivers", "{}", "--matrix", "{}"],
    "data describe": ["data", "describe", "{}"],
    "data resample": ["data", "resample", "{}"],
    "data collect": ["data", "collect", "--from", "sqlite:///{}"],
    "data generate": ["data", "generate", "new", "--preset", "{}"],
    "db check": ["db", "check", "--db", "sqlite:///{}"],
    "db restore": ["db", "restore", "{}", "--trust"],
    "registry add": ["registry", "add", "{}", "--db", "sqlite:///{}"],
    "outcomes define": ["outcomes", "define", "profit", "--matures-after", "{}"],
    "play": ["play", "{}"],
}
NUMBERS = {
    "episodes": ["evaluate", "random", "--env", "CartPole-v1", "--episodes", "{}"],
    "trials": ["search-rule", "--trials", "{}"],
    "weeks": ["order-book", "generate", "new.csv", "--weeks", "{}"],
    "growth": ["order-book", "generate", "new.csv", "--growth", "{}"],
    "days": ["data", "generate", "new", "--days", "{}"],
    "speed": ["watch", "random", "--speed", "{}"],
    "steps": ["watch", "random", "--steps", "{}"],
    "hours": ["dispatch-poc", "table", "--hours", "{}"],
    "states": ["export", "nowhere", "--states", "{}"],
    "port": ["serve", "nowhere", "--port", "{}"],
}
GOOD = {
    ("growth", "0"),
    ("port", "0"),
    ("speed", "99999999999999999999"),
    ("steps", "99999999999999999999"),
}
GIVEN = {
    "missing": "nowhere.file",
    "empty": "empty",
    "binary": "binary",
    "a folder": "folder",
    "nothing": "",
    "a zero byte": "a\0b",
    "long": "x" * 5_000,
    "not a number": "nan",
    "dots": "../..",
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "binary").write_bytes(bytes(range(256)) * 4)
    (tmp_path / "folder").mkdir()
    return tmp_path


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    said = "compagnon: "
    try:
        code: object = main(words)
    except SystemExit as end:  # words that are no number are refused by the parser
        code, said = end.code, ""
    captured = capsys.readouterr()
    assert code == 2, f"{words}: {captured}"
    assert captured.err.startswith(said)
    assert "Traceback" not in captured.err
    assert "Errno" not in captured.err


@pytest.mark.full
@pytest.mark.parametrize("what", PLACES)
def test_what_is_no_such_thing_is_refused_in_a_sentence(
    what: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(place.iterdir())
    for given in GIVEN.values():
        refused([word.replace("{}", given) for word in PLACES[what]], capsys)
    locks = {path for path in place.iterdir() if path.name.endswith("-writer")}  # of databases
    assert sorted(set(place.iterdir()) - locks) == before


@pytest.mark.parametrize(
    ("what", "given"),
    [
        (what, given)
        for what in NUMBERS
        for given in ("0", "-1", "99999999999999999999", "nan", "inf", "1.5x")
        if (what, given) not in GOOD
    ],
)
def test_a_number_beyond_all_bounds_is_refused(
    what: str, given: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused([word.replace("{}", given) for word in NUMBERS[what]], capsys)


def test_a_broken_package_of_somebody_else_does_not_hide_the_other_experts(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in (("raises_it", "1 / 0\n"), ("lacks_it", "import unheard_of\n")):
        (place / f"{name}.py").write_text(text)
        info = place / f"{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[compagnon.experts]\n{name} = {name}:make\n")
    monkeypatch.setattr(sys, "path", [str(place), *sys.path])
    assert main(["policies"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "expert:workshop-v2" in said
    assert "of the package raises_it cannot be loaded (ZeroDivisionError" in said
    assert "of the package lacks_it cannot be loaded (ModuleNotFoundError" in said
    assert main(["evaluate", "expert:raises_it"]) == 2
    assert "cannot be loaded (ZeroDivisionError: division by zero)" in capsys.readouterr().err


def test_options_of_many_values_may_be_given_more_than_once(tmp_path, capsys):
    """What stood before the last one was dropped without a word."""
    words = [
        "learn",
        "cartpole-ppo",
        "--set",
        "budget.iterations=1",
        "--out",
        str(tmp_path / "run"),
    ]
    assert main([*words, "--set", "evaluation.episodes=1", "--set=seed=7"]) == 0
    kept = (tmp_path / "run" / "recipe.toml").read_text()
    assert "iterations = 1\n" in kept
    assert "episodes = 1\n" in kept
    assert "seed = 7\n" in kept
    capsys.readouterr()


def test_an_option_of_one_value_is_given_once(capsys):
    assert main(["evaluate", "random", "--episodes", "3", "--seed", "1", "--episodes=4"]) != 0
    assert "--episodes is given twice (3 4)" in capsys.readouterr().err
    # However it is spelled: both values of this one are read, the first one is not dropped.
    assert main(["evaluate", "random", "--env-args", "demand=tight", "--env_args=demand=calm"]) != 0
    assert "demand is given twice" in capsys.readouterr().err


def test_a_group_s_options_too(capsys):
    words = ["order-book", "generate", "new.csv", "--weeks", "1", "--weeks", "2"]
    assert main(words) != 0
    assert "--weeks is given twice (1 2)" in capsys.readouterr().err

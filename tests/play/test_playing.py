"""`compagnon play`: what it prints, and what it refuses in one sentence."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from compagnon.cli import main
from compagnon.policy import save_policy
from compagnon.policy.manifest import DeterministicHead
from tests.policy.networks import network, schema_of

pygame = pytest.importorskip("pygame")
pytest.importorskip("Box2D")

QUICK = ["--frames", "8", "--speed", "100"]


@pytest.fixture(autouse=True)
def _no_screen(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


def lines(capsys, *words):
    assert main(["play", *map(str, words)]) == 0
    return capsys.readouterr().out.splitlines()


def refused(capsys, *words):
    assert main(["play", *map(str, words)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("compagnon: ")
    assert captured.err.count("\n") == 1
    return captured.err


def learnt(path, env_id, **env_args):
    """An untrained policy on disk that says it learnt in an environment."""
    schema = schema_of(env_id, **env_args)
    made = network(schema)
    provenance = made.manifest.provenance.model_copy(update={"env_args": env_args})
    update = {"provenance": provenance}
    if schema.action.kind == "box":
        update["head"] = DeterministicHead()
    save_policy(type(made)(made.manifest.model_copy(update=update), made.weights), path)
    return path


def test_the_summary_compares_in_the_same_time(capsys):
    (line,) = lines(capsys, "mountain", "--show-agent", "constant:1", "--seed", "7", *QUICK)
    assert line == (
        "mountain, seed 7: you -8.000 after 8 steps (you left); "
        "constant:1 -8.000 after 8 in the same time; agreement 100%"
    )


def test_without_an_agent_or_without_a_move(capsys):
    assert lines(capsys, "mountain", *QUICK) == [
        "mountain, seed 1000000: you -8.000 after 8 steps (you left)"
    ]
    assert lines(capsys, "workshop", *QUICK) == ["workshop: nothing was played"]


def test_whole_episodes_and_their_means(capsys, monkeypatch):
    from compagnon.play import window
    from compagnon.worlds.controls import DO, Keys

    monkeypatch.setattr(window.Keyboard, "read", lambda _: Keys(taps=(DO,)))
    options = ["--env-args", "max_steps=5", "bonus=0"]
    words = ["--episodes", "2", "--seed", "3", "--frames", "50", "--speed", "100", *options]
    shown = lines(capsys, "ball", "--show-agent", "random", *words)
    assert len(shown) == 3
    for seed, line in zip((3, 4), shown, strict=False):
        assert re.fullmatch(
            rf"ball, seed {seed}: you 5.000 after 5 steps; "
            r"random 5.000 after 5 on the same seed; agreement \d+%",
            line,
        )
    assert shown[2] == "mean of 2 whole episodes: you 5.000, random 5.000"


def test_a_trained_agent_brings_its_world(capsys, tmp_path):
    """Its options, and the kind of actions that it learnt."""
    agent = learnt(tmp_path / "ball", "compagnon/Ball-v0", dimension=1)
    (line,) = lines(capsys, "ball", "--show-agent", agent, *QUICK)
    assert "agreement" in line
    agent = learnt(tmp_path / "lunar", "LunarLanderContinuous-v3")
    (line,) = lines(capsys, "lunar", "--show-agent", agent, *QUICK)
    assert f"{agent} " in line
    agent = learnt(tmp_path / "shop", "compagnon/Workshop-v0", observation="state")
    assert lines(capsys, "workshop", "--show-agent", agent, *QUICK)


def test_an_agent_of_another_world_is_refused(capsys, tmp_path):
    agent = learnt(tmp_path / "cart", "CartPole-v1")
    said = refused(capsys, "lunar", "--show-agent", agent)
    assert f"{agent} learnt in CartPole-v1, and lunar is LunarLander-v3" in said


REFUSED = {
    "unknown world": (["mountian"], "did you mean mountain"),
    "no pictures": (["car", "--show-agent", "random"], "car shows pictures (96 x 96 x 3)"),
    "no such policy": (["lunar", "--show-agent", "nobody"], "no policy is called nobody"),
    "no vector": (["pendulum", "--show-agent", "constant:1"], "discrete actions only"),
    "no frames": (["lunar", "--frames", "0"], "--frames 0: at least 1"),
    "no episodes": (["lunar", "--episodes", "0"], "--episodes 0: at least 1"),
    "no speed": (["lunar", "--speed", "0"], "--speed 0: 0.1 to 100"),
    "no number": (["lunar", "--speed", "nan"], "--speed nan"),
    "seed": (["lunar", "--seed", "-1"], "--seed -1"),
    "folder": (["lunar", "--screenshot", "."], "is a folder"),
    "option": (["lunar", "--env-args", "colour=red"], "colour"),
    "own picture": (["lunar", "--env-args", "render_mode=ansi"], "the window needs its own"),
    "dimensions": (["ball", "--env-args", "dimension=3"], "there are no keys for the actions"),
}


@pytest.mark.parametrize(("words", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_played_is_said_in_one_sentence(words, message, capsys):
    assert message in refused(capsys, *words)


def test_no_screen_is_said_in_one_sentence(capsys, monkeypatch):
    for name in ("SDL_VIDEODRIVER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("compagnon.play.opening.open_session", None)  # must not be reached
    assert "there is no screen to play on" in refused(capsys, "lunar")
    assert "SDL_VIDEODRIVER=dummy" in refused(capsys, "lunar")


def test_a_screen_that_does_not_answer_is_none(capsys, monkeypatch):
    """SDL would draw into nothing, for ever."""
    monkeypatch.delenv("SDL_VIDEODRIVER")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":12345")
    monkeypatch.setattr("sys.platform", "linux")
    assert "there is no screen to play on" in refused(capsys, "lunar", *QUICK)


@pytest.mark.parametrize(("package", "world"), [("pygame", "mountain"), ("Box2D", "car")])
def test_a_missing_package_is_named_with_what_installs_it(package, world, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    said = refused(capsys, world, *QUICK)
    assert re.search(rf"needs (the package )?{package}: pip install 'compagnon\[play\]'", said)


def test_a_picture_that_cannot_be_written_is_refused(capsys, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("compagnon.play.window.write_file", full)
    words = ["mountain", *QUICK, "--screenshot", tmp_path / "a.png"]
    assert "No space left on device" in refused(capsys, *words)


def test_the_page_about_it_shows_what_is_printed(capsys):
    page = (Path(__file__).parents[2] / "docs" / "play.md").read_text()
    command, shown = re.findall(r"\$ SDL_VIDEODRIVER=dummy compagnon (.*)\n(.*)\n", page)[0]
    assert main([*command.split(), "--speed", "100"]) == 0
    assert capsys.readouterr().out.rstrip() == shown
    code, printed = re.findall(r"```python\n(.*?)```\n\n```\n(.*?)```", page, flags=re.DOTALL)[0]
    exec(code, {})
    assert capsys.readouterr().out == printed


@pytest.mark.full
def test_as_a_process_it_prints_its_summary_alone(tmp_path):
    """No greeting of pygame's, nothing of the sound's; and pygame only where it is played."""
    code = "import sys; from compagnon.cli import main; sys.exit(main())"
    file = tmp_path / "car.png"
    words = ["play", "car", *QUICK, "--screenshot", str(file)]
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    assert first.startswith("car, seed 1000000: you ")
    assert second == f"wrote {file}"
    assert file.read_bytes().startswith(b"\x89PNG")
    code = (
        "import sys\nimport compagnon.play.opening, compagnon.play.games, compagnon.cli.play\n"
        "print([m for m in ('pygame', 'torch') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout == "[]\n"

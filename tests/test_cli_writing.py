"""Nothing that a person has is written over, and nothing is left half written."""

import inspect
import json
import os
import resource
import shutil
import stat
import subprocess
import sys
import typing
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from compagnon import output
from compagnon.cli import main
from compagnon.cli.app import groups, verbs
from compagnon.errors import InputError

CART = ["--env", "CartPole-v1", "--episodes", "2"]
# Every option of every verb that is a path: the words that end in it, where a file is written;
# and those where a folder is.
FILES = {
    "evaluate json": ["evaluate", "random", *CART, "--json"],
    "evaluate report": ["evaluate", "random", *CART, "--report"],
    "audit json": ["audit", "random", "--json"],
    "audit report": ["audit", "random", "--report"],
    "divergence json": ["divergence", "random", "--expert", "random", "--json"],
    "divergence report": ["divergence", "random", "--expert", "random", "--report"],
    "diagnose json": ["diagnose", "--json"],
    "diagnose report": ["diagnose", "--report"],
    "report json": ["report", "nowhere", "--json"],
    "watch video": ["watch", "random", "--video"],
    "play screenshot": ["play", "car", "--screenshot"],
    "export json": ["export", "nowhere", "--json"],
    "bench json": ["bench", "nowhere", "--json"],
    "search-rule out": ["search-rule", "--out"],
    "data describe out": ["data", "describe", "nowhere", "--out"],
    "dispatch-poc table json": ["dispatch-poc", "table", "--json"],
    "outcomes show json": ["outcomes", "show", "profit", "--json"],
    "order-book generate file": ["order-book", "generate"],
    "log export out": ["log", "export"],
    "experiment status json": ["experiment", "status", "--json"],
    "operate init out": ["operate", "init", "nowhere", "--out"],
    "ope json": ["ope", "--policy", "nowhere", "--log", "nowhere", "--json"],
}
# Files that are never written over: their verbs have no --force.
FRESH = {
    "data import keep_ids": ["data", "import", "nowhere.csv", "--keep-ids"],
    "data import missing": ["data", "import", "nowhere.csv", "--missing"],
    "data check missing": ["data", "check", "nowhere.csv", "--missing"],
}
FOLDERS = {
    "demo out": ["demo", "--quick", "--out"],
    "data export out": ["data", "export", "nowhere", "--out"],
    "learn out": ["learn", "mountaincar-dqn", "--out"],
    "tune out": ["tune", "mountaincar-dqn", "--out"],
    "export out": ["export", "nowhere", "--out"],
    "data import out": ["data", "import", "nowhere.csv", "--out"],
    "data resample out": ["data", "resample", "nowhere", "--out"],
    "data collect out": ["data", "collect", "--from", "sqlite:///nowhere.db", "--out"],
    "data generate out": ["data", "generate"],
    "db backup out": ["db", "backup"],
    "slices freeze out": ["slices", "freeze", "--outcomes", "profit=1", "--out"],
}
READ = {
    "report run", "report order_book", "order-book check file", "tune space",
    "data import file", "data import drivers", "data import matrix", "data check file",
    "data import places", "data check places", "data export days", "data export ids",
    "data check drivers", "data check matrix", "data describe days", "data resample days",
    "db restore folder", "registry add policy", "log replay models",
    "log export policy", "slices check folder", "slices freeze deployment", "ope log",
    "operate init policy",
    "operate check file", "operate serve file", "operate status file", "outcomes import file",
    "experiment plan file", "experiment plan past", "serve experiment",
} | {
    f"{verb} models"  # where the store keeps its files
    for verb in ("db check", "db backup", "db restore", "registry add", "registry list",
                 "registry show", "registry promote", "registry rollback", "registry verify")
}  # fmt: skip
EVERY = {**verbs(), **{f"{g} {name}": v for g, (_, verbs) in groups().items() for name, v in
                     verbs.items()}}  # fmt: skip


def holds_path(hint: object) -> bool:
    return hint is Path or any(holds_path(part) for part in typing.get_args(hint))


def paths_of(verb: object) -> set[str]:
    found = set()
    for name, hint in typing.get_type_hints(verb).items():
        if is_dataclass(hint):
            inner = typing.get_type_hints(hint)
            found |= {field.name for field in fields(hint) if holds_path(inner[field.name])}
        elif holds_path(hint):
            found.add(name)
    return found


def test_every_path_of_every_verb_is_known_to_be_read_or_written():
    there = {f"{name} {path}" for name, verb in EVERY.items() for path in paths_of(verb)}
    assert there == set(FILES) | set(FRESH) | set(FOLDERS) | READ


def refused(capsys: pytest.CaptureFixture[str], words: list[object]) -> str:
    assert main([str(word) for word in words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("compagnon: ")
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_there_stays_unless_force_is_given(name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "mine.gif"
    mine.write_bytes(b"mine")
    said = refused(capsys, [*FILES[name], mine])
    assert f"{mine} is there already" in said
    assert "--force" in said
    assert "force" in inspect.signature(EVERY[name.rpartition(" ")[0]]).parameters or any(
        "force" in {field.name for field in fields(hint)}
        for hint in typing.get_type_hints(EVERY[name.rpartition(" ")[0]]).values()
        if is_dataclass(hint)
    )
    assert "is a folder" in refused(capsys, [*FILES[name], tmp_path])
    assert "cannot be written" in refused(capsys, [*FILES[name], tmp_path / ("x" * 300 + ".gif")])
    assert "is not a folder" in refused(capsys, [*FILES[name], mine / "inside.gif"])
    assert [path.name for path in tmp_path.iterdir()] == ["mine.gif"]
    assert mine.read_bytes() == b"mine"


@pytest.mark.parametrize("name", FRESH)
def test_a_file_that_is_there_stays_where_nothing_is_forced(name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "mine.csv"
    mine.write_bytes(b"mine")
    said = refused(capsys, [*FRESH[name], mine])
    assert said.endswith(f"{mine} is there already; give another name\n")
    assert "is a folder" in refused(capsys, [*FRESH[name], tmp_path])
    assert "is not a folder" in refused(capsys, [*FRESH[name], mine / "inside.csv"])
    assert [path.name for path in tmp_path.iterdir()] == ["mine.csv"]
    assert mine.read_bytes() == b"mine"


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_that_holds_something_stays(name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "winner.toml").write_text("mine")
    said = refused(capsys, [*FOLDERS[name], folder])
    assert str(folder) in said
    assert "not empty" in said or "there already" in said
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert (folder / "winner.toml").read_text() == "mine"
    assert "- is stdout" in refused(capsys, [*FOLDERS[name], "-"])


def test_two_things_are_not_written_to_one_place(tmp_path, capsys):
    file = tmp_path / "both"
    words = ["evaluate", "random", *CART, "--json", file, "--report", file]
    assert "given twice" in refused(capsys, words)


def test_force_writes_over_a_file(tmp_path, capsys):
    file = tmp_path / "figures.json"
    file.write_text("old")
    file.chmod(0o600)
    assert main(["evaluate", "random", *CART, "--json", str(file), "--force"]) == 0
    assert json.loads(file.read_text())["episodes"] == 2
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert f"wrote {file}" in capsys.readouterr().out


def test_a_dash_is_stdout_and_the_figures_have_it_to_themselves(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for dash in ("-", "/dev/stdout"):
        assert main(["evaluate", "random", *CART, "--json", dash]) == 0
        captured = capsys.readouterr()
        assert json.loads(captured.out)["episodes"] == 2
        assert "mean return" in captured.err
    assert main(["order-book", "generate", "-", "--weeks", "1"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("time,product,quantity\n")
    assert "orders over 1 weeks" in captured.err
    assert main(["evaluate", "random", *CART]) == 0  # the next command prints where it should
    assert "mean return" in capsys.readouterr().out
    assert "text alone" in refused(capsys, ["watch", "random", "--video", "-"])
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_file_is_written_to_and_stays_what_it_is(tmp_path, capsys):
    fifo, target, link = tmp_path / "fifo", tmp_path / "target.json", tmp_path / "link.json"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    output.write_json(fifo, {"a": 1})
    assert json.loads(os.read(reader, 1000)) == {"a": 1}
    os.close(reader)
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    link.symlink_to(target)
    output.write_json(link, [1])
    assert link.is_symlink()
    assert json.loads(target.read_text()) == [1]
    with pytest.raises(InputError, match=r"/dev/full cannot be written \(No space left on device"):
        output.write_json(Path("/dev/full"), [1])
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)
    assert main(["evaluate", "random", *CART, "--json", "/dev/null"]) == 0
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fifo", "link.json", "target.json"]


def limited(kilobytes: int, *words: object) -> subprocess.CompletedProcess[str]:
    """The command in a process whose files may not grow beyond a size: a disk that is full."""
    code = "import sys; from compagnon.cli import main; sys.exit(main())"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes * 1024, kilobytes * 1024))

    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        preexec_fn=limit,
    )


@pytest.mark.parametrize("suffix", ["gif", "mp4"])
@pytest.mark.full
def test_a_video_that_finds_no_room_is_an_error_and_leaves_nothing(suffix, tmp_path):
    assert main(["watch", "expert:workshop-v2", "--minutes", "2"]) == 0  # kernels are on the disk
    file = tmp_path / f"week.{suffix}"
    words = ["watch", "expert:workshop-v2", "--minutes", "200", "--every", "2", "--video", file]
    done = limited(8, *words)
    assert done.returncode == 2, done.stderr
    assert f"compagnon: {file} cannot be written" in done.stderr
    assert "wrote" not in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_days_that_find_no_room_leave_no_half_folder(tmp_path):
    out = tmp_path / "sample"
    assert main(["data", "generate", str(out), "--days", "1"]) == 0  # kernels are on the disk
    shutil.rmtree(out)
    done = limited(8, "data", "generate", out, "--days", "3")
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"compagnon: {out}/bookings.csv: ")
    assert ".bookings" not in done.stderr
    assert list(tmp_path.iterdir()) == []


LEAVE_NOTHING = {
    "no policy": ["serve", "nope"],
    "no exported policy": ["serve", "onnx:demo"],
    "no champion": ["serve", "registry:nope"],
    "no backup": ["db", "restore", "nope"],
    "another database": ["tune", "mountaincar-dqn", "--storage", "mysql://x"],
    "no journal": ["tune", "mountaincar-dqn", "--storage", "notes.txt"],
    "a folder for a recipe": ["learn", "folder"],
}


@pytest.mark.parametrize("words", LEAVE_NOTHING.values(), ids=LEAVE_NOTHING)
def test_what_is_refused_leaves_nothing_behind(words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("to do: nothing\n")
    (tmp_path / "folder").mkdir()
    refused(capsys, words)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "notes.txt"]
    assert (tmp_path / "notes.txt").read_text() == "to do: nothing\n"


def test_the_name_of_an_export_is_told_how_it_is_served(capsys):
    assert "compagnon serve demo\n" in refused(capsys, ["serve", "onnx:demo"])
    assert "serve demo --precision int8" in refused(capsys, ["serve", "onnx-int8:demo"])

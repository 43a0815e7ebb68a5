"""A reader sees the old file or the new one, and never something between."""

import os
from pathlib import Path

import pytest

from compagnon.errors import InputError
from compagnon.files import read_file, replace_directory, write_file


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_write_file_makes_folders_and_replaces(tmp_path):
    file = tmp_path / "a" / "b.txt"
    write_file(file, "one")
    write_file(file, "déjà vu")
    assert file.read_text(encoding="utf-8") == "déjà vu"
    write_file(file, b"\x00\x01")
    assert file.read_bytes() == b"\x00\x01"
    assert names(file.parent) == ["b.txt"]
    assert file.stat().st_mode & 0o777 == 0o644


def test_write_file_that_fails_leaves_the_old_one(tmp_path, monkeypatch):
    file = tmp_path / "a.txt"
    write_file(file, "old")

    def fail(_: int) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="full"):
        write_file(file, "new")
    assert file.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_replace_directory_shows_nothing_before_the_end(tmp_path):
    target = tmp_path / "run"
    for content in ("one", "two"):
        before = target.exists()
        with replace_directory(target) as fresh:
            (fresh / f"{content}.txt").write_text(content)
            assert target.exists() == before
            assert not (target / f"{content}.txt").exists()
        assert names(target) == [f"{content}.txt"]
    assert names(tmp_path) == ["run"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("old", [True, False])
def test_a_block_that_fails_changes_nothing(tmp_path, error, old):
    target = tmp_path / "run"
    if old:
        target.mkdir()
        (target / "kept.txt").write_text("old")

    def write_half() -> None:
        with replace_directory(target) as fresh:
            (fresh / "half.txt").write_text("half")
            raise error

    with pytest.raises(error):
        write_half()
    assert names(tmp_path) == (["run"] if old else [])
    assert not old or names(target) == ["kept.txt"]


def test_the_old_directory_comes_back_when_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    target = tmp_path / "run"
    target.mkdir()
    (target / "kept.txt").write_text("old")
    rename = Path.rename

    def fail_for_the_new_one(self: Path, other: Path) -> Path:
        if other == target and ".old-" not in self.name:
            raise OSError("not now")
        return rename(self, other)

    monkeypatch.setattr(Path, "rename", fail_for_the_new_one)
    with pytest.raises(OSError, match="not now"), replace_directory(target) as fresh:
        (fresh / "new.txt").write_text("new")
    assert names(tmp_path) == ["run"]
    assert names(target) == ["kept.txt"]


def test_a_file_larger_than_it_could_be_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert read_file(tmp_path / "a", 5) == b"12345"
    with pytest.raises(InputError, match="larger than 4 bytes"):
        read_file(tmp_path / "a", 4)
    with pytest.raises(InputError, match="cannot be read"):
        read_file(tmp_path / "b", 4)

"""What `--db` means, and where else the address of a database may stand."""

from pathlib import Path

import pytest

from compagnon.cli import main
from compagnon.errors import InputError
from compagnon.store.address import DEFAULT, database_address, file_of, is_file


def test_the_option_goes_before_the_environment_before_the_default(monkeypatch):
    monkeypatch.delenv("COMPAGNON_DB", raising=False)
    assert database_address(None) == DEFAULT
    monkeypatch.setenv("COMPAGNON_DB", "sqlite:///mine.db")
    assert database_address(None) == "sqlite:///mine.db"
    assert database_address("sqlite:///given.db") == "sqlite:///given.db"


def test_an_address_in_a_file(tmp_path, monkeypatch):
    (tmp_path / "address").write_text("postgresql://me:pass@host/db \n# ours\n")
    assert database_address(f"@{tmp_path / 'address'}") == "postgresql://me:pass@host/db"
    monkeypatch.setenv("COMPAGNON_DB", f"@{tmp_path / 'address'}")
    assert database_address(None) == "postgresql://me:pass@host/db"
    for text in ("", "\npostgresql://host/db\n"):
        (tmp_path / "address").write_text(text)
        with pytest.raises(InputError, match="its first line should be"):
            database_address(None)
    with pytest.raises(InputError, match="nowhere cannot be read"):
        database_address(f"@{tmp_path / 'nowhere'}")


@pytest.mark.parametrize(
    ("address", "file"),
    [
        ("a.db", "a.db"),
        ("sqlite:///a%2fb#c?d=e.db", "a%2fb#c?d=e.db"),
        ("sqlite:////a/b", "/a/b"),
        ("a@b:c.db", "a@b:c.db"),
    ],
)
def test_files_are_taken_as_they_stand(address, file):
    assert is_file(address)
    assert file_of(address) == Path(file)
    assert not is_file("postgresql://a/b")


def test_verbs_take_it_from_the_environment(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COMPAGNON_DB", str(tmp_path / "mine#1.db"))
    monkeypatch.chdir(tmp_path)
    for words in (["db", "upgrade"], ["keys", "create", "--scope", "admin"], ["keys", "list"],
                  ["registry", "list"], ["db", "check"], ["log", "replay"]):  # fmt: skip
        assert main(words) == 0, words
    assert "mine#1.db" in capsys.readouterr().out
    assert (tmp_path / "mine#1.db").is_file()
    assert not (tmp_path / "decisions.db").exists()

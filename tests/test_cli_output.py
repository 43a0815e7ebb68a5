"""What is printed says things to people and gives no orders to their terminals."""

import pytest
from rich.text import Text

from compagnon import output
from compagnon.cli import main
from compagnon.errors import InputError
from compagnon.store import keys, open_store
from compagnon.store.migrating import upgrade

# A red word, a new title of the window, a line that goes over the one before, text turned around.
EVIL = "a\x1b[31mb\x1b]0;title\x07c\rd\x9b2Je\u202ef\x7f"
CONTROLS = [c for c in EVIL if not c.isprintable()]


@pytest.fixture
def db(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = open_store("decisions.db", create=True, check=False)
    upgrade(store)
    keys.create(store, "decide", EVIL)
    keys.create(store, "decide", "two\nlines")
    store.close()


def check(text: str) -> None:
    assert not [c for c in CONTROLS if c in text]


def test_the_names_of_keys_give_no_orders(db, capsys):
    assert main(["keys", "list"]) == 0
    shown = capsys.readouterr().out
    check(shown)
    assert "a\N{REPLACEMENT CHARACTER}[31mb" in shown
    assert "two\N{REPLACEMENT CHARACTER}lines" in shown


def test_errors_give_no_orders(db, capsys):
    assert main(["keys", "revoke", EVIL]) == 2
    check(capsys.readouterr().err)
    output.complain(InputError(EVIL))
    said = capsys.readouterr().err
    check(said)
    assert said.startswith("compagnon: a")


@pytest.mark.parametrize("kind", [str, Text, lambda text: output.table((text,), [(text,)])])
def test_whatever_is_printed_gives_no_orders(capsys, kind):
    output.console().print(kind(EVIL))
    check(capsys.readouterr().out)


def test_words_in_any_language_stay(capsys):
    text = "Café 東京 naïve 👩‍🔧 שלום"
    output.console().print(text)
    assert capsys.readouterr().out == text + "\n"
    assert output.plain("a\tb\nc") == "a b\nc"
    with pytest.raises(AssertionError):  # what a plain print would have shown
        check(f"name {EVIL}")

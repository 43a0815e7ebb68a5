"""`compagnon db`, `registry`, `keys` and `outcomes` do what they say, and say what they cannot."""

import json
import re

import pytest

from compagnon.cli import main
from compagnon.store import open_store
from tests.store.exported import exported
from tests.store.rows import row


@pytest.fixture
def db(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("compagnon.serving.trial._try", lambda *_: None)  # see test_trial
    assert main(["db", "upgrade"]) == 0
    assert "decisions.db was brought to version 0007" in capsys.readouterr().out
    return tmp_path / "decisions.db"


def test_a_model_goes_in_up_and_back(db, tmp_path, capsys):
    for number in (1, 2):
        folder = exported(tmp_path / f"run-{number}", b"onnx-%d" % number)
        assert main(["registry", "add", str(folder), "--model", "shop"]) == 0
        assert main(["registry", "promote", "shop", str(number), "--why", "it is better"]) == 0
    assert "champion of shop: " in capsys.readouterr().out
    assert main(["registry", "list"]) == 0
    shown = capsys.readouterr().out
    assert "champion (revision 2)" in shown
    assert main(["registry", "rollback", "shop"]) == 0
    capsys.readouterr()
    assert main(["registry", "show", "shop"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["number"] == 1
    assert [event["kind"] for event in found["events"]].count("pointer.moved") == 3
    assert found["events"][1]["body"]["evidence"] == {"why": "it is better"}
    assert main(["registry", "promote", "shop", "2", "--expect", "1"]) == 2
    assert "was moved meanwhile" in capsys.readouterr().err
    assert main(["registry", "promote", "shop", "none", "--role", "challenger"]) == 0
    assert main(["registry", "verify"]) == 0
    head = capsys.readouterr().out.split()[-1]
    assert main(["registry", "verify", "--head", head]) == 0
    assert main(["registry", "verify", "--head", "0" * 63 + "1"]) == 2
    assert main(["db", "check"]) == 0
    (tmp_path / "models" / found["sha256"] / "policy.onnx").write_bytes(b"else")
    capsys.readouterr()
    for words in (["registry", "verify"], ["db", "check"]):
        assert main(words) == 2
        assert "policy.onnx was changed" in capsys.readouterr().err


def test_keys_are_shown_once(db, capsys):
    assert main(["keys", "create", "--scope", "decide", "--name", "shop floor"]) == 0
    secret = capsys.readouterr().out.split()[-1]
    key = secret.split("_")[1]
    assert main(["keys", "list"]) == 0
    shown = capsys.readouterr().out
    assert key in shown
    assert "valid" in shown
    assert secret.split("_", 2)[2] not in shown
    assert main(["keys", "revoke", key]) == 0
    assert main(["keys", "list"]) == 0
    assert "revoked" in capsys.readouterr().out
    assert main(["keys", "revoke", "nobody"]) == 2


def test_outcomes_are_defined_and_shown(db, tmp_path, capsys):
    from compagnon.store import outcomes

    assert main(["outcomes", "define", "profit", "--matures-after", "2h"]) == 0
    store = open_store(db)
    store.append([row(1), row(2)])
    outcomes.put(store, row(1).id, "profit", 7.5, row(1).time + 60)
    store.close()
    assert main(["outcomes", "show", "profit", "--json", str(tmp_path / "o.json")]) == 0
    assert "7.5" in capsys.readouterr().out
    assert json.loads((tmp_path / "o.json").read_text())[0]["missing"] == 1
    assert main(["outcomes", "show", "loss"]) == 2
    assert main(["outcomes", "define", "loss", "--matures-after", "soon"]) == 2
    assert "such as 90s" in capsys.readouterr().err


def test_backup_and_restore(db, tmp_path, capsys):
    store = open_store(db)
    store.append([row(i) for i in range(5)])
    store.close()
    assert main(["db", "backup", "copy"]) == 0
    said = capsys.readouterr().out
    assert "5 decisions" in said
    head = re.search(r"^head (\S+)$", said, re.MULTILINE)[1]
    restore = ["db", "restore", "copy", "--db", "sqlite:///new/decisions.db"]
    assert main(restore) == 2
    assert "give --head with what `db backup` printed" in capsys.readouterr().err
    assert main([*restore, "--head", "nonsense"]) == 2
    assert "give what `compagnon db check`" in capsys.readouterr().err
    assert main([*restore, "--head", head]) == 0
    assert main(["db", "check", "--db", "sqlite:///new/decisions.db", "--head", head]) == 0
    assert f"head {head}" in capsys.readouterr().out
    assert main(["db", "restore", "copy", "--db", "sqlite:///other/decisions.db", "--trust"]) == 0
    assert main([*restore, "--trust"]) == 2
    assert "restore into an empty one" in capsys.readouterr().err
    assert main(["db", "backup", "copy"]) == 2


def test_a_damaged_database_is_one_sentence(db, capsys):
    data = bytearray(db.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    db.write_bytes(data)
    assert main(["db", "check"]) == 2
    assert "malformed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["db", "check", "--db", "sqlite:///no.db"], "does not exist; make it with"),
        (["registry", "list", "--db", "mysql://x"], "give sqlite:///FILE or postgresql://"),
        (["registry", "promote", "shop", "1"], "there is no model 'shop'"),
        (["registry", "add", "nowhere"], "is not a folder"),
    ],
)
def test_what_cannot_be_used_is_said(words, message, db, capsys):
    assert main(words) == 2
    assert message in capsys.readouterr().err

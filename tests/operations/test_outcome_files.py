"""Outcomes from a file: looked at whole first; each once, whatever the order and however often."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compagnon.cli import main
from compagnon.errors import InputError
from compagnon.operations.outcome_files import import_outcomes, read_outcomes
from compagnon.store import outcomes
from compagnon.store.outcomes import Given
from tests.store.rows import row

START = 1_700_000_000.0


@pytest.fixture
def filled(store):
    store.append([row(k, time=START) for k in range(40)])
    outcomes.define(store, "profit", 3600.0)
    return store


def written(tmp_path, text, encoding="utf-8"):
    (tmp_path / "f.csv").write_bytes(text.encode(encoding))
    return tmp_path / "f.csv"


def test_late_doubled_and_reordered_rows_are_right(filled, tmp_path):
    ids = [row(k).id for k in range(4)]
    file = written(
        tmp_path,
        "value,decision_id,note,name,time\n"
        f"2.5,{ids[1]},x,profit,{START + 60}\n"
        f"1,{ids[0]},,profit,{START + 3600}\n"
        f"1.0,{ids[0]},again,profit,{START + 3601}\n"
        f"9,{ids[2]},late,profit,{START + 3601}\n"
        f"4,{ids[1]},another value,profit,{START + 61}\n"
        "1,nobody,,profit,\n",
    )
    found = import_outcomes(filled, read_outcomes(file))
    assert (found.created, found.same, found.late, found.refused) == (3, 1, 1, 2)
    assert found.conflicts == (f"line 6: profit of {ids[1]} is 2.5 already, not 4",)
    assert found.unknown == ("line 7: there is no decision 'nobody'",)
    stands = outcomes.of_decision(filled, ids[2])
    assert [(one.value, one.late) for one in stands] == [(9.0, True)]
    again = import_outcomes(filled, read_outcomes(file))
    assert (again.created, again.same, again.refused) == (0, 4, 2)


def test_a_french_spreadsheet_is_read(tmp_path):
    text = "Identifiant;Résultat;Valeur;Date heure\nd1;profit;1 234,5;02/03/2026 08:15\n"
    for encoding in ("utf-8-sig", "cp1252"):
        file = written(tmp_path, text, encoding)
        assert read_outcomes(file, "Europe/Paris") == [
            (2, Given("d1", "profit", 1234.5, 1772435700.0))
        ]


@given(st.permutations(range(40)), st.integers(1, 39))
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_broken_off_and_brought_again_it_comes_to_the_same(filled, order, broken_at):
    rows = [(k, Given(row(k).id, "profit", k / 3, START + k)) for k in order]
    import_outcomes(filled, rows[:broken_at])
    found = import_outcomes(filled, rows)
    assert found.created + found.same == 40
    for k in range(40):
        assert outcomes.of_decision(filled, row(k).id)[0].value == k / 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty; its first line"),
        ("decision_id,name\na,profit\n", "column value is missing; there are decision_id, name"),
        ("decision_id,name,value,valeur,value\n", "column value stands there twice"),
        ("decision_id,name,value\na,profit,much\n", "line 2: value 'much' is no number"),
        ("decision_id,name,value\na,profit,\n", "line 2: value '' is no number"),
        ("decision_id,name,value\n,profit,1\n", "line 2: decision_id is empty"),
        ("decision_id,name,value\na,,1\n", "line 2: outcome name: give 1 to 200"),
        ("decision_id,name,value,time\na,profit,1,soon\n", "line 2: time 'soon': give seconds"),
        ("decision_id,name,value,time\na,profit,1,-5\n", "line 2: time=-5.0: give seconds"),
        ("decision_id,name,value,time\na,profit,1,08:15\n", "line 2: time '08:15': give seconds"),
        ("decision_id,name,value\na,profit,1\n\nb,profit,x\nc,profit,y\n", "line 4: .*; line 5: "),
        ('decision_id,name,value\na,profit,1\nb,"open,2\nc,profit,3\n', "is a quote left open"),
        ('decision_id,name,value\na,"x' + "x" * 140_000 + '",2\n', "line 2: field larger"),
        ('decision_id,name,value\na,profit,"1,234"\n', "line 2: value '1,234' could be thousands"),
        (
            'decision_id,note,name,value\na,"two\nlines",profit,1\nb,,profit,x\n',
            "line 4: value 'x'",
        ),
    ],
)
def test_what_cannot_be_read_names_line_and_field(tmp_path, text, words):
    with pytest.raises(InputError, match=words):
        read_outcomes(written(tmp_path, text))


def test_decimal_commas_are_read_where_cells_stand_apart(tmp_path):
    for text, value in (
        ("a;profit;1,234", 1.234),
        ('a,profit,"1,23"', 1.23),
        ("a,profit,1234", 1234),
    ):
        head = (
            ";".join(("decision_id", "name", "value")) if ";" in text else "decision_id,name,value"
        )
        ((_, found),) = read_outcomes(written(tmp_path, f"{head}\n{text}\n"))
        assert found.value == value


def test_a_zone_that_is_none_is_named(tmp_path):
    with pytest.raises(InputError, match="--zone Mars: give a name such as Europe/Paris"):
        read_outcomes(written(tmp_path, "decision_id,name,value\n"), "Mars")


def test_the_verb_ends_with_1_where_something_was_not_recorded(filled, tmp_path, capsys):
    where = ["--db", filled.address]
    file = written(tmp_path, f"decision_id,name,value\n{row(1).id},profit,2\n")
    assert main(["outcomes", "import", str(file), *where]) == 0
    assert "1 outcomes recorded, 1 of them too late to count; 0" in capsys.readouterr().out
    file = written(tmp_path, f"decision_id,name,value\nx,profit,2\n{row(1).id},profit,3\n")
    assert main(["outcomes", "import", str(file), *where]) == 1
    said = capsys.readouterr().out
    assert "not recorded: " in said
    assert "line 3: profit of decision-000001 is 2 already, not 3" in said
    file = written(tmp_path, f"decision_id,name,value\n{row(3).id},proft,2\n")
    assert main(["outcomes", "import", str(file), *where]) == 0
    assert "new names, which nobody had defined: proft" in capsys.readouterr().out
    broken = written(tmp_path, f"decision_id,name,value\n{row(2).id},profit,2\nx,profit,?\n")
    assert main(["outcomes", "import", str(broken), *where]) == 2
    assert outcomes.of_decision(filled, row(2).id) == []

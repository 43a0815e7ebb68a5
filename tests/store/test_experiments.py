"""A plan never changes, one experiment runs at a time, and every change is an event."""

import hashlib
import threading

import pytest
import sqlalchemy
from sqlalchemy.exc import IntegrityError

from compagnon.errors import InputError
from compagnon.store import backup, events, experiments, verifying
from compagnon.store.factory import open_store
from compagnon.store.tables import metadata
from tests.store.hand import by_hand
from tests.waiting import joined

PLAN, OTHER = '{"arms":["A","B"]}', '{"arms":["A","C"]}'


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def told(store):
    """The kinds of the events, and the rows of the tables: all that a refusal must leave alone."""
    with store.read() as connection:
        kinds = [event.kind for event in events.read(connection)]
        rows = [
            connection.execute(sqlalchemy.select(metadata.tables[name])).all()
            for name in ("experiments", "looks")
        ]
    return kinds, rows


@pytest.fixture
def planned(store):
    experiments.add(store, "one", "shop", PLAN, actor="me", evidence={"mde": 0.02}, now=10.0)
    experiments.add(store, "two", "shop", OTHER, now=11.0)
    experiments.add(store, "three", "depot", OTHER, now=12.0)
    return store


def test_it_is_planned_started_looked_at_and_stopped(planned):
    assert experiments.running(planned, "shop") is None
    started = experiments.start(planned, "one", actor="me", now=20.0)
    assert started == experiments.StoredExperiment(
        "one", "shop", PLAN, sha(PLAN), "running", 10.0, 20.0, None, None
    )
    assert experiments.running(planned, "shop") == started
    assert experiments.running(planned, "depot") is None
    experiments.start(planned, "three", now=21.0)  # of another application
    first = experiments.add_look(planned, "one", 1, '{"z":1}', evidence={"go": "on"}, now=30.0)
    later = experiments.add_look(planned, "one", 3, '{"z":3}', now=31.0)
    assert experiments.looks_of(planned, "one") == [first, later]
    assert first == experiments.StoredLook(1, 30.0, '{"z":1}')
    stopped = experiments.stop(planned, "one", "it ships", now=40.0)
    assert (stopped.state, stopped.stopped, stopped.reason) == ("stopped", 40.0, "it ships")
    assert experiments.running(planned, "shop") is None
    assert experiments.start(planned, "two").state == "running"
    assert [one.name for one in experiments.listed(planned)] == ["one", "two", "three"]
    assert [one.name for one in experiments.listed(planned, "depot")] == ["three"]


def test_every_change_is_an_event_with_its_evidence(planned):
    experiments.start(planned, "one", actor="me", evidence={"checked": True})
    experiments.add_look(planned, "one", 1, "{}", evidence={"decision": "go on"})
    experiments.stop(planned, "one", "ill", evidence={"left": 3})
    experiments.stop(planned, "two", "not needed")  # one that never ran
    with planned.read() as connection:
        found = [one for one in events.read(connection) if one.body["experiment"] in ("one", "two")]
    assert [(one.kind, one.actor, one.body["evidence"]) for one in found] == [
        ("experiment.planned", "me", {"mde": 0.02}),
        ("experiment.planned", "", {}),
        ("experiment.started", "me", {"checked": True}),
        ("experiment.looked", "", {"decision": "go on"}),
        ("experiment.stopped", "", {"left": 3}),
        ("experiment.stopped", "", {}),
    ]
    assert found[3].body["number"] == 1
    assert verifying.verify(planned).faults == []


def test_the_same_again_is_the_same_and_no_event(planned):
    experiments.start(planned, "one")
    look = experiments.add_look(planned, "one", 1, "{}", now=30.0)
    before = told(planned)
    assert experiments.add(planned, "one", "shop", PLAN).created == 10.0
    assert experiments.add_look(planned, "one", 1, "{}", now=99.0) == look
    assert told(planned) == before


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda s: experiments.add(s, "one", "shop", OTHER),
         f"another plan .sha256 {sha(PLAN)[:12]}, this one is {sha(OTHER)[:12]}.; a plan does not"),
        (lambda s: experiments.add(s, "one", "depot", PLAN), "of application 'shop', not of 'dep"),
        (lambda s: experiments.add(s, "", "shop", PLAN), "name: give 1 to 200"),
        (lambda s: experiments.add(s, "x" * 201, "shop", PLAN), "name: give 1 to 200"),
        (lambda s: experiments.start(s, "two"), "experiment one of application 'shop' runs; an"),
        (lambda s: experiments.start(s, "one"), "one runs already; only a planned"),
        (lambda s: experiments.start(s, "ended"), r"was stopped \(done\); only a planned"),
        (lambda s: experiments.start(s, "nope"), "no experiment 'nope'; there are: ended, one, th"),
        (lambda s: experiments.stop(s, "ended", "again"), r"was stopped \(done\); it stays so"),
        (lambda s: experiments.stop(s, "one", " "), "reason: say why"),
        (lambda s: experiments.stop(s, "one", "x" * 1001), "reason: say why"),
        (lambda s: experiments.add_look(s, "two", 1, "{}"), "two was not started; only one that"),
        (lambda s: experiments.add_look(s, "ended", 1, "{}"), "was stopped .done.; only one that"),
        (lambda s: experiments.add_look(s, "one", 1, "[]"), "look 1 of one was taken before and"),
    ],
)  # fmt: skip
def test_what_is_refused_is_one_sentence_and_changes_nothing(planned, ask, words):
    experiments.start(planned, "one")
    experiments.add_look(planned, "one", 1, "{}")
    experiments.add(planned, "ended", "shop", PLAN)
    experiments.stop(planned, "ended", "done")
    before = told(planned)
    with pytest.raises(InputError, match=words) as refused:
        ask(planned)
    assert "\n" not in str(refused.value)
    assert told(planned) == before


def test_no_experiment_at_all_says_how_one_is_made(store):
    with pytest.raises(InputError, match="none yet: compagnon experiment plan FILE"):
        experiments.get(store, "one")


def test_the_database_itself_holds_that_one_runs(planned):
    experiments.start(planned, "one")
    second = "update experiments set state = 'running' where name = 'two'"
    with pytest.raises(IntegrityError), planned.write() as connection:
        connection.execute(sqlalchemy.text(second))
    assert experiments.running(planned, "shop").name == "one"


def test_of_two_that_start_at_once_one_runs(planned):
    """Each with a connection of its own, several times: one wins, the other names it."""
    names = ("one", "two")
    for name in names:
        experiments.stop(planned, name, "for others")
    for turn in range(5):
        pair = [f"{name} {turn}" for name in names]
        for name in pair:
            experiments.add(planned, name, "shop", PLAN)
        barrier = threading.Barrier(2)
        results: dict[str, object] = {}

        def run(name: str, barrier=barrier, results=results) -> None:
            own = open_store(planned.address, files=planned.files)
            try:
                barrier.wait(30)
                results[name] = experiments.start(own, name)
            except Exception as error:
                results[name] = error
            finally:
                own.close()

        threads = [threading.Thread(target=run, args=(name,)) for name in pair]
        for thread in threads:
            thread.start()
        joined(threads)
        won = [name for name in pair if isinstance(results[name], experiments.StoredExperiment)]
        lost = [name for name in pair if isinstance(results[name], InputError)]
        assert len(won) == len(lost) == 1, results
        assert f"experiment {won[0]} of application 'shop' runs" in str(results[lost[0]])
        experiments.stop(planned, won[0], "next")
    assert verifying.verify(planned).faults == []


def test_what_loses_the_race_within_the_database_names_the_winner(planned, monkeypatch):
    """The look before the change sees nothing yet; the index refuses."""
    experiments.start(planned, "one")
    before = told(planned)
    seen = experiments._running
    answers = iter([None])
    monkeypatch.setattr(experiments, "_running", lambda *given: next(answers, seen(*given)))
    with pytest.raises(InputError, match="experiment one of application 'shop' runs"):
        experiments.start(planned, "two")
    assert told(planned) == before


def test_the_running_one_is_a_row_of_an_index(sqlite_store):
    with sqlite_store.read() as connection:
        plan = "explain query plan " + str(experiments._RUNNING.compile(connection))
        found = connection.exec_driver_sql(plan, ("shop",)).all()
    assert "USING INDEX ix_experiments_running" in str(found)


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("update experiments set plan = '{}' where name = 'one'", "experiments: one .*plan"),
        ("update experiments set sha256 = 'a' where name = 'one'", "experiments: one .*sha256"),
        ("update experiments set application = 'x' where name = 'one'", "one .*application"),
        ("update experiments set state = 'stopped' where name = 'one'", "one .*state"),
        ("update experiments set created = 0 where name = 'one'", "one .*created"),
        ("update experiments set started = 0 where name = 'one'", "one .*started"),
        ("update experiments set stopped = 0 where name = 'one'", "one .*stopped"),
        ("update experiments set reason = '' where name = 'one'", "one .*reason"),
        ("delete from experiments where name = 'two'", "experiments: two was removed"),
        ("insert into experiments select 'mine', application, plan, sha256, 'planned', created, "
         "null, null, null from experiments where name = 'two'", "no event tells of mine"),
        ("update looks set text = '[]'", "looks: one 1 is not as its event says .text"),
        ("update looks set taken = 0", "looks: one 1 .*taken"),
        ("update looks set number = 2", "looks: no event tells of one 2"),
        ("update looks set experiment = 'two'", "looks: no event tells of two 1"),
        ("delete from looks", "looks: one 1 was removed"),
    ],
)  # fmt: skip
def test_what_is_changed_by_hand_is_named(planned, statement, fault):
    experiments.start(planned, "one")
    experiments.add_look(planned, "one", 1, "{}")
    assert verifying.verify(planned).faults == []
    by_hand(planned, statement)
    with pytest.raises(AssertionError, match=fault):
        raise AssertionError("\n".join(verifying.verify(planned).faults))


def test_an_index_that_is_gone_is_named(sqlite_store):
    by_hand(sqlite_store, "drop index ix_experiments_running")
    assert verifying.verify(sqlite_store).faults == ["index ix_experiments_running is missing"]


def test_a_backup_has_them(planned, tmp_path):
    experiments.start(planned, "one")
    experiments.add_look(planned, "one", 1, "{}")
    copied = backup.backup(planned, tmp_path / "copy")
    fresh = open_store(tmp_path / "new" / "log.db", create=True, check=False)
    backup.restore(fresh, tmp_path / "copy", copied.head)
    assert experiments.listed(fresh) == experiments.listed(planned)
    assert experiments.looks_of(fresh, "one") == experiments.looks_of(planned, "one")
    fresh.close()

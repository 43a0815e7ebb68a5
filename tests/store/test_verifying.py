"""Whatever is changed by hand is seen: each column, each row, each trigger, on both databases."""

import contextlib
import hashlib
import re
import shutil
import sqlite3
import threading

import pytest
import sqlalchemy
from sqlalchemy import text

from compagnon.errors import InputError
from compagnon.store import backup, chaining, keys, outcomes, registry, secrets, verifying
from compagnon.store.decisions import FIELDS
from compagnon.store.factory import open_store
from compagnon.store.migrating import config_for, upgrade
from compagnon.store.sqlite import SqliteStore
from compagnon.store.tables import decisions as table
from tests.store.exported import exported
from tests.store.hand import by_hand
from tests.store.rows import row


def fill(store, folder):
    """Something in every table that is covered, on more than one chain where there can be."""
    store.append([row(i) for i in range(40)])
    store.append([row(i, time=float(i)) for i in range(40, 50)])
    for i in range(5):
        outcomes.put(store, row(i).id, "profit", i / 3)
    for i in (1, 2):
        registry.add(store, exported(folder / f"run-{i}", b"onnx-%d" % i), actor="me")
    registry.move(store, "shop", "champion", "1")
    keys.create(store, "decide", "shop floor")
    keys.revoke(store, keys.create(store, "outcomes")[0].id)
    secrets.current(store)
    if isinstance(store, SqliteStore):
        store._settle()  # as the log does at its end, and once a second
    return store


@pytest.fixture
def filled(store, tmp_path):
    return fill(store, tmp_path)


@pytest.fixture(scope="module")
def made_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("filled")
    store = open_store(folder / "log.db", create=True, check=False)
    upgrade(store)
    fill(store, folder)
    store.close()
    return folder


@pytest.fixture
def sqlite_filled(made_once, tmp_path):
    """The same as `filled`, on SQLite, as a copy."""
    shutil.copyfile(made_once / "log.db", tmp_path / "log.db")
    store = open_store(tmp_path / "log.db", files=made_once / "models")
    yield store
    store.close()


def whole(store, head=None):
    """What `db check` and `log replay --verify` see, without computing decisions again."""
    found = verifying.verify(store, None if head is None else chaining.read_heads(head))
    fault = registry.verify(store).fault
    return [*found.faults, *([] if fault is None else [fault])]


def test_what_nobody_changed_is_sound(filled):
    found = verifying.verify(filled)
    assert (found.faults, found.decisions, found.outcomes, found.before) == ([], 50, 5, 0)
    assert registry.verify(filled).fault is None
    filled.append([row(900)])
    outcomes.put(filled, row(900).id, "profit", 1.0)
    assert whole(filled, found.head) == []
    assert verifying.verify(filled).head != found.head


_IDS = {"id": "'other-' || seq", "application": "'other'", "key": "'nobody'", "arm": "'b'"}
_HASHES = ("model_sha256", "schema_sha256", "request_sha256", "shadow_sha256")
_TEXTS = {
    "unit": "'line 1'",
    **{"experiment": "'x'", "mode": "'explored'", "play": "'greedy'", "episode": "'e'"},
    **dict.fromkeys(_HASHES, f"'{'c' * 64}'"),
}
_BLOBS = dict.fromkeys(
    ("features", "mask", "probabilities", "action_vector", "shadow", "distribution", "others",
     "link"), "x'00ff'",
)  # fmt: skip
_NUMBERS = {
    "action": "7", "seed": "seed + 1", "epsilon": "0.06", "latency_us": "51", "secret": "7",
    "time": "time + 1", "probability": "0.2500000001", "log_density": "0.5", "near": "0.5",
    "chain": "9", "place": "99",
}  # fmt: skip
_COLUMNS = _IDS | _TEXTS | _BLOBS | _NUMBERS


def test_every_column_of_a_decision_is_tried():
    assert set(_COLUMNS) == {*FIELDS, "chain", "place", "link"}


@pytest.mark.parametrize("column", sorted(_COLUMNS))
def test_a_decision_changed_in_any_column_is_named(sqlite_filled, column):
    change = f'"{column}" = {_COLUMNS[column]}'
    by_hand(sqlite_filled, f"update decisions set {change} where seq = 20")
    assert any("decision" in fault for fault in whole(sqlite_filled))


@pytest.mark.parametrize("seq", [1, 2, 49, 50])
def test_the_first_and_the_last_decision_are_chained_too(sqlite_filled, seq):
    by_hand(sqlite_filled, f"update decisions set key = 'nobody' where seq = {seq}")
    assert any("decision" in fault for fault in whole(sqlite_filled))


_COPY = ", ".join(f'"{name}"' for name in FIELDS if name != "id")
_ADD = f"insert into decisions (seq, id, {_COPY}, chain, place, link) select 60, 'new', {_COPY}, "
EDITS = [
    # decisions
    ("delete from decisions where seq = 20", "1 decisions before decision decision-000020"),
    ("delete from decisions where seq > 45", "the last 5 decisions of chain 1 are missing"),
    ("delete from decisions where seq > 5", "the last 45 decisions"),
    ("update decisions set key = (select key from decisions where seq = 7) where seq = 20",
     "one from decision decision-000000 to decision decision-000039 is not as it was written"),
    (_ADD + "null, null, null from decisions where seq = 1", "1 decisions are on no chain"),
    (_ADD + "chain, 51, link from decisions where seq = 50", "decision new is not as it was"),
    # two that change places
    ("update decisions set seq = 1000 where seq = 20; update decisions set seq = 20 where seq = 21;"
     "update decisions set seq = 21 where seq = 1000", "decision"),
    # outcomes
    ("update outcomes set value = 1e6 where decision_id = 'decision-000002'", "outcome profit of"),
    ("update outcomes set time = time - 1 where decision_id = 'decision-000002'", "outcome profit"),
    ("update outcomes set late = not late where decision_id = 'decision-000002'", "outcome profit"),
    ("update outcomes set decision_id = 'decision-000030' where decision_id = 'decision-000002'",
     "outcome profit of decision-000030"),
    ("delete from outcomes where decision_id = 'decision-000002'", "1 outcomes before"),
    ("delete from outcomes where decision_id = 'decision-000004'", "the last 1 outcomes of chain"),
    ("delete from outcomes", "the last 5 outcomes"),
    ("insert into outcomes select 'decision-000030', name, value, time, late, null, null, null "
     "from outcomes where decision_id = 'decision-000002'", "1 outcomes are on no chain"),
    # keys
    ("insert into keys select 'aaaa', 'mine', 'admin', hash, created, null from keys limit 1",
     "keys: no event tells of aaaa"),
    ("update keys set revoked = null", "keys: .* is not as its event says .revoked"),
    ("update keys set scope = 'admin' where revoked is null", "is not as its event says .scope"),
    ("update keys set hash = 'b' where revoked is null", "is not as its event says .hash"),
    ("update keys set name = 'x' where revoked is null", "is not as its event says .name"),
    ("update keys set created = created - 1", "is not as its event says .created"),
    ("delete from keys", "keys: .* was removed"),
    # registry
    ("update versions set metrics = '{}' where number = 2", "versions: 2 .*metrics"),
    ("update versions set schema_sha256 = 'b' where number = 2", "schema_sha256"),
    ("update versions set signature = '{}' where number = 2", "signature"),
    ("update versions set parent_sha256 = 'b' where number = 2", "parent_sha256"),
    ("update versions set data_sha256 = 'b' where number = 2", "data_sha256"),
    ("update versions set files = '{}' where number = 2", "version 2 of shop is not as"),
    ("update versions set time = time + 1 where number = 2", "versions: 2 .*time"),
    ("update pointers set time = time + 1", "pointers: shop champion is not as .*time"),
    ("update pointers set revision = 9", "champion of shop is not as"),
    ("update models set time = 0", "models: shop is not as its event says .time"),
    ("insert into models values ('other', 1.0)", "models: no event tells of other"),
    ("update metrics set matures_after = 1", "metrics: profit is not as .*matures_after"),
    # secrets and chains
    ("delete from secrets", "secrets: 1 was removed"),
    ("update secrets set created = 1", "secrets: 1 is not as .*created"),
    ("update chains set rows = rows - 1 where kind = 'decisions'", "does not end as"),
    ("update chains set rows = rows + 1 where kind = 'decisions'", "the last 1 decisions"),
    ("update chains set kind = 'outcomes' where kind = 'decisions'", "no event tells of chain"),
    ("delete from chains where kind = 'outcomes'", "chain 2 of outcomes was removed"),
    # events
    ("update events set body = '{}' where seq = 2", "event 2 .* was changed"),
    ("update events set actor = 'you' where seq = 2", "event 2 .* was changed"),
    ("delete from events where seq = 2", "event 2 is missing"),
    ("delete from events where seq = (select max(seq) from events)", "no event tells of"),
]  # fmt: skip


@pytest.mark.parametrize(("statements", "fault"), EDITS)
def test_what_was_changed_by_hand_is_named(sqlite_filled, statements, fault):
    by_hand(sqlite_filled, *statements.split(";"))
    with pytest.raises(AssertionError, match=fault):
        raise AssertionError("\n".join(whole(sqlite_filled)))


@pytest.mark.full
def test_the_same_on_postgresql(postgres, tmp_path):
    """Each edit in a transaction that is taken back: one of them at a time is there."""
    store = open_store(postgres, files=tmp_path / "models", check=False)
    upgrade(store)
    fill(store, tmp_path)
    columns = [
        (f'update decisions set "{name}" = {value} where seq = 20', "decision")
        for name, value in _COLUMNS.items()
    ]
    for statements, fault in [*columns, *EDITS]:
        with contextlib.suppress(_Undo), store.write() as connection:
            connection.execute(text("alter table events disable trigger all"))
            for statement in statements.replace("x'00ff'", "'\\x00ff'::bytea").split(";"):
                connection.execute(text(statement))
            connection.execute(text("alter table events enable trigger all"))
            seen = "\n".join(whole(_Within(store, connection)))
            assert re.search(fault, seen), (statements, seen)
            raise _Undo
    assert whole(store) == []
    store.close()


class _Undo(Exception):
    """Takes a transaction back."""


class _Within:
    """A store as it looks within a transaction that is still open."""

    def __init__(self, store, connection):
        self.files, self.where, self._connection = store.files, store.where, connection

    def read(self):
        return contextlib.nullcontext(self._connection)


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("drop trigger events_no_update", "trigger events_no_update is missing"),
        ("drop trigger events_no_delete", "trigger events_no_delete is missing"),
        (
            "create trigger mine after insert on keys begin select 1; end",
            "trigger mine is not ours",
        ),
        ("drop index ix_decisions_time", "index ix_decisions_time is missing"),
        ("create table mine (x)", "table mine is not ours"),
    ],
)
def test_what_the_database_no_longer_refuses_is_named(sqlite_filled, statement, fault):
    with sqlite_filled.write() as connection:
        connection.exec_driver_sql(statement)
    assert fault in whole(sqlite_filled)
    assert registry.verify(sqlite_filled).fault == fault


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("drop trigger events_append_only on events", "trigger events_append_only is missing"),
        ("alter table events disable trigger all", "trigger events_append_only was changed"),
        ("create or replace function events_are_append_only() returns trigger language plpgsql as "
         "$$ begin return new; end $$", "trigger events_append_only was changed"),
        ("alter table keys drop constraint ck_keys_scope", "constraint ck_keys_scope is missing"),
    ],
)  # fmt: skip
def test_the_same_of_postgresql(postgres, statement, fault):
    store = open_store(postgres, check=False)
    upgrade(store)
    assert verifying.verify(store).faults == []
    with store.write() as connection:
        connection.execute(text(statement))
    assert verifying.verify(store).faults == [fault]
    store.close()


def recompute(store):
    """What somebody does who knows the chains: write all of decisions' anew."""
    with store.write() as connection:
        tip = chaining.tips(connection, "decisions")[0]
        columns = [table.c[name] for name in FIELDS]
        kept = sqlalchemy.select(table.c.seq, *columns).order_by(table.c.seq)
        rows = connection.execute(kept).all()
        genesis = chaining.genesis("decisions", tip.chain)
        link = chaining.group_link(genesis, [one[1:] for one in rows])
        for place, one in enumerate(rows, 1):
            anew = {"place": place, "link": link if place == len(rows) else None}
            connection.execute(table.update().where(table.c.seq == one.seq).values(anew))
        chaining.advance(connection, chaining.Tip(tip.chain, len(rows), link))


@pytest.mark.parametrize(
    "statement",
    [
        "update decisions set action = 7 where seq = 20",
        "delete from decisions where seq = 20",
        "delete from decisions where seq > 40",
    ],
)
def test_a_chain_computed_anew_is_seen_with_its_head(filled, statement):
    head = verifying.verify(filled).head
    by_hand(filled, statement)
    recompute(filled)
    assert whole(filled) == []  # so much a chain alone cannot show
    assert any("head that was given" in fault for fault in whole(filled, head))


def test_a_planted_key_in_a_backup_is_seen(filled, tmp_path):
    copied = backup.backup(filled, tmp_path / "copy")
    path = tmp_path / "copy" / "store.db"

    def seal():
        record = tmp_path / "copy" / "backup.json"
        text = record.read_text()
        old = text.split('"sha256": "')[1][:64]
        record.write_text(text.replace(old, hashlib.sha256(path.read_bytes()).hexdigest()))

    raw = sqlite3.connect(path)
    raw.execute("insert into keys values ('aaaa', 'mine', 'admin', 'b', 1.0, null)")
    raw.commit()
    raw.close()
    seal()
    fresh = open_store(tmp_path / "new" / "log.db", create=True, check=False)
    for head in (None, copied.head):
        with pytest.raises(InputError, match="keys: no event tells of aaaa"):
            backup.restore(fresh, tmp_path / "copy", head)
    # Somebody who knows the events adds one of it too.
    planted = open_store(path)
    by_hand(planted, "delete from keys where id = 'aaaa'")
    keys.create(planted, "admin")
    planted.close()
    raw = sqlite3.connect(path)
    raw.execute("pragma journal_mode = delete")
    raw.close()
    seal()
    with pytest.raises(InputError, match="holds more than the backup of that head"):
        backup.restore(fresh, tmp_path / "copy", copied.head)
    assert keys.listed(fresh) == []
    fresh.close()


def test_rows_from_before_there_were_chains_are_sealed_as_they_stood(address, tmp_path):
    store = open_store(address, files=tmp_path / "models", create=True, check=False)
    from alembic import command

    old = [row(i) for i in range(5)]
    then = [name for name in FIELDS if name != "unit"]
    names = ", ".join(f'"{name}"' for name in then)
    values = ", ".join(f":{name}" for name in then)
    with store.write() as connection:
        command.upgrade(config_for(connection), "0003")
        for one in old:
            connection.execute(
                text(f"insert into decisions ({names}) values ({values})"), one._asdict()
            )
        connection.execute(text("insert into metrics values ('profit', 7.0, 1.0)"))
        connection.execute(
            text("insert into outcomes values ('decision-000001', 'profit', 2.5, 3.0, :late)"),
            {"late": False},
        )
        connection.execute(
            text("insert into keys values ('old', 'mine', 'decide', 'hash', 1.0, null)")
        )
    upgrade(store)
    store.append([row(10), row(11)])
    found = verifying.verify(store)
    assert (found.faults, found.before, found.decisions) == ([], 6, 2)
    for statement, fault in (
        (
            "update decisions set time = 1 where id = 'decision-000003'",
            "one of the 5 decisions",
        ),
        ("delete from decisions where id = 'decision-000003'", "5 decisions are from before"),
        ("update outcomes set value = 3", "one of the 1 outcomes from before"),
        ("update keys set scope = 'admin'", "keys: old is not as its event says"),
    ):
        by_hand(store, statement)
        assert any(fault in one for one in verifying.verify(store).faults), statement
    store.close()


def test_writers_on_one_postgresql_go_on_with_chains_of_their_own(postgres):
    stores = [open_store(postgres, check=False) for _ in range(4)]
    upgrade(stores[0])

    def write(number):
        for k in range(15):
            # Every other id is another writer's too.
            own = [row(10_000 * (number + 1) + 10 * k + j) for j in range(3)]
            shared = [row(10 * k + j) for j in range(3)]
            stores[number].append([*own, *shared])

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    found = verifying.verify(stores[0])
    assert (found.faults, found.decisions) == ([], 4 * 45 + 45)
    with stores[0].read() as connection:
        assert len(chaining.tips(connection, "decisions")) == 4
    stores[1].close()  # who comes next goes on with its chain
    fresh = open_store(postgres)
    fresh.append([row(999_999)])
    with fresh.read() as connection:
        assert len(chaining.tips(connection, "decisions")) == 4
    assert verifying.verify(fresh).faults == []
    for store in (*stores, fresh):
        store.close()


def test_outcomes_that_come_at_once_stay_chained(store):
    store.append([row(i) for i in range(40)])

    def put(number):
        for k in range(10):
            outcomes.put_many(store, [(row(4 * k + number).id, f"n{j}", 0.5) for j in range(3)])

    threads = [threading.Thread(target=put, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    found = verifying.verify(store)
    assert (found.faults, found.outcomes) == ([], 120)


def test_a_chain_goes_on_after_its_writer_was_killed(tmp_path, made):
    """The end of the chain is written down once a second: what came since is found again."""
    shutil.copyfile(made, tmp_path / "log.db")
    store = open_store(tmp_path / "log.db")
    for i in range(5):
        store.append([row(i)])
    with store.read() as connection:
        noted = chaining.tips(connection, "decisions")[0].rows
    assert noted < 5
    other = open_store(tmp_path / "log.db")  # as after a crash: nothing is known but the file
    other.append([row(5)])
    store.append([row(6), row(5)])  # and the first one learns of it
    found = verifying.verify(store)
    assert (found.faults, found.decisions) == ([], 7)
    other.close()
    store.close()


@pytest.mark.parametrize("value", [3, 3.0, -0.0, 0, float("nan"), 1e300, 2.0**60])
def test_a_number_is_encoded_as_it_comes_back(store, value):
    store.append([row(1, log_density=value)])
    assert verifying.verify(store).faults == []


def test_a_head_is_read_as_it_was_written():
    heads = {0: (3, "a" * 32), 12: (5_000, "0" * 32)}
    assert chaining.read_heads(chaining.written(heads)) == heads
    for wrong in ("", "x", "1.2", "1.2.3", "1.2." + "g" * 32, "1.x." + "a" * 32):
        with pytest.raises(InputError, match="--head"):
            chaining.read_heads(wrong)

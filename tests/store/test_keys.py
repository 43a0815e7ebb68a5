"""Keys: shown once, kept as hashes, valid for their scope until they are revoked."""

import hashlib
import hmac

import pytest
from sqlalchemy import select

from compagnon.errors import InputError
from compagnon.store import keys, registry
from compagnon.store.tables import keys as table


def test_a_key_is_valid_for_its_scope(store):
    key, text = keys.create(store, "decide", "shop floor")
    admin, master = keys.create(store, "admin")
    ring = keys.keyring(store)
    assert ring.check(text, "decide") == key
    assert ring.check(text, "outcomes") is None
    assert ring.check(text, "admin") is None
    assert ring.check(master, "outcomes") == ring.check(master, "decide") == admin
    assert len(ring) == 2
    assert registry.verify(store).fault is None


@pytest.mark.parametrize("change", ["", "compagnon_", "x", "tail", "head", "swap", "\udc80", "é"])
def test_anything_else_is_not(sqlite_store, change):
    _, text = keys.create(sqlite_store, "decide")
    _, other = keys.create(sqlite_store, "decide")
    presented = {
        "tail": text[:-1] + ("A" if text[-1] != "A" else "B"),
        "head": text.replace(text.split("_")[1], "0" * 16),
        "swap": "_".join([*text.split("_")[:2], other.split("_", 2)[2]]),
    }.get(change, change)
    assert keys.keyring(sqlite_store).check(presented, "decide") is None


def test_the_secret_is_nowhere_kept(store):
    _, text = keys.create(store, "outcomes")
    secret = text.split("_", 2)[2]
    with store.read() as connection:
        row = connection.execute(select(table)).one()
    assert row.hash == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in repr(row)
    assert len(secret) == 43  # 256 bits in base64


def test_secrets_are_compared_in_constant_time(sqlite_store, monkeypatch):
    _, text = keys.create(sqlite_store, "decide")
    ring = keys.keyring(sqlite_store)
    compared = []
    monkeypatch.setattr(
        keys.hmac, "compare_digest", lambda a, b: compared.append((len(a), len(b))) or a == b
    )
    assert keys.hmac is hmac
    for presented in (text, text[:-1], "nobody_secret", ""):
        ring.check(presented, "decide")
    assert compared == [(64, 64)] * 4


def test_a_revoked_key_is_valid_no_more(store):
    key, text = keys.create(store, "decide")
    assert keys.revoke(store, key.id).revoked is not None
    assert keys.keyring(store).check(text, "decide") is None
    again = keys.revoke(store, key.id)
    assert keys.listed(store) == [again]
    with pytest.raises(InputError, match="no key 'nobody'"):
        keys.revoke(store, "nobody")
    with pytest.raises(InputError, match="decide, outcomes or admin"):
        keys.create(store, "root")


def test_a_store_that_ever_had_a_key_says_so(store):
    assert not keys.keyring(store).ever
    key, _ = keys.create(store, "decide")
    keys.revoke(store, key.id)
    assert (len(keys.keyring(store)), keys.keyring(store).ever) == (0, True)
    with store.write() as connection:
        connection.execute(table.delete())
    assert keys.listed(store) == []
    assert keys.keyring(store).ever

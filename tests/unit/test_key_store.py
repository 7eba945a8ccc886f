"""Keys in a database of their own: what is kept of them, who is refused, what a ring knows."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from voxfleet.errors import UsageError, VoxfleetError
from voxfleet.store.access_key import KEY_CHARS, Key, Scope, digest_of, new_key
from voxfleet.store.database import DATABASE_NAME, Database, open_database
from voxfleet.store.key_ring import KeyRing
from voxfleet.store.key_store import KeyOrder, KeyStore, KnownKeys


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_database(tmp_path)
    yield database
    database.close()


@pytest.fixture
def store(database: Database) -> KeyStore:
    return KeyStore(database)


def test_a_key_is_long_and_never_twice_the_same() -> None:
    made = {new_key() for _ in range(100)}
    assert len(made) == 100
    assert {len(key) for key in made} == {KEY_CHARS}
    assert all(key.startswith("vf-") for key in made)


def test_what_was_added_is_listed_without_the_key(store: KeyStore, tmp_path: Path) -> None:
    scopes = frozenset({Scope.JOBS, Scope.METRICS})
    key, secret = store.add(KeyOrder("desk", scopes, 30, 2), 1.5)
    assert store.all_keys() == [key]
    assert key == Key(key.id, "desk", scopes, 30, 2, 1.5)
    for file in tmp_path.glob(f"{DATABASE_NAME}*"):
        assert secret.encode() not in file.read_bytes()


def test_admin_may_everything_and_others_only_theirs() -> None:
    admin, desk = (Key("a", "a", frozenset({scope})) for scope in (Scope.ADMIN, Scope.TRANSCRIBE))
    assert all(admin.allows(scope) for scope in Scope)
    assert [scope for scope in Scope if desk.allows(scope)] == [Scope.TRANSCRIBE]


@pytest.mark.parametrize(
    "name", ["", " desk", "a\nb", "a\x1b[2J", "x" * 65, "\u202edesk", "\udcff"]
)
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="printable"):
        KeyOrder(name)


def test_a_name_that_looks_like_an_id_is_refused() -> None:
    with pytest.raises(UsageError, match="looks like a key's id"):
        KeyOrder("00ff00ff")


@pytest.mark.parametrize("limit", [0, -1, 1_000_001, 2**70])
def test_a_limit_out_of_all_reason_is_refused(limit: int) -> None:
    with pytest.raises(UsageError, match="requests_per_minute"):
        KeyOrder("desk", requests_per_minute=limit)
    with pytest.raises(UsageError, match="concurrent"):
        KeyOrder("desk", concurrent=limit)


def test_two_valid_keys_have_two_names(store: KeyStore) -> None:
    store.add(KeyOrder("desk"), 1.0)
    with pytest.raises(UsageError, match="'desk' already"):
        store.add(KeyOrder("desk"), 2.0)
    store.revoke("desk", 3.0)
    renewed, _ = store.add(KeyOrder("desk"), 4.0)
    assert store.revoke("desk", 5.0).id == renewed.id


def test_a_key_is_revoked_by_id_or_name_once(store: KeyStore) -> None:
    first, _ = store.add(KeyOrder("one"), 1.0)
    store.add(KeyOrder("two"), 2.0)
    store.revoke(first.id, 3.0)
    store.revoke("two", 4.0)
    assert [key.revoked_s for key in store.all_keys()] == [3.0, 4.0]
    with pytest.raises(UsageError, match="no valid key 'two'"):
        store.revoke("two", 5.0)


def test_a_scope_of_a_newer_version_allows_nothing(store: KeyStore, database: Database) -> None:
    _, secret = store.add(KeyOrder("desk"), 1.0)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE keys SET scopes = 'admin2 transcribe'")
    found = KeyRing(store).find(secret)
    assert found is not None
    assert found.scopes == {Scope.TRANSCRIBE}


async def test_a_ring_knows_valid_keys_and_that_there_were_any(store: KeyStore) -> None:
    ring = KeyRing(store)
    assert ring.any_ever is False
    key, secret = store.add(KeyOrder("desk"), 1.0)
    assert ring.find(secret) is None
    await ring.renew()
    assert ring.find(secret) == key
    store.revoke("desk", 2.0)
    await ring.renew()
    assert ring.find(secret) is None
    assert ring.any_ever


@pytest.mark.parametrize("wrong", ["", "vf-", "x" * KEY_CHARS, "é" * KEY_CHARS, "x" * 65_000])
def test_what_is_no_key_is_not_found(store: KeyStore, wrong: str) -> None:
    store.add(KeyOrder("desk"), 1.0)
    assert KeyRing(store).find(wrong) is None


def test_the_digest_of_a_key_is_no_key(store: KeyStore) -> None:
    _, secret = store.add(KeyOrder("desk"), 1.0)
    ring = KeyRing(store)
    assert ring.find(digest_of(secret)) is None
    assert ring.find(secret.lower()) is None
    assert ring.find(secret) is not None


class BrokenStore:
    """Reads until it is broken."""

    def __init__(self, store: KeyStore) -> None:
        self.store = store
        self.broken = False

    def known(self) -> KnownKeys:
        if self.broken:
            raise VoxfleetError("database x: disk I/O error")
        return self.store.known()


async def test_unreadable_keys_stay_as_they_were_and_are_told_once(
    store: KeyStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    _, secret = store.add(KeyOrder("desk"), 1.0)
    broken = BrokenStore(store)
    ring = KeyRing(broken)
    broken.broken = True
    for _ in range(3):
        await ring.renew()
    assert ring.find(secret) is not None
    broken.broken = False
    await ring.renew()
    assert [record.getMessage() for record in caplog.records] == [
        "keys stay as they were known: database x: disk I/O error",
        "keys can be read again",
    ]


def test_a_server_that_cannot_read_its_keys_does_not_begin(store: KeyStore) -> None:
    broken = BrokenStore(store)
    broken.broken = True
    with pytest.raises(VoxfleetError):
        KeyRing(broken)

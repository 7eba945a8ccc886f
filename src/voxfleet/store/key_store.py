"""Keys in the database: added, revoked, listed. Blocks; knows nothing of who asks for a key."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import Connection, insert, select, update

from voxfleet.errors import UsageError
from voxfleet.store.access_key import Key, Scope, digest_of, new_id, new_key
from voxfleet.store.database import Database
from voxfleet.store.tables import keys

_MAX_NAME_CHARS = 64
_MAX_LIMIT = 1_000_000
_LIKE_AN_ID = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class KeyOrder:
    """A key that somebody wants; raises UsageError where its name or its limits make no sense."""

    name: str
    scopes: frozenset[Scope] = field(default_factory=lambda: frozenset({Scope.TRANSCRIBE}))
    requests_per_minute: int | None = None
    concurrent: int | None = None

    def __post_init__(self) -> None:
        name = self.name
        if not name.isprintable() or name != name.strip() or not 0 < len(name) <= _MAX_NAME_CHARS:
            raise UsageError(
                f"a key's name has 1 to {_MAX_NAME_CHARS} printable characters, none of them a"
                " space at its ends; choose another"
            )
        if _LIKE_AN_ID.fullmatch(name):
            raise UsageError(f"the name {name!r} looks like a key's id; choose another")
        for what in ("requests_per_minute", "concurrent"):
            limit = getattr(self, what)
            if limit is not None and not 1 <= limit <= _MAX_LIMIT:
                raise UsageError(f"{what} is 1 to {_MAX_LIMIT}; leave it out for no limit")


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """What a server knows of keys. `any_ever` stays true when all have been revoked."""

    by_digest: dict[str, Key]
    any_ever: bool


class KeyStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, order: KeyOrder, now_s: float) -> tuple[Key, str]:
        """The key's record, and the key itself, which is told here and never again."""
        secret = new_key()
        with self._database.write() as connection:
            if _valid(connection, order.name):
                raise UsageError(
                    f"there is a key {order.name!r} already; revoke it or choose another name"
                )
            key = Key(
                _unused_id(connection),
                order.name,
                order.scopes,
                order.requests_per_minute,
                order.concurrent,
                now_s,
            )
            connection.execute(insert(keys).values(_row(key, digest_of(secret))))
        return key, secret

    def revoke(self, id_or_name: str, now_s: float) -> Key:
        with self._database.write() as connection:
            key = _valid(connection, id_or_name)
            if key is None:
                raise UsageError(
                    f"there is no valid key {id_or_name[:_MAX_NAME_CHARS]!a};"
                    " `voxfleet keys list` shows them"
                )
            connection.execute(update(keys).where(keys.c.id == key.id).values(revoked_s=now_s))
        return key

    def all_keys(self) -> list[Key]:
        """Revoked ones too, the oldest first."""
        with self._database.read() as connection:
            return [key for _, key in _records(connection)]

    def known(self) -> KnownKeys:
        with self._database.read() as connection:
            records = list(_records(connection))
        valid = {digest: key for digest, key in records if key.revoked_s is None}
        return KnownKeys(valid, any_ever=bool(records))


def _records(connection: Connection) -> Iterable[tuple[str, Key]]:
    chosen = select(
        keys.c.digest,
        keys.c.id,
        keys.c.name,
        keys.c.scopes,
        keys.c.requests_per_minute,
        keys.c.concurrent,
        keys.c.created_s,
        keys.c.revoked_s,
    ).order_by(keys.c.created_s, keys.c.id)
    for (
        digest,
        key_id,
        name,
        scopes,
        per_minute,
        concurrent,
        created_s,
        revoked_s,
    ) in connection.execute(chosen):
        yield (
            digest,
            Key(key_id, name, _scopes(scopes), per_minute, concurrent, created_s, revoked_s),
        )


def _scopes(names: str) -> frozenset[Scope]:
    """A scope that only a newer voxfleet knows allows nothing here."""
    return frozenset(scope for scope in Scope if scope in names.split())


def _row(key: Key, digest: str) -> dict[str, object]:
    return {
        "digest": digest,
        "id": key.id,
        "name": key.name,
        "scopes": " ".join(sorted(key.scopes)),
        "requests_per_minute": key.requests_per_minute,
        "concurrent": key.concurrent,
        "created_s": key.created_s,
    }


def _valid(connection: Connection, id_or_name: str) -> Key | None:
    return next(
        (
            key
            for _, key in _records(connection)
            if key.revoked_s is None and id_or_name in (key.id, key.name)
        ),
        None,
    )


def _unused_id(connection: Connection) -> str:
    used = set(connection.execute(select(keys.c.id)).scalars())
    while (candidate := new_id()) in used:
        pass
    return candidate

"""Hotword lists in the database: every version a row of its own, the old ones dropped in time.

A number of a name never means two contents, also after a removal. Knows no limit of words and no
client. Blocks; of its changes only one at a time is on its way, as the database sees to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, or_, select

from voxfleet.store.database import Database
from voxfleet.store.tables import hotword_lists

#: of each list; the older ones go
KEPT_VERSIONS = 20
#: names whose last number is remembered after their removal, each with a row of its own
_KEPT_REMOVALS = 10_000
#: no list has this name: its number is the highest of all removals whose rows are gone
_FORGOTTEN = ""

_row = hotword_lists.c

#: told the version that is there when a change is about to be made, None where there is none; what
#: it raises ends the change
Check = Callable[[int | None], None]


def _any(_version: int | None) -> None:
    return


@dataclass(frozen=True, slots=True)
class HotwordList:
    """One version of a list; `created_s` is the Unix time of this version."""

    name: str
    version: int
    words: tuple[str, ...]
    created_s: float


class HotwordStore:
    def __init__(self, database: Database, kept_removals: int = _KEPT_REMOVALS) -> None:
        self._database = database
        self._kept_removals = kept_removals

    def present(self) -> tuple[HotwordList, ...]:
        """The newest version of every list, by name."""
        newest = (
            select(_row.name, func.max(_row.version).label("version"))
            .group_by(_row.name)
            .subquery()
        )
        asked = (
            select(_row.name, _row.version, _row.words, _row.created_s)
            .join(newest, (_row.name == newest.c.name) & (_row.version == newest.c.version))
            .where(_row.deleted.is_(False))
            .order_by(_row.name)
        )
        with self._database.read() as connection:
            return tuple(_list_of(*row) for row in connection.execute(asked))

    def present_versions(self) -> dict[str, int]:
        """The number of the newest version of every list."""
        newest = (
            select(_row.name, func.max(_row.version).label("version"))
            .group_by(_row.name)
            .subquery()
        )
        asked = (
            select(_row.name, _row.version)
            .join(newest, (_row.name == newest.c.name) & (_row.version == newest.c.version))
            .where(_row.deleted.is_(False))
        )
        with self._database.read() as connection:
            return {row.name: row.version for row in connection.execute(asked)}

    def find(self, name: str, version: int) -> HotwordList | None:
        asked = select(_row.name, _row.version, _row.words, _row.created_s).where(
            _row.name == name, _row.version == version, _row.deleted.is_(False)
        )
        with self._database.read() as connection:
            row = connection.execute(asked).one_or_none()
        return None if row is None else _list_of(*row)

    def versions(self, name: str) -> tuple[int, ...]:
        """Those that can be found, the newest last."""
        asked = (
            select(_row.version)
            .where(_row.name == name, _row.deleted.is_(False))
            .order_by(_row.version)
        )
        with self._database.read() as connection:
            return tuple(connection.execute(asked).scalars())

    def add(
        self, name: str, words: tuple[str, ...], now_s: float, check: Check = _any
    ) -> HotwordList:
        """The next version of that list, which may be its first; on the disk when it returns."""
        with self._database.write() as connection:
            check(_present_version(connection, name))
            version = _next_version(connection, name)
            _drop(connection, name, version - KEPT_VERSIONS)
            _insert(connection, HotwordList(name, version, words, now_s), deleted=False)
        return HotwordList(name, version, words, now_s)

    def remove(self, name: str, now_s: float, check: Check = _any) -> None:
        """All its versions; only its last number is remembered."""
        with self._database.write() as connection:
            check(_present_version(connection, name))
            version = _next_version(connection, name)
            _drop(connection, name, version)
            _insert(connection, HotwordList(name, version, (), now_s), deleted=True)
            _forget_removals(connection, self._kept_removals)


def _list_of(name: str, version: int, words: list[str], created_s: float) -> HotwordList:
    return HotwordList(name, version, tuple(words), created_s)


def _present_version(connection: Connection, name: str) -> int | None:
    asked = select(func.max(_row.version)).where(_row.name == name, _row.deleted.is_(False))
    return connection.execute(asked).scalar_one()


def _next_version(connection: Connection, name: str) -> int:
    last = select(func.max(_row.version)).where(_row.name.in_((name, _FORGOTTEN)))
    return (connection.execute(last).scalar_one() or 0) + 1


def _insert(connection: Connection, row: HotwordList, *, deleted: bool) -> None:
    connection.execute(
        insert(hotword_lists).values(
            name=row.name,
            version=row.version,
            words=list(row.words),
            created_s=row.created_s,
            deleted=deleted,
        )
    )


def _drop(connection: Connection, name: str, up_to_version: int) -> None:
    """Those rows, and that of an earlier removal, which has nothing to tell any more."""
    old = or_(_row.version <= up_to_version, _row.deleted.is_(True))
    connection.execute(delete(hotword_lists).where(_row.name == name, old))


def _forget_removals(connection: Connection, most: int) -> None:
    """Else names that come and go for ever would fill the disk."""
    oldest = (
        select(_row.name, _row.version)
        .where(_row.deleted.is_(True), _row.name != _FORGOTTEN)
        .order_by(_row.created_s.desc(), _row.name)
        .offset(most)
    )
    surplus = connection.execute(oldest).all()
    if not surplus:
        return
    for name, version in surplus:
        _drop(connection, name, version)
    highest = max(version for _, version in surplus)
    if highest >= _next_version(connection, _FORGOTTEN):
        _drop(connection, _FORGOTTEN, highest)
        _insert(connection, HotwordList(_FORGOTTEN, highest, (), 0.0), deleted=True)

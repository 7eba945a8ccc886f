"""An SQLite file as an engine: private, with a write-ahead log, one writer at a time.

Knows no table.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from voxfleet.errors import StartError, VoxfleetError
from voxfleet.store.transactions import writes

#: how long one process waits for another's transaction, which takes milliseconds
_BUSY_TIMEOUT_S = 5.0
#: faults that go by themselves, or with a little room on the disk
_PASSING = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


class SqliteFile:
    """See `database.Backend`; for its owner alone. Raises StartError for an unfit place."""

    def __init__(self, path: Path) -> None:
        self.place = f"database {path}"
        try:
            _keep_private(path)
        except (OSError, UnicodeEncodeError) as fault:
            why = fault.strerror if isinstance(fault, OSError) else "its name is not UTF-8"
            raise StartError(
                f"database {path!a}: {why}; choose another data directory with VOXFLEET_DATA_DIR"
            ) from None
        self._path = path
        self._identity = _identity(path)
        self.engine = _engine(path)
        self.remedy = ", restore it from a copy or choose another with VOXFLEET_DATA_DIR"

    def check(self) -> None:
        if _identity(self._path) != self._identity:
            # SQLite would go on with a file that has no name any more
            raise VoxfleetError(
                f"{self.place}: was removed or replaced while in use; start the server again"
            )

    def passes(self, fault: DBAPIError) -> bool:
        return getattr(fault.orig, "sqlite_errorcode", None) in _PASSING

    def told(self, fault: DBAPIError) -> str:
        return str(fault.orig)


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file it is; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _keep_private(path: Path) -> None:
    """Made for its owner alone before SQLite comes; its companion files take its mode.

    A file that is there is never opened here: closing it would drop the locks that this process
    holds on it (POSIX).
    """
    str(path).encode()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)


def _engine(path: Path) -> Engine:
    url = URL.create("sqlite", database=str(path))
    engine = create_engine(url, connect_args={"timeout": _BUSY_TIMEOUT_S})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    assert isinstance(connection, sqlite3.Connection)  # noqa: S101  (the engine is SQLite's)
    # the driver would begin transactions by itself, and only at the first row that is changed
    connection.isolation_level = None
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise sqlite3.OperationalError(f"its disk allows no write-ahead log (it is {mode!r})")
    # an answered write has to survive the loss of power
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin(connection: Connection) -> None:
    """A transaction that reads before it writes must not find that another wrote between."""
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes(connection) else "BEGIN")

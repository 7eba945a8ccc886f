"""The one database of a data directory: opened, brought to its schema, asked in transactions.

Several processes may have it open at once: a server, and commands beside it. Knows no table. All
of it blocks: what runs on an event loop calls it through a thread.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as NoConnectionError
from sqlalchemy.pool import ConnectionPoolEntry

from voxfleet.errors import OverloadError, StartError, VoxfleetError
from voxfleet.store.schema import bring_to_newest

DATABASE_NAME = "voxfleet.db"
#: how long one process waits for another's transaction, which takes milliseconds
_BUSY_TIMEOUT_S = 5.0
#: faults that go by themselves, or with a little room on the disk
_PASSING = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_PASSES_S = 10.0
_WRITES = "voxfleet_writes"


class Database:
    """Made by `open_database`; safe to use from any thread."""

    def __init__(self, engine: Engine, path: Path, place: str) -> None:
        self._path = path
        self._identity = _identity(path)
        self._readers = engine
        self._writers = engine.execution_options(**{_WRITES: True})
        self._place = place

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database, whoever writes meanwhile."""
        with self._told(), self._readers.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that writes, alone; on the disk when it has ended without an error.

        A row that may not be is left as SQLAlchemy's IntegrityError, for the caller to explain.
        """
        with self._told(), self._writers.begin() as connection:
            yield connection

    def close(self) -> None:
        self._readers.dispose()

    @contextmanager
    def _told(self) -> Iterator[None]:
        if _identity(self._path) != self._identity:
            # SQLite would go on with a file that has no name any more
            raise VoxfleetError(
                f"{self._place}: was removed or replaced while in use; start the server again"
            )
        try:
            yield
        except IntegrityError:
            raise
        except DBAPIError as fault:
            raise _told_fault(self._place, fault) from None
        except json.JSONDecodeError:
            raise VoxfleetError(f"{self._place}: a row cannot be read; see its file") from None
        except NoConnectionError:
            raise VoxfleetError(f"{self._place}: too many ask it at once; ask it again") from None


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file it is; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _told_fault(place: str, fault: DBAPIError) -> VoxfleetError:
    """Never with the statement: its values are users' own."""
    if getattr(fault.orig, "sqlite_errorcode", None) in _PASSING:
        # told to clients, whom the place does not concern
        return OverloadError(
            f"the server's database cannot take it now ({fault.orig}); try again later",
            retry_after_s=_PASSES_S,
        )
    return VoxfleetError(f"{place}: {fault.orig}; see its disk and its file")


def open_database(data_dir: Path) -> Database:
    """The database of that directory, made where there is none; raises StartError in one line."""
    path = data_dir.absolute() / DATABASE_NAME
    place = f"database {path}"
    try:
        _keep_private(path)
        database = Database(_sqlite_engine(path), path, place)
    except (OSError, UnicodeEncodeError) as fault:
        why = fault.strerror if isinstance(fault, OSError) else "its name is not UTF-8"
        raise StartError(
            f"database {path!a}: {why}; choose another data directory with VOXFLEET_DATA_DIR"
        ) from None
    try:
        with database.write() as connection:
            bring_to_newest(connection)
    except VoxfleetError as fault:
        database.close()
        raise StartError(_opening_fault(fault, place)) from None
    return database


def _opening_fault(fault: VoxfleetError, place: str) -> str:
    if isinstance(fault, StartError):
        return f"{place}: {fault.message}"
    if isinstance(fault, OverloadError):
        return fault.message
    return f"{fault.message}, restore it from a copy or choose another with VOXFLEET_DATA_DIR"


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


def _sqlite_engine(path: Path) -> Engine:
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
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

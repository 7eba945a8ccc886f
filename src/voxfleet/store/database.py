"""The one database of a server: opened, brought to its schema, asked in transactions.

SQLite in the data directory, or a PostgreSQL that several servers share. Several processes may have
it open at once: servers, and commands beside them. Knows no table. All of it blocks: what runs on
an event loop calls it through a thread (`write_line`, `read_threads`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as NoConnectionError

from voxfleet.errors import OverloadError, StartError, VoxfleetError
from voxfleet.store.postgres_engine import PostgresServer
from voxfleet.store.schema import bring_to_newest
from voxfleet.store.sqlite_engine import SqliteFile
from voxfleet.store.transactions import for_writing

DATABASE_NAME = "voxfleet.db"
_PASSES_S = 10.0


class Backend(Protocol):
    """What is different from one kind of database to another.

    `place` is its name in messages, `remedy` what may be done where it is unfit.
    """

    place: str
    remedy: str
    engine: Engine

    def check(self) -> None:
        """Raises VoxfleetError where it is not the one any more that was opened."""
        ...

    def passes(self, fault: DBAPIError) -> bool:
        """Whether the same may succeed later, without anybody's doing."""
        ...

    def told(self, fault: DBAPIError) -> str:
        """What it says, without a statement's values and without a password."""
        ...


class Database:
    """Made by `open_database`; safe to use from any thread."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._readers = backend.engine
        self._writers = for_writing(backend.engine)

    @property
    def place(self) -> str:
        return self._backend.place

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
        place = self._backend.place
        self._backend.check()
        try:
            yield
        except IntegrityError:
            raise
        except DBAPIError as fault:
            raise self._told_fault(fault) from None
        except json.JSONDecodeError:
            raise VoxfleetError(f"{place}: a row cannot be read; see its file") from None
        except NoConnectionError:
            raise OverloadError(
                "too many ask the server's database at once; try again later",
                retry_after_s=_PASSES_S,
            ) from None

    def _told_fault(self, fault: DBAPIError) -> VoxfleetError:
        """Never with the statement: its values are users' own."""
        what = self._backend.told(fault)
        if self._backend.passes(fault):
            # told to clients, whom the place does not concern
            return OverloadError(
                f"the server's database cannot take it now ({what}); try again later",
                retry_after_s=_PASSES_S,
            )
        return VoxfleetError(f"{self._backend.place}: {what}; see its disk and its file")


def open_database(data_dir: Path, url: str = "") -> Database:
    """The database of that URL, else that of the directory, made where there is none.

    Raises StartError in one line.
    """
    backend = PostgresServer(url) if url else SqliteFile(data_dir.absolute() / DATABASE_NAME)
    database = Database(backend)
    try:
        with database.write() as connection:
            bring_to_newest(connection)
    except VoxfleetError as fault:
        database.close()
        raise StartError(_opening_fault(fault, backend)) from None
    return database


def _opening_fault(fault: VoxfleetError, backend: Backend) -> str:
    if isinstance(fault, StartError):
        return f"{backend.place}: {fault.message}"
    if isinstance(fault, OverloadError):
        return f"{backend.place}: {fault.message}"
    return f"{fault.message}{backend.remedy}"

"""Whether a transaction that begins is one that writes: an option of its connection."""

from __future__ import annotations

from sqlalchemy import Connection, Engine

_WRITES = "voxfleet_writes"


def for_writing(engine: Engine) -> Engine:
    """The same engine, whose transactions write."""
    return engine.execution_options(**{_WRITES: True})


def writes(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get(_WRITES, False))

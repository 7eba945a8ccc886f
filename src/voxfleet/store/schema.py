"""Brings a database to the newest schema, inside the transaction it is given.

Knows Alembic, which is loaded only where a migration is due; knows no file.
"""

from __future__ import annotations

import logging
from pathlib import Path

from sqlalchemy import Connection, MetaData, String, Table, inspect, select
from sqlalchemy.schema import Column

from voxfleet.errors import StartError
from voxfleet.store.tables import SCHEMA

_log = logging.getLogger(__name__)

_MIGRATIONS = Path(__file__).parent.parent / "migrations"
#: Alembic's own table, of one row
_version = Table("alembic_version", MetaData(), Column("version_num", String(32)))


def bring_to_newest(connection: Connection) -> None:
    """Raises StartError for a schema that this version of voxfleet does not know."""
    present = present_schema(connection)
    if present != SCHEMA:
        _migrate(connection, present)


def present_schema(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_version.name):
        return None
    return connection.execute(select(_version.c.version_num)).scalar_one_or_none()


def _migrate(connection: Connection, present: str | None) -> None:
    # it tells of its plug-ins when it is loaded, and of its dialect when it begins
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(_MIGRATIONS), version_locations=[str(_MIGRATIONS)])
    known = {script.revision for script in scripts.walk_revisions()}
    if present is not None and present not in known:
        raise StartError(
            f"its schema {present[:32]!a} is of a newer voxfleet, this one knows up to {SCHEMA};"
            " update voxfleet, or choose another data directory"
        )
    context = MigrationContext.configure(connection)
    due = list(scripts.iterate_revisions(SCHEMA, present or "base"))
    with Operations.context(context):
        for script in reversed(due):
            script.module.upgrade()
        context.stamp(scripts, SCHEMA)
    if present is not None:
        _log.info("the database was brought from schema %s to %s", present, SCHEMA)

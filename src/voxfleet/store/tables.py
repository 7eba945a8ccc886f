"""The tables of the database, as statements name them; knows no file and no connection.

What is written here is what the migrations, all of them run, make: a test compares the two.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Double,
    Integer,
    MetaData,
    Named,
    String,
    Table,
    Text,
    TypedColumns,
)

#: the newest migration; a constant, so that a start that needs none need not load Alembic
SCHEMA: Final = "0002"

#: PostgreSQL makes up names of its own, which a later migration could not name
metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)


class KeyColumns(TypedColumns):
    """A key without the key: only its digest. Rows are never removed, only revoked."""

    id: Named[str] = Column(String(32), primary_key=True)
    name: Named[str] = Column(Text)
    #: SHA-256 in hexadecimal
    digest: Named[str] = Column(String(64), unique=True)
    #: names separated by spaces
    scopes: Named[str] = Column(Text)
    requests_per_minute: Named[int | None] = Column(Integer)
    concurrent: Named[int | None] = Column(Integer)
    created_s: Named[float] = Column(Double)
    revoked_s: Named[float | None] = Column(Double)


class HotwordListColumns(TypedColumns):
    """One version of a list; a removal is a version too, without words."""

    name: Named[str] = Column(String(64), primary_key=True)
    version: Named[int] = Column(Integer, primary_key=True, autoincrement=False)
    #: a JSON array of texts
    words: Named[list[str]] = Column(JSON)
    created_s: Named[float] = Column(Double)
    deleted: Named[bool] = Column(Boolean)


keys = Table("keys", metadata, KeyColumns)
hotword_lists = Table("hotword_lists", metadata, HotwordListColumns)

"""Writes in a line: together on the disk, each by itself in failing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from voxfleet.errors import ConflictError, OverloadError
from voxfleet.store.database import Database, open_database
from voxfleet.store.read_threads import ReadThreads
from voxfleet.store.tables import hotword_lists
from voxfleet.store.write_line import WriteLine


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = open_database(tmp_path)
    yield opened
    opened.close()


def put(name: str) -> Callable[[Connection], str]:
    def do(connection: Connection) -> str:
        row = {"name": name, "version": 1, "words": [], "created_s": 0.0, "deleted": False}
        connection.execute(insert(hotword_lists).values(row))
        return name

    return do


def names(connection: Connection) -> list[str]:
    return list(connection.execute(select(hotword_lists.c.name).order_by("name")).scalars())


async def test_what_fails_undoes_itself_alone(database: Database) -> None:
    line = WriteLine(database)

    def refused(connection: Connection) -> None:
        put("undone")(connection)
        raise ConflictError("no")

    outcomes = await asyncio.gather(
        line.run(put("a")),
        line.run(refused),
        line.run(put("a")),
        line.run(put("b")),
        return_exceptions=True,
    )
    assert outcomes[0] == "a"
    assert outcomes[3] == "b"
    assert isinstance(outcomes[1], ConflictError)
    assert isinstance(outcomes[2], IntegrityError)
    assert await ReadThreads(database).run(names) == ["a", "b"]
    await line.close()


async def test_many_share_one_transaction(database: Database) -> None:
    line = WriteLine(database)
    seen = set[object]()

    def note(connection: Connection) -> None:
        seen.add(connection)

    await asyncio.gather(*(line.run(note) for _ in range(60)))
    assert len(seen) <= 2
    await line.close()


async def test_who_left_is_passed_over_and_who_is_late_is_refused(database: Database) -> None:
    line = WriteLine(database)
    first = asyncio.create_task(line.run(put("first")))
    left = asyncio.create_task(line.run(put("left")))
    await asyncio.sleep(0)
    left.cancel()
    assert await first == "first"
    await line.close()
    assert await ReadThreads(database).run(names) == ["first"]
    with pytest.raises(OverloadError, match="stopping"):
        await line.run(put("late"))

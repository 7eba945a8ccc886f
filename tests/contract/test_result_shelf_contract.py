"""Stored texts on every kind of database: found again, bounded in size and age."""

from __future__ import annotations

import asyncio
import json
import random
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from voxfleet.jobs.result_shelf import SqlResultShelf
from voxfleet.store.database import Database, open_database
from voxfleet.store.job_tables import cached_results
from voxfleet.store.write_line import WriteLine

NOW_S = 1764550000.0
H = 3600.0
ROOM = 1_000_000_000

_row = cached_results.c


@dataclass(frozen=True, slots=True)
class Rig:
    database: Database
    shelf: SqlResultShelf

    def used_s(self, key: str) -> float:
        with self.database.read() as connection:
            return connection.execute(select(_row.used_s).where(_row.key == key)).scalar_one()

    def stored_bytes(self) -> int:
        """As the rows say, and as their contents are."""
        asked = select(func.sum(_row.bytes), func.sum(func.length(_row.content)))
        with self.database.read() as connection:
            said, counted = connection.execute(asked).one()
        assert said == counted
        return said or 0


def key(number: int) -> str:
    return f"{number:064x}"


def noise(size: int, seed: int = 0) -> bytes:
    """Nothing makes it smaller."""
    return random.Random(seed).randbytes(size)  # noqa: S311


@pytest.fixture(params=["sqlite", "postgres"])
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    database = await asyncio.to_thread(open_database, tmp_path, url)
    line = WriteLine(database)
    yield Rig(database, SqlResultShelf(database, line))
    await line.close()
    database.close()


async def test_what_was_kept_is_found(rig: Rig) -> None:
    contents = [b"", b"{}", noise(1000), noise(1001), json.dumps(["会议"] * 10_000).encode()]
    for number, content in enumerate(contents):
        await rig.shelf.keep(key(number), content, NOW_S)
    found = [await rig.shelf.find(key(number), NOW_S) for number in range(len(contents))]
    assert found == contents
    assert await rig.shelf.find(key(99), NOW_S) is None


async def test_a_present_key_is_left_as_it_is(rig: Rig) -> None:
    await rig.shelf.keep(key(1), b"first", NOW_S)
    await rig.shelf.keep(key(1), b"second", NOW_S + 1)
    assert await rig.shelf.find(key(1), NOW_S) == b"first"


async def test_many_may_keep_the_same_text_at_once(rig: Rig) -> None:
    keeping = (rig.shelf.keep(key(1), f"text {number}".encode(), NOW_S) for number in range(8))
    await asyncio.gather(*keeping)
    assert (await rig.shelf.find(key(1), NOW_S) or b"").startswith(b"text ")


async def test_texts_take_less_room_than_they_have(rig: Rig) -> None:
    draw = random.Random(0)  # noqa: S311
    words = [
        {"text": draw.choice(["会", "议", "meeting", "the"]), "start_s": draw.randrange(9999) / 100}
        for _ in range(5000)
    ]
    content = json.dumps({"words": words}).encode()
    await rig.shelf.keep(key(1), content, NOW_S)
    assert rig.stored_bytes() * 4 < len(content)


async def test_what_is_too_large_is_not_kept(rig: Rig) -> None:
    await rig.shelf.keep(key(1), bytes(20_000_001), NOW_S)
    assert await rig.shelf.find(key(1), NOW_S) is None
    await rig.shelf.keep(key(1), bytes(20_000_000), NOW_S)
    assert await rig.shelf.find(key(1), NOW_S) == bytes(20_000_000)


async def test_a_use_is_noted_once_an_hour(rig: Rig) -> None:
    await rig.shelf.keep(key(1), b"{}", NOW_S)
    await rig.shelf.find(key(1), NOW_S + H - 1)
    assert rig.used_s(key(1)) == NOW_S
    await rig.shelf.find(key(1), NOW_S + H)
    assert rig.used_s(key(1)) == NOW_S + H


@pytest.mark.parametrize("damaged", [b"", b"\x01no zlib", b"\x02{}", b"\x01"])
async def test_a_damaged_text_is_dropped_and_may_be_kept_anew(rig: Rig, damaged: bytes) -> None:
    await rig.shelf.keep(key(1), b"{}", NOW_S)
    with rig.database.write() as connection:
        connection.execute(update(cached_results).values(content=damaged))
    assert await rig.shelf.find(key(1), NOW_S) is None
    await rig.shelf.keep(key(1), b"{}", NOW_S)
    assert await rig.shelf.find(key(1), NOW_S) == b"{}"


async def test_a_packed_text_of_endless_size_is_none(rig: Rig) -> None:
    await rig.shelf.keep(key(1), b"{}", NOW_S)
    bomb = b"\x01" + zlib.compress(bytes(30_000_000))
    with rig.database.write() as connection:
        connection.execute(update(cached_results).values(content=bomb))
    assert await rig.shelf.find(key(1), NOW_S) is None


async def test_trimming_leaves_those_used_last(rig: Rig) -> None:
    for number in range(10):
        await rig.shelf.keep(key(number), noise(1000, number), NOW_S + number)
    await rig.shelf.find(key(0), NOW_S + 2 * H)
    assert await rig.shelf.trim(4500, 0.0) == 6
    left = [number for number in range(10) if await rig.shelf.find(key(number), NOW_S)]
    assert left == [0, 7, 8, 9]
    assert rig.stored_bytes() <= 4500


async def test_trimming_drops_what_nobody_asked_for_lately(rig: Rig) -> None:
    for number in range(4):
        await rig.shelf.keep(key(number), b"{}", NOW_S + number)
    assert await rig.shelf.trim(ROOM, NOW_S + 2) == 2
    assert await rig.shelf.find(key(1), NOW_S) is None
    assert await rig.shelf.find(key(2), NOW_S) == b"{}"


async def test_a_shelf_within_its_bounds_is_left_alone(rig: Rig) -> None:
    assert await rig.shelf.trim(0, NOW_S) == 0
    await rig.shelf.keep(key(1), b"{}", NOW_S)
    assert await rig.shelf.trim(rig.stored_bytes(), NOW_S) == 0
    assert await rig.shelf.trim(rig.stored_bytes() - 1, NOW_S) == 1


async def test_trimming_comes_to_its_end_over_many_pieces(rig: Rig) -> None:
    rows = [
        {"key": key(number), "content": b"\x00", "bytes": 1, "created_s": NOW_S, "used_s": number}
        for number in range(1700)
    ]
    with rig.database.write() as connection:
        connection.execute(cached_results.insert(), rows)
    assert await rig.shelf.trim(200, 0.0) == 1500
    assert rig.stored_bytes() == 200
    assert await rig.shelf.find(key(1499), NOW_S) is None
    assert await rig.shelf.find(key(1500), NOW_S) == b""

"""The outbox on every kind of database: one server sends a message, and its end is noted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, Row, event, insert, select

from voxfleet.jobs.job import Delivery
from voxfleet.jobs.webhook_outbox import SqlOutbox
from voxfleet.store.database import Database, open_database
from voxfleet.store.job_tables import webhooks
from voxfleet.store.write_line import WriteLine

NOW_S = 1764550000.0
LEASE_S = 40.0
NOBODY: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class Rig:
    database: Database
    outbox: SqlOutbox

    async def due(
        self,
        *,
        server: str = "a",
        limit: int = 20,
        now_s: float = NOW_S,
        sending: Mapping[str, int] = NOBODY,
    ) -> list[str]:
        found = await self.outbox.due(server, limit, LEASE_S, now_s, per_host=4, sending=sending)
        return [delivery.id for delivery in found]

    def write(self, *messages: tuple[str, str], next_s: float = NOW_S) -> None:
        rows = [
            {
                "id": name,
                "job_id": f"job_{name}",
                "url": url,
                "body": f'{{"id":"{name}"}}'.encode(),
                "attempts": 0,
                "next_s": next_s,
                "created_s": NOW_S - 1,
                "delivered": False,
            }
            for name, url in messages
        ]
        with self.database.write() as connection:
            connection.execute(insert(webhooks), rows)

    def row(self, name: str) -> Row[Any]:
        with self.database.read() as connection:
            return connection.execute(select(webhooks).where(webhooks.c.id == name)).one()


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Empty for SQLite; a new database where it is PostgreSQL."""
    if request.param == "sqlite":
        return ""
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
async def rig(database_url: str, tmp_path: Path) -> AsyncIterator[Rig]:
    async with opened(tmp_path, database_url) as made:
        yield made


@asynccontextmanager
async def opened(data_dir: Path, url: str) -> AsyncIterator[Rig]:
    database = await asyncio.to_thread(open_database, data_dir, url)
    line = WriteLine(database)
    try:
        yield Rig(database, SqlOutbox(database, line))
    finally:
        await line.close()
        database.close()


async def test_a_message_is_given_out_whole(rig: Rig) -> None:
    rig.write(("m1", "https://a.example/hook"))
    found = await rig.outbox.due("a", 20, LEASE_S, NOW_S, per_host=4, sending=NOBODY)
    message = Delivery("m1", "job_m1", "https://a.example/hook", b'{"id":"m1"}', NOW_S - 1, 0)
    assert found == [message]


async def test_nothing_is_due_before_its_time(rig: Rig) -> None:
    rig.write(("m1", "https://a.example/"), next_s=NOW_S + 5)
    assert await rig.due(now_s=NOW_S + 4) == []
    assert await rig.due(now_s=NOW_S + 5) == ["m1"]


async def test_a_leased_message_is_nobody_elses_until_the_lease_ends(rig: Rig) -> None:
    rig.write(("m1", "https://a.example/"))
    assert await rig.due(server="a") == ["m1"]
    assert rig.row("m1").server == "a"
    assert await rig.due(server="b", now_s=NOW_S + LEASE_S - 1) == []
    assert await rig.due(server="b", now_s=NOW_S + LEASE_S) == ["m1"]
    assert rig.row("m1").server == "b"


async def test_two_servers_never_take_the_same_message(
    rig: Rig, tmp_path: Path, database_url: str
) -> None:
    names = [f"m{number:03}" for number in range(120)]
    rig.write(*((name, f"https://h{name}.example/") for name in names))
    async with opened(tmp_path, database_url) as other:
        taken = await asyncio.gather(_all_due(rig, "a"), _all_due(other, "b"))
    assert sorted(name for of_one in taken for name in of_one) == names


async def _all_due(rig: Rig, server: str) -> Sequence[str]:
    taken = list[str]()
    while names := await rig.due(server=server):
        taken.extend(names)
    return taken


async def test_those_who_wait_longest_go_first_and_no_more_than_asked_for(rig: Rig) -> None:
    rig.write(("m3", "https://c.example/"), next_s=NOW_S - 1)
    rig.write(("m1", "https://a.example/"), next_s=NOW_S - 3)
    rig.write(("m2", "https://b.example/"), next_s=NOW_S - 2)
    assert await rig.due(limit=2) == ["m1", "m2"]
    assert await rig.due(limit=0) == []
    assert await rig.due(limit=2) == ["m3"]


async def test_one_receiver_does_not_hold_up_the_others(rig: Rig) -> None:
    """However many messages to it wait before theirs, and on whatever port it listens."""
    many = [
        (f"slow{number:04}", f"http://slow.example:{80 + number % 3}/") for number in range(1500)
    ]
    rig.write(*many, next_s=NOW_S - 10)
    rig.write(("other", "https://slow.example.org/"), ("third", "https://third.example/x"))
    assert await rig.due() == ["slow0000", "slow0001", "slow0002", "slow0003", "other", "third"]


async def test_what_is_being_sent_counts_for_its_host(rig: Rig) -> None:
    rig.write(*((f"m{number}", "https://a.example/") for number in range(5)))
    rig.write(("n", "https://b.example/"))
    assert await rig.due(sending={"a.example": 3}) == ["m0", "n"]
    assert await rig.due(sending={"a.example": 4}) == []


async def test_what_was_delivered_is_never_sent_again(rig: Rig) -> None:
    rig.write(("m1", "https://a.example/"))
    await rig.due()
    await rig.outbox.delivered("m1", NOW_S + 1)
    assert await rig.due(now_s=NOW_S + 1e9) == []
    row = rig.row("m1")
    assert (row.delivered, row.ended_s, row.attempts, row.server) == (True, NOW_S + 1, 0, None)


async def test_a_postponed_message_comes_back_with_its_attempts(rig: Rig) -> None:
    rig.write(("m1", "https://a.example/"))
    await rig.due()
    await rig.outbox.postponed("m1", NOW_S + 5, "answered 500\x00" + "x" * 1000)
    assert await rig.due(now_s=NOW_S + 4) == []
    found = await rig.outbox.due("b", 20, LEASE_S, NOW_S + 5, per_host=4, sending=NOBODY)
    assert [(delivery.id, delivery.attempts) for delivery in found] == [("m1", 1)]
    why = rig.row("m1").last_fault
    assert why.startswith("answered 500?xxx")
    assert len(why) == 500


async def test_what_was_given_up_keeps_why(rig: Rig) -> None:
    rig.write(("m1", "https://a.example/"))
    await rig.due()
    await rig.outbox.given_up("m1", "answered 410", NOW_S + 2)
    assert await rig.due(now_s=NOW_S + 1e9) == []
    row = rig.row("m1")
    assert (row.delivered, row.ended_s, row.attempts) == (False, NOW_S + 2, 1)
    assert row.last_fault == "answered 410"


async def test_a_server_that_comes_late_does_not_open_what_has_ended(rig: Rig) -> None:
    rig.write(("m1", "https://a.example/"))
    await rig.outbox.delivered("m1", NOW_S + 1)
    await rig.outbox.postponed("m1", NOW_S + 2, "no answer")
    await rig.outbox.given_up("m1", "no answer", NOW_S + 3)
    row = rig.row("m1")
    assert (row.delivered, row.ended_s, row.attempts) == (True, NOW_S + 1, 0)
    assert await rig.due(now_s=NOW_S + 1e9) == []


async def test_old_ends_are_removed_and_nothing_else(rig: Rig) -> None:
    rig.write(*((f"old{number}", "https://a.example/") for number in range(1100)))
    rig.write(("new", "https://a.example/"), ("open", "https://b.example/"))
    with rig.database.write() as connection:
        ended = webhooks.update().where(webhooks.c.id.like("old%"))
        connection.execute(ended.values(ended_s=NOW_S + 1))
    await rig.outbox.delivered("new", NOW_S + 3)
    assert await rig.outbox.remove_older(NOW_S + 2) == 1100
    assert await rig.outbox.remove_older(NOW_S + 2) == 0
    assert rig.row("new").delivered
    assert await rig.due() == ["open"]


async def test_looking_for_messages_does_not_walk_those_that_have_ended(tmp_path: Path) -> None:
    async with opened(tmp_path, "") as rig:
        asked = list[tuple[str, tuple[object, ...]]]()

        def note(*told: Any) -> None:
            if told[2].startswith("SELECT"):
                asked.append((told[2], told[3]))

        event.listen(Engine, "before_cursor_execute", note)
        try:
            assert await rig.due(sending={"a.example": 4}) == []
        finally:
            event.remove(Engine, "before_cursor_execute", note)
        [(statement, values)] = asked
        with rig.database.read() as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
    assert "USING INDEX ix_webhooks_due" in str(plan)

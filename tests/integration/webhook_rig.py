"""An outbox in a real database and a sender of what is in it, for tests."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Row, insert, select

from tests.integration.webhook_receiver import until
from voxfleet.errors import OverloadError
from voxfleet.jobs.job import Delivery
from voxfleet.jobs.job_contract import Outbox
from voxfleet.jobs.webhook_outbox import SqlOutbox
from voxfleet.jobs.webhook_sender import WebhookSender
from voxfleet.store.database import Database, open_database
from voxfleet.store.job_tables import webhooks
from voxfleet.store.write_line import WriteLine

NOW_S = 1764550000.0
KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
BODY = '{"type":"job.finished","data":{"id":"job_1","name":"会议"}}'.encode()
LOCAL = ("127.0.0.0/8", "::1/128")


@dataclass
class WebhookRig:
    database: Database
    outbox: SqlOutbox
    now_s: float = NOW_S
    written: int = 0

    def write(self, *urls: str, created_s: float = NOW_S) -> list[str]:
        names = [f"msg_{self.written + number:03}" for number in range(len(urls))]
        self.written += len(urls)
        rows = [
            {
                "id": name,
                "job_id": "job_1",
                "url": url,
                "body": BODY,
                "attempts": 0,
                "next_s": created_s,
                "created_s": created_s,
                "delivered": False,
            }
            for name, url in zip(names, urls, strict=True)
        ]
        with self.database.write() as connection:
            connection.execute(insert(webhooks), rows)
        return names

    def rows(self) -> Sequence[Row[Any]]:
        with self.database.read() as connection:
            return connection.execute(select(webhooks).order_by(webhooks.c.id)).all()

    def row(self) -> Row[Any]:
        [row] = self.rows()
        return row

    @asynccontextmanager
    async def sending(
        self,
        *,
        secret: str = SECRET,
        allowed: Sequence[str] = LOCAL,
        timeout_s: float = 5.0,
        outbox: Outbox | None = None,
    ) -> AsyncIterator[WebhookSender]:
        sender = WebhookSender(
            outbox or self.outbox, secret, allowed, timeout_s, 72, "a", lambda: self.now_s
        )
        following = asyncio.create_task(sender.follow())
        try:
            yield sender
        finally:
            await sender.stop()
            await following

    async def tried(self) -> Row[Any]:
        """The row of the only message, once an attempt has been noted."""
        await until(lambda: bool(self.row().attempts or self.row().ended_s))
        return self.row()


@asynccontextmanager
async def webhook_rig(data_dir: Path) -> AsyncIterator[WebhookRig]:
    database = await asyncio.to_thread(open_database, data_dir)
    line = WriteLine(database)
    try:
        yield WebhookRig(database, SqlOutbox(database, line))
    finally:
        await line.close()
        database.close()


@dataclass
class FailingOutbox:
    """The outbox of a database that goes away: so many looks and so many notes fail."""

    inner: Outbox
    looks: int = 0
    notes: int = 0
    failed: list[str] = field(default_factory=list)

    async def due(
        self,
        server: str,
        limit: int,
        lease_s: float,
        now_s: float,
        *,
        per_host: int,
        sending: Mapping[str, int],
    ) -> Sequence[Delivery]:
        self._fail("look", self.looks)
        return await self.inner.due(
            server, limit, lease_s, now_s, per_host=per_host, sending=sending
        )

    async def delivered(self, delivery_id: str, now_s: float) -> None:
        self._fail("note", self.notes)
        await self.inner.delivered(delivery_id, now_s)

    async def postponed(self, delivery_id: str, until_s: float, why: str) -> None:
        self._fail("note", self.notes)
        await self.inner.postponed(delivery_id, until_s, why)

    async def given_up(self, delivery_id: str, why: str, now_s: float) -> None:
        self._fail("note", self.notes)
        await self.inner.given_up(delivery_id, why, now_s)

    async def remove_older(self, before_s: float) -> int:
        return await self.inner.remove_older(before_s)

    def _fail(self, what: str, most: int) -> None:
        if self.failed.count(what) < most:
            self.failed.append(what)
            raise OverloadError("the server's database is away; try again later")

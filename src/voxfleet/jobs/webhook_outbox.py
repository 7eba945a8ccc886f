"""Webhook messages in the database: taken by one server at a time, noted when they have ended.

`job_store` writes them, in the transaction that ends their job. Knows no HTTP.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Update,
    delete,
    func,
    not_,
    or_,
    select,
    tuple_,
    update,
)

from voxfleet.jobs.job import Delivery
from voxfleet.jobs.webhook_rules import host_of
from voxfleet.store.database import Database
from voxfleet.store.job_tables import webhooks
from voxfleet.store.write_line import WriteLine

#: rows looked at and removed in one statement
_PIECE = 500
_FAULT_CHARS = 500

_row = webhooks.c


class SqlOutbox:
    """`job_contract.Outbox`."""

    def __init__(self, database: Database, line: WriteLine) -> None:
        self._database = database
        self._line = line

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
        # read first: it is asked every few seconds, also where there is never a message, and the
        # search takes a while where very many wait. Who writes is only asked what is still there
        chosen = await asyncio.to_thread(self._chosen, limit, now_s, per_host, sending)
        if not chosen:
            return ()
        return await self._line.run(
            lambda connection: _leased(connection, chosen, server, now_s, now_s + lease_s)
        )

    async def delivered(self, delivery_id: str, now_s: float) -> None:
        ended = update(webhooks).values(ended_s=now_s, delivered=True, server=None)
        await self._note(delivery_id, ended)

    async def postponed(self, delivery_id: str, until_s: float, why: str) -> None:
        again = update(webhooks).values(
            attempts=_row.attempts + 1,
            next_s=until_s,
            server=None,
            last_fault=_kept(why),
        )
        await self._note(delivery_id, again)

    async def given_up(self, delivery_id: str, why: str, now_s: float) -> None:
        ended = update(webhooks).values(
            attempts=_row.attempts + 1,
            ended_s=now_s,
            server=None,
            last_fault=_kept(why),
        )
        await self._note(delivery_id, ended)

    async def remove_older(self, before_s: float) -> int:
        removed = 0
        while True:
            piece = await self._line.run(lambda connection: _removed_piece(connection, before_s))
            removed += piece
            if piece < _PIECE:
                return removed

    def _chosen(
        self, limit: int, now_s: float, per_host: int, sending: Mapping[str, int]
    ) -> Sequence[str]:
        with self._database.read() as connection:
            return _chosen(connection, limit, now_s, per_host, sending)

    async def _note(self, delivery_id: str, change: Update) -> None:
        """What has ended stays as it ended: a server that was thought dead may come late."""
        noted = change.where(_row.id == delivery_id, _row.ended_s.is_(None))
        await self._line.run(lambda connection: connection.execute(noted).rowcount)


def _chosen(
    connection: Connection, limit: int, now_s: float, per_host: int, sending: Mapping[str, int]
) -> Sequence[str]:
    """The ids of those that have waited longest, of no host too many.

    A round leaves out the hosts that were full before: however many wait for one receiver, those
    behind them are soon reached.
    """
    taken, chosen = Counter(sending), list[str]()
    reached = (0.0, "")
    while len(chosen) < limit:
        full = [host for host, count in taken.items() if count >= per_host]
        rows = connection.execute(_waiting(now_s, full, reached)).all()
        for _, delivery_id, url in rows:
            host = host_of(url)
            if taken[host] < per_host and len(chosen) < limit:
                taken[host] += 1
                chosen.append(delivery_id)
        if len(rows) < _PIECE:
            break
        reached = (rows[-1].next_s, rows[-1].id)
    return chosen


def _waiting(
    now_s: float, full: Iterable[str], reached: tuple[float, str]
) -> Select[float, str, str]:
    return (
        select(_row.next_s, _row.id, _row.url)
        .where(_row.ended_s.is_(None), _row.next_s <= now_s)
        .where(tuple_(_row.next_s, _row.id) > reached, *(not_(_is_of(host)) for host in full))
        .order_by(_row.next_s, _row.id)
        .limit(_PIECE)
    )


def _is_of(host: str) -> ColumnElement[bool]:
    """Whether the URL, written as `checked_webhook` writes it, is of that host."""
    starts = (f"{scheme}://{host}{end}" for scheme in ("http", "https") for end in "/:")
    return or_(*(func.substr(_row.url, 1, len(start)) == start for start in starts))


def _leased(
    connection: Connection, chosen: Sequence[str], server: str, now_s: float, until_s: float
) -> Sequence[Delivery]:
    """Those that another server has not taken meanwhile."""
    asked = (
        select(_row.id, _row.job_id, _row.url, _row.body, _row.created_s, _row.attempts)
        .where(_row.id.in_(chosen), _row.ended_s.is_(None), _row.next_s <= now_s)
        .order_by(_row.next_s, _row.id)
    )
    found = [Delivery(*row) for row in connection.execute(asked)]
    leased = _row.id.in_([delivery.id for delivery in found])
    connection.execute(update(webhooks).where(leased).values(server=server, next_s=until_s))
    return found


def _removed_piece(connection: Connection, before_s: float) -> int:
    old = select(_row.id).where(_row.ended_s < before_s).order_by(_row.ended_s).limit(_PIECE)
    return connection.execute(delete(webhooks).where(_row.id.in_(old))).rowcount


def _kept(why: str) -> str:
    """PostgreSQL stores no NUL, and nobody is to read control characters from a log."""
    return "".join(char if char.isprintable() else "?" for char in why[:_FAULT_CHARS])

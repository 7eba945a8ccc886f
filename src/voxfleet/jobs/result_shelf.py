"""Stored texts by what they were made from, in the database; bounded in size and age.

Losing one costs a second recognition and nothing else. Knows no key's meaning.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from functools import partial

from sqlalchemy import Connection, delete, func, insert, select, update

from voxfleet.errors import VoxfleetError
from voxfleet.store.database import Database
from voxfleet.store.job_tables import cached_results
from voxfleet.store.write_line import WriteLine

_log = logging.getLogger(__name__)

#: a use is noted only so often: else every hit would be a write
_NOTE_EVERY_S = 3600.0
#: an hour of text with the times of its words has a little more than 1 MB
_MAX_CONTENT_BYTES = 20_000_000
#: rows dropped in one transaction, so that none is long
_PIECE = 500
_PACKED_OVER_BYTES = 1000
#: of texts in JSON, the faster levels leave a tenth more and the slower ones save a hundredth
_LEVEL = 6
#: the first byte of what is stored
_PLAIN, _PACKED = b"\x00", b"\x01"

_row = cached_results.c


class SqlResultShelf:
    """`job_contract.ResultShelf`."""

    def __init__(self, database: Database, line: WriteLine) -> None:
        self._database = database
        self._line = line

    async def find(self, key: str, now_s: float) -> bytes | None:
        stored = await asyncio.to_thread(self._stored, key)
        if stored is None:
            return None
        packed, used_s = stored
        content = await asyncio.to_thread(_unpacked, packed)
        if content is None:
            _log.warning("the stored text %s cannot be read: it is dropped and made again", key)
            await self._drop(key)
        elif now_s - used_s >= _NOTE_EVERY_S:
            await self._note_use(key, now_s)
        return content

    async def keep(self, key: str, content: bytes, now_s: float) -> None:
        if len(content) > _MAX_CONTENT_BYTES:
            return
        packed = await asyncio.to_thread(_packed, content)

        def add(connection: Connection) -> None:
            present = select(_row.key).where(_row.key == key)
            if connection.execute(present).one_or_none() is None:
                connection.execute(
                    insert(cached_results).values(
                        key=key, content=packed, bytes=len(packed), created_s=now_s, used_s=now_s
                    )
                )

        await self._line.run(add)

    async def trim(self, max_bytes: int, oldest_s: float) -> int:
        dropped = 0
        while True:
            surplus = await asyncio.to_thread(self._surplus_bytes, max_bytes)
            piece = await self._line.run(
                partial(_drop_piece, surplus_bytes=surplus, oldest_s=oldest_s)
            )
            dropped += piece
            if piece < _PIECE:
                return dropped

    def _stored(self, key: str) -> tuple[bytes, float] | None:
        asked = select(_row.content, _row.used_s).where(_row.key == key)
        with self._database.read() as connection:
            row = connection.execute(asked).one_or_none()
        return None if row is None else (bytes(row.content), row.used_s)

    def _surplus_bytes(self, max_bytes: int) -> int:
        with self._database.read() as connection:
            stored = connection.execute(select(func.sum(_row.bytes))).scalar_one()
        return (stored or 0) - max_bytes

    async def _note_use(self, key: str, now_s: float) -> None:
        """Of no weight: a text whose use was not noted is only dropped sooner."""
        used = update(cached_results).where(_row.key == key).values(used_s=now_s)
        try:
            await self._line.run(lambda connection: connection.execute(used).rowcount)
        except VoxfleetError as fault:
            _log.warning("the use of a stored text was not noted: %s", fault.message)

    async def _drop(self, key: str) -> None:
        gone = delete(cached_results).where(_row.key == key)
        await self._line.run(lambda connection: connection.execute(gone).rowcount)


def _drop_piece(connection: Connection, surplus_bytes: int, oldest_s: float) -> int:
    """The least recently used: while too many bytes are stored, and as long as they are too old."""
    longest_unused = select(_row.key, _row.bytes, _row.used_s).order_by(_row.used_s).limit(_PIECE)
    dropped = list[str]()
    for key, size, used_s in connection.execute(longest_unused):
        if surplus_bytes <= 0 and used_s >= oldest_s:
            break
        surplus_bytes -= size
        dropped.append(key)
    connection.execute(delete(cached_results).where(_row.key.in_(dropped)))
    return len(dropped)


def _packed(content: bytes) -> bytes:
    if len(content) <= _PACKED_OVER_BYTES:
        return _PLAIN + content
    return _PACKED + zlib.compress(content, _LEVEL)


def _unpacked(stored: bytes) -> bytes | None:
    """None for what was not packed here; never more than could have been kept."""
    kind, content = stored[:1], stored[1:]
    if kind == _PLAIN:
        return content
    reader = zlib.decompressobj()
    try:
        text = reader.decompress(content, _MAX_CONTENT_BYTES + 1)
    except zlib.error:
        return None
    return text if kind == _PACKED and reader.eof else None

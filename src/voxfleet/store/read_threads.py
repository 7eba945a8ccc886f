"""Reads of the database in threads of their own: one that is away takes no thread of anybody else.

Knows no table.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection

from voxfleet.errors import OverloadError
from voxfleet.store.database import Database

Found = TypeVar("Found")

_THREADS = 4
_LIMIT_S = 8.0
_AGAIN_S = 5.0


class ReadThreads:
    def __init__(self, database: Database, limit_s: float = _LIMIT_S) -> None:
        self._database = database
        self._limit_s = limit_s
        self._threads = ThreadPoolExecutor(_THREADS, "database reads")

    async def run(self, look: Callable[[Connection], Found]) -> Found:
        """What `look` gives of one state of the database; raises VoxfleetError."""
        reading = asyncio.get_running_loop().run_in_executor(self._threads, self._read, look)
        try:
            async with asyncio.timeout(self._limit_s):
                return await reading
        except TimeoutError:
            raise OverloadError(
                "the server's database does not answer; try again later", retry_after_s=_AGAIN_S
            ) from None

    def _read(self, look: Callable[[Connection], Found]) -> Found:
        with self._database.read() as connection:
            return look(connection)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

"""Writes to the database in a line: one thread takes all that wait into one transaction.

One flush to the disk serves many, and no writer starves another. Knows no table.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

from voxfleet.errors import OverloadError, VoxfleetError
from voxfleet.store.database import Database

Done = TypeVar("Done")

_MOST_TOGETHER = 64
_MOST_WAITING = 2_000
#: a database that is away is not waited for by whoever asked; what is running then may still be
#: done, as with any answer that is lost
_LIMIT_S = 8.0
_AGAIN_S = 5.0


class _Order(Generic[Done]):
    """What is to be done, and what came of it: `fault` where it failed."""

    def __init__(self, do: Callable[[Connection], Done], loop: asyncio.AbstractEventLoop) -> None:
        self.answer: asyncio.Future[Done] = loop.create_future()
        self._do = do
        self._done: list[Done] = []
        self.fault: Exception | None = None

    def run(self, connection: Connection) -> None:
        """In a savepoint of its own, so that its failing undoes nothing else."""
        self._done.clear()
        try:
            with connection.begin_nested():
                self._done.append(self._do(connection))
        except IntegrityError as fault:
            self.fault = fault
        except DBAPIError:
            # the database's own: nothing of the transaction is sure any more
            raise
        except Exception as fault:  # noqa: BLE001  (it is its caller's, and nobody else's)
            self.fault = fault

    def settle(self) -> None:
        if self.answer.done():
            return
        if self.fault is not None:
            self.answer.set_exception(self.fault)
        else:
            self.answer.set_result(self._done[0])


class WriteLine:
    """Belongs to one event loop."""

    def __init__(self, database: Database, limit_s: float = _LIMIT_S) -> None:
        self._database = database
        self._limit_s = limit_s
        self._thread = ThreadPoolExecutor(1, "database writes")
        self._waiting: deque[_Order[object]] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._closed = False

    async def run(self, do: Callable[[Connection], Done]) -> Done:
        """What `do` gives, once it is on the disk; whatever it raises undoes it alone.

        It may run twice where the first transaction failed: it may change nothing but the database.
        """
        if self._closed:
            raise OverloadError("the server is stopping; try again later", retry_after_s=_AGAIN_S)
        if len(self._waiting) >= _MOST_WAITING:
            raise OverloadError(
                "too many changes wait for the server's database; try again later",
                retry_after_s=_AGAIN_S,
            )
        order = _Order(do, asyncio.get_running_loop())
        self._waiting.append(order)  # type: ignore[arg-type]  # its answer is its caller's alone
        if self._worker is None:
            self._worker = asyncio.create_task(self._work(), name="database writes")
        try:
            async with asyncio.timeout(self._limit_s):
                return await order.answer
        except TimeoutError:
            raise OverloadError(
                "the server's database does not answer; try again later", retry_after_s=_AGAIN_S
            ) from None

    async def close(self) -> None:
        """What was accepted is done first, for a while; nothing more is accepted."""
        self._closed = True
        if self._worker:
            await asyncio.wait({self._worker}, timeout=self._limit_s)
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while orders := self._next():
                await loop.run_in_executor(self._thread, self._together, orders)
                for order in orders:
                    order.settle()
        finally:
            self._worker = None

    def _next(self) -> list[_Order[object]]:
        """Nobody waits any more for those whose callers were cancelled or out of time."""
        taken: list[_Order[object]] = []
        while self._waiting and len(taken) < _MOST_TOGETHER:
            order = self._waiting.popleft()
            if not order.answer.done():
                taken.append(order)
        return taken

    def _together(self, orders: list[_Order[object]]) -> None:
        try:
            with self._database.write() as connection:
                for order in orders:
                    order.run(connection)
        except VoxfleetError as fault:
            for order in orders:
                order.fault = fault
        except Exception as fault:  # noqa: BLE001  (each caller is told; the line goes on)
            for order in orders:
                order.fault = fault

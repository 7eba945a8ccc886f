"""Time that passes only when a test says so, and those who sleep in it."""

from __future__ import annotations

import asyncio
import heapq
import itertools


class HandTime:
    def __init__(self) -> None:
        self.now_s = 1000.0
        self._numbers = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def clock(self) -> float:
        return self.now_s

    async def sleep(self, delay_s: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now_s + delay_s, next(self._numbers), woken))
        await woken

    async def settle(self) -> None:
        """Until everybody waits for time to pass, or for the test."""
        for _ in range(30):
            await asyncio.sleep(0)

    async def advance(self, by_s: float) -> None:
        end_s = self.now_s + by_s
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= end_s:
            self.now_s, _, woken = heapq.heappop(self._sleepers)
            # one that was cancelled sleeps no more
            if not woken.done():
                woken.set_result(None)
                await self.settle()
        self.now_s = end_s

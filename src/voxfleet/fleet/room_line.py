"""The line of those who wait for a free worker: first come, first served. Knows no process."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from voxfleet.errors import NotReadyError
from voxfleet.fleet.worker_slot import WorkerSlot
from voxfleet.pool_contract import Room

_Waiter = tuple["asyncio.Future[Room]", frozenset[str]]


def choose(
    slots: Iterable[WorkerSlot],
    avoid: frozenset[str],
    burden: Callable[[WorkerSlot], float] = lambda _: 0.0,
) -> WorkerSlot | None:
    """A free worker, one outside `avoid` where there is a choice; then the least burdened.

    Of equals, whose turn is longest ago: where little is asked, the first would do all of it, and
    nobody would know of the others whether they still can.
    """
    free = [slot for slot in slots if slot.free]

    def order(slot: WorkerSlot) -> tuple[bool, float, int]:
        return slot.id in avoid, burden(slot), slot.last_promise

    return min(free, key=order, default=None)


class RoomLine:
    """`promise` makes a free worker's room, `burden` says which of several goes last."""

    def __init__(
        self,
        slots: Callable[[], Iterable[WorkerSlot]],
        promise: Callable[[WorkerSlot], Room],
        burden: Callable[[WorkerSlot], float] = lambda _: 0.0,
    ) -> None:
        self._slots = slots
        self._promise = promise
        self._burden = burden
        self._waiters: deque[_Waiter] = deque()
        self._promises = 0

    async def wait(self, avoid: frozenset[str]) -> Room:
        waiter: asyncio.Future[Room] = asyncio.get_running_loop().create_future()
        self._waiters.append((waiter, avoid))
        self.serve()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                # granted and cancelled in the same step: nobody will use this room
                self.release(waiter.result())
            raise

    def release(self, room: Room) -> None:
        """Take a promise back; a room that is not promised any more is left alone."""
        for slot in self._slots():
            if slot.room is room:
                slot.room = None
        self.serve()

    def serve(self) -> None:
        """Give rooms to whoever is first, as long as there are both."""
        while self._waiters:
            waiter, avoid = self._waiters[0]
            slot = None if waiter.done() else choose(self._slots(), avoid, self._burden)
            if slot is None and not waiter.done():
                return
            self._waiters.popleft()
            if slot is not None:
                self._promises += 1
                slot.last_promise = self._promises
                waiter.set_result(self._promise(slot))

    def refuse(self, reason: str) -> None:
        """Send everybody away: no room will come."""
        while self._waiters:
            waiter, _ = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(NotReadyError(reason))

"""The life of a server: what is started and stopped in which order, and what a signal begins.

Knows what its parts can do; not what they are made of.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from voxfleet.errors import VoxfleetError
from voxfleet.pool_contract import FleetControl

logger = logging.getLogger(__name__)

_BEGIN_AGAIN_S = 5.0


class Listens(Protocol):
    async def serve(self) -> None:
        """Returns when it was told to stop and requests have ended."""
        ...

    def stop(self) -> None: ...


class Computes(Protocol):
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    @property
    def fleet(self) -> FleetControl: ...


class Follows(Protocol):
    async def follow(self) -> None:
        """For ever: looks now and then at something that changes."""
        ...


async def live(
    server: Listens, service: Computes, watches: Sequence[Follows], on_ready: Callable[[], object]
) -> None:
    """Until the server was told to stop; raises StartError when there is nothing to serve.

    `on_ready` is called once, when requests can be answered.
    """
    watching = [asyncio.create_task(_kept(watch)) for watch in watches]
    serving = asyncio.create_task(server.serve(), name="http server")
    starting = asyncio.create_task(service.start(), name="service start")
    try:
        # a stop signal while the models load ends `serving` first
        await asyncio.wait({serving, starting}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            on_ready()
        await serving
    finally:
        # stopping, in order: accept nothing new and let requests finish, then decoding and models
        server.stop()
        await asyncio.gather(serving, return_exceptions=True)
        for task in (starting, *watching):
            task.cancel()
        await asyncio.gather(starting, *watching, return_exceptions=True)
        await service.stop()


async def _kept(watch: Follows) -> None:
    """One that fails in a way nobody foresaw is begun again: it must not stop unseen."""
    while True:
        try:
            await watch.follow()
        except Exception:
            logger.exception("%s failed and is begun again", type(watch).__name__)
        await asyncio.sleep(_BEGIN_AGAIN_S)


class Reloads:
    """Reloads that a signal asks for; nobody waits for them, so the log is told how they went."""

    def __init__(self, service: Computes) -> None:
        self._service = service
        self._running: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        task = asyncio.create_task(self._reload(), name="reload by signal")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _reload(self) -> None:
        try:
            await self._service.fleet.reload()
        except VoxfleetError as fault:
            logger.error("reload: %s; nothing was changed", fault.message)

    async def follow(self) -> None:
        """Ends with the server, and takes along what has not ended by then."""
        try:
            await asyncio.Event().wait()
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

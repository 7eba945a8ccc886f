"""Work for a client that may go away: it is cancelled as soon as nobody waits for it.

Knows ASGI's `receive` and tasks; knows nothing of what is computed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

from voxfleet.errors import CancelledError

T = TypeVar("T")


async def unless_client_leaves(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`; the request's body must have been read to its end before."""
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_client_left(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise CancelledError("the client went away before its answer was ready")
    finally:
        await _end(working)
        await _end(leaving)


async def _client_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _end(task: asyncio.Task[Any]) -> None:
    """Cancel and see it out, so that whatever the task holds is free before we go on."""
    if not task.done():
        task.cancel()
        await asyncio.wait({task})
    if not task.cancelled():
        task.exception()  # taken, so that asyncio does not report it as forgotten

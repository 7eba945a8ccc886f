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
    """The result of `work`; the request's body must have been read to its end before.

    The work stays in the caller's task, as one of its own would cost every request more turns of
    the loop; only the watch is one, and it cancels the caller.
    """
    caller = _Caller()
    watch = asyncio.create_task(_client_left(receive))
    watch.add_done_callback(caller.leave)
    try:
        return await work
    except asyncio.CancelledError:
        if caller.was_left():
            raise CancelledError("the client went away before its answer was ready") from None
        raise
    finally:
        caller.done = True
        await seen_out(watch)


class _Caller:
    """The task that works for a client, which may be cancelled by others too."""

    def __init__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can work for a client")
        self._task = task
        self._cancelled_before = task.cancelling()
        self._left = False
        self.done = False

    def leave(self, watch: asyncio.Task[None]) -> None:
        # a watch that is cancelled or fails has seen nobody leave
        saw_it = not watch.cancelled() and watch.exception() is None
        # who is being cancelled already cleans up and is not disturbed in it
        if saw_it and not self.done and self._task.cancelling() == self._cancelled_before:
            self._left = True
            self._task.cancel()

    def was_left(self) -> bool:
        """Whether it was cancelled for that reason alone: others who cancel it go first."""
        return self._left and self._task.uncancel() <= self._cancelled_before


async def _client_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def seen_out(task: asyncio.Future[Any]) -> None:
    """Cancel and see it out, so that whatever the task holds is free before we go on."""
    if not task.done():
        task.cancel()
        await asyncio.wait({task})
    if not task.cancelled():
        task.exception()  # taken, so that asyncio does not report it as forgotten

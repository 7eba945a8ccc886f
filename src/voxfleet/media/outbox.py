"""What is to be told to the media processes, sent in order by one loop.

Knows what can be sent, not what it means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from voxfleet.wire.channel import Hub
from voxfleet.wire.messages import ToChild


class Outbox:
    """`unsendable` hears of a message that cannot be encoded; those after it are sent all the same.

    It is given the name of the process, the message and the fault.
    """

    def __init__(self, unsendable: Callable[[str, ToChild, Exception], None]) -> None:
        self._unsendable = unsendable
        self._messages: asyncio.Queue[tuple[str, ToChild]] = asyncio.Queue()

    def put(self, name: str, message: ToChild) -> None:
        self._messages.put_nowait((name, message))

    async def send_all(self, hub: Hub) -> None:
        """For ever; whatever is for a process that has ended is dropped."""
        while True:
            name, message = await self._messages.get()
            try:
                await hub.send(name, message)
            except (TypeError, ValueError, OverflowError) as fault:
                self._unsendable(name, message, fault)

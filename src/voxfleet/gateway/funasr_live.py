"""One live file of FunASR's protocol: its sound into a session, and what is heard to the client.

Knows sessions and answers; knows no message of a client.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from voxfleet.errors import CancelledError, VoxfleetError
from voxfleet.gateway.api_schemas import JsonObject
from voxfleet.gateway.funasr_answers import LiveAnswers
from voxfleet.transcribe.session_contract import Ending, RealtimeSession

Tell = Callable[[JsonObject], Awaitable[None]]


class LiveFile:
    """`ending` is why the server ended the session, where it did."""

    def __init__(self, session: RealtimeSession, answers: LiveAnswers, tell: Tell) -> None:
        self._session = session
        self._answers = answers
        self._tell = tell
        self.ending: str | None = None

    async def run(self, sound: AsyncIterator[bytes]) -> VoxfleetError | None:
        """All of it heard and told, but for the last answer; gives the fault that ended it early.

        Raises CancelledError when the client goes away.
        """
        telling = asyncio.create_task(self._tell_all())
        feeding = asyncio.create_task(self._feed_all(sound))
        try:
            await asyncio.wait({telling, feeding}, return_when=asyncio.FIRST_COMPLETED)
            if not feeding.done():
                telling.result()
                return None
            fault = feeding.result()
            await telling
            return fault
        finally:
            for task in (telling, feeding):
                task.cancel()
            await asyncio.wait({telling, feeding})
            for task in (telling, feeding):
                if not task.cancelled():
                    task.exception()  # taken, so that asyncio does not report it as forgotten

    async def _feed_all(self, sound: AsyncIterator[bytes]) -> VoxfleetError | None:
        fault: VoxfleetError | None = None
        try:
            async for piece in sound:
                await self._session.feed(piece)
        except CancelledError:
            raise
        except VoxfleetError as broken:
            # what was heard before is still finished
            fault = broken
        self._answers.sound_ended()
        await self._session.finish()
        return fault

    async def _tell_all(self) -> None:
        async for event in self._session.events():
            if isinstance(event, Ending):
                self.ending = event.reason
            for answer in self._answers.of(event):
                await self._tell(answer)

"""A transcript as an answer that is sent while it is still being recognised.

The answer begins with the first text, or after 15 s without any: what fails before has its status,
what fails later is told in an `error` event, the last one. Holds the request's place and its file
until it ends.
"""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import AsyncExitStack

from fastapi.responses import Response
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from voxfleet.errors import CancelledError, NotReadyError, VoxfleetError
from voxfleet.gateway.event_stream import KEEP_ALIVE_S, EventStream
from voxfleet.gateway.file_transcriber import FileOrder, FileTranscriber
from voxfleet.gateway.http_errors import (
    answer_voxfleet_error,
    error_body,
    internal_error,
    request_id_of,
    warning_headers,
)
from voxfleet.transcribe.stream_events import delta_event, done_event
from voxfleet.transcribe.transcript_stream import TextDelta

logger = logging.getLogger(__name__)

#: what the last event may take beyond the time that the request itself is allowed
_LAST_WORDS_S = 5.0


class TranscriptEvents(Response):
    def __init__(
        self, transcriber: FileTranscriber, request: Request, order: FileOrder, held: AsyncExitStack
    ) -> None:
        super().__init__()
        self._transcriber = transcriber
        self._request = request
        self._order = order
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        # `receive` is not for us: the transcriber watches the request it has for the client's end
        async with self._held:
            events = EventStream(send, warning_headers(self._order.warnings), KEEP_ALIVE_S)
            try:
                async with asyncio.timeout(self._limit_s()):
                    await self._answer(events)
            except TimeoutError:
                self._give_up(events)
            except asyncio.CancelledError:
                if not events.started:
                    raise
                # not raised on: this event is all that was left for the task to do
                await self._tell_of_the_end(events)

    def _limit_s(self) -> float | None:
        timeout_s = self._order.task.timeout_s
        return None if timeout_s is None else timeout_s + _LAST_WORDS_S

    async def _answer(self, events: EventStream) -> None:
        try:
            await self._transcript(events)
        except CancelledError:
            if not events.started:
                raise
            # nobody is there to be told
            return
        except VoxfleetError as error:
            if not events.started:
                raise
            await events.say(await self._told(error))
        except Exception:
            if events.started:
                await events.say(error_body(internal_error(request_id_of(self._request))))
            raise
        await events.end()

    async def _transcript(self, events: EventStream) -> None:
        with_log_probs = self._order.style.log_probs
        teller = _Teller(events, with_log_probs)
        async with events.kept_alive():
            transcription = await self._transcriber.answer(self._request, self._order, teller)
        await events.say(done_event(transcription, with_log_probs=with_log_probs))

    async def _told(self, error: VoxfleetError) -> dict[str, object]:
        """In the words, and with the line in the log, of an answer that is not streamed."""
        answer = await answer_voxfleet_error(self._request, error)
        body: dict[str, object] = json.loads(bytes(answer.body))
        return body

    def _give_up(self, events: EventStream) -> None:
        """Of a client that does not read: what it has not taken by now is dropped."""
        if not events.started:
            raise TimeoutError("a transcript was not begun in time; please report this")
        logger.warning(
            "request %s: its client does not read the answer; closing",
            request_id_of(self._request),
        )

    async def _tell_of_the_end(self, events: EventStream) -> None:
        stopping = NotReadyError("the server is stopping; send the request again")
        try:
            async with asyncio.timeout(_LAST_WORDS_S):
                await events.say(error_body(stopping))
                await events.end()
        except TimeoutError:
            self._give_up(events)


class _Teller:
    """Sends the text to the client as it grows."""

    def __init__(self, events: EventStream, with_log_probs: bool) -> None:
        self._events = events
        self._with_log_probs = with_log_probs

    async def said(self, delta: TextDelta) -> None:
        await self._events.say(delta_event(delta, with_log_probs=self._with_log_probs))

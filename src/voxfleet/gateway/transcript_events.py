"""A transcript as an answer that is sent while it is still being recognised.

The answer begins with the first text, or after 15 s without any: what fails before has its status,
what fails later is told in an `error` event, the last one, and noted for whoever counts requests.
Holds the request's place and its file until it ends.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial

from fastapi.responses import Response
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from voxfleet.core import Transcription
from voxfleet.errors import CancelledError, DeadlineError, NotReadyError, VoxfleetError
from voxfleet.gateway.event_stream import KEEP_ALIVE_S, EventStream, frame
from voxfleet.gateway.file_transcriber import FileOrder, FileTranscriber
from voxfleet.gateway.http_errors import (
    answer_voxfleet_error,
    error_body,
    request_id_of,
    warning_headers,
)
from voxfleet.gateway.long_answers import written
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
                async with asyncio.timeout(self._limit_s()) as limit:
                    await self._answer(events)
            except TimeoutError:
                if not limit.expired():
                    raise
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
        except CancelledError as error:
            if not events.started:
                raise
            # nobody is there to be told
            self._note(error.code, error.status)
            return
        except Exception as error:
            if not events.started:
                raise
            await events.say(await self._told(_foreseen(error)))
        await events.end()

    async def _transcript(self, events: EventStream) -> None:
        with_log_probs = self._order.style.log_probs
        teller = _Teller(events, with_log_probs)
        async with events.kept_alive():
            transcription = await self._transcriber.answer(self._request, self._order, teller)
        last = partial(_last_frame, transcription, with_log_probs)
        await events.pass_on(await written(transcription, last))

    async def _told(self, error: VoxfleetError) -> Mapping[str, object]:
        """In the words, and with the line in the log, of an answer that is not streamed."""
        answer = await answer_voxfleet_error(self._request, error)
        body: dict[str, dict[str, str]] = json.loads(bytes(answer.body))
        self._note(body["error"]["code"], answer.status_code)
        return body

    def _note(self, code: str, status: int) -> None:
        """What came of a request whose status says that all is well; the first fault counts."""
        state = self._request.scope.setdefault("state", {})
        if state.get("error_code") in (None, DeadlineError.code):
            # a time that passes while a client does not read is that client's doing
            state["error_code"], state["outcome_status"] = code, status

    def _give_up(self, events: EventStream) -> None:
        """Of a client that does not read: what it has not taken by now is dropped."""
        if not events.started:
            raise TimeoutError("a transcript was not begun in time; please report this")
        logger.warning(
            "request %s: its client does not read the answer; closing",
            request_id_of(self._request),
        )
        self._note(CancelledError.code, CancelledError.status)

    async def _tell_of_the_end(self, events: EventStream) -> None:
        stopping = NotReadyError("the server is stopping; send the request again")
        self._note(stopping.code, stopping.status)
        try:
            async with asyncio.timeout(_LAST_WORDS_S):
                await events.say(error_body(stopping))
                await events.end()
        except TimeoutError:
            self._give_up(events)


def _last_frame(transcription: Transcription, with_log_probs: bool) -> bytes:
    return frame(done_event(transcription, with_log_probs=with_log_probs))


def _foreseen(fault: Exception) -> VoxfleetError:
    """Itself, or an error of ours for the log, which shows the traceback of its cause as well."""
    if isinstance(fault, VoxfleetError):
        return fault
    error = VoxfleetError("an unforeseen fault in the middle of a streamed answer")
    error.__cause__ = fault
    return error


class _Teller:
    """Sends the text to the client as it grows."""

    def __init__(self, events: EventStream, with_log_probs: bool) -> None:
        self._events = events
        self._with_log_probs = with_log_probs

    async def said(self, delta: TextDelta) -> None:
        await self._events.say(delta_event(delta, with_log_probs=self._with_log_probs))

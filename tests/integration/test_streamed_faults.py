"""What fails behind the first text of a stream is counted, traced and logged like any other fault.

The client has seen a 200 by then: only the server can tell.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message

from tests.integration.standin_service import FILE, TRANSCRIBE, StandInService
from tests.integration.test_streamed_answers import HELLO, STREAM, answer_of, events_of
from tests.unit.metric_pages import Values, counted, sample
from tests.unit.test_request_meter import SpanBook
from voxfleet.core import Transcript, Transcription, TranscriptSegment, Word
from voxfleet.errors import (
    DeadlineError,
    EngineFaultError,
    PoisonError,
    RecognitionError,
    VoxfleetError,
    WorkerLostError,
)
from voxfleet.gateway.api_schemas import GatewaySettings
from voxfleet.gateway.http_app import GatewayParts, create_app
from voxfleet.observe.metrics import Metrics
from voxfleet.transcribe.stream_events import done_event
from voxfleet.transcribe.transcribe_request import TranscribeRequest

REQUESTS = "voxfleet_requests_total"
ERRORS = "voxfleet_request_errors_total"
SECONDS = "voxfleet_request_duration_seconds_count"


class Watched:
    """The app with all that watches its requests."""

    def __init__(self, service: StandInService, spool: Path) -> None:
        self.metrics = Metrics()
        self.spans = SpanBook()
        parts = GatewayParts(metrics=self.metrics, tracer=self.spans)
        self.app: FastAPI = create_app(service, GatewaySettings(spool, "9.9"), parts)

    async def stream(self) -> str:
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return (await client.post(TRANSCRIBE, files=FILE, data=STREAM)).text

    def counted(self, name: str) -> Values:
        """Under their other labels, those that have happened."""
        route = {("route", TRANSCRIBE), ("method", "POST")}
        found = counted(self.metrics).items()
        return {(key[0], key[1] - route): value for key, value in found if key[0] == name}

    def span(self) -> tuple[object, bool]:
        """Its error's type, and whether it failed."""
        [(_, facts, failed)] = self.spans.ended
        assert facts["http.response.status_code"] == 200
        return facts.get("error.type"), failed


@pytest.fixture
def watched(service: StandInService, spool: Path) -> Watched:
    service.deltas = HELLO
    return Watched(service, spool)


def access_line(caplog: pytest.LogCaptureFixture) -> str:
    [record] = [record for record in caplog.records if record.name == "voxfleet.access"]
    return record.getMessage()


async def test_a_stream_that_comes_to_its_end_is_a_success(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await watched.stream()
    assert watched.counted(REQUESTS) == {sample(REQUESTS, status="200"): 1}
    assert watched.counted(ERRORS) == {}
    assert watched.counted(SECONDS) == {sample(SECONDS, outcome="success"): 1}
    assert watched.span() == (None, False)
    assert access_line(caplog).startswith(f"POST {TRANSCRIBE}: 200 in ")


@pytest.mark.parametrize(
    ("fault", "failed"),
    [
        (RecognitionError("no text"), False),
        (PoisonError("killed it"), False),
        (WorkerLostError("lost"), True),
        (DeadlineError("late"), True),
        (EngineFaultError("no memory"), True),
        (VoxfleetError("a bug"), True),
    ],
)
async def test_a_fault_behind_the_first_text_leaves_its_trace(
    watched: Watched,
    service: StandInService,
    fault: VoxfleetError,
    failed: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    service.fault = fault
    await watched.stream()
    assert watched.counted(REQUESTS) == {sample(REQUESTS, status="200"): 1}
    assert watched.counted(ERRORS) == {sample(ERRORS, code=fault.code): 1}
    outcome = "server_error" if failed else "client_error"
    assert watched.counted(SECONDS) == {sample(SECONDS, outcome=outcome): 1}
    assert watched.span() == (fault.code, failed)
    then = f"POST {TRANSCRIBE}: 200, then {fault.status} {fault.code} in "
    assert access_line(caplog).startswith(then)
    tracebacks = [record for record in caplog.records if record.exc_info]
    assert len(tracebacks) == (fault.status == 500)


@pytest.mark.parametrize("fault", [KeyError("secret"), TimeoutError("secret")])
async def test_an_unforeseen_fault_is_told_once_and_logged_once(
    watched: Watched,
    service: StandInService,
    fault: Exception,
    caplog: pytest.LogCaptureFixture,
) -> None:
    service.fault = fault
    *_, last = events_of(await watched.stream())
    assert "error" in last
    assert watched.counted(REQUESTS) == {sample(REQUESTS, status="200"): 1}
    assert watched.counted(ERRORS) == {sample(ERRORS, code="internal_error"): 1}
    assert watched.span() == ("internal_error", True)
    [record] = [record for record in caplog.records if record.exc_info]
    assert record.exc_info
    assert record.exc_info[1] is not None
    assert record.exc_info[1].__cause__ is fault
    assert f"{type(fault).__name__}: " in caplog.text


async def test_a_stop_in_the_middle_is_none_of_the_clients_doing(
    watched: Watched, service: StandInService
) -> None:
    service.hold = True
    answered = asyncio.create_task(answer_of(watched.app))
    await service.holding.wait()
    next(task for task in asyncio.all_tasks() if task.get_name() == "the request").cancel()
    await answered
    assert watched.counted(REQUESTS) == {sample(REQUESTS, status="200"): 1}
    assert watched.counted(ERRORS) == {sample(ERRORS, code="not_ready"): 1}
    assert watched.span() == ("not_ready", True)


async def exchanged(
    app: FastAPI,
    *,
    send: Callable[[Message], Awaitable[None]],
    left: asyncio.Event,
    limit_s: bytes = b"300",
) -> None:
    """A request whose client takes what `send` takes, and stays until it has `left`."""
    asked = httpx.Request("POST", f"http://test{TRANSCRIBE}", files=FILE, data=STREAM)
    arriving: list[Message] = [{"type": "http.request", "body": asked.read(), "more_body": False}]

    async def receive() -> Message:
        if not arriving:
            await left.wait()
            return {"type": "http.disconnect"}
        return arriving.pop()

    scope = {
        "type": "http",
        "method": "POST",
        "path": TRANSCRIBE,
        "raw_path": TRANSCRIBE.encode(),
        "query_string": b"",
        "client": ("127.0.0.1", 1),
        "headers": [
            *((name.lower(), value) for name, value in asked.headers.raw),
            (b"x-request-timeout", limit_s),
        ],
    }
    await app(scope, receive, send)


@pytest.mark.parametrize(
    ("fault", "code", "outcome"),
    [
        # nothing else has gone wrong; a time that passed as nobody read; what did go wrong
        (None, "cancelled", 499),
        (DeadlineError("late"), "cancelled", 499),
        (EngineFaultError("no memory"), "engine_fault", 500),
    ],
)
async def test_who_does_not_read_is_counted_once_as_gone(
    watched: Watched,
    service: StandInService,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    fault: VoxfleetError | None,
    code: str,
    outcome: int,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("voxfleet.gateway.transcript_events._LAST_WORDS_S", 0.2)
    service.fault = fault
    taken: list[Message] = []

    async def send(message: Message) -> None:
        # the head and both texts
        if len(taken) == 3:
            await asyncio.Event().wait()
        taken.append(message)

    await exchanged(watched.app, send=send, left=asyncio.Event(), limit_s=b"0.3")
    assert watched.counted(REQUESTS) == {sample(REQUESTS, status="200"): 1}
    assert watched.counted(ERRORS) == {sample(ERRORS, code=code): 1}
    kind = "server_error" if outcome == 500 else "cancelled"
    assert watched.counted(SECONDS) == {sample(SECONDS, outcome=kind): 1}
    assert watched.span() == (code, outcome == 500)
    assert f": 200, then {outcome} {code} in " in access_line(caplog)
    assert "its client does not read the answer" in caplog.text


async def test_who_leaves_is_counted_once_as_gone(
    watched: Watched, service: StandInService, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    service.hold = True
    left = asyncio.Event()

    async def send(message: Message) -> None:
        if b"world" in message.get("body", b""):
            left.set()

    await exchanged(watched.app, send=send, left=left)
    assert watched.counted(REQUESTS) == {sample(REQUESTS, status="499"): 1}
    assert watched.counted(ERRORS) == {sample(ERRORS, code="cancelled"): 1}
    assert access_line(caplog).startswith(f"POST {TRANSCRIBE}: 499 in ")


# -- long ends --------------------------------------------------------------------------------


class LongWinded(StandInService):
    """Answers with more segments than are written at once."""

    async def transcribe(self, request: TranscribeRequest) -> Transcription:
        short = await super().transcribe(request)
        word = Word("hello", 0.0, 0.5, 0.9)
        segments = tuple(TranscriptSegment(i, i, i + 1, "hello", (word,)) for i in range(1000))
        return replace(short, transcripts=(Transcript("hello", "en", 1000.0, segments),))


async def test_others_are_answered_while_a_long_end_is_written(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, others_answered = threading.Event(), threading.Event()

    def written_slowly(transcription: Transcription, *, with_log_probs: bool) -> object:
        writing.set()
        assert others_answered.wait(5)
        return done_event(transcription, with_log_probs=with_log_probs)

    monkeypatch.setattr("voxfleet.gateway.transcript_events.done_event", written_slowly)
    transport = httpx.ASGITransport(create_app(LongWinded(), GatewaySettings(spool, "9.9")))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        form = STREAM | {"include[]": "logprobs"}
        asked = asyncio.create_task(client.post(TRANSCRIBE, files=FILE, data=form))
        assert await asyncio.to_thread(writing.wait, 5)
        assert (await client.get("/livez")).status_code == 200
        others_answered.set()
        [done] = events_of((await asked).text)
    assert done["type"] == "transcript.text.done"
    assert len(done["logprobs"]) == 1000  # type: ignore[arg-type]

"""A streamed answer on the wire: its frames, faults before and after, clients that leave."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message

from tests.integration.standin_service import FILE, TRANSCRIBE, StandInService, fault_of, served
from voxfleet.core import Word
from voxfleet.errors import (
    AudioTooLongError,
    CorruptAudioError,
    DeadlineError,
    EngineFaultError,
    NotAudioError,
    OverloadError,
    PoisonError,
    VoxfleetError,
    WorkerLostError,
)
from voxfleet.gateway.api_schemas import GatewaySettings
from voxfleet.gateway.http_app import create_app
from voxfleet.transcribe.transcript_stream import TextDelta

STREAM = {"stream": "true"}
HELLO = (
    TextDelta("hello", (Word("hello", 0.25, 0.5, 0.9),)),
    TextDelta(" world", (Word("world", 0.75, 1.0, 0.8),)),
)
DONE = {
    "type": "transcript.text.done",
    "text": "hello world",
    "duration": 1.5,
    "warnings": ["14 bytes"],
}
DELTAS: list[dict[str, object]] = [
    {"type": "transcript.text.delta", "delta": "hello"},
    {"type": "transcript.text.delta", "delta": " world"},
]


def events_of(text: str) -> list[dict[str, object]]:
    assert text.endswith("\n\n")
    frames = [line for line in text.split("\n\n") if line]
    assert all(frame.startswith("data: ") for frame in frames)
    return [json.loads(frame.removeprefix("data: ")) for frame in frames]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("wanted", ["json", "text", "verbose_json"])
async def test_text_comes_as_events_and_then_its_end(
    client: httpx.AsyncClient, service: StandInService, wanted: str
) -> None:
    service.deltas = HELLO
    form = STREAM | {"response_format": wanted}
    response = await client.post(TRANSCRIBE, files=FILE, data=form)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["x-request-id"] == service.asked[0].id
    assert events_of(response.text) == [*DELTAS, DONE]
    assert service.places == 0


async def test_what_is_told_beside_the_text(
    client: httpx.AsyncClient, service: StandInService
) -> None:
    service.deltas = HELLO
    form = STREAM | {"include[]": "logprobs", "known_speaker_names[]": "ann"}
    response = await client.post(TRANSCRIBE, files=FILE, data=form)
    first, second, done = events_of(response.text)
    assert service.asked[0].recognition.word_times
    assert [entry["token"] for entry in first["logprobs"]] == ["hello"]  # type: ignore[attr-defined]
    assert done["logprobs"] == first["logprobs"] + second["logprobs"]  # type: ignore[operator]
    notes = [note.split(":")[0] for note in done["warnings"]]  # type: ignore[attr-defined]
    assert notes == ["14 bytes", "known_speaker_names"]
    # what is known before the text is in the head, too
    assert response.headers["x-voxfleet-warnings"].startswith("known_speaker_names: ")


async def test_a_model_without_words_has_no_log_probabilities(
    client: httpx.AsyncClient, service: StandInService
) -> None:
    form = {"model": "org/plain", "include[]": "logprobs"}
    answer = (await client.post(TRANSCRIBE, files=FILE, data=form)).json()
    assert not service.asked[0].recognition.word_times
    assert answer["warnings"][1].startswith("include: no log probabilities, as the model org/plain")


@pytest.mark.parametrize(
    "fault",
    [
        AudioTooLongError("long"),
        NotAudioError("no sound"),
        CorruptAudioError("broken"),
        OverloadError("full"),
        DeadlineError("late"),
    ],
)
async def test_what_fails_before_the_first_text_has_its_status(
    client: httpx.AsyncClient, service: StandInService, fault: VoxfleetError
) -> None:
    service.fault = fault
    response = await client.post(TRANSCRIBE, files=FILE, data=STREAM)
    assert fault_of(response)[:2] == (fault.status, fault.code)
    assert service.places == 0


async def test_no_place_no_stream(client: httpx.AsyncClient, service: StandInService) -> None:
    service.refusal = OverloadError("full", retry_after_s=3)
    response = await client.post(TRANSCRIBE, files=FILE, data=STREAM)
    assert (response.status_code, response.headers["retry-after"]) == (503, "3")


@pytest.mark.parametrize(
    "fault",
    [
        DeadlineError("late"),
        WorkerLostError("lost"),
        PoisonError("killed it", param="file"),
        EngineFaultError("out of memory"),
    ],
)
async def test_what_fails_later_is_the_last_event(
    client: httpx.AsyncClient, service: StandInService, fault: VoxfleetError
) -> None:
    service.deltas, service.fault = HELLO, fault
    response = await client.post(TRANSCRIBE, files=FILE, data=STREAM)
    assert response.status_code == 200
    *deltas, last = events_of(response.text)
    assert deltas == DELTAS
    error = last["error"]
    assert isinstance(error, dict)
    assert (error["code"], error["message"], error["param"]) == (
        fault.code,
        fault.message,
        fault.param,
    )
    assert set(error) == {"message", "type", "param", "code"}
    assert service.places == 0


@pytest.mark.parametrize("fault", [KeyError("secret"), VoxfleetError("secret")])
async def test_an_unforeseen_fault_is_logged_and_not_told(
    app: FastAPI, service: StandInService, fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    service.deltas, service.fault = HELLO, fault
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        with caplog.at_level(logging.ERROR):
            response = await client.post(TRANSCRIBE, files=FILE, data=STREAM)
    error = events_of(response.text)[-1]["error"]
    assert isinstance(error, dict)
    assert error["code"] == "internal_error"
    assert "secret" not in response.text
    assert "secret" in caplog.text


# -- ends -------------------------------------------------------------------------------------


@pytest.fixture
def address(service: StandInService, spool: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr("voxfleet.gateway.transcript_events._LAST_WORDS_S", 0.2)
    settings = GatewaySettings(spool, "9.9", request_timeout_s=0.5)
    with served(create_app(service, settings)) as url:
        yield url


def files_in(spool: Path) -> int:
    return len(list(spool.iterdir())) if spool.exists() else 0


def test_who_leaves_ends_the_work_and_frees_the_place(service: StandInService, spool: Path) -> None:
    service.deltas, service.hold = HELLO, True
    with served(create_app(service, GatewaySettings(spool, "9.9"))) as url:
        asked = httpx.stream("POST", url + TRANSCRIBE, files=FILE, data=STREAM, timeout=10)
        with asked as response:
            text = response.iter_text()
            assert "hello" in next(text)
            # the request lives on: so do its place and its file
            assert (service.places, files_in(spool)) == (1, 1)
            assert not service.cancelled.is_set()
        assert service.cancelled.wait(timeout=10)
        wait_until(lambda: service.places == 0 and files_in(spool) == 0)
        service.hold = False
        assert httpx.post(url + TRANSCRIBE, files=FILE, data=STREAM).status_code == 200


class Taken:
    """Large texts without end; how many of them were sent."""

    def __init__(self) -> None:
        self.count = 0

    def __iter__(self) -> Iterator[TextDelta]:
        while True:
            self.count += 1
            yield TextDelta("x" * 100_000)


def test_who_does_not_read_is_given_up_and_fills_no_memory(
    address: str, service: StandInService, spool: Path
) -> None:
    service.deltas = taken = Taken()
    parts = urlsplit(address)
    sent = httpx.Request("POST", address + TRANSCRIBE, files=FILE, data=STREAM)
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.headers.items())
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as client:
        client.sendall(f"POST {TRANSCRIBE} HTTP/1.1\r\n{head}\r\n".encode() + sent.read())
        wait_until(lambda: taken.count > 0)
        wait_until(lambda: service.places == 0 and files_in(spool) == 0)
        # what the kernel's buffers on both sides hold, and no more
        assert taken.count < 200
        with suppress(ConnectionError):
            while client.recv(1_000_000):
                pass


async def test_a_stopping_server_says_so(app: FastAPI, service: StandInService) -> None:
    service.deltas, service.hold = HELLO, True
    answered = asyncio.create_task(answer_of(app))
    await service.holding.wait()
    app_task = next(task for task in asyncio.all_tasks() if task.get_name() == "the request")
    app_task.cancel()
    sent = await answered
    body = b"".join(message.get("body", b"") for message in sent)
    error = events_of(body.decode())[-1]["error"]
    assert isinstance(error, dict)
    assert error["code"] == "not_ready"
    assert sent[-1]["more_body"] is False
    assert (service.cancelled.is_set(), service.places) == (True, 0)


async def answer_of(app: FastAPI) -> list[Message]:
    """All that the app sends to a client that stays."""
    asked = httpx.Request("POST", f"http://test{TRANSCRIBE}", files=FILE, data=STREAM)
    messages: list[Message] = [
        {"type": "http.request", "body": asked.read(), "more_body": False},
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        if messages:
            return messages.pop()
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": TRANSCRIBE,
        "raw_path": TRANSCRIBE.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "server": ("test", 80),
        "client": ("127.0.0.1", 1),
        "headers": [(name.lower(), value) for name, value in asked.headers.raw],
    }
    await asyncio.create_task(app(scope, receive, send), name="the request")
    return sent

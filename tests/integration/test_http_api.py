"""The routes over ASGI: what is answered, what is refused, and that no upload stays behind."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from tests.integration.standin_service import StandInService, digest
from voxfleet.core import ChannelMode, RawPcm
from voxfleet.errors import CorruptAudioError, OverloadError, VoxfleetError
from voxfleet.gateway.api_schemas import GatewaySettings
from voxfleet.gateway.http_app import create_app

SOUND = b"RIFF and so on"
FILE = {"file": ("talk.wav", SOUND)}
TRANSCRIBE = "/v1/audio/transcriptions"


@pytest.fixture
def service() -> StandInService:
    return StandInService()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Path]:
    """Where uploads lie; after every test there must be none left."""
    folder = tmp_path / "uploads"
    yield folder
    assert not folder.exists() or list(folder.iterdir()) == []


@pytest.fixture
def app(service: StandInService, spool: Path) -> FastAPI:
    return create_app(service, GatewaySettings(spool, "9.9", max_upload_mb=2, upload_stall_s=0.2))


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as made:
        yield made


def fault_of(response: httpx.Response) -> tuple[int, str | None, str | None]:
    """Status, code and param of an answer that must be a well-formed error."""
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"].isprintable()
    assert response.headers["x-request-id"]
    return response.status_code, error["code"], error["param"]


async def test_every_byte_of_a_file_arrives(
    client: httpx.AsyncClient, service: StandInService
) -> None:
    sound = os.urandom(1_900_001)
    response = await client.post(TRANSCRIBE, files={"file": ("a.mp3", sound)})
    assert (response.status_code, service.heard) == (200, [digest(sound)])
    assert response.json()["text"] == "hello world"


async def test_the_upload_is_for_its_owner_only(
    client: httpx.AsyncClient, service: StandInService, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []
    opened = os.open

    def noting(path: str | Path, flags: int, mode: int = 0o777) -> int:
        modes.append(mode)
        return opened(path, flags, mode)

    monkeypatch.setattr("voxfleet.gateway.uploads.os.open", noting)
    assert (await client.post(TRANSCRIBE, files=FILE)).status_code == 200
    assert modes == [0o600]


async def test_a_hostile_file_name_names_no_path(
    client: httpx.AsyncClient, service: StandInService, spool: Path
) -> None:
    files = {"file": ("../../evil\n.wav", SOUND)}
    assert (await client.post(TRANSCRIBE, files=files)).status_code == 200
    asked = service.asked[0]
    assert asked.path.parent == spool
    assert asked.path.suffix == ".upload"
    assert "/" not in asked.name


@pytest.mark.parametrize(
    ("form", "body"),
    [
        ({}, '"text": "hello world"'),
        ({"response_format": "text"}, "hello world\n"),
        ({"response_format": "srt"}, "00:00:00,250 --> 00:00:01,000"),
        ({"response_format": "vtt"}, "WEBVTT"),
        ({"response_format": "tsv"}, "250\t1000\thello world"),
        ({"response_format": "verbose_json"}, '"no_speech_prob": 0.01'),
    ],
)
async def test_formats(client: httpx.AsyncClient, form: dict[str, str], body: str) -> None:
    response = await client.post(TRANSCRIBE, files=FILE, data=form)
    assert response.status_code == 200
    assert body in response.text


async def test_options_reach_the_service(
    client: httpx.AsyncClient, service: StandInService
) -> None:
    form = {
        "channel": "split",
        "input_format": "pcm_mulaw",
        "sample_rate": "8000",
        "language": "zh-CN",
        "surprise": "ignored",
    }
    assert (await client.post(TRANSCRIBE, files=FILE, data=form)).status_code == 200
    asked = service.asked[0]
    assert asked.audio.channel is ChannelMode.SPLIT
    assert asked.audio.raw_pcm == RawPcm("mulaw", 8000, 1)
    assert (asked.recognition.language, asked.timeout_s) == ("zh", 300)


async def test_hotwords_a_model_cannot_use_are_told(
    client: httpx.AsyncClient, service: StandInService
) -> None:
    form = {"model": "org/plain", "hotwords": "a b", "prompt": "Acme"}
    answer = (await client.post(TRANSCRIBE, files=FILE, data=form)).json()
    assert service.asked[0].recognition.hotwords == ()
    assert [note.split(":")[0] for note in answer["warnings"]] == ["14 bytes", "hotwords", "prompt"]


async def test_word_times_a_model_lacks_are_refused(client: httpx.AsyncClient) -> None:
    form = {
        "model": "org/plain",
        "response_format": "verbose_json",
        "timestamp_granularities[]": "word",
    }
    response = await client.post(TRANSCRIBE, files=FILE, data=form)
    assert fault_of(response) == (400, "invalid_value", "timestamp_granularities[]")


@pytest.mark.parametrize("field", ["audio", "file"])
async def test_asr(client: httpx.AsyncClient, service: StandInService, field: str) -> None:
    response = await client.post(
        "/asr", files={field: ("a.wav", SOUND)}, data={"language": "english"}
    )
    assert response.json() == {
        "text": "hello world",
        "language": "en",
        "status": "success",
        "duration": 1.5,
        "model": "main",
        "warnings": ["14 bytes"],
    }
    assert service.asked[0].recognition.language == "en"


async def test_asr_speaks_json_only(client: httpx.AsyncClient) -> None:
    response = await client.post("/asr", files=FILE, data={"response_format": "srt"})
    assert fault_of(response) == (400, "invalid_value", "response_format")


@pytest.mark.parametrize(
    ("files", "param"),
    [
        ({"file": ("", b"")}, "file"),
        ({"sound": ("a.wav", SOUND)}, "sound"),
        ([("file", ("a.wav", SOUND)), ("file", ("b.wav", SOUND))], "file"),
        ([("file", ("a.wav", SOUND)), ("audio", ("b.wav", SOUND))], "audio"),
    ],
)
async def test_wrong_files(
    client: httpx.AsyncClient, service: StandInService, files: dict[str, object], param: str
) -> None:
    response = await client.post("/asr", files=files, data={"model": "m"})  # type: ignore[arg-type]
    assert fault_of(response) == (400, "invalid_value", param)
    assert service.asked == []


async def test_an_empty_file(client: httpx.AsyncClient, service: StandInService) -> None:
    response = await client.post(TRANSCRIBE, files={"file": ("a.wav", b"")})
    assert fault_of(response) == (400, "empty_audio", "file")
    assert "a.wav" in response.json()["error"]["message"]


@pytest.mark.parametrize("kind", ["application/json", "audio/wav", "multipart/form-data", None])
async def test_bodies_that_are_no_form(client: httpx.AsyncClient, kind: str | None) -> None:
    headers = {"content-type": kind} if kind else {}
    response = await client.post(TRANSCRIBE, content=b"{}", headers=headers)
    assert fault_of(response)[:2] == (400, "bad_request")
    assert "multipart" in response.json()["error"]["message"] or kind == "multipart/form-data"


async def test_too_large_by_its_headers_alone(client: httpx.AsyncClient) -> None:
    response = await client.post(
        TRANSCRIBE,
        content=b"",
        headers={"content-type": "multipart/form-data; boundary=x", "content-length": "9" * 30},
    )
    assert fault_of(response)[:2] == (413, "audio_too_large")
    assert response.headers["connection"] == "close"


async def test_too_large_while_it_arrives_with_no_length_said(client: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(5):
            yield bytes(1_000_000)

    response = await client.post(
        TRANSCRIBE,
        content=endless(),
        headers={"content-type": "multipart/form-data; boundary=x"},
    )
    assert fault_of(response)[:2] == (413, "audio_too_large")


async def test_a_full_queue_refuses_before_anything_is_read(
    client: httpx.AsyncClient, service: StandInService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voxfleet.gateway.uploads.os.open", pytest.fail)
    service.refusal = OverloadError("the queue is full", retry_after_s=7.5)
    response = await client.post(TRANSCRIBE, files=FILE)
    assert fault_of(response)[:2] == (503, "overloaded")
    assert response.headers["retry-after"] == "8"


async def test_a_full_disk_is_an_overload(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr("voxfleet.gateway.uploads.os.write", full)
    response = await client.post(TRANSCRIBE, files=FILE)
    assert fault_of(response)[:2] == (503, "overloaded")
    assert "disk" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "fault", [KeyError("secret"), VoxfleetError("secret"), OSError(errno.EIO, "secret")]
)
async def test_an_unforeseen_fault_is_logged_and_not_told(
    client: httpx.AsyncClient,
    service: StandInService,
    fault: Exception,
    caplog: pytest.LogCaptureFixture,
) -> None:
    service.fault = fault
    with caplog.at_level(logging.ERROR):
        response = await client.post(TRANSCRIBE, files=FILE, headers={"x-request-id": "mine"})
    assert fault_of(response)[:2] == (500, "internal_error")
    assert response.headers["x-request-id"] == "mine"
    assert "secret" not in response.text
    assert "mine" in caplog.text
    assert "secret" in caplog.text


async def test_hopeless_faults_say_so(client: httpx.AsyncClient, service: StandInService) -> None:
    service.fault = CorruptAudioError("talk.wav: breaks off")
    response = await client.post("/asr", files=FILE)
    assert fault_of(response)[:2] == (
        422,
        "corrupt_audio",
    )
    assert response.headers["x-should-retry"] == "false"


async def test_requests_run_side_by_side(
    client: httpx.AsyncClient, service: StandInService
) -> None:
    service.hold = True
    computing = asyncio.create_task(client.post(TRANSCRIBE, files=FILE))
    await service.holding.wait()
    assert (await client.get("/health")).status_code == 200
    computing.cancel()
    await asyncio.wait({computing})
    assert service.cancelled.is_set()

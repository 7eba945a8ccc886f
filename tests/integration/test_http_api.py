"""The routes over ASGI: what is answered, what is refused, and that no upload stays behind."""

from __future__ import annotations

import asyncio
import errno
import logging
import os

import httpx
import pytest

from tests.integration.standin_service import (
    FILE,
    SOUND,
    TRANSCRIBE,
    StandInService,
    digest,
    fault_of,
)
from voxfleet.core import ChannelMode, RawPcm
from voxfleet.errors import CorruptAudioError, EngineFaultError, VoxfleetError


async def test_every_byte_of_a_file_arrives(
    client: httpx.AsyncClient, service: StandInService
) -> None:
    sound = os.urandom(1_900_001)
    response = await client.post(TRANSCRIBE, files={"file": ("a.mp3", sound)})
    assert (response.status_code, service.heard) == (200, [digest(sound)])
    assert response.json()["text"] == "hello world"


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
    # the service tells of the hotwords itself
    assert service.asked[0].recognition.hotwords == ("a", "b")
    assert [note.split(":")[0] for note in answer["warnings"]] == ["14 bytes", "prompt"]


@pytest.mark.parametrize("wanted", ["json", "verbose_json", "text", "srt", "vtt", "tsv"])
async def test_warnings_are_told_with_every_format(client: httpx.AsyncClient, wanted: str) -> None:
    form = {"response_format": wanted, "known_speaker_names[]": "ann"}
    response = await client.post(TRANSCRIBE, files=FILE, data=form)
    assert response.headers["x-voxfleet-warnings"].startswith("14 bytes; known_speaker_names: ")


@pytest.mark.parametrize("name", ["gpt-4o-transcribe-diarize", "gpt-4o-transcribe-diarize-2025-10"])
async def test_a_model_for_speakers_is_not_the_default_model(
    client: httpx.AsyncClient, service: StandInService, name: str
) -> None:
    response = await client.post(TRANSCRIBE, files=FILE, data={"model": name})
    assert fault_of(response) == (404, "model_not_found", "model")
    assert "speakers" in response.json()["error"]["message"]
    assert fault_of(await client.get(f"/v1/models/{name}"))[0] == 404
    assert service.asked == []


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


async def test_an_engines_fault_is_told(client: httpx.AsyncClient, service: StandInService) -> None:
    service.fault = EngineFaultError("talk.wav: the engine ran out of memory")
    response = await client.post(TRANSCRIBE, files=FILE)
    assert fault_of(response)[:2] == (500, "engine_fault")
    assert response.json()["error"]["message"] == service.fault.message
    assert response.headers["x-should-retry"] == "false"


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

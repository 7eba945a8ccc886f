"""Text is told while the rest of its file is still being recognised, and is the same text."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import openai
import pytest
from openai import AsyncOpenAI

from tests.integration.media_rig import ENERGY, LIMIT_S, bursts, until, write_wav
from tests.integration.standin_service import TRANSCRIBE
from tests.integration.streaming_rig import Gate, gated_service, served_here
from tests.integration.test_text_pool import text_pool
from voxfleet.core import AudioOptions, ChannelMode, TextOptions, VadMode
from voxfleet.errors import DeadlineError, ParameterError, RecognitionError
from voxfleet.gateway.api_schemas import GatewaySettings
from voxfleet.gateway.http_app import create_app
from voxfleet.transcribe.transcribe_request import TranscribeRequest
from voxfleet.transcribe.transcript_stream import TextDelta
from voxfleet.transcribe.transcription_service import TranscriptionService

STREAM = {"stream": "true"}


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return write_wav(tmp_path / "meeting.wav", bursts(12))


@pytest.fixture
def upload(recording: Path) -> dict[str, bytes]:
    return {"file": recording.read_bytes()}


class Listener:
    """Notes what is told; lets the engine go on with the first of it."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.deltas: list[TextDelta] = []
        #: batches that had begun when the first text came
        self.batches_before: int | None = None

    async def said(self, delta: TextDelta) -> None:
        if self.batches_before is None:
            # as it may have been told before the second batch had begun
            await until(lambda: self._gate.batches > 1)
            self.batches_before = self._gate.batches
            self._gate.open()
        self.deltas.append(delta)

    @property
    def text(self) -> str:
        return "".join(delta.text for delta in self.deltas)


def request(path: Path) -> TranscribeRequest:
    return TranscribeRequest(path, path.name, audio=ENERGY)


async def test_text_is_told_while_the_rest_waits_for_the_engine(recording: Path) -> None:
    async with gated_service() as (running, gate):
        listener = Listener(gate)
        wanted = replace(request(recording), text_listener=listener)
        told = await asyncio.wait_for(running.transcribe(wanted), LIMIT_S)
        # the engine stood in its second batch until it was told: the rest had not been recognised
        assert listener.batches_before == 2
        assert len(listener.deltas) > 1
        plain = await running.transcribe(request(recording))
        assert listener.text == told.transcripts[0].text == plain.transcripts[0].text
        assert told.transcripts[0].segments == plain.transcripts[0].segments
        words = [word for delta in listener.deltas for word in delta.words]
        heard = [word for segment in plain.transcripts[0].segments for word in segment.words]
        assert words == heard != []


async def test_digits_are_told_as_they_are_written_in_one_piece(recording: Path) -> None:
    async with text_pool() as rig, gated_service(texts=rig.pool) as (running, gate):
        gate.open()
        listener = Listener(gate)
        wanted = replace(request(recording), text=TextOptions(itn=True))
        told = await running.transcribe(replace(wanted, text_listener=listener))
        plain = await running.transcribe(wanted)
        assert listener.text == told.transcripts[0].text == plain.transcripts[0].text
        assert listener.text.isupper()


async def test_silence_is_told_as_no_text(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "still.wav", bursts(1, loud_s=0.0, still_s=2.0))
    async with gated_service() as (running, gate):
        listener = Listener(gate)
        told = await running.transcribe(replace(request(path), text_listener=listener))
        assert (listener.deltas, told.transcripts[0].text) == ([], "")


async def test_two_channels_are_refused_before_the_file_is_looked_at(tmp_path: Path) -> None:
    split = AudioOptions(channel=ChannelMode.SPLIT, vad=VadMode.ENERGY)
    async with gated_service() as (running, gate):
        wanted = replace(request(tmp_path / "none.wav"), audio=split, text_listener=Listener(gate))
        with pytest.raises(ParameterError, match="channel=split"):
            await running.transcribe(wanted)


async def test_a_fault_in_the_middle_is_raised_behind_what_was_told(recording: Path) -> None:
    async with gated_service(fault="error@2") as (running, gate):
        listener = Listener(gate)
        with pytest.raises(RecognitionError, match=r"meeting\.wav"):
            await running.transcribe(replace(request(recording), text_listener=listener))
        assert listener.text


async def test_a_listener_that_takes_nothing_has_the_time_of_a_request(recording: Path) -> None:
    class Deaf:
        async def said(self, delta: TextDelta) -> None:
            await asyncio.Event().wait()

    async with gated_service() as (running, gate):
        gate.open()
        wanted = replace(request(recording), text_listener=Deaf(), timeout_s=0.7)
        with pytest.raises(DeadlineError):
            await running.transcribe(wanted)
        # nor did it keep the engine from the rest
        await until(lambda: running.queue().waiting == 0)


# -- over HTTP --------------------------------------------------------------------------------


@asynccontextmanager
async def server(
    folder: Path, timeout_s: float = 300, fault: str = ""
) -> AsyncIterator[tuple[str, TranscriptionService, Gate]]:
    async with gated_service(fault) as (running, gate):
        settings = GatewaySettings(
            folder / "uploads", "9.9", request_timeout_s=timeout_s, default_vad=VadMode.ENERGY
        )
        async with served_here(create_app(running, settings)) as url:
            yield url, running, gate


def openai_client(url: str) -> AsyncOpenAI:
    return AsyncOpenAI(api_key="none", base_url=f"{url}/v1", max_retries=0)


async def test_the_real_client_hears_the_first_text_while_the_rest_is_computed(
    tmp_path: Path, recording: Path
) -> None:
    async with server(tmp_path) as (url, _, gate), openai_client(url) as client:
        create = client.audio.transcriptions.create
        events = await create(file=recording, model="fake", stream=True)
        first = await anext(aiter(events))
        assert first.type == "transcript.text.delta"
        await until(lambda: gate.batches == 2)
        gate.open()
        rest = [event async for event in events]
        deltas = [first, *rest[:-1]]
        done = rest[-1]
        assert done.type == "transcript.text.done"
        texts = [each.delta for each in deltas if each.type == "transcript.text.delta"]
        assert len(texts) == len(deltas) > 1
        assert "".join(texts) == done.text
        plain = await create(file=recording, model="fake")
        assert plain.text == done.text


@pytest.mark.parametrize(
    ("timeout_s", "fault", "code"),
    [(3.0, "", "deadline_passed"), (300, "error@2", "recognition_failed")],
)
async def test_the_real_client_is_told_of_a_fault_behind_the_first_text(
    tmp_path: Path, recording: Path, timeout_s: float, fault: str, code: str
) -> None:
    async with server(tmp_path, timeout_s, fault) as (url, running, gate):
        async with openai_client(url) as client:
            events = await client.audio.transcriptions.create(
                file=recording, model="fake", stream=True
            )
            assert (await anext(aiter(events))).type == "transcript.text.delta"
            if fault:
                gate.open()
            with pytest.raises(openai.APIError) as raised:
                async for _ in events:
                    pass
            assert raised.value.code == code
        await until(lambda: running.queue().requests == 0)
        assert list((tmp_path / "uploads").iterdir()) == []


async def test_who_leaves_takes_the_rest_along(tmp_path: Path, upload: dict[str, bytes]) -> None:
    async with (
        server(tmp_path) as (url, running, gate),
        httpx.AsyncClient(base_url=url, timeout=LIMIT_S) as client,
    ):
        async with client.stream("POST", TRANSCRIBE, files=upload, data=STREAM) as response:
            # kept, as a reader that is forgotten closes the connection
            text = response.aiter_text()
            assert "delta" in await anext(text)
            await until(lambda: gate.batches == 2)
            assert running.queue().requests == 1
        await until(lambda: running.queue().requests == 0)
        assert running.queue().waiting == 0
        assert list((tmp_path / "uploads").iterdir()) == []
        # what is left of it is the batch that was in work
        gate.open()
        answer = await client.post(TRANSCRIBE, files=upload)
        assert answer.json()["text"]


async def test_a_file_that_is_none_has_its_status(tmp_path: Path) -> None:
    async with server(tmp_path) as (url, _, _), httpx.AsyncClient(base_url=url) as client:
        response = await client.post(TRANSCRIBE, files={"file": b"no sound at all"}, data=STREAM)
        assert (response.status_code, response.json()["error"]["code"]) == (415, "not_audio")
        split = STREAM | {"channel": "split"}
        response = await client.post(TRANSCRIBE, files={"file": b"no sound"}, data=split)
        assert (response.status_code, response.json()["error"]["param"]) == (400, "stream")


async def test_a_long_wait_for_the_first_text_is_filled(
    tmp_path: Path, recording: Path, upload: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voxfleet.gateway.transcript_events.KEEP_ALIVE_S", 0.05)
    async with server(tmp_path) as (url, running, gate):
        # the engine's second batch is already another's: it waits behind that
        other = asyncio.create_task(running.transcribe(request(recording)))
        await until(lambda: gate.batches == 2)
        async with httpx.AsyncClient(base_url=url, timeout=LIMIT_S) as client:
            async with client.stream("POST", TRANSCRIBE, files=upload, data=STREAM) as response:
                lines = response.aiter_lines()
                assert response.status_code == 200
                assert (await anext(lines)).startswith(":")
                gate.open()
                said = [line async for line in lines if line.startswith("data: ")]
            assert json.loads(said[-1].removeprefix("data: "))["type"] == "transcript.text.done"
        await other

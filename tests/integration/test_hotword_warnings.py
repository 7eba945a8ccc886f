"""Hotwords a model has no tokens for: told once, over HTTP and on the command line."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import msgspec
import pytest

from tests.integration.media_rig import LIMIT_S, bursts, write_wav
from tests.integration.standin_service import TRANSCRIBE
from voxfleet.cli_transcribe import Order, transcribe_files
from voxfleet.core import (
    AudioOptions,
    Hypothesis,
    RecognitionOptions,
    Segment,
    TextOptions,
    VadMode,
)
from voxfleet.engines.catalog import EngineOptions
from voxfleet.engines.fake import FakeEngine
from voxfleet.errors import RecognitionError
from voxfleet.fleet.in_process_pool import InProcessPool
from voxfleet.gateway.api_schemas import GatewaySettings
from voxfleet.gateway.http_app import create_app
from voxfleet.media.media_pool import MediaPool
from voxfleet.media.media_settings import MediaSettings
from voxfleet.scheduling.dispatcher import Dispatcher
from voxfleet.transcribe.served_model import ModelList, ServedModel
from voxfleet.transcribe.transcription_service import TranscriptionService
from voxfleet.wire.messages import Answer


class ShortVocabulary(FakeEngine):
    """Knows ASCII alone."""

    def recognise(self, batch: Sequence[Segment]) -> list[Hypothesis | RecognitionError]:
        heard = zip(batch, super().recognise(batch), strict=True)
        return [self._with_unknown(segment, answer) for segment, answer in heard]

    def _with_unknown(
        self, segment: Segment, answer: Hypothesis | RecognitionError
    ) -> Hypothesis | RecognitionError:
        if isinstance(answer, RecognitionError):
            return answer
        unknown = [word for word in segment.options.hotwords if not word.isascii()]
        # in another order for every piece, as no engine need keep one
        turn = len(segment.waveform.samples) % max(1, len(unknown))
        return replace(answer, unknown_hotwords=(*unknown[turn:], *unknown[:turn]))


@asynccontextmanager
async def service() -> AsyncIterator[tuple[TranscriptionService, Path]]:
    with tempfile.TemporaryDirectory(prefix="voxfleet-") as folder:
        media = MediaPool(MediaSettings(processes=1), Path(folder) / "m", Path(folder) / "s")
        pool = InProcessPool(ShortVocabulary(EngineOptions("fake")))
        models = ModelList([ServedModel(pool, Dispatcher(pool))])
        running = TranscriptionService(media, models)
        await running.start()
        try:
            yield running, Path(folder)
        finally:
            await running.stop()


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return write_wav(tmp_path / "meeting.wav", bursts(3))


TOLD = "hotwords: not in the vocabulary of fake and not used: 乙, 甲"


async def test_every_answer_over_http_tells_once(recording: Path) -> None:
    sound = recording.read_bytes()  # noqa: ASYNC240
    async with service() as (running, folder):
        app = create_app(running, GatewaySettings(folder / "uploads", "9.9"))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:

            async def post(hotwords: str, wanted: str) -> httpx.Response:
                form = {"hotwords": hotwords, "response_format": wanted, "vad": "energy"}
                files = {"file": ("a.wav", sound)}
                return await asyncio.wait_for(
                    client.post(TRANSCRIBE, data=form, files=files), LIMIT_S
                )

            body = (await post('{"乙": 20, "ok": 5, "甲": "7"}', "verbose_json")).json()
            assert len(body["segments"]) == 3
            assert body["warnings"] == [TOLD]
            text = await post("乙,ok,甲", "text")
            escaped = text.headers["x-voxfleet-warnings"]
            assert escaped.encode().decode("unicode_escape") == TOLD
            silent = await post("/etc/passwd http://localhost/words.txt", "json")
            assert "warnings" not in silent.json()


@pytest.mark.parametrize(
    ("hotwords", "said"),
    [
        ('{"甲": 20', "not valid JSON"),
        ('["甲", 7]', "no string"),
        (json.dumps([str(n) for n in range(1001)]), "1001 words"),
        ("字" * 51, "50 characters"),
    ],
)
async def test_what_is_no_list_of_hotwords_is_refused_by_name(
    client: httpx.AsyncClient, hotwords: str, said: str
) -> None:
    response = await client.post(
        TRANSCRIBE, data={"hotwords": hotwords}, files={"file": ("a.wav", b"RIFF")}
    )
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, "hotwords")
    assert said in error["message"]


async def test_a_thousand_hotwords_may_be_a_field_each(client: httpx.AsyncClient) -> None:
    form = {"hotwords[]": [f"w{n}" for n in range(1000)], "model": "main", "language": "en"}
    response = await client.post(TRANSCRIBE, data=form, files={"file": ("a.wav", b"RIFF")})
    assert response.status_code == 200


class Lines:
    """A display that keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def begin(self, path: Path) -> None: ...
    def opened(self, path: Path, duration_s: float | None) -> None: ...
    def advanced(self, path: Path, done_s: float) -> None: ...
    def ended(self, path: Path, duration_s: float | None) -> None: ...

    def say(self, line: str) -> None:
        self.said.append(line)


async def test_the_command_line_says_so_on_standard_error(recording: Path, tmp_path: Path) -> None:
    order = Order(
        inputs=(recording,),
        output_format="text",
        outputs={recording: tmp_path / "meeting.txt"},
        audio=AudioOptions(vad=VadMode.ENERGY),
        recognition=RecognitionOptions(hotwords=("乙", "ok", "甲")),
        text=TextOptions(),
        parallel=1,
    )
    lines = Lines()
    async with service() as (running, folder):
        failed = await asyncio.wait_for(transcribe_files(running, order, lines, folder), LIMIT_S)
    assert failed == 0
    assert lines.said == [f"voxfleet: warning: {recording}: {TOLD}"]


def test_unknown_hotwords_cross_between_processes() -> None:
    answer = Answer(Hypothesis("x", unknown_hotwords=("甲", "乙")))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(answer), type=Answer) == answer

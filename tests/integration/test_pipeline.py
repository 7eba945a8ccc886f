"""From a file to its transcript, with real media processes and an engine in a thread."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.integration.media_rig import ENERGY, LIMIT_S, bursts, until, write_wav
from voxfleet.core import (
    SAMPLE_RATE_HZ,
    AudioInfo,
    AudioOptions,
    Hypothesis,
    RecognitionOptions,
    RequestProgress,
    SpooledSegment,
    Transcription,
    VadMode,
)
from voxfleet.engines.catalog import EngineOptions
from voxfleet.engines.fake import FakeEngine
from voxfleet.engines.fake_options import FakeOptions
from voxfleet.errors import (
    AudioTooLongError,
    DeadlineError,
    NotFoundError,
    OverloadError,
    ParameterError,
    RecognitionError,
)
from voxfleet.fleet.in_process_pool import InProcessPool
from voxfleet.media.media_pool import MediaPool
from voxfleet.media.media_settings import MediaSettings
from voxfleet.scheduling.dispatcher import Dispatcher
from voxfleet.transcribe.front_desk import QueueLimits
from voxfleet.transcribe.served_model import ModelList, ServedModel
from voxfleet.transcribe.transcribe_request import TranscribeRequest
from voxfleet.transcribe.transcription_service import TranscriptionService

WHOLE = AudioOptions(vad=VadMode.OFF)


@asynccontextmanager
async def service(
    fake: FakeOptions | None = None,
    max_waiting: int = 20,
    hotwords: tuple[str, ...] = (),
    max_segment_s: float | None = None,
) -> AsyncIterator[tuple[TranscriptionService, Path]]:
    # not pytest's folder: the path of a socket must be short
    with tempfile.TemporaryDirectory(prefix="voxfleet-") as folder:
        spool = Path(folder) / "spool"
        media = MediaPool(MediaSettings(processes=1), Path(folder) / "media", spool)
        pool = InProcessPool(FakeEngine(EngineOptions("fake", fake=fake or FakeOptions())))
        served = ServedModel(pool, Dispatcher(pool), hotwords, max_segment_s)
        running = TranscriptionService(media, ModelList([served]), QueueLimits(max_waiting))
        await running.start()
        try:
            yield running, spool
        finally:
            await running.stop()
        assert list(spool.iterdir()) == []


def request(path: Path) -> TranscribeRequest:
    return TranscribeRequest(path, path.name, audio=ENERGY)


async def answer(running: TranscriptionService, wanted: TranscribeRequest) -> Transcription:
    return await asyncio.wait_for(running.transcribe(wanted), LIMIT_S)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return write_wav(tmp_path / "meeting.wav", bursts(6))


async def test_segments_come_out_in_the_order_of_time(recording: Path) -> None:
    async with service() as (running, _):
        done = await answer(running, request(recording))
    (transcript,) = done.transcripts
    assert len(transcript.segments) == 6
    starts = [segment.start_s for segment in transcript.segments]
    assert starts == sorted(starts)
    assert transcript.text == " ".join(segment.text for segment in transcript.segments)
    assert done.duration_s == pytest.approx(6 * 3.5)


class Watcher:
    def __init__(self) -> None:
        self.length_s: float | None = None
        self.heard: list[float] = []

    def opened(self, info: AudioInfo) -> None:
        self.length_s = info.duration_s

    def recognised(self, segment: SpooledSegment, hypothesis: Hypothesis) -> None:
        self.heard.append(segment.end_s)


async def test_a_listener_sees_the_length_and_every_segment(recording: Path) -> None:
    watcher = Watcher()
    async with service() as (running, _):
        await answer(running, replace(request(recording), listener=watcher))
    assert watcher.length_s == pytest.approx(21)
    assert len(watcher.heard) == 6


CLIP = TranscribeRequest(Path("clip.wav"), "clip.wav", audio=ENERGY)


@pytest.mark.parametrize(
    ("wanted", "fault"),
    [
        (replace(CLIP, model="whisper-9"), NotFoundError),
        (replace(CLIP, recognition=RecognitionOptions(language="tlh")), ParameterError),
        (replace(CLIP, recognition=RecognitionOptions(hotwords=("bad",))), RecognitionError),
        (replace(CLIP, timeout_s=1.0), AudioTooLongError),
    ],
)
async def test_what_cannot_be_answered_is_refused_and_leaves_nothing(
    recording: Path, wanted: TranscribeRequest, fault: type[Exception]
) -> None:
    async with service(FakeOptions(speed=10, fault="error@bad")) as (running, spool):
        with pytest.raises(fault):
            await answer(running, replace(wanted, path=recording))
        assert list(spool.glob("f*")) == []
        assert running.queue().waiting == 0


async def test_a_language_is_understood_in_any_spelling(recording: Path) -> None:
    async with service() as (running, _):
        wanted = RecognitionOptions(language="en-GB")
        done = await answer(running, replace(request(recording), recognition=wanted))
    assert done.options.language == "en"


async def test_the_time_allowed_is_kept(recording: Path) -> None:
    # it claims to be quick, so it is let in, and is not
    async with service(FakeOptions(fixed_s=5)) as (running, spool):
        with pytest.raises(DeadlineError, match=r"meeting\.wav"):
            await answer(running, replace(request(recording), timeout_s=0.5))
        assert list(spool.glob("f*")) == []


async def test_a_file_whose_length_is_not_known_is_refused_as_it_goes_on(tmp_path: Path) -> None:
    # what nobody may know in advance: a long file behind a header that says nothing
    path = tmp_path / "stream.aac"
    encode_adts(path, 120)
    async with service(FakeOptions(speed=10)) as (running, spool):
        with pytest.raises(AudioTooLongError, match="job"):
            await answer(running, replace(request(path), audio=WHOLE, timeout_s=4.0))
        assert list(spool.glob("f*")) == []


def encode_adts(path: Path, duration_s: int) -> None:
    import av

    noise = np.random.default_rng(3).integers(-9000, 9000, (1, SAMPLE_RATE_HZ), np.int16)
    with av.open(str(path), "w", format="adts") as file:
        stream = file.add_stream("aac", rate=SAMPLE_RATE_HZ)
        for second in range(duration_s):
            frame = av.AudioFrame.from_ndarray(noise, "s16", "mono")
            frame.sample_rate = SAMPLE_RATE_HZ
            frame.pts = second * SAMPLE_RATE_HZ
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


async def test_whoever_goes_away_takes_the_work_along(recording: Path) -> None:
    async with service(FakeOptions(fixed_s=0.5)) as (running, spool):
        # one that computes, so that the other waits
        first = asyncio.create_task(running.transcribe(request(recording)))
        await until(lambda: running.pools()[0].workers[0].busy)
        asked = asyncio.create_task(running.transcribe(request(recording)))
        await until(lambda: running.queue().waiting > 0)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        assert running.queue().waiting == 0
        await first
        assert running.queue().waiting == 0
        assert list(spool.glob("f*")) == []
        assert (await answer(running, request(recording))).transcripts[0].text


async def test_places_are_limited_and_given_back() -> None:
    async with service(max_waiting=1) as (running, _):
        with running.admitted(), running.admitted():
            assert running.queue().requests == 2
            with pytest.raises(OverloadError) as refusal, running.admitted():
                pass
            assert refusal.value.retry_after_s is not None
        with running.admitted():
            assert running.queue().requests == 1


async def test_readiness_follows_the_parts() -> None:
    async with service() as (running, _):
        assert running.ready()
        await running.stop()
        assert not running.ready()
        assert running.reason()


async def test_the_models_own_hotwords_are_for_requests_that_name_none(recording: Path) -> None:
    async with service(hotwords=("Zhou",)) as (running, _):
        by_default = await answer(running, request(recording))
        wanted = RecognitionOptions(hotwords=("Li",))
        named = await answer(running, replace(request(recording), recognition=wanted))
    assert "Zhou" in by_default.transcripts[0].text.split()
    assert "Li" in named.transcripts[0].text.split()
    assert "Zhou" not in named.transcripts[0].text.split()


async def test_a_model_that_takes_shorter_pieces_is_given_them(recording: Path) -> None:
    async with service(max_segment_s=2.0) as (running, _):
        done = await answer(running, replace(request(recording), audio=WHOLE))
    segments = done.transcripts[0].segments
    assert len(segments) >= 10
    assert all(segment.end_s - segment.start_s <= 2.0 for segment in segments)


async def test_progress_and_place_of_a_waiting_request_are_told(recording: Path) -> None:
    async with service(FakeOptions(fixed_s=0.5)) as (running, _):
        first = asyncio.create_task(answer(running, request(recording)))
        await until(lambda: running.pools()[0].workers[0].busy)
        asked = [
            asyncio.create_task(answer(running, replace(request(recording), id=name, client=name)))
            for name in "ab"
        ]

        def waiting() -> list[RequestProgress]:
            seen = (running.progress(name) for name in "ab")
            return [each for each in seen if each and each.queue_position is not None]

        await until(lambda: len(waiting()) == 2)
        assert min(each.queue_position or 0 for each in waiting()) == 0
        assert {each.state for each in waiting()} == {"queued"}
        await asyncio.gather(first, *asked)
        assert running.progress("a") is None

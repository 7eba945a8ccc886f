"""Live streams through the real process: what is heard, and that no death loses any of it."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.integration.live_rig import (
    LIMIT_S,
    Listener,
    pcm,
    play,
    process_id,
    running_host,
    speech,
    taken,
)
from voxfleet.audio.decode import open_audio
from voxfleet.audio.speech import SpeechSpan
from voxfleet.core import SAMPLE_RATE_HZ, VadMode
from voxfleet.errors import CancelledError, NotReadyError, ParameterError
from voxfleet.media import live_keeper
from voxfleet.media.live_host import LiveHost
from voxfleet.media.live_settings import LiveHostSettings
from voxfleet.media.live_sound import LiveOptions
from voxfleet.wire.live_messages import LiveOpen
from voxfleet.wire.messages import Granted

AT_24_KHZ = LiveOptions(sample_rate_hz=24_000)


async def undisturbed(host: LiveHost, sound: bytes) -> list[SpeechSpan]:
    stream = await host.open(LiveOptions())
    await play(stream, sound, 640)
    spans = await Listener(stream).flushed()
    stream.close()
    return spans


async def test_speech_is_heard_and_its_sound_can_be_cut(sample_clip: Path) -> None:
    samples = speech(sample_clip)
    async with running_host() as host:
        assert not host.refusal
        assert host.child is None
        stream = await host.open(LiveOptions())
        listener = Listener(stream)
        await play(stream, pcm(samples), 641)
        spans = await listener.flushed()
        assert spans
        assert stream.position == len(samples)
        assert stream.unheard_s == 0
        span = spans[0]
        segment = await stream.cut(span.start, span.end)
        assert segment.start_s == span.start / SAMPLE_RATE_HZ
        assert segment.digest
        assert np.array_equal(taken(segment), samples[span.start : span.end])
        shorter = await stream.cut(span.start, span.end, quiet_from=span.start + 4000)
        assert span.start + 4000 <= span.start + shorter.sample_count <= span.end
        again = await stream.cut(span.start, span.end)
        assert again.digest == segment.digest
        stream.close()


async def test_sound_not_there_is_refused_and_the_stream_goes_on() -> None:
    async with running_host() as host:
        stream = await host.open(LiveOptions())
        stream.feed(bytes(64_000))
        await stream.flush()
        with pytest.raises(ParameterError, match="no sound"):
            await stream.cut(0, 32_001)
        stream.forget(16_000)
        with pytest.raises(ParameterError, match="no sound"):
            await stream.cut(15_999, 20_000)
        assert (await stream.cut(16_000, 32_000)).sample_count == 16_000
        stream.close()


async def test_the_oldest_sound_goes_even_when_nobody_forgets_it() -> None:
    async with running_host(LiveHostSettings(keep_s=2)) as host:
        stream = await host.open(LiveOptions())
        stream.feed(bytes(32_000 * 5))
        await stream.flush()
        with pytest.raises(ParameterError, match="no sound"):
            await stream.cut(0, 16_000)
        assert (await stream.cut(48_000, 80_000)).sample_count == 32_000
        stream.close()


@pytest.mark.parametrize("options", [LiveOptions(), AT_24_KHZ], ids=["16 kHz", "24 kHz"])
async def test_a_process_killed_in_mid_speech_costs_nothing(
    options: LiveOptions, sample_clip: Path
) -> None:
    samples = speech(sample_clip, 2)
    if options.sample_rate_hz == 24_000:
        places = np.arange(len(samples) * 3 // 2) * 2 / 3
        samples = np.interp(places, np.arange(len(samples)), samples).astype(np.int16)
    sound = pcm(samples)
    async with running_host() as host:
        whole = await host.open(options)
        await play(whole, sound, 640)
        expected = await Listener(whole).flushed()
        end = whole.position
        uncut = taken(await whole.cut(0, end))
        whole.close()
        stream = await host.open(options)
        listener = Listener(stream)
        await play(stream, sound[: len(sound) // 3], 640)
        await listener.until(end // 4)
        before = process_id(host)
        cutting = asyncio.create_task(stream.cut(100, end // 4))
        os.kill(before, signal.SIGKILL)
        await play(stream, sound[len(sound) // 3 :], 640)
        spans = await listener.flushed()
        assert process_id(host) != before
        assert (await asyncio.wait_for(cutting, LIMIT_S)).sample_count == end // 4 - 100
        assert stream.position == end
        assert np.abs(taken(await stream.cut(0, end)).astype(int) - uncut).max() <= 1
        assert spans == expected
        stream.close()


async def test_it_may_be_killed_again_and_again(sample_clip: Path) -> None:
    sound = pcm(speech(sample_clip, 3))
    async with running_host() as host:
        expected = await undisturbed(host, sound)
        stream = await host.open(LiveOptions())
        listener = Listener(stream)
        for part in range(4):
            await play(stream, sound[len(sound) // 4 * part : len(sound) // 4 * (part + 1)], 640)
            await listener.until(len(sound) // 8 * part + 1)
            os.kill(process_id(host), signal.SIGKILL)
        await play(stream, sound[len(sound) // 4 * 4 :], 640)
        assert await listener.flushed() == expected
        stream.close()


async def test_a_process_that_hangs_is_replaced(sample_clip: Path) -> None:
    sound = pcm(speech(sample_clip))
    async with running_host(LiveHostSettings(hang_limit_s=0.5)) as host:
        expected = await undisturbed(host, sound)
        stream = await host.open(LiveOptions())
        await play(stream, sound[:40_000], 640)
        stopped = process_id(host)
        os.kill(stopped, signal.SIGSTOP)
        await play(stream, sound[40_000:], 640)
        assert await Listener(stream).flushed() == expected
        assert process_id(host) != stopped
        stream.close()


async def test_a_process_that_talks_nonsense_is_replaced() -> None:
    async with running_host() as host:
        stream = await host.open(LiveOptions())
        before = process_id(host)
        # what it answers with its end: no order of the live process
        host.tell(Granted("f0", 1))
        stream.feed(bytes(64_000))
        await asyncio.wait_for(stream.flush(), LIMIT_S)
        assert stream.position == 32_000
        assert process_id(host) != before
        stream.close()


async def test_one_stream_that_fails_harms_no_other() -> None:
    async with running_host() as host:
        stream, other = await host.open(LiveOptions()), await host.open(LiveOptions())
        before = process_id(host)
        host.tell(LiveOpen(stream.id, "no such", 16_000, VadMode.AUTO, 0.5, 60.0))
        stream.feed(bytes(64_000))
        with pytest.raises(Exception, match="could not be heard"):
            await asyncio.wait_for(stream.heard(), LIMIT_S)
        other.feed(bytes(64_000))
        await asyncio.wait_for(other.flush(), LIMIT_S)
        assert process_id(host) == before
        stream.close()
        other.close()


async def test_a_flush_ends_speech_and_what_follows_is_new(sample_clip: Path) -> None:
    sound = pcm(speech(sample_clip))
    async with running_host() as host:
        stream = await host.open(LiveOptions(vad=VadMode.OFF))
        listener = Listener(stream)
        stream.feed(sound[:32_001])
        assert await listener.flushed() == [SpeechSpan(0, 16_000)]
        # the half of a sample before the flush is no part of what follows
        stream.feed(sound[32_000:64_000])
        assert await listener.flushed() == [SpeechSpan(0, 16_000), SpeechSpan(16_000, 32_000)]
        stream.restart_detection(VadMode.AUTO, 0.5)
        stream.feed(bytes(32_000))
        spans = await listener.flushed()
        assert len(spans) == 2
        stream.close()


async def test_many_streams_are_heard_by_one_process(sample_clip: Path) -> None:
    sound = pcm(speech(sample_clip))
    async with running_host() as host:
        expected = await undisturbed(host, sound)
        streams = [await host.open(LiveOptions()) for _ in range(20)]
        await asyncio.gather(*(play(stream, sound, 3200) for stream in streams))
        found = await asyncio.gather(*(Listener(stream).flushed() for stream in streams))
        assert found == [expected] * 20
        assert len([p for p in psutil.Process().children() if p.pid == process_id(host)]) == 1
        for stream in streams:
            stream.close()


async def test_closing_ends_every_wait_and_leaves_no_file() -> None:
    async with running_host() as host:
        stream = await host.open(LiveOptions())
        stream.feed(bytes(64_000))
        await stream.flush()
        await stream.heard()
        await stream.cut(0, 16_000)
        hearing = asyncio.create_task(stream.heard())
        cutting = asyncio.create_task(stream.cut(0, 32_000))
        await asyncio.sleep(0)
        stream.close()
        for waiting in (hearing, cutting):
            with pytest.raises(CancelledError):
                await waiting
        with pytest.raises(CancelledError):
            stream.feed(b"xx")
        async with asyncio.timeout(LIMIT_S):
            while list(host.spool_dir.iterdir()):
                await asyncio.sleep(0.01)


async def test_what_cannot_be_heard_is_refused_at_once() -> None:
    async with running_host() as host:
        with pytest.raises(ParameterError, match="16001 Hz"):
            await host.open(LiveOptions(sample_rate_hz=16_001))
        with pytest.raises(ParameterError, match="fsmn"):
            await host.open(LiveOptions(vad=VadMode.FSMN))
        assert host.child is None
        await host.stop()
        assert host.refusal
        with pytest.raises(NotReadyError, match="stopping"):
            await host.open(LiveOptions())


async def test_a_process_that_cannot_start_is_given_up_with_its_reason(tmp_path: Path) -> None:
    settings = LiveHostSettings(fsmn_dir=tmp_path)
    async with running_host(settings) as host:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(live_keeper, "to_json", lambda settings: "{")
            with pytest.raises(NotReadyError, match="cannot start"):
                await asyncio.wait_for(host.open(LiveOptions()), LIMIT_S)
            assert "cannot start" in host.refusal


@pytest.mark.speech
async def test_a_real_recording_is_heard_as_its_file_is(speech_dir: Path) -> None:
    path = speech_dir / "audio" / "en" / "librispeech-1995-1837-0001.wav"
    with open_audio(path, path.name) as stream:
        samples = np.ascontiguousarray(stream.read(60 * SAMPLE_RATE_HZ)[:, 0])
    async with running_host() as host:
        live = await host.open(LiveOptions())
        await play(live, pcm(samples), 1280)
        spans = await Listener(live).flushed()
        assert spans
        for span in spans:
            sound = taken(await live.cut(span.start, span.end))
            assert np.array_equal(sound, samples[span.start : span.end])
        live.close()

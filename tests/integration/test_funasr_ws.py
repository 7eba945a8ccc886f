"""Files over FunASR's websocket protocol, by clients that behave as FunASR's own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.funasr_rig import (
    ENDS,
    PCM,
    Rig,
    answer_of,
    closed,
    rig_with,
)
from tests.integration.media_rig import until
from tests.integration.standin_service import digest
from tests.outsiders.funasr_browser_client import browser_file
from tests.outsiders.funasr_protocol_client import (
    Voice,
    connected,
    cpp_files,
    go_client,
    java_client,
    python_client,
)
from tests.unit.test_funasr_wav_head import header
from voxfleet.core import RawPcm
from voxfleet.errors import (
    CorruptAudioError,
    EmptyAudioError,
    OverloadError,
)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig_with(tmp_path) as running:
        yield running


async def test_cpp_files_get_one_message_each(rig: Rig) -> None:
    voices = [
        Voice("a", PCM, {"vox": 20}),
        Voice("b", b""),
        Voice("c", PCM * 2, sample_rate_hz=8000),
    ]
    heard = await cpp_files(rig.url, voices)
    assert [answer["wav_name"] for answer in heard.answers] == ["a", "b", "c"]
    assert heard.shown == "hello world\n\nhello world\n"
    assert rig.heard == [digest(PCM), digest(PCM * 2)]
    first, last = rig.asked
    assert first.audio.raw_pcm == RawPcm("s16le", 16_000, 1)
    assert last.audio.raw_pcm == RawPcm("s16le", 8_000, 1)
    assert first.recognition.hotwords == last.recognition.hotwords == ("vox",)
    assert first.recognition.word_times
    assert first.text.itn
    assert first.client == "127.0.0.1"


@pytest.mark.parametrize("mode", ["offline", "2pass", "online"])
async def test_python_waits_for_its_acknowledgements(rig: Rig, mode: str) -> None:
    heard = await python_client(rig.url, [Voice("a", PCM), Voice("b", PCM)], mode, "vox,fleet")
    acks = [answer for answer in heard.answers if "is_end" in answer]
    assert [(ack["wav_name"], ack["is_final"]) for ack in acks] == [("a", True), ("b", True)]
    texts = {"offline": "hello world", "2pass": "Hello world.", "online": "hello world."}
    assert heard.shown == texts[mode] * 2
    asked = [task.recognition for task in rig.asked]
    asked += [session.options.recognition for session in rig.opened]
    assert [recognition.hotwords for recognition in asked] == [("vox", "fleet")] * 2


async def test_python_is_told_of_a_failure(rig: Rig) -> None:
    rig.fault = CorruptAudioError("a: broken file")
    with pytest.raises(RuntimeError, match="a: broken file"):
        await python_client(rig.url, [Voice("a", PCM)], "offline")


async def test_the_browser_sends_its_wav_header(rig: Rig) -> None:
    wav = header(channels=2) + PCM
    heard = await browser_file(rig.url, Voice("h5", wav, {"vox": 20}))
    assert heard.shown == "0.25:hello\n0.75:world\n"
    assert rig.heard == [digest(wav)]
    assert rig.asked[0].audio.raw_pcm is None


async def test_go_and_java(rig: Rig) -> None:
    assert (await go_client(rig.url, Voice("a", PCM, {"阿里": 20}))).shown == "hello world"
    assert (
        await java_client(rig.url, Voice("b", header() + PCM, {"阿里": 20}))
    ).shown == "hello world"
    assert rig.heard == [digest(PCM)] * 2
    assert [task.recognition.hotwords for task in rig.asked] == [("阿里",)] * 2


@pytest.mark.parametrize("mode", ["offline", "2pass", "online"])
async def test_what_is_not_pcm_is_read_as_a_file(rig: Rig, mode: str) -> None:
    async with connected(rig.url) as line:
        await line.send(json.dumps({"mode": mode, "wav_format": "mp3", "wav_name": "x"}))
        await line.send(PCM)
        await line.send(ENDS)
        answer = await answer_of(line)
    assert answer["mode"] == {"2pass": "2pass-offline"}.get(mode, mode)
    assert (answer["text"], answer["is_final"]) == ("hello world", True)
    assert rig.asked[0].audio.raw_pcm is None
    assert rig.opened == []


async def test_sound_without_one_sample_is_a_file_without_text(rig: Rig) -> None:
    rig.fault = EmptyAudioError("no samples")
    heard = await go_client(rig.url, Voice("a", b"\x00"))
    assert heard.answers[0]["text"] == ""
    assert "error" not in heard.answers[0]


async def test_a_fault_of_one_file_leaves_the_next_alone(rig: Rig) -> None:
    rig.fault = CorruptAudioError("a: broken")
    async with connected(rig.url) as line:
        await line.send(json.dumps({"wav_name": "a"}))
        for _ in range(2):
            await line.send(PCM)
            await line.send(ENDS)
            answer = await answer_of(line)
            assert answer["is_final"] is True
            rig.fault = None
    assert answer["text"] == "hello world"


async def test_work_ends_when_the_client_leaves(rig: Rig) -> None:
    rig.hold = True
    async with connected(rig.url) as line:
        await line.send(json.dumps({"mode": "offline"}))
        await line.send(PCM)
        await line.send(ENDS)
        await asyncio.wait_for(rig.holding.wait(), 10)
    await until(rig.cancelled.is_set)
    await until(lambda: rig.places == 0)


async def test_a_file_that_is_too_large(rig: Rig) -> None:
    async with connected(rig.url) as line:
        await line.send(json.dumps({"mode": "offline"}))
        await line.send(bytes(900_000))
        await line.send(bytes(900_000))
        answer = await answer_of(line)
        assert answer["code"] == "audio_too_large"
        assert (await closed(line))[0] == 1009


async def test_a_crowd_is_refused_before_the_sound_is_sent(rig: Rig) -> None:
    rig.refusal = OverloadError("the queue is full; try later")
    async with connected(rig.url) as line:
        await line.send(json.dumps({"mode": "offline"}))
        await line.send(PCM)
        assert (await answer_of(line))["error"] == "the queue is full; try later"
        assert await closed(line) == (1013, "the queue is full; try later")

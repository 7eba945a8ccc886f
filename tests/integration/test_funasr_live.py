"""Live sound over FunASR's websocket protocol: words while they are spoken, then the sentence."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.integration.funasr_rig import (
    ENDS,
    GROWING,
    PCM,
    SPOKEN,
    STARTS,
    Rig,
    answer_of,
    closed,
    rig_with,
)
from tests.integration.standin_service import digest
from tests.outsiders.funasr_browser_client import browser_microphone
from tests.outsiders.funasr_protocol_client import (
    Voice,
    connected,
    cpp_2pass,
)
from tests.unit.test_funasr_wav_head import header
from voxfleet.errors import (
    OverloadError,
)
from voxfleet.transcribe.session_contract import (
    Ending,
)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig_with(tmp_path) as running:
        yield running


async def test_cpp_2pass(rig: Rig) -> None:
    rig.on_sound, rig.on_finish = GROWING, [replace(SPOKEN, text="Hello."), replace(SPOKEN, item=1)]
    heard = await cpp_2pass(rig.url, Voice("mic", PCM, {"vox": 20}, sample_rate_hz=8000))
    assert heard.shown == "Hello. Hello world."
    assert [answer["is_final"] for answer in heard.answers] == [False, False, False, True]
    session = rig.opened[0]
    assert session.sound == PCM
    assert session.options.sound.sample_rate_hz == 8000
    assert session.options.recognition.hotwords == ("vox",)
    assert session.options.text.itn
    assert session.options.client == "127.0.0.1"


async def test_words_come_while_sound_is_still_sent(rig: Rig) -> None:
    rig.on_sound = GROWING
    async with connected(rig.url) as line:
        await line.send(STARTS)
        await line.send(PCM)
        assert (await answer_of(line))["text"] == "hello"
        assert (await answer_of(line))["text"] == " wor"
        await line.send(ENDS)


async def test_the_browsers_microphone(rig: Rig) -> None:
    heard = await browser_microphone(rig.url, Voice("mic", PCM), leaves_after_s=0.3)
    assert heard.shown == "Hello world."
    assert heard.answers[-1]["timestamp"] == "[[0,500],[500,1000]]"


@pytest.mark.parametrize("frame_bytes", [1, 7, 960, 100_000])
async def test_a_wav_header_in_pieces_is_not_heard(rig: Rig, frame_bytes: int) -> None:
    wav = header(rate_hz=8000, size=len(PCM)) + PCM + b"LIST of what follows"
    sent = wav if frame_bytes > 100 else wav[:600]
    async with connected(rig.url) as line:
        await line.send(STARTS)
        for place in range(0, len(sent), frame_bytes):
            await line.send(sent[place : place + frame_bytes])
        await line.send(ENDS)
        while not (await answer_of(line))["is_final"]:
            pass
    assert rig.opened[0].sound == sent[44 : 44 + len(PCM)]
    assert rig.opened[0].options.sound.sample_rate_hz == 8000


async def test_live_stereo_is_read_as_a_file(rig: Rig) -> None:
    wav = header(channels=2) + PCM
    heard = await cpp_2pass(rig.url, Voice("stereo", wav))
    assert [answer["text"] for answer in heard.answers] == ["hello world"]
    assert rig.heard == [digest(wav)]
    assert rig.opened == []


@pytest.mark.parametrize("mode", ["offline", "2pass", "online"])
@pytest.mark.parametrize("sound", [b"", b"RIFF"])
async def test_hardly_any_sound(rig: Rig, mode: str, sound: bytes) -> None:
    rig.on_finish = []
    async with connected(rig.url) as line:
        await line.send(json.dumps({"mode": mode}))
        await line.send(sound)
        await line.send(ENDS)
        answer = await answer_of(line)
    assert answer["is_final"] is True


async def test_a_second_file_needs_no_new_first_message(rig: Rig) -> None:
    async with connected(rig.url) as line:
        await line.send(STARTS)
        for _ in range(2):
            await line.send(PCM)
            await line.send(ENDS)
            while not (await answer_of(line))["is_final"]:
                pass
    assert [session.sound for session in rig.opened] == [PCM, PCM]


async def test_the_server_ends_a_session(rig: Rig) -> None:
    rig.on_sound = [SPOKEN, Ending("the longest time of a session has passed"), None]  # type: ignore[list-item]
    async with connected(rig.url) as line:
        await line.send(STARTS)
        await line.send(PCM)
        assert (await answer_of(line))["text"] == "Hello world."
        last = await answer_of(line)
        assert (last["is_final"], last["error"]) == (
            True,
            "the longest time of a session has passed",
        )
        assert await closed(line) == (1001, "the longest time of a session has passed")


async def test_a_full_server_says_so(rig: Rig) -> None:
    rig.session_refusal = OverloadError("200 sessions are all there may be; try later")
    async with connected(rig.url) as line:
        await line.send(STARTS)
        await line.send(PCM)
        assert (await answer_of(line))["code"] == "overloaded"
        assert (await closed(line))[0] == 1013

"""Realtime by exact text: a real server reads the tone language as it is spoken, however sliced."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.realtime_talk import talking
from tests.integration.server_process import ServerProcess, serving
from tests.outsiders.funasr_protocol_client import Voice, cpp_2pass, cpp_files, python_client
from tests.system.test_tone_system import MODEL
from tests.tone_speech import Manner, heard, speak

pytest.importorskip("torch")

SENTENCES = ("你好天地人", "大他中国上下", "左右东西南北")
QUIET = np.zeros(16_000, np.int16).tobytes()


def pcm(text: str, **manner: float) -> bytes:
    return speak(text, Manner(**manner)).samples.astype("<i2").tobytes()  # type: ignore[arg-type]


#: three sentences with pauses that end each
SPEECH = b"".join(pcm(sentence) + QUIET for sentence in SENTENCES)
TEXTS = [heard(sentence) for sentence in SENTENCES]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("tone-live")
    with serving(folder, "--model", str(MODEL), VOXFLEET_AUDIO__VAD="energy") as running:
        yield running


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(sizes=st.lists(st.integers(1, 20_000), min_size=1, max_size=5))
def test_the_texts_are_the_same_in_every_slicing(server: ServerProcess, sizes: list[int]) -> None:
    async def check() -> None:
        async with talking(server.address) as talk:
            await talk.say(SPEECH, [max(size, 200) for size in sizes])
            assert await talk.until_texts(3) == TEXTS
            for completed in talk.of("conversation.item.input_audio_transcription.completed"):
                # utterances shorter than the window: the last piece is all of it
                assert completed["usage"]["type"] == "duration"
            started = talk.of("input_audio_buffer.speech_started")
            assert len(started) == len(talk.of("input_audio_buffer.speech_stopped")) == 3

    asyncio.run(check())


def test_words_come_while_they_are_spoken(server: ServerProcess) -> None:
    async def check() -> None:
        async with talking(server.address) as talk:
            long = pcm("山水火木金土日月星风云雨雪花草鸟鱼马小你好天地")
            # in real time
            await talk.say(long, [3_200], pause_s=0.1)
            deltas = talk.of("conversation.item.input_audio_transcription.delta")
            assert deltas
            assert not talk.texts
            await talk.say(QUIET)
            (text,) = await talk.until_texts(1)
            assert text == heard("山水火木金土日月星风云雨雪花草鸟鱼马小你好天地")
            assert talk.deltas(deltas[0]["item_id"]) == text

    asyncio.run(check())


def test_an_utterance_longer_than_the_window_is_settled_and_whole(server: ServerProcess) -> None:
    said = "山水火木金土日月星风云雨雪花草鸟鱼马小" * 6

    async def check() -> None:
        async with talking(server.address) as talk:
            await talk.say(pcm(said) + QUIET, [32_000])
            (text,) = await talk.until_texts(1)
            (completed,) = talk.of("conversation.item.input_audio_transcription.completed")
            # where it was cut, a tone may have been parted
            assert abs(len(text) - len(heard(said))) <= 6
            assert talk.deltas(completed["item_id"])[:60] == text[:60]

    asyncio.run(check())


def test_the_client_may_say_where_an_utterance_ends(server: ServerProcess) -> None:
    async def check() -> None:
        async with talking(server.address, turn_detection=None) as talk:
            await talk.say(SPEECH)
            await talk.send("input_audio_buffer.commit")
            assert await talk.until_texts(1) == ["".join(TEXTS)]
            assert not talk.of("input_audio_buffer.speech_started")
            await talk.send("input_audio_buffer.commit")
            (error,) = await talk.until("error")
            assert error["error"]["code"] == "input_audio_buffer_commit_empty"

    asyncio.run(check())


@pytest.mark.parametrize("order", ["commit", "clear"])
def test_half_a_sample_harms_nothing_behind_it(server: ServerProcess, order: str) -> None:
    async def check() -> None:
        async with talking(server.address) as talk:
            await talk.say(QUIET[:6_401], [6_401])
            await talk.send(f"input_audio_buffer.{order}")
            committed = order == "commit"
            await talk.until(f"input_audio_buffer.{'committed' if committed else 'cleared'}")
            await talk.say(SPEECH)
            assert (await talk.until_texts(3 + committed))[-3:] == TEXTS
            told = [event["error"]["message"] for event in talk.of("error")]
            assert [message[:24] for message in told] == ["the sound ended within a"] * committed

    asyncio.run(check())


def test_hotwords_are_the_sessions_own(server: ServerProcess) -> None:
    async def check() -> None:
        async with talking(server.address, transcription={"keywords": ["她"]}) as talk:
            await talk.say(pcm("大他中国") + QUIET)
            assert await talk.until_texts(1) == [heard("大他中国", ["她"])]

    asyncio.run(check())


@pytest.mark.parametrize("mode", ["2pass", "online", "offline"])
def test_funasrs_python_client(server: ServerProcess, mode: str) -> None:
    address = server.address.replace("http", "ws", 1)
    heard_by = asyncio.run(python_client(address, [Voice("talk", SPEECH)], mode))
    assert "".join(heard_by.shown.split()) == "".join(TEXTS)


def test_funasrs_cpp_clients(server: ServerProcess) -> None:
    address = server.address.replace("http", "ws", 1)
    live = asyncio.run(cpp_2pass(address, Voice("talk", SPEECH)))
    assert "".join(live.shown.split()) == "".join(TEXTS)
    files = asyncio.run(cpp_files(address, [Voice("one", SPEECH), Voice("two", SPEECH)]))
    assert [answer["text"] for answer in files.answers] == ["".join(TEXTS)] * 2


def test_bad_input_is_told_and_harms_no_neighbour(server: ServerProcess) -> None:
    async def check() -> None:
        async with talking(server.address) as good, talking(server.address) as bad:
            talking_on = asyncio.create_task(good.say(SPEECH, [3_200], pause_s=0.01))
            await bad.send("input_audio_buffer.append", audio="no base64 at all!")
            await bad.send("no.such.event")
            await bad.line.send("[")
            await bad.line.send(b"\x00" * 1000)
            await bad.until("error", 4)
            # ten megabytes at once are a lot of sound, and heard
            noise = base64.b64encode(bytes(7_500_000)).decode()
            await bad.send("input_audio_buffer.append", audio=noise)
            await bad.say(pcm(SENTENCES[0]) + QUIET)
            await talking_on
            assert await good.until_texts(3) == TEXTS
            assert await bad.until_texts(1) == TEXTS[:1]

    asyncio.run(check())

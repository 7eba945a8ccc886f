"""`voxfleet listen` as its user runs it, against a server that hears nothing."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
from pathlib import Path

import av
import numpy as np
import pytest

from tests.integration.server_process import serving
from tests.integration.standin_realtime import UTTERANCE_BYTES, standin_realtime
from tests.system.listen_rig import (
    LIMIT_S,
    RAW,
    SAMPLES,
    TEXT,
    Done,
    listen,
    started,
    until,
    write_recording,
)
from tests.tone_speech import Manner, heard, speak


@pytest.fixture
def recording(tmp_path: Path) -> str:
    return write_recording(tmp_path / "talk.wav")


async def test_a_file_is_played_and_every_utterance_is_a_line(recording: str) -> None:
    async with standin_realtime() as server:
        done = await listen(recording, "--url", server.url, "--fast")
    assert done == Done(0, TEXT, "")
    assert bytes(server.sound) == RAW


async def test_the_words_of_a_real_server(tmp_path: Path) -> None:
    said = ("天地人你好", "中国vox fleet")
    sound = np.concatenate([speak(f"{text}|", Manner(tail_s=1.5)).samples for text in said])
    checkpoint = Path(__file__).parents[1] / "checkpoints" / "tone"
    with serving(tmp_path, "--model", str(checkpoint), VOXFLEET_AUDIO__VAD="energy") as server:
        done = await listen("-", "--url", server.address, stdin=sound.astype("<i2").tobytes())
    assert done == Done(0, "".join(heard(text) + "\n" for text in said), "")


async def test_a_file_takes_as_long_as_it_lasts(recording: str) -> None:
    async with standin_realtime() as server:
        done = await listen(recording, "--url", server.url)
    assert done == Done(0, TEXT, "")
    assert server.arrivals_s[-1] >= 2.3


async def test_a_compressed_stereo_file(tmp_path: Path) -> None:
    path = tmp_path / "talk.ogg"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libopus", rate=48_000)
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(np.tile(SAMPLES[None, :], (2, 1)), "s16p", "stereo")
        frame.sample_rate = 48_000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    async with standin_realtime() as server:
        done = await listen(str(path), "--url", server.url, "--fast")
    assert (done.state, done.err) == (0, "")
    assert len(server.sound) == pytest.approx(2 * len(SAMPLES) / 3, rel=0.02)


async def test_a_pipe_of_raw_sound() -> None:
    async with standin_realtime() as server:
        done = await listen("-", "--url", server.url, stdin=RAW)
        at_8_khz = await listen("--rate", "8000", "--url", server.url, stdin=RAW)
    assert done == Done(0, TEXT, "")
    assert bytes(server.sound[: len(RAW)]) == RAW
    assert at_8_khz.state == 0
    assert len(server.sound) == pytest.approx(3 * len(RAW), abs=20)


async def test_a_pipe_of_wav(recording: str) -> None:
    sound = await asyncio.to_thread(Path(recording).read_bytes)
    async with standin_realtime() as server:
        done = await listen("-", "--url", server.url, stdin=sound)
    assert done == Done(0, TEXT, "")
    assert bytes(server.sound) == RAW


async def test_words_of_a_live_pipe_come_while_it_is_open() -> None:
    async with (
        standin_realtime() as server,
        started("-", "--url", server.url) as process,
        asyncio.timeout(LIMIT_S),
    ):
        assert process.stdin
        assert process.stdout
        process.stdin.write(RAW[:UTTERANCE_BYTES])
        assert await process.stdout.readline() == b"Utterance 1.\n"
        process.stdin.write(RAW[:UTTERANCE_BYTES])
        assert await process.stdout.readline() == b"Utterance 2.\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_the_sound_and_its_text_is_waited_for(number: int) -> None:
    async with (
        standin_realtime(late_s=0.5) as server,
        started("-", "--url", server.url) as process,
        asyncio.timeout(LIMIT_S),
    ):
        assert process.stdin
        assert process.stdout
        process.stdin.write(RAW[: UTTERANCE_BYTES + 8_000])
        assert await process.stdout.readline() == b"Utterance 1.\n"
        await until(lambda: len(server.sound) == UTTERANCE_BYTES + 8_000)
        process.send_signal(number)
        assert await process.stdout.read() == b"Utterance 2.\n"
        assert await process.wait() == 128 + number
        assert process.stderr
        assert await process.stderr.read() == b""


async def test_a_signal_ends_a_file(recording: str) -> None:
    async with (
        standin_realtime() as server,
        started(recording, "--url", server.url) as process,
        asyncio.timeout(LIMIT_S),
    ):
        assert process.stdout
        await until(lambda: len(server.sound) > 8_000)
        process.send_signal(signal.SIGINT)
        assert await process.stdout.read() == b"Utterance 1.\n"
        assert await process.wait() == 130
    assert len(server.sound) < UTTERANCE_BYTES


async def test_a_second_signal_does_not_wait(recording: str) -> None:
    async with (
        standin_realtime(late_s=3600) as server,
        started(recording, "--url", server.url, "--fast") as process,
        asyncio.timeout(LIMIT_S),
    ):
        await until(lambda: server.utterances == 1)
        process.send_signal(signal.SIGINT)
        await asyncio.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130


async def test_events_one_a_line(recording: str) -> None:
    async with standin_realtime() as server:
        done = await listen(recording, "--url", server.url, "--fast", "--json")
    kinds = [json.loads(line)["type"] for line in done.out.splitlines()]
    assert kinds[:2] == ["session.created", "session.updated"]
    assert sum(kind.endswith(".completed") for kind in kinds) == 3
    assert (done.state, done.err) == (0, "")


async def test_what_is_wished_reaches_the_server(recording: str) -> None:
    async with standin_realtime() as server:
        words = ("--model", "a b", "--language", "zh", "--hotwords", "阿里,x y", "--vad", "energy")
        await listen(recording, "--url", server.url, "--fast", *words, "--key", "vf-1")
        await listen(recording, "--url", server.url, "--fast", VOXFLEET_API_KEY="vf-2")
        await listen(recording, "--url", server.url, "--fast")
    first, plain, _ = server.setups
    wanted = {"language": "zh", "keywords": ["阿里", "x y"]}
    assert first["audio"]["input"]["transcription"] == wanted
    assert (first["vad"], plain.get("vad")) == ("energy", None)
    route = "/v1/realtime?intent=transcription"
    assert server.paths == [f"{route}&model=a%20b", route, route]
    assert server.keys == ["Bearer vf-1", "Bearer vf-2", None]


async def test_a_terminal_shows_growing_words_and_keeps_the_finished(recording: str) -> None:
    ours, theirs = pty.openpty()
    async with (
        standin_realtime(late_s=0.2) as server,
        started(
            recording, "--url", server.url, "--fast", stdout=theirs, variables={"TERM": "xterm"}
        ) as process,
        asyncio.timeout(LIMIT_S),
    ):
        os.close(theirs)
        shown = await asyncio.to_thread(_all_of, ours)
        assert await process.wait() == 0
    assert "utterance" in shown
    first, second = (shown.index(f"Utterance {number}.") for number in (1, 2))
    # what grew is wiped away before its text takes the place
    assert "\x1b[2K" in shown[:first]
    assert first < second
    assert shown.index("utterance") < first


def _all_of(terminal: int) -> str:
    shown = b""
    try:
        while block := os.read(terminal, 4096):
            shown += block
    except OSError:
        # how a terminal says that nobody is at its other end
        pass
    finally:
        os.close(terminal)
    return shown.decode()

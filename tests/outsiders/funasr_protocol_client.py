"""Clients of FunASR's websocket protocol that behave as its own do, each with what it cannot bear.

Written from notes on the protocol. Each leaves when the client it stands for would leave, so that
a server which never gives the sign is seen: the wait ends in a TimeoutError.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

LIMIT_S = 30.0
_WAV_HEADER_BYTES = 44
_CPP_FRAME_BYTES = 204_800

Answer = dict[str, object]


@dataclass
class Heard:
    """What a client showed its user, and every message it was sent."""

    shown: str = ""
    answers: list[Answer] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Voice:
    """A file as a client sends it; `hotwords` are for those that send weights."""

    name: str
    sound: bytes
    hotwords: Mapping[str, int] = field(default_factory=dict)
    sample_rate_hz: int = 16_000
    #: between two frames; a microphone's is as long as the frame
    pause_s: float = 0.0


@asynccontextmanager
async def connected(
    address: str, tls: ssl.SSLContext | None = None, binary: bool = True
) -> AsyncIterator[ClientConnection]:
    """Without pings and compression, as most of FunASR's clients are."""
    offered = [Subprotocol("binary")] if binary else None
    async with connect(
        address,
        subprotocols=offered,
        ssl=tls,
        ping_interval=None,
        compression=None,
        max_size=None,
        proxy=None,
    ) as line:
        if binary and line.subprotocol != "binary":
            raise AssertionError("the sub-protocol was offered and not taken")
        yield line


# -- Python: waits for the acknowledgement of each file --------------------------------------------


async def python_client(
    address: str, voices: Sequence[Voice], mode: str, hotwords: str = "", limit_s: float = LIMIT_S
) -> Heard:
    """Raises RuntimeError where a file was not finished, as the client does."""
    heard = Heard()
    acks: asyncio.Queue[Answer] = asyncio.Queue()
    async with connected(address) as line:
        listening = asyncio.create_task(_python_listener(line, heard, acks))
        try:
            for voice in voices:
                await _say_as_python(line, voice, mode, hotwords)
                ack = await asyncio.wait_for(acks.get(), limit_s)
                if not ack.get("is_final", False):
                    raise RuntimeError(f"{voice.name}: {ack.get('error')}")
        finally:
            listening.cancel()
            await asyncio.wait({listening})
    return heard


async def _say_as_python(line: ClientConnection, voice: Voice, mode: str, hotwords: str) -> None:
    first = {
        "mode": mode,
        "chunk_size": [5, 10, 5],
        "chunk_interval": 10,
        "encoder_chunk_look_back": 4,
        "decoder_chunk_look_back": 0,
        "audio_fs": voice.sample_rate_hz,
        "wav_name": voice.name,
        "wav_format": "pcm",
        "is_speaking": True,
        "hotwords": hotwords,
        "itn": True,
    }
    await line.send(json.dumps(first, ensure_ascii=False))
    await send_frames(line, voice, voice.sample_rate_hz * 2 * 60 // 1000)
    await line.send(json.dumps({"is_speaking": False, "is_end": True}))


async def _python_listener(
    line: ClientConnection, heard: Heard, acks: asyncio.Queue[Answer]
) -> None:
    try:
        await _show_as_python(line, heard, acks)
    finally:
        # whoever waits for the acknowledgement need not wait on
        acks.put_nowait({"is_end": True, "is_final": False, "error": "the server hung up"})


async def _show_as_python(
    line: ClientConnection, heard: Heard, acks: asyncio.Queue[Answer]
) -> None:
    settled = growing = ""
    async for frame in line:
        answer = kept(heard, frame)
        text = str(answer.get("text", ""))
        if answer.get("is_end"):
            acks.put_nowait(answer)
        elif answer["mode"] in ("online", "offline"):
            settled += text
        elif answer["mode"] == "2pass-online":
            growing += text
        else:
            growing, settled = "", settled + text
        heard.shown = settled + growing


# -- Go: files only; every field has its type -----------------------------------------------------


async def go_client(address: str, voice: Voice, limit_s: float = LIMIT_S) -> Heard:
    heard = Heard()
    async with connected(address, binary=False) as line:
        hotwords = json.dumps(dict(voice.hotwords), ensure_ascii=False) if voice.hotwords else ""
        first = {
            "mode": "offline",
            "chunk_size": [5, 10, 5],
            "chunk_interval": 10,
            "audio_fs": voice.sample_rate_hz,
            "wav_name": voice.name,
            "wav_format": "pcm",
            "is_speaking": True,
            "hotwords": hotwords,
            "itn": True,
        }
        await line.send(json.dumps(first, ensure_ascii=False))
        await send_frames(line, voice, 1920)
        await line.send(json.dumps({"is_speaking": False}))
        async with asyncio.timeout(limit_s):
            async for frame in line:
                answer = kept(heard, frame)
                typed = (answer.get(name, "") for name in ("wav_name", "text", "timestamp", "mode"))
                if not all(isinstance(value, str) for value in typed):
                    continue  # "unmarshal:", and it goes on waiting
                if answer.get("mode") == "offline":
                    heard.shown = str(answer["text"])
                    return heard
    raise AssertionError("the server hung up before its answer")


# -- C++: counts answers ---------------------------------------------------------------------------


async def cpp_files(address: str, voices: Sequence[Voice], limit_s: float = LIMIT_S) -> Heard:
    """Names no mode, sends all files without a wait, and takes every message for one file's end."""
    heard = Heard()
    async with connected(address) as line:
        sending = asyncio.create_task(_send_as_cpp(line, voices))
        try:
            async with asyncio.timeout(limit_s):
                while len(heard.answers) < len(voices):
                    answer = kept(heard, await line.recv())
                    heard.shown += f"{answer['text']}\n"
        finally:
            sending.cancel()
            await asyncio.wait({sending})
    return heard


async def _send_as_cpp(line: ClientConnection, voices: Sequence[Voice]) -> None:
    for number, voice in enumerate(voices):
        first = _cpp_message(voice)
        if number == 0 and voice.hotwords:
            first["hotwords"] = json.dumps(dict(voice.hotwords), ensure_ascii=False)
        await line.send(json.dumps(first))
        await send_frames(line, voice, _CPP_FRAME_BYTES)
        await line.send(json.dumps({"is_speaking": False}))


async def cpp_2pass(address: str, voice: Voice, limit_s: float = LIMIT_S) -> Heard:
    """Leaves at the first final message; what it shows is what came in 2pass-offline ones."""
    heard = Heard()
    async with connected(address) as line:
        first = _cpp_message(voice) | {"mode": "2pass"}
        if voice.hotwords:
            first["hotwords"] = json.dumps(dict(voice.hotwords), ensure_ascii=False)
        await line.send(json.dumps(first))
        await send_frames(line, voice, 1920)
        await line.send(json.dumps({"is_speaking": False}))
        async with asyncio.timeout(limit_s):
            async for frame in line:
                answer = kept(heard, frame)
                if answer.get("mode") == "2pass-offline":
                    heard.shown += str(answer["text"])
                if answer["is_final"]:
                    return heard
    raise AssertionError("the server hung up before its final message")


def _cpp_message(voice: Voice) -> Answer:
    return {
        "chunk_size": [5, 10, 5],
        "chunk_interval": 10,
        "wav_name": voice.name,
        "wav_format": "pcm",
        "audio_fs": voice.sample_rate_hz,
        "itn": True,
        "is_speaking": True,
        "svs_lang": "auto",
        "svs_itn": True,
    }


# -- Java: skips a wav header of 44 bytes, whatever its length -------------------------------------


async def java_client(address: str, wav: Voice, limit_s: float = LIMIT_S) -> Heard:
    heard = Heard()
    async with connected(address, binary=False) as line:
        words = {word: str(weight) for word, weight in wav.hotwords.items()}
        first = {
            "mode": "offline",
            "chunk_size": [5, 10, 5],
            "chunk_interval": 10,
            "wav_name": wav.name,
            "wav_format": "pcm",
            "is_speaking": True,
            "hotwords": json.dumps(words, ensure_ascii=False),
        }
        await line.send(json.dumps(first, ensure_ascii=False))
        bare = Voice(wav.name, wav.sound[_WAV_HEADER_BYTES:], pause_s=wav.pause_s)
        await send_frames(line, bare, 1920)
        await line.send(json.dumps({"is_speaking": False}))
        async with asyncio.timeout(limit_s):
            async for frame in line:
                answer = kept(heard, frame)
                heard.shown += str(answer["text"])
                if answer.get("is_final", True):
                    return heard
    raise AssertionError("the server hung up before its final message")


async def send_frames(line: ClientConnection, voice: Voice, frame_bytes: int) -> None:
    for place in range(0, len(voice.sound), frame_bytes):
        await line.send(voice.sound[place : place + frame_bytes])
        if voice.pause_s:
            await asyncio.sleep(voice.pause_s)


def kept(heard: Heard, frame: str | bytes) -> Answer:
    answer: Answer = json.loads(frame)
    heard.answers.append(answer)
    return answer

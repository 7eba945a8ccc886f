"""FunASR's web page as a client: sends a wav as it is, and looks the time of each word up."""

from __future__ import annotations

import asyncio
import json
import re

from tests.outsiders.funasr_protocol_client import (
    LIMIT_S,
    Answer,
    Heard,
    Voice,
    connected,
    kept,
    send_frames,
)

_FRAME_BYTES = 960
_MARKS_OF_BROWSER = re.compile(r"[。？，、?. ]")


async def browser_file(address: str, wav: Voice, limit_s: float = LIMIT_S) -> Heard:
    heard = Heard()
    async with connected(address, binary=False) as line:
        first = _browser_message("offline", True) | {
            "wav_format": "PCM",
            "audio_fs": wav.sample_rate_hz,
            "hotwords": json.dumps(dict(wav.hotwords), ensure_ascii=False),
        }
        await line.send(json.dumps(first))
        await send_frames(line, wav, _FRAME_BYTES)
        await line.send(json.dumps(_browser_message("offline", False)))
        async with asyncio.timeout(limit_s):
            async for frame in line:
                answer = kept(heard, frame)
                heard.shown += with_times_of_browser(str(answer["text"]), answer.get("timestamp"))
                if answer["is_final"] is True:
                    return heard
    raise AssertionError("the server hung up before its final message")


async def browser_microphone(
    address: str, voice: Voice, mode: str = "2pass", leaves_after_s: float = 3.0
) -> Heard:
    """Hangs up some time after the end, whatever has come."""
    heard = Heard()
    settled = growing = ""
    async with connected(address, binary=False) as line:
        first = _browser_message(mode, True)
        if voice.hotwords:
            first["hotwords"] = json.dumps(dict(voice.hotwords), ensure_ascii=False)
        await line.send(json.dumps(first))
        await send_frames(line, voice, _FRAME_BYTES * 2)
        await line.send(json.dumps(_browser_message(mode, False)))
        try:
            async with asyncio.timeout(leaves_after_s):
                async for frame in line:
                    answer = kept(heard, frame)
                    text = str(answer["text"])
                    if answer["mode"] in ("2pass-offline", "offline"):
                        with_times_of_browser(text, answer.get("timestamp"))
                        growing, settled = "", settled + text
                    else:
                        growing += text
                    heard.shown = settled + growing
        except TimeoutError:
            pass
    return heard


def _browser_message(mode: str, speaking: bool) -> Answer:
    return {
        "chunk_size": [5, 10, 5],
        "wav_name": "h5",
        "is_speaking": speaking,
        "chunk_interval": 10,
        "mode": mode,
    }


def with_times_of_browser(text: str, timestamp: object) -> str:
    """Raises where the page's script would: it asks neither for types nor for lengths."""
    if timestamp is None or not text:
        return text
    if not isinstance(timestamp, str):
        raise AssertionError("JSON.parse of what is no string")
    times, place, lines = json.loads(timestamp), 0, ""
    for piece in filter(None, _MARKS_OF_BROWSER.split(text)):
        lines += f"{times[place][0] / 1000:g}:{piece}\n"
        place += 1 if re.fullmatch("[a-zA-Z]+", piece) else len(piece)
    return lines

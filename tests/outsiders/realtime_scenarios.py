"""What a program does with the realtime part of OpenAI's client, run by the client's interpreter.

    python realtime_scenarios.py BASE_URL KEY RAW_SOUND SCENARIO...

The sound is int16, 16 kHz, mono. Prints one JSON object: the client's version, and what each
scenario was told or raised. Speaks the dialect of its own version; imports nothing of ours.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import openai
from openai import AsyncOpenAI
from openai._types import Omit

IS_OLD = openai.__version__.startswith("1.")
LIMIT_S = 30
PIECE_BYTES = 3_200
#: microphones do not stop when somebody has spoken
SILENCE = bytes(32_000)
#: of either client; the older one's classes have no common name with the newer one's
Connection = Any
Event = dict[str, Any]
Scenario = Callable[["Talk"], Awaitable[None]]


class Talk:
    """One connection and what came of it."""

    def __init__(self, connection: Connection, sound: bytes) -> None:
        self.connection = connection
        self.sound = sound
        self.events: list[Event] = []

    async def until(self, kind: str, times: int = 1) -> None:
        """Keeps all events up to the one whose type ends so."""
        for _ in range(times):
            while not (await self._next())["type"].endswith(kind):
                pass

    async def _next(self) -> Event:
        async with asyncio.timeout(LIMIT_S):
            event = await self.connection.recv()
        self.events.append(event.model_dump())
        return self.events[-1]

    async def set_up(self, turn_detection: dict[str, Any] | None) -> None:
        """In the words of each dialect; the older one knows 24 kHz alone."""
        await self.until("session.created")
        if IS_OLD:
            session: Event = {
                "input_audio_format": "pcm16",
                "input_audio_transcription": {"language": "zh"},
                "turn_detection": turn_detection,
            }
            await self.connection.transcription_session.update(session=session)
        else:
            heard = {
                "format": {"type": "audio/pcm", "rate": 24_000},
                "transcription": {"language": "zh"},
                "turn_detection": turn_detection,
            }
            session = {"type": "transcription", "audio": {"input": heard}}
            await self.connection.session.update(session=session)
        await self.until("session.updated")

    async def say(self, sound: bytes) -> None:
        for start in range(0, len(sound), PIECE_BYTES):
            piece = base64.b64encode(sound[start : start + PIECE_BYTES]).decode()
            await self.connection.input_audio_buffer.append(audio=piece)


async def committed(talk: Talk) -> None:
    """Without turn detection: the client says where an utterance ends, here twice."""
    await talk.set_up(None)
    for _ in range(2):
        await talk.say(talk.sound)
        await talk.connection.input_audio_buffer.commit()
        await talk.until(".completed")


async def detected(talk: Talk) -> None:
    await talk.set_up({"type": "server_vad", "silence_duration_ms": 500})
    for _ in range(2):
        await talk.say(talk.sound + 2 * SILENCE)
        await talk.until(".completed")


async def cleared(talk: Talk) -> None:
    await talk.set_up(None)
    await talk.say(talk.sound)
    await talk.connection.input_audio_buffer.clear()
    await talk.until(".cleared")
    await talk.say(talk.sound)
    await talk.connection.input_audio_buffer.commit()
    await talk.until(".completed")


async def faulty(talk: Talk) -> None:
    """Errors are events, and the session goes on after each."""
    await talk.set_up(None)
    await talk.connection.input_audio_buffer.commit(event_id="mine")
    await talk.until("error")
    await talk.connection.input_audio_buffer.append(audio="no base64!")
    await talk.until("error")
    await talk.connection.response.create()
    await talk.until("error")
    await talk.say(talk.sound)
    await talk.connection.input_audio_buffer.commit()
    await talk.until(".completed")


async def greeted(talk: Talk) -> None:
    await talk.until("session.created")


SCENARIOS: dict[str, Scenario] = {
    each.__name__: each for each in (committed, detected, cleared, faulty, greeted)
}


def connecting(client: AsyncOpenAI, key: str, name: str) -> Any:
    """`NAME:sub_protocol` shows the key as browsers must, `NAME:model=X` names a model."""
    _, _, extra = name.partition(":")
    named = extra.removeprefix("model=") if extra.startswith("model=") else None
    options: dict[str, Any] = {"extra_query": {"intent": "transcription"}}
    if extra == "sub_protocol":
        options["websocket_connection_options"] = {
            "subprotocols": ["realtime", f"openai-insecure-api-key.{key}"]
        }
        options["extra_headers"] = {"Authorization": Omit()}
    if IS_OLD:
        return client.beta.realtime.connect(model=named or "gpt-4o-realtime-preview", **options)
    if named:
        options["model"] = named
    return client.realtime.connect(**options)


async def run(base_url: str, key: str, sound: bytes, name: str) -> Event:
    socket_url = base_url.replace("http", "ws", 1)
    async with AsyncOpenAI(base_url=base_url, websocket_base_url=socket_url, api_key=key) as client:
        events: list[Event] = []
        try:
            async with connecting(client, key, name) as connection:
                talk = Talk(connection, sound)
                events = talk.events
                await SCENARIOS[name.partition(":")[0]](talk)
        except Exception as error:  # noqa: BLE001  (whatever a client may raise is told)
            response = getattr(error, "response", None)
            return {
                "events": events,
                "raised": type(error).__name__,
                "message": str(error),
                "status": getattr(response, "status_code", None),
                "body": bytes(getattr(response, "body", b"") or b"").decode(errors="replace"),
            }
    return {"events": events}


async def main(base_url: str, key: str, raw: bytes, names: list[str]) -> None:
    results = {name: await run(base_url, key, raw, name) for name in names}
    json.dump({"version": openai.__version__, "results": results}, sys.stdout)


if __name__ == "__main__":
    base_url, key, sound, *names = sys.argv[1:]
    asyncio.run(main(base_url, key, Path(sound).read_bytes(), names))

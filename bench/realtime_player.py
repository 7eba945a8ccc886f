"""Clients of the realtime protocol that cost little: each plays a track and keeps what it is told.

Judges nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
from websockets.asyncio.client import ClientConnection, connect

from bench.realtime_sound import FRAME_S, Track
from voxfleet.cli_listen_events import sound_message

SILENCE_S = 0.5
#: after the last sound, for the last text
_LAST_TEXT_LIMIT_S = 20.0
_TEXT = "conversation.item.input_audio_transcription."
_SETUP = msgspec.json.encode(
    {
        "type": "session.update",
        "session": {
            "type": "transcription",
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": 16_000},
                    "turn_detection": {
                        "type": "server_vad",
                        "silence_duration_ms": round(1000 * SILENCE_S),
                    },
                }
            },
        },
    }
)


class _Event(msgspec.Struct):
    type: str
    item_id: str = ""
    delta: str = ""
    transcript: str = ""
    audio_start_ms: float = 0.0
    audio_end_ms: float = 0.0
    error: dict[str, object] | None = None


_decoder = msgspec.json.Decoder(_Event)


@dataclass(slots=True)
class Utterance:
    """What was told of one item, and when: seconds since the track's first sample was spoken."""

    started_ms: float | None = None
    stopped_ms: float | None = None
    stopped_s: float | None = None
    first_words_s: float | None = None
    completed_s: float | None = None
    grown: str = ""
    text: str = ""


@dataclass(slots=True)
class Told:
    track: Track
    utterances: dict[str, Utterance] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    #: the worst delay of our own: figures are worth nothing beyond it
    late_s: float = 0.0

    @property
    def is_complete(self) -> bool:
        return all(each.completed_s is not None for each in self.utterances.values())

    def take(self, message: str | bytes, at_s: float) -> None:
        event = _decoder.decode(message)
        kind = event.type.removeprefix("input_audio_buffer.").removeprefix(_TEXT)
        if event.error is not None:
            self.errors.append(str(event.error.get("message")))
        if kind not in ("speech_started", "speech_stopped", "delta", "completed"):
            return
        item = self.utterances.setdefault(event.item_id, Utterance())
        match kind:
            case "speech_started":
                item.started_ms = event.audio_start_ms
            case "speech_stopped":
                item.stopped_ms, item.stopped_s = event.audio_end_ms, at_s
            case "delta":
                item.first_words_s = item.first_words_s or at_s
                item.grown += event.delta
            case "completed":
                item.first_words_s = item.first_words_s or at_s
                item.completed_s, item.text = at_s, event.transcript


def realtime_url(address: str) -> str:
    return f"{address.replace('http', 'ws', 1)}/v1/realtime?intent=transcription"


async def open_client(address: str) -> ClientConnection:
    """A connection that is set up."""
    connection = await connect(realtime_url(address), compression=None, proxy=None)
    await connection.send(_SETUP, text=True)
    while True:
        event = _decoder.decode(await connection.recv(decode=False))
        if event.error is not None:
            raise SystemExit(f"the session cannot be set up: {event.error.get('message')}")
        if event.type == "session.updated":
            return connection


def encoded(track: Track) -> list[str]:
    """Made once, before anything is measured."""
    return [sound_message(frame) for frame in track.frames]


async def play(address: str, track: Track, messages: Sequence[str]) -> Told:
    """The whole track at its own pace, and what was told of it."""
    connection = await open_client(address)
    told = Told(track)
    began_s = time.monotonic()
    hearing = asyncio.create_task(_hear(connection, told, began_s))
    try:
        for number, message in enumerate(messages, 1):
            # a frame can be sent when its last sample has been spoken
            due_s = began_s + number * FRAME_S
            await asyncio.sleep(due_s - time.monotonic())
            told.late_s = max(told.late_s, time.monotonic() - due_s)
            await connection.send(message)
        await _until_complete(told)
    finally:
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)
        await connection.close()
    return told


async def _hear(connection: ClientConnection, told: Told, began_s: float) -> None:
    async for message in connection:
        told.take(message, time.monotonic() - began_s)


async def _until_complete(told: Told) -> None:
    end_s = time.monotonic() + _LAST_TEXT_LIMIT_S
    while not told.is_complete and time.monotonic() < end_s:  # noqa: ASYNC110
        await asyncio.sleep(0.05)

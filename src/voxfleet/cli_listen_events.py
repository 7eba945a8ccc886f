"""What `voxfleet listen` says to a server, and what it makes of the server's events. Pure.

The protocol is OpenAI's realtime transcription. Knows no socket, no sound and no terminal.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from voxfleet.core import SAMPLE_RATE_HZ, VadMode
from voxfleet.errors import VoxfleetError, rebuild

#: names of our own events: an error says which one it answers
SETUP = "setup"
#: nothing is heard between the two, so the second is always refused; it is sent when the first has
#: been answered, and so by then all items are known
LAST_COMMIT, NOTHING_LEFT = "last", "nothing left"
_EMPTY_COMMIT = "input_audio_buffer_commit_empty"


class ErrorBody(msgspec.Struct, frozen=True):
    message: str = ""
    code: str | None = None
    event_id: str | None = None


class ServerEvent(msgspec.Struct, frozen=True):
    """The fields of all events together: what an event does not have is empty."""

    type: str
    item_id: str = ""
    delta: str = ""
    transcript: str = ""
    error: ErrorBody | None = None


_events = msgspec.json.Decoder(ServerEvent)


def read_event(message: str | bytes) -> ServerEvent:
    """Raises VoxfleetError for what is no event at all."""
    try:
        return _events.decode(message)
    except msgspec.DecodeError as fault:
        raise VoxfleetError(
            f"the server sent what is no realtime event ({fault}); is --url a voxfleet server?"
        ) from fault


@dataclass(frozen=True, slots=True)
class Order:
    """What a session is asked for."""

    language: str | None = None
    hotwords: tuple[str, ...] = ()
    vad: VadMode | None = None


def setup_message(order: Order) -> bytes:
    transcription = {"language": order.language, "keywords": list(order.hotwords)}
    session: dict[str, object] = {
        "type": "transcription",
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": SAMPLE_RATE_HZ},
                "transcription": {name: said for name, said in transcription.items() if said},
                "turn_detection": {"type": "server_vad"},
            }
        },
    }
    if order.vad is not None:
        session["vad"] = order.vad.value
    return msgspec.json.encode({"type": "session.update", "event_id": SETUP, "session": session})


def sound_message(sound: bytes) -> str:
    # put together by hand: base64 needs no escapes, and a client may have many of these
    return f'{{"type":"input_audio_buffer.append","audio":"{base64.b64encode(sound).decode()}"}}'


def commit_message(event_id: str) -> bytes:
    return msgspec.json.encode({"type": "input_audio_buffer.commit", "event_id": event_id})


@dataclass(frozen=True, slots=True)
class Finished:
    """An utterance with its text."""

    text: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something went wrong and the session goes on."""

    message: str


@dataclass(slots=True)
class Conversation:
    """The utterances of one session: which ones grow, and whether all is told."""

    is_set_up: bool = False
    #: set by whoever sends it
    last_commit_sent: bool = False
    last_commit_answered: bool = False
    _growing: dict[str, str] = field(default_factory=dict)
    _committed: set[str] = field(default_factory=set)
    _all_known: bool = False

    @property
    def growing(self) -> Sequence[str]:
        """The texts so far of what is not finished, in the order of speaking."""
        return [text for text in self._growing.values() if text]

    @property
    def is_over(self) -> bool:
        return self._all_known and not self._committed

    def take(self, event: ServerEvent) -> Finished | Trouble | None:
        """Raises VoxfleetError where the session cannot be had as it was asked for."""
        match event.type.removeprefix("conversation.item.input_audio_transcription."):
            case "session.updated":
                self.is_set_up = True
            case "input_audio_buffer.committed":
                self._committed.add(event.item_id)
                # or an earlier one is: the server then comes to the last before our next order
                self.last_commit_answered = self.last_commit_sent
            case "delta":
                grown = self._growing.get(event.item_id, "") + event.delta
                self._growing[event.item_id] = grown
            case "completed":
                self._end(event.item_id)
                return Finished(event.transcript)
            case "failed":
                self._end(event.item_id)
                return Trouble(f"an utterance has no text: {_said(event)}")
            case "error":
                return self._trouble(event)
        return None

    def _end(self, item_id: str) -> None:
        self._growing.pop(item_id, None)
        self._committed.discard(item_id)

    def _trouble(self, event: ServerEvent) -> Trouble | None:
        error = event.error or ErrorBody()
        if error.event_id == LAST_COMMIT:
            self.last_commit_answered = True
        if error.event_id == NOTHING_LEFT:
            self._all_known = True
        if error.event_id in (LAST_COMMIT, NOTHING_LEFT) and error.code == _EMPTY_COMMIT:
            return None
        if not self.is_set_up:
            raise rebuild(error.code or "", _said(event))
        return Trouble(_said(event))


def _said(event: ServerEvent) -> str:
    return event.error.message if event.error and event.error.message else "no reason was given"

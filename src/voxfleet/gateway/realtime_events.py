"""What realtime clients send: JSON as typed events, and what is wrong with it. Pure.

The shape alone: what a session's settings mean is `realtime_settings`'. Fields that OpenAI has and
nobody here needs are skipped unread.
"""

from __future__ import annotations

import re

import msgspec
from msgspec import UNSET, Struct, UnsetType

from voxfleet.gateway.http_errors import shown

#: of base64, as OpenAI has it
MAX_APPEND_CHARS = 15 * 1024 * 1024
#: a larger message holds sound, which has no commas: what has many would take a tenth of a second
_PLAIN_CHARS = 256 * 1024
_MAX_COMMAS = 5_000
#: what a conversation has and a transcription has not
_UNSUPPORTED = ("conversation.", "response.", "output_audio_buffer.")
_TYPES = (
    "session.update, transcription_session.update, input_audio_buffer.append,"
    " input_audio_buffer.commit and input_audio_buffer.clear"
)
#: at the end of what the decoder says
_PLACE = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_MISSING = re.compile(r"Object missing required field `(\w+)`")


class EventRefused(Exception):  # noqa: N818  (what it is: nothing of the server has failed)
    """A message that is not done: `code` is one of OpenAI's kind, `param` what is wrong in it."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


class FormatPatch(Struct):
    type: str | UnsetType | None = UNSET
    rate: int | UnsetType | None = UNSET


class TranscriptionPatch(Struct):
    """`hotwords` is ours and takes whatever the form's field takes."""

    model: str | UnsetType | None = UNSET
    language: str | UnsetType | None = UNSET
    languages: list[str] | UnsetType | None = UNSET
    prompt: str | UnsetType | None = UNSET
    keywords: list[str] | UnsetType | None = UNSET
    hotwords: str | list[str] | dict[str, float | str] | UnsetType | None = UNSET


class TurnPatch(Struct):
    type: str | UnsetType | None = UNSET
    threshold: float | UnsetType | None = UNSET
    prefix_padding_ms: int | UnsetType | None = UNSET
    silence_duration_ms: int | UnsetType | None = UNSET
    idle_timeout_ms: int | UnsetType | None = UNSET


class NoisePatch(Struct):
    type: str | UnsetType | None = UNSET


class InputPatch(Struct):
    format: FormatPatch | UnsetType | None = UNSET
    noise_reduction: NoisePatch | UnsetType | None = UNSET
    transcription: TranscriptionPatch | UnsetType | None = UNSET
    turn_detection: TurnPatch | UnsetType | None = UNSET


class AudioPatch(Struct):
    input: InputPatch | UnsetType | None = UNSET


class SessionPatch(Struct):
    """Both dialects' fields, as clients mix them; the last three are ours."""

    type: str | UnsetType | None = UNSET
    audio: AudioPatch | UnsetType | None = UNSET
    include: list[str] | UnsetType | None = UNSET
    input_audio_format: str | UnsetType | None = UNSET
    input_audio_noise_reduction: NoisePatch | UnsetType | None = UNSET
    input_audio_transcription: TranscriptionPatch | UnsetType | None = UNSET
    turn_detection: TurnPatch | UnsetType | None = UNSET
    vad: str | UnsetType | None = UNSET
    itn: bool | UnsetType | None = UNSET
    punctuate: bool | UnsetType | None = UNSET


class SessionUpdate(Struct, tag_field="type", tag="session.update"):
    session: SessionPatch


class TranscriptionSessionUpdate(Struct, tag_field="type", tag="transcription_session.update"):
    session: SessionPatch


class Append(Struct, tag_field="type", tag="input_audio_buffer.append"):
    audio: bytes


class Commit(Struct, tag_field="type", tag="input_audio_buffer.commit"):
    pass


class Clear(Struct, tag_field="type", tag="input_audio_buffer.clear"):
    pass


class _Head(Struct):
    type: object = None
    event_id: object = None


ClientEvent = SessionUpdate | TranscriptionSessionUpdate | Append | Commit | Clear
_events: msgspec.json.Decoder[ClientEvent] = msgspec.json.Decoder(ClientEvent)
_heads = msgspec.json.Decoder(_Head)
_MAX_SOUND_BYTES = MAX_APPEND_CHARS // 4 * 3


def read_event(text: str) -> ClientEvent:
    """Raises EventRefused, which says what is wrong and where."""
    _refuse_costly(text)
    try:
        event = _events.decode(text)
    except msgspec.ValidationError as fault:
        raise _explained(text, fault) from None
    except (msgspec.DecodeError, RecursionError):
        raise _no_event("valid JSON") from None
    if isinstance(event, Append) and len(event.audio) > _MAX_SOUND_BYTES:
        raise EventRefused(
            "invalid_audio", "audio: an event holds at most 15 MiB of base64; send several", "audio"
        )
    return event


def event_id_of(text: str) -> str | None:
    """What a refused message calls itself, so that its sender knows which one it was."""
    try:
        _refuse_costly(text)
        given = _heads.decode(text).event_id
    except (EventRefused, msgspec.DecodeError, RecursionError):
        return None
    return shown(given) if isinstance(given, str) else None


def _refuse_costly(text: str) -> None:
    if len(text) > _PLAIN_CHARS and text.count(",") > _MAX_COMMAS:
        raise EventRefused(
            "invalid_payload", "the message is too large for an event without sound; send less"
        )


def _no_event(what: str) -> EventRefused:
    return EventRefused("invalid_payload", f"the message is no {what}; send one event as an object")


def _explained(text: str, fault: msgspec.ValidationError) -> EventRefused:
    """The decoder itself names neither the event nor the remedy."""
    try:
        kind = _heads.decode(text).type
    except (msgspec.DecodeError, RecursionError):
        return _no_event("JSON object")
    if not isinstance(kind, str):
        return EventRefused(
            "invalid_payload", f"type: is missing or no string; send one of {_TYPES}", "type"
        )
    if kind.startswith(_UNSUPPORTED):
        message = f"type '{shown(kind)}': this server transcribes and holds no conversation"
        return EventRefused("not_supported", message, "type")
    return _misshapen(kind, fault)


def _misshapen(kind: str, fault: msgspec.ValidationError) -> EventRefused:
    what, path = what_and_where(fault)
    if path == "type":
        message = f"type '{shown(kind)}' is unknown; this server takes {_TYPES}"
        return EventRefused("unknown_event", message, "type")
    if "base64" in what:
        message = "audio: is no valid base64; send base64 of sound, with its padding"
        return EventRefused("invalid_audio", message, "audio")
    if missing := _MISSING.fullmatch(what):
        return EventRefused(
            "invalid_payload", f"{missing[1]}: is missing; {kind} needs it", missing[1]
        )
    return EventRefused("invalid_value", f"{path or kind}: {what}", path or None)


def what_and_where(fault: msgspec.ValidationError) -> tuple[str, str]:
    """What does not fit, and the path to it, `session.audio`; empty for the whole."""
    place = _PLACE.search(str(fault))
    return shown(_PLACE.sub("", str(fault))), shown(place["path"]) if place else ""

"""What FunASR's clients say in their text messages: how a file is to be heard, and that it ends.

Pure. Every message adds to what the connection's earlier ones said, as clients say a thing once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import StrEnum

from voxfleet.errors import ParameterError
from voxfleet.gateway.api_schemas import JsonObject
from voxfleet.gateway.http_errors import shown
from voxfleet.transcribe.hotword_text import HotwordLists, expanded, hotwords_in

#: a full list of hotwords, every character of it escaped, and room for the rest
MAX_MESSAGE_CHARS = 512_000
MAX_NAME_CHARS = 512
MIN_RATE_HZ, MAX_RATE_HZ = 8_000, 48_000
DEFAULT_RATE_HZ = 16_000


class FunAsrMode(StrEnum):
    """`offline`: the text when all is sent; `online`: while it is spoken; `2pass`: both."""

    OFFLINE = "offline"
    ONLINE = "online"
    TWICE = "2pass"


@dataclass(frozen=True, slots=True)
class FileWish:
    """How a file is to be heard. Only FunASR's C++ client for files names no mode."""

    mode: FunAsrMode = FunAsrMode.OFFLINE
    wav_name: str = ""
    #: False where the bytes are a file with a header of its own
    pcm: bool = True
    sample_rate_hz: int = DEFAULT_RATE_HZ
    hotwords: tuple[str, ...] = ()
    itn: bool = True


@dataclass(frozen=True, slots=True)
class ClientMessage:
    """`ends`: the file is complete; `wants_ack`: the client waits to be told that all is told."""

    wish: FileWish
    ends: bool
    wants_ack: bool


def read_message(text: str, before: FileWish, lists: HotwordLists) -> ClientMessage:
    """Raises ParameterError; what is not ours to know, such as `chunk_size`, is ignored."""
    said = _json_object(text)
    ends = _flag(said, "is_speaking") is False or _flag(said, "is_finished") is True
    return ClientMessage(_wish(said, before, lists), ends, _flag(said, "is_end") is True)


def _json_object(text: str) -> JsonObject:
    if len(text) > MAX_MESSAGE_CHARS:
        raise ParameterError(
            f"message: {len(text)} characters are more than the {MAX_MESSAGE_CHARS} of a text"
            " message; send sound as binary messages"
        )
    try:
        said: object = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise ParameterError(
            "message: a text message that is no JSON; send an object such as"
            ' {"mode": "2pass", "is_speaking": true}'
        ) from fault
    if not isinstance(said, dict):
        raise ParameterError(
            "message: a text message that is no JSON object; send one such as"
            ' {"mode": "2pass", "is_speaking": true}'
        )
    return said


def _wish(said: JsonObject, before: FileWish, lists: HotwordLists) -> FileWish:
    """Read first, then put together: a wrong message leaves all as it was."""
    mode, name = _mode(said), _name(said)
    wav_format, itn = _text(said, "wav_format"), _flag(said, "itn")
    rate_hz, hotwords = _rate(said), _hotwords(said, lists)
    changed = replace(before, mode=before.mode if mode is None else mode)
    if name is not None:
        changed = replace(changed, wav_name=name)
    if wav_format is not None:
        changed = replace(changed, pcm=wav_format.lower() == "pcm")
    if rate_hz is not None:
        changed = replace(changed, sample_rate_hz=rate_hz)
    if itn is not None:
        changed = replace(changed, itn=itn)
    # clients for several files send an empty list with the later ones
    return replace(changed, hotwords=hotwords) if hotwords else changed


def _mode(said: JsonObject) -> FunAsrMode | None:
    named = _text(said, "mode")
    if named is None:
        return None
    try:
        return FunAsrMode(named)
    except ValueError:
        known = ", ".join(FunAsrMode)
        raise ParameterError(
            f"mode '{shown(named)}' is unknown; use one of {known}", param="mode"
        ) from None


def _name(said: JsonObject) -> str | None:
    name = _text(said, "wav_name")
    if name is None:
        return None
    if len(name) > MAX_NAME_CHARS:
        raise ParameterError(
            f"wav_name: longer than {MAX_NAME_CHARS} characters; send a short name",
            param="wav_name",
        )
    # JSON may hold half a character, which no answer can
    return name.encode("utf-8", "replace").decode("utf-8")


def _rate(said: JsonObject) -> int | None:
    rate = said.get("audio_fs")
    if rate is None:
        return None
    if isinstance(rate, bool) or not isinstance(rate, int | float) or rate != rate // 1:
        raise _wrong_type("audio_fs", "a whole number, such as 16000")
    if not MIN_RATE_HZ <= rate <= MAX_RATE_HZ:
        raise ParameterError(
            f"audio_fs: not from {MIN_RATE_HZ} to {MAX_RATE_HZ}; send sound of such a rate",
            param="audio_fs",
        )
    return int(rate)


def _hotwords(said: JsonObject, lists: HotwordLists) -> tuple[str, ...]:
    written = said.get("hotwords")
    return () if written is None else expanded(hotwords_in(written), lists)


def _text(said: JsonObject, name: str) -> str | None:
    value = said.get(name)
    if value is None or isinstance(value, str):
        return value
    raise _wrong_type(name, "a string")


def _flag(said: JsonObject, name: str) -> bool | None:
    value = said.get(name)
    if value is None or isinstance(value, bool):
        return value
    raise _wrong_type(name, "true or false")


def _wrong_type(name: str, wanted: str) -> ParameterError:
    return ParameterError(f"{name}: not {wanted}", param=name)

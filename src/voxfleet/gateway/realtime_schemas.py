"""The objects of `/v1/realtime`'s secrets in OpenAPI's words. Knows no route.

What an object may have beside these keys, as OpenAI's clients send it, is skipped.
"""

from __future__ import annotations

from collections.abc import Mapping

from voxfleet.core import VadMode
from voxfleet.gateway.realtime_orders import MAX_LIFETIME_S, MIN_LIFETIME_S
from voxfleet.gateway.realtime_settings import FLAT_FORMAT_NAMES, LOG_PROBS
from voxfleet.gateway.schema_words import Schema, flag, listed, number, or_null, record, ref, text

_ANY_TEXT: Schema = {"type": "string"}
#: as FunASR's clients write words; the weights are not used
_WEIGHED: Schema = {"type": "object", "additionalProperties": {"type": ["number", "string"]}}


def _whole(description: str, low: int, high: int) -> Schema:
    return {"type": "integer", "description": description, "minimum": low, "maximum": high}


def _asked(description: str, **fields: Schema) -> Schema:
    """An object of which everything may be left out, or null."""
    properties = {name: or_null(schema) for name, schema in fields.items()}
    return {"type": "object", "description": description, "properties": properties}


_LIFETIME = _asked(
    "When the secret ends.",
    anchor=text("From when on.", "created_at"),
    seconds=_whole("So long after that.", MIN_LIFETIME_S, MAX_LIFETIME_S),
)
_INCLUDE = listed(text("What is told beside the text.", LOG_PROBS), "What is told beside the text.")
_FORMAT = _asked(
    "Of the sound: int16, little-endian, at 24000 (default) or 16000 Hz, or a byte for each of 8000"
    " samples a second.",
    type=text("The format.", "audio/pcm", "audio/pcmu", "audio/pcma"),
    rate={"type": "integer", "enum": [24_000, 16_000, 8_000]},
)
_TRANSCRIPTION = _asked(
    "How it is to be heard. `model` and `language` are those of a file; `keywords` and `hotwords`"
    " are words to be heard right.",
    model=_ANY_TEXT,
    language=_ANY_TEXT,
    languages=listed(_ANY_TEXT),
    keywords=listed(_ANY_TEXT),
    hotwords={"anyOf": [_ANY_TEXT, listed(_ANY_TEXT), _WEIGHED]},
    prompt=_ANY_TEXT,
)
_TURNS = _asked(
    "Where an utterance ends by itself; null leaves it to the client's commits.",
    type=text("How that is found.", "server_vad"),
    threshold={**number("From which probability on it is speech."), "minimum": 0, "maximum": 1},
    prefix_padding_ms=_whole("Sound before the speech that belongs to it.", 0, 5_000),
    silence_duration_ms=_whole("Silence that ends it.", 100, 10_000),
    idle_timeout_ms=_whole("Silence that the client is told of.", 1_000, 600_000),
)
_NOISE: Schema = {"type": "object", "description": "Not used, whatever it says."}
_OWN: Mapping[str, Schema] = {
    "vad": text("How speech is found.", *VadMode),
    "itn": flag("Numbers as digits."),
    "punctuate": flag("Marks; where left out, where the server can."),
}
_SESSION = _asked(
    "A session's first settings.",
    type=text("What it does.", "transcription"),
    include=_INCLUDE,
    audio=_asked(
        "The sound.",
        input=_asked(
            "What is heard.",
            format=_FORMAT,
            noise_reduction=_NOISE,
            transcription=_TRANSCRIPTION,
            turn_detection=_TURNS,
        ),
    ),
    **_OWN,
)
_FLAT: Mapping[str, Schema] = {
    "include": _INCLUDE,
    "input_audio_format": text("Of the sound.", *FLAT_FORMAT_NAMES.values()),
    "input_audio_noise_reduction": _NOISE,
    "input_audio_transcription": _TRANSCRIPTION,
    "turn_detection": _TURNS,
}
_SECRET = text("The secret, which begins with ek_ and is told this once.")
_ENDS: Schema = {"type": "integer", "description": "Unix seconds at which the secret ends."}
_ANY_OBJECT: Schema = {"type": "object"}

REALTIME_SCHEMAS: Mapping[str, Schema] = {
    "RealtimeSession": record(
        "A session as it begins.",
        {
            "id": text("Of the session."),
            "object": text("What it is.", "realtime.transcription_session"),
            "type": text("What it does.", "transcription"),
            "audio": {
                "type": "object",
                "description": "The sound.",
                "properties": {"input": _ANY_OBJECT},
            },
            "include": or_null(_INCLUDE),
            "expires_at": or_null({"type": "integer"}),
            "vad": _OWN["vad"],
            "itn": _OWN["itn"],
            "punctuate": or_null(_OWN["punctuate"]),
        },
        {"warnings": listed(_ANY_TEXT, "What of the settings cannot be had.")},
    ),
    "RealtimeSecret": record(
        "A key for a page's realtime sessions.",
        {"value": _SECRET, "expires_at": _ENDS, "session": ref("RealtimeSession")},
    ),
    "FlatRealtimeSession": record(
        "A session as OpenAI's beta has it, with its secret.",
        {
            "id": text("Of the session."),
            "object": text("What it is.", "realtime.transcription_session"),
            "client_secret": record("Its secret.", {"value": _SECRET, "expires_at": _ENDS}),
            "input_audio_format": _FLAT["input_audio_format"],
            "input_audio_noise_reduction": or_null(_NOISE),
            "input_audio_transcription": _ANY_OBJECT,
            "turn_detection": or_null(_ANY_OBJECT),
            "include": or_null(_INCLUDE),
        },
    ),
}


def order_body() -> dict[str, object]:
    schema = _asked("A secret.", expires_after=_LIFETIME, session=_SESSION)
    return _body(schema)


def flat_order_body() -> dict[str, object]:
    expiry = _asked("Of the secret.", expires_at=_LIFETIME)
    return _body(_asked("A secret.", client_secret=expiry, **_FLAT, **_OWN))


def _body(schema: Schema) -> dict[str, object]:
    """It is read as a stream, which FastAPI cannot see."""
    content = {"application/json": {"schema": schema}}
    return {"requestBody": {"required": False, "content": content}}

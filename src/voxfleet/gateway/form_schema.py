"""The upload forms in OpenAPI's words: FastAPI cannot see them, as they are read as a stream."""

from __future__ import annotations

from typing import Any

from voxfleet.core import ChannelMode, VadMode
from voxfleet.gateway.form_fields import RAW_ENCODINGS
from voxfleet.transcribe.formats import FORMATS, GRANULARITIES

Schema = dict[str, Any]


def _string(description: str, *allowed: str) -> Schema:
    schema: Schema = {"type": "string", "description": description}
    return schema | {"enum": list(allowed)} if allowed else schema


def _list(description: str, *allowed: str) -> Schema:
    return {"type": "array", "items": _string(description, *allowed)}


#: fields that every route with a file takes
_SHARED: dict[str, Schema] = {
    "model": _string("Name of the model; the default model when left out."),
    "language": _string("ISO-639-1 code, tag or English name; detected when left out."),
    "languages[]": _list("A candidate; one alone is the same as language."),
    "temperature": {"type": "number", "minimum": 0, "maximum": 1},
    "hotwords": _string(
        "Phrases to listen for, parted by commas, or by spaces without commas; or a JSON list of "
        "strings, or an object of phrases and weights."
    ),
    "keywords[]": _list("A phrase to listen for."),
    "vad": _string("How speech is found.", *VadMode),
    "channel": _string("What becomes of several channels.", *ChannelMode),
    "input_format": _string(
        "Only for sound without a header.", "auto", *(f"pcm_{name}" for name in RAW_ENCODINGS)
    ),
    "sample_rate": {"type": "integer", "description": "In Hz; only with input_format."},
    "channels": {"type": "integer", "description": "Only with input_format."},
    "punctuate": {
        "type": "boolean",
        "description": "Whether marks are added; where the server can, when left out.",
    },
    "itn": {"type": "boolean", "description": "Whether numbers are written as digits."},
    "prompt": _string("Its short parts, such as names, are taken as phrases to listen for."),
}

_OPENAI: dict[str, Schema] = {
    "response_format": _string("Format of the answer; json when left out.", *FORMATS),
    "timestamp_granularities[]": _list("word only with verbose_json.", *GRANULARITIES),
    "stream": {"type": "boolean", "description": "Only false: answers come in one piece."},
    "chunking_strategy": _string("Taken and without effect.", "auto", "server_vad"),
    "include[]": _list("Answered with a warning.", "logprobs"),
}


def openai_form() -> Schema:
    return _described(("file",), _SHARED | _OPENAI)


def asr_form() -> Schema:
    return _described(("audio", "file"), _SHARED)


def _described(file_fields: tuple[str, ...], fields: dict[str, Schema]) -> Schema:
    file: Schema = {"type": "string", "format": "binary"}
    form: Schema = {
        "type": "object",
        "properties": dict.fromkeys(file_fields, file) | fields,
        "oneOf": [{"required": [name]} for name in file_fields],
    }
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}}}}

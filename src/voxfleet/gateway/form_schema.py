"""The upload forms in OpenAPI's words: FastAPI cannot see them, as they are read as a stream."""

from __future__ import annotations

from typing import Any

from voxfleet.core import ChannelMode, VadMode
from voxfleet.gateway.form_fields import RAW_ENCODINGS
from voxfleet.gateway.schema_words import Schema, flag, listed, text
from voxfleet.transcribe.formats import FORMATS, GRANULARITIES

#: as `form_fields` takes them; a test holds the two together
_RATES_HZ = (4_000, 384_000)
_CHANNELS = (1, 8)


def _from_to(limits: tuple[int, int], description: str) -> Schema:
    low, high = limits
    return {"type": "integer", "minimum": low, "maximum": high, "description": description}


#: fields that every route with a file takes
_SHARED: dict[str, Schema] = {
    "model": text("Name of the model; the default model when left out."),
    "language": text("ISO-639-1 code, tag or English name; detected when left out."),
    "languages[]": listed(text("A candidate; one alone is the same as language.")),
    "temperature": {"type": "number", "minimum": 0, "maximum": 1},
    "hotwords": text(
        "Phrases to listen for, parted by commas, or by spaces without commas; or a JSON list of "
        "strings, or an object of phrases and weights."
    ),
    "keywords[]": listed(text("A phrase to listen for.")),
    "vad": text("How speech is found.", *VadMode),
    "channel": text("What becomes of several channels.", *ChannelMode),
    "input_format": text(
        "Only for sound without a header.", "auto", *(f"pcm_{name}" for name in RAW_ENCODINGS)
    ),
    "sample_rate": _from_to(_RATES_HZ, "In Hz; needed with input_format, refused without."),
    "channels": _from_to(_CHANNELS, "Only with input_format."),
    "punctuate": flag("Whether marks are added; where the server can, when left out."),
    "itn": flag("Whether numbers are written as digits."),
    "prompt": text("Its short parts, such as names, are taken as phrases to listen for."),
}

_OPENAI: dict[str, Schema] = {
    "response_format": text("Format of the answer; json when left out.", *FORMATS),
    "timestamp_granularities[]": listed(text("word only with verbose_json.", *GRANULARITIES)),
    "stream": flag(
        "Whether the text comes as server-sent events, while the file is still being recognised; "
        "not for srt, vtt and tsv."
    ),
    "chunking_strategy": text("Taken and without effect.", "auto", "server_vad"),
    "include[]": listed(text("Log probabilities of the words; only with json.", "logprobs")),
}

_FUNASR: dict[str, Schema] = {"hotword": text("FunASR's own name for hotwords.")}


def openai_form() -> dict[str, Any]:
    return _described(("file",), _SHARED | _OPENAI)


def asr_form() -> dict[str, Any]:
    return _described(("audio", "file"), _SHARED)


def funasr_form() -> dict[str, Any]:
    return _described(("audio", "file"), _SHARED | _FUNASR)


def _described(file_fields: tuple[str, ...], fields: dict[str, Schema]) -> dict[str, Any]:
    file: Schema = {"type": "string", "format": "binary"}
    form: Schema = {
        "type": "object",
        "properties": dict.fromkeys(file_fields, file) | fields,
        "oneOf": [{"required": [name]} for name in file_fields],
    }
    sound = {"contentType": "audio/*, video/*"}
    body: Schema = {"schema": form, "encoding": dict.fromkeys(file_fields, sound)}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": body}}}

"""A finished transcription becomes the body of an answer in one of the formats clients ask for.

Pure. Knows the shapes of OpenAI's answers; knows no HTTP, no file and no cue layout (`subtitles`).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from voxfleet.core import Transcript, Transcription, TranscriptSegment, Word
from voxfleet.errors import ParameterError
from voxfleet.transcribe.json_text import json_text
from voxfleet.transcribe.log_probs import log_probs
from voxfleet.transcribe.subtitles import cues, one_line, srt, vtt

GRANULARITIES = ("segment", "word")
#: ISO 639 for "undetermined": OpenAI's clients insist on a string
_UNKNOWN_LANGUAGE = "und"

_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"

JsonObject = dict[str, object]


@dataclass(frozen=True, slots=True)
class Rendered:
    body: str
    media_type: str


@dataclass(frozen=True, slots=True)
class _Details:
    granularities: frozenset[str]
    log_probs: bool


def render(
    transcription: Transcription,
    format: str,  # noqa: A002  the field's own word
    granularities: frozenset[str] = frozenset({"segment"}),
    *,
    with_log_probs: bool = False,
) -> Rendered:
    """`granularities` only matters for verbose_json, `with_log_probs` for json; raises
    ParameterError for what is unknown.
    """
    _require_known("response_format", format, FORMATS)
    for granularity in sorted(granularities):
        _require_known("timestamp_granularities[]", granularity, GRANULARITIES)
    write, media_type = _WRITERS[format]
    return Rendered(write(transcription, _Details(granularities, with_log_probs)), media_type)


def _require_known(param: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ParameterError(
            f"{param} {value!r} is unknown; use one of {', '.join(allowed)}", param=param
        )


# -- plain ------------------------------------------------------------------------------------


def _text(transcription: Transcription, _: _Details) -> str:
    return _full_text(transcription) + "\n"


def _full_text(transcription: Transcription) -> str:
    """The text; of a split recording one line for each channel, with its name."""
    return "\n".join(
        f"{transcript.channel}: {transcript.text}" if transcript.channel else transcript.text
        for transcript in transcription.transcripts
    )


def _srt(transcription: Transcription, _: _Details) -> str:
    return srt(cues(transcription.transcripts))


def _vtt(transcription: Transcription, _: _Details) -> str:
    return vtt(cues(transcription.transcripts))


def _tsv(transcription: Transcription, _: _Details) -> str:
    split = _is_split(transcription)
    rows = ["start\tend\ttext" + "\tchannel" * split]
    for transcript, segment in _segments(transcription):
        start_ms, end_ms = round(segment.start_s * 1000), round(segment.end_s * 1000)
        channel = f"\t{transcript.channel}" if split else ""
        rows.append(f"{start_ms}\t{end_ms}\t{one_line(segment.text)}{channel}")
    return "\n".join(rows) + "\n"


# -- JSON -------------------------------------------------------------------------------------


def _plain_json(transcription: Transcription, details: _Details) -> str:
    return json_text(
        {
            "text": _full_text(transcription),
            **_channels(transcription),
            **(log_probs_of(transcription) if details.log_probs else {}),
            "usage": _usage(transcription),
            **warnings_of(transcription),
        }
    )


def _verbose_json(transcription: Transcription, details: _Details) -> str:
    body: JsonObject = {
        "task": "transcribe",
        "language": _main_language(transcription),
        "duration": rounded(transcription.duration_s),
        "text": _full_text(transcription),
        **_channels(transcription),
    }
    if "segment" in details.granularities:
        temperature = rounded(transcription.options.temperature)
        body["segments"] = [
            _segment(id_, transcript, segment, temperature)
            for id_, (transcript, segment) in enumerate(_segments(transcription))
        ]
    if "word" in details.granularities:
        body["words"] = [
            _word(transcript, word)
            for transcript, segment in _segments(transcription)
            for word in segment.words
        ]
    return json_text(body | {"usage": _usage(transcription)} | warnings_of(transcription))


def _segment(
    id_: int, transcript: Transcript, segment: TranscriptSegment, temperature: float
) -> JsonObject:
    return {
        "id": id_,
        # Whisper's frames of 10 ms
        "seek": round(segment.start_s * 100),
        "start": rounded(segment.start_s),
        "end": rounded(segment.end_s),
        "text": segment.text,
        "tokens": list(segment.tokens),
        "temperature": temperature,
        "avg_logprob": rounded(segment.avg_logprob),
        "compression_ratio": rounded(_compression_ratio(segment.text)),
        "no_speech_prob": rounded(segment.no_speech_prob),
        **_channel(transcript),
    }


def _word(transcript: Transcript, word: Word) -> JsonObject:
    body: JsonObject = {
        "word": word.text,
        "start": rounded(word.start_s),
        "end": rounded(word.end_s),
    }
    if word.confidence is not None:
        body["confidence"] = rounded(word.confidence)
    return body | _channel(transcript)


def _channel(transcript: Transcript) -> JsonObject:
    return {"channel": transcript.channel} if transcript.channel else {}


def _channels(transcription: Transcription) -> JsonObject:
    if not _is_split(transcription):
        return {}
    return {
        "channels": [
            {"channel": transcript.channel, "text": transcript.text}
            for transcript in transcription.transcripts
        ]
    }


def log_probs_of(transcription: Transcription) -> JsonObject:
    return {
        "logprobs": log_probs(
            word for _, segment in _segments(transcription) for word in segment.words
        )
    }


def _usage(transcription: Transcription) -> JsonObject:
    return {"type": "duration", "seconds": rounded(transcription.duration_s)}


def warnings_of(transcription: Transcription) -> JsonObject:
    return {"warnings": list(transcription.warnings)} if transcription.warnings else {}


def _main_language(transcription: Transcription) -> str:
    """The language of the channel with most text, the first of equals."""
    known = [transcript for transcript in transcription.transcripts if transcript.language]
    main = max(known, key=lambda transcript: len(transcript.text), default=None)
    return (main.language if main else None) or _UNKNOWN_LANGUAGE


def rounded(value: float | None) -> float:
    """To 3 decimals; 0.0 where a model has no number, or one (an infinity) JSON cannot say."""
    if value is None or not math.isfinite(value):
        return 0.0
    return round(float(value), 3)


def _compression_ratio(text: str) -> float:
    """As Whisper reckons it: high where a text repeats itself."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw)) if raw else 0.0


def _is_split(transcription: Transcription) -> bool:
    return any(transcript.channel for transcript in transcription.transcripts)


def _segments(transcription: Transcription) -> Iterator[tuple[Transcript, TranscriptSegment]]:
    """All segments of all channels in time order, each with its transcript."""
    found = [
        (transcript, segment)
        for transcript in transcription.transcripts
        for segment in transcript.segments
    ]
    yield from sorted(found, key=lambda pair: pair[1].start_s)


_Writer = Callable[[Transcription, _Details], str]
_WRITERS: dict[str, tuple[_Writer, str]] = {
    "json": (_plain_json, _JSON),
    "text": (_text, _TEXT),
    "verbose_json": (_verbose_json, _JSON),
    "srt": (_srt, _TEXT),
    "vtt": (_vtt, "text/vtt; charset=utf-8"),
    "tsv": (_tsv, "text/tab-separated-values; charset=utf-8"),
}
#: in the order they are offered
FORMATS = tuple(_WRITERS)

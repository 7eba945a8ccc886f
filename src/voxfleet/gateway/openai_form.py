"""OpenAI's own fields of a transcription request: which answer is wanted. Pure.

What OpenAI has and this server has not is refused by name where the answer would be another than
the one asked for, and told as a warning where only something beside the text is missing.
"""

from __future__ import annotations

from voxfleet.errors import ParameterError
from voxfleet.gateway.file_transcriber import AnswerStyle
from voxfleet.gateway.form_fields import FormFields
from voxfleet.transcribe.formats import FORMATS, GRANULARITIES

_CHUNKING = ("auto", "server_vad")


#: those that are a document as a whole, or lines with numbers
_UNSTREAMED = ("srt", "vtt", "tsv")


def read_openai_style(fields: FormFields) -> AnswerStyle:
    fields.choice("chunking_strategy", _CHUNKING)
    fields.choice("chunking_strategy[type]", _CHUNKING)
    wanted = _read_format(fields)
    granularities = _read_granularities(fields, wanted)
    return AnswerStyle(
        wanted,
        granularities,
        _missing_extras(fields, granularities),
        log_probs=_read_log_probs(fields, wanted),
        stream=_read_stream(fields, wanted),
    )


def _read_stream(fields: FormFields, wanted: str) -> bool:
    stream = fields.flag("stream")
    if stream and wanted in _UNSTREAMED:
        raise ParameterError(
            f"stream: {wanted} is written in one piece; leave out stream, or use"
            " response_format=json",
            param="stream",
        )
    return stream


def _read_log_probs(fields: FormFields, wanted: str) -> bool:
    log_probs = bool(fields.choices("include", ("logprobs",)))
    if log_probs and wanted != "json":
        raise ParameterError(
            f"include[]: logprobs needs response_format=json, not {wanted}", param="include[]"
        )
    return log_probs


def _read_format(fields: FormFields) -> str:
    if fields.one("response_format") == "diarized_json":
        raise ParameterError(
            "response_format 'diarized_json': this server cannot tell speakers apart; use "
            "verbose_json, or channel=split where each speaker has a channel",
            param="response_format",
        )
    return fields.choice("response_format", FORMATS) or "json"


def _read_granularities(fields: FormFields, wanted: str) -> frozenset[str]:
    granularities = frozenset(fields.choices("timestamp_granularities", GRANULARITIES))
    if "word" in granularities and wanted != "verbose_json":
        raise ParameterError(
            f"timestamp_granularities: word needs response_format=verbose_json, not {wanted}",
            param="timestamp_granularities[]",
        )
    return granularities or frozenset({"segment"})


def _missing_extras(fields: FormFields, granularities: frozenset[str]) -> tuple[str, ...]:
    warnings = []
    if "word" in granularities and fields.flag("stream"):
        warnings.append("timestamp_granularities: a stream tells the text alone, without times")
    if fields.many("known_speaker_names") or fields.many("known_speaker_references"):
        warnings.append("known_speaker_names: not used, as this server cannot tell speakers apart")
    return tuple(warnings)

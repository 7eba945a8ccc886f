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


def read_openai_style(fields: FormFields) -> AnswerStyle:
    _refuse_stream(fields)
    fields.choice("chunking_strategy", _CHUNKING)
    fields.choice("chunking_strategy[type]", _CHUNKING)
    wanted = _read_format(fields)
    return AnswerStyle(wanted, _read_granularities(fields, wanted), _missing_extras(fields))


def _refuse_stream(fields: FormFields) -> None:
    if fields.flag("stream"):
        raise ParameterError(
            "stream: this version answers in one piece and cannot stream; leave stream out",
            param="stream",
        )


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


def _missing_extras(fields: FormFields) -> tuple[str, ...]:
    warnings = []
    if fields.choices("include", ("logprobs",)):
        warnings.append("include: log probabilities of tokens are not given by this server")
    if fields.many("known_speaker_names") or fields.many("known_speaker_references"):
        warnings.append("known_speaker_names: not used, as this server cannot tell speakers apart")
    return tuple(warnings)

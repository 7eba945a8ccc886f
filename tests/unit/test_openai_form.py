"""What of OpenAI's own fields is done, refused by name, or told as missing."""

from __future__ import annotations

import pytest

from voxfleet.errors import ParameterError
from voxfleet.gateway.file_transcriber import AnswerStyle
from voxfleet.gateway.form_fields import FormFields
from voxfleet.gateway.openai_form import read_openai_style


def style_of(*pairs: tuple[str, str]) -> AnswerStyle:
    return read_openai_style(FormFields(pairs))


@pytest.mark.parametrize("wanted", ["json", "text", "verbose_json"])
def test_what_is_one_text_can_be_streamed(wanted: str) -> None:
    assert style_of(("stream", "true"), ("response_format", wanted)).stream
    assert not style_of(("stream", "false"), ("response_format", wanted)).stream
    assert not style_of(("response_format", wanted)).stream


@pytest.mark.parametrize("wanted", ["srt", "vtt", "tsv"])
def test_a_document_cannot(wanted: str) -> None:
    with pytest.raises(ParameterError, match=wanted) as refused:
        style_of(("stream", "true"), ("response_format", wanted))
    assert refused.value.param == "stream"
    assert not style_of(("stream", "false"), ("response_format", wanted)).stream


@pytest.mark.parametrize("name", ["include", "include[]", "include[0]"])
def test_log_probabilities_are_for_json_alone(name: str) -> None:
    assert style_of((name, "logprobs")).log_probs
    assert style_of((name, "logprobs"), ("stream", "1")).log_probs
    with pytest.raises(ParameterError, match="verbose_json") as refused:
        style_of((name, "logprobs"), ("response_format", "verbose_json"))
    assert refused.value.param == "include[]"


def test_all_of_voice_detection_is_taken() -> None:
    given = (
        ("chunking_strategy[type]", "server_vad"),
        ("chunking_strategy[threshold]", "0.5"),
        ("chunking_strategy[prefix_padding_ms]", "300"),
        ("chunking_strategy[silence_duration_ms]", "200"),
    )
    assert style_of(*given) == AnswerStyle()


def test_what_is_missing_beside_the_text_is_told() -> None:
    words = (("response_format", "verbose_json"), ("timestamp_granularities[]", "word"))
    told = style_of(*words, ("stream", "true"), ("known_speaker_names[]", "Ann")).warnings
    assert [warning.split(":")[0] for warning in told] == [
        "timestamp_granularities",
        "known_speaker_names",
    ]
    assert style_of(*words).warnings == ()

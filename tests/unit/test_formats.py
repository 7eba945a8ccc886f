"""formats: bodies OpenAI's own types accept, and tables other programs can read."""

from __future__ import annotations

import json
import math
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.audio import Transcription as OpenAiTranscription
from openai.types.audio import TranscriptionVerbose

from voxfleet.core import RecognitionOptions, Transcript, Transcription, TranscriptSegment, Word
from voxfleet.errors import ParameterError
from voxfleet.transcribe.formats import FORMATS, render

BOTH = frozenset({"segment", "word"})

HELLO = TranscriptSegment(
    0,
    0.1 + 0.2,
    1.5,
    "Hello.",
    (Word("hello", 0.30000000000000004, 1.4999, 0.98765), Word("there", 1.5, 1.5)),
    avg_logprob=-0.25,
    no_speech_prob=0.125,
    tokens=(7, 8),
)
WORLD = TranscriptSegment(1, 2.0, 3.0, "世界\t<1>\n")


def mixed(*segments: TranscriptSegment, warnings: tuple[str, ...] = ()) -> Transcription:
    text = " ".join(segment.text.strip() for segment in segments)
    return Transcription(
        "fake",
        3.25,
        (Transcript(text, "en" if segments else None, 3.25, segments),),
        warnings,
        RecognitionOptions(temperature=0.2),
    )


SPLIT = Transcription(
    "fake",
    5.0,
    (
        Transcript("hi bye", "en", 5.0, (TranscriptSegment(0, 0, 1, "hi"),), "left"),
        Transcript(
            "你好再见呀你",
            "zh",
            5.0,
            (TranscriptSegment(0, 0.5, 2, "你好", (Word("你", 0.5, 1.0),)),),
            "right",
        ),
    ),
)


def body(
    transcription: Transcription, format_: str, granularities: frozenset[str] | None = None
) -> dict[str, object]:
    rendered = render(transcription, format_, granularities or frozenset({"segment"}))
    assert rendered.media_type == "application/json"
    loaded = json.loads(rendered.body)
    assert isinstance(loaded, dict)
    return loaded


@pytest.mark.parametrize(
    ("format_", "media_type"),
    [
        ("json", "application/json"),
        ("text", "text/plain; charset=utf-8"),
        ("verbose_json", "application/json"),
        ("srt", "text/plain; charset=utf-8"),
        ("vtt", "text/vtt; charset=utf-8"),
        ("tsv", "text/tab-separated-values; charset=utf-8"),
    ],
)
def test_media_types(format_: str, media_type: str) -> None:
    assert format_ in FORMATS
    assert render(mixed(HELLO), format_).media_type == media_type


@pytest.mark.parametrize(
    ("format_", "granularities", "param"),
    [
        ("docx", {"segment"}, "response_format"),
        ("", {"segment"}, "response_format"),
        ("json", {"sentence"}, "timestamp_granularities[]"),
    ],
)
def test_what_is_unknown_is_refused_with_the_choices(
    format_: str, granularities: set[str], param: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        render(mixed(HELLO), format_, frozenset(granularities))
    assert caught.value.param == param
    choices = FORMATS if param == "response_format" else ("segment", "word")
    assert all(choice in caught.value.message for choice in choices)


def test_json() -> None:
    assert body(mixed(HELLO), "json") == {
        "text": "Hello.",
        "usage": {"type": "duration", "seconds": 3.25},
    }


def test_json_keeps_characters_as_they_are() -> None:
    assert "世界" in render(mixed(WORLD), "json").body


@pytest.mark.parametrize("format_", ["json", "verbose_json"])
def test_warnings_only_where_there_are_any(format_: str) -> None:
    assert body(mixed(HELLO, warnings=("truncated",)), format_)["warnings"] == ["truncated"]
    assert "warnings" not in body(mixed(HELLO), format_)


def test_verbose_json() -> None:
    assert body(mixed(HELLO), "verbose_json", BOTH) == {
        "task": "transcribe",
        "language": "en",
        "duration": 3.25,
        "text": "Hello.",
        "segments": [
            {
                "id": 0,
                "seek": 30,
                "start": 0.3,
                "end": 1.5,
                "text": "Hello.",
                "tokens": [7, 8],
                "temperature": 0.2,
                "avg_logprob": -0.25,
                "compression_ratio": round(6 / len(zlib.compress(b"Hello.")), 3),
                "no_speech_prob": 0.125,
            }
        ],
        "words": [
            {"word": "hello", "start": 0.3, "end": 1.5, "confidence": 0.988},
            {"word": "there", "start": 1.5, "end": 1.5},
        ],
        "usage": {"type": "duration", "seconds": 3.25},
    }


def test_numbers_a_model_lacks_or_json_cannot_say_are_zero() -> None:
    strange = TranscriptSegment(0, 0, 1, "", avg_logprob=-math.inf, no_speech_prob=None)
    document = TranscriptionVerbose.model_validate(body(mixed(strange), "verbose_json"))
    assert document.segments
    (segment,) = document.segments
    assert (segment.avg_logprob, segment.no_speech_prob, segment.compression_ratio) == (0, 0, 0)


@pytest.mark.parametrize(
    ("granularities", "present"),
    [
        (frozenset({"segment"}), {"segments"}),
        (frozenset({"word"}), {"words"}),
        (BOTH, {"segments", "words"}),
    ],
)
def test_granularities_choose_the_lists_even_where_they_are_empty(
    granularities: frozenset[str], present: set[str]
) -> None:
    for transcription in (mixed(), mixed(HELLO), mixed(WORLD)):
        document = body(transcription, "verbose_json", granularities)
        assert document.keys() & {"segments", "words"} == present
    assert all(body(mixed(), "verbose_json", granularities)[key] == [] for key in present)


def test_unknown_language_is_a_string() -> None:
    assert body(mixed(), "verbose_json")["language"] == "und"


def test_text() -> None:
    assert render(mixed(HELLO), "text").body == "Hello.\n"
    assert render(mixed(), "text").body == "\n"


def test_tsv() -> None:
    assert render(mixed(HELLO, WORLD), "tsv").body == (
        "start\tend\ttext\n300\t1500\tHello.\n2000\t3000\t世界 <1>\n"
    )
    assert render(mixed(), "tsv").body == "start\tend\ttext\n"


def test_subtitles_come_from_the_segments() -> None:
    assert render(mixed(WORLD), "srt").body == "1\n00:00:02,000 --> 00:00:03,000\n世界 <1>\n\n"
    assert render(mixed(WORLD), "vtt").body == (
        "WEBVTT\n\n00:00:02.000 --> 00:00:03.000\n世界 &lt;1&gt;\n\n"
    )


def test_split_recordings() -> None:
    lines = "left: hi bye\nright: 你好再见呀你"
    channels = [
        {"channel": "left", "text": "hi bye"},
        {"channel": "right", "text": "你好再见呀你"},
    ]
    assert render(SPLIT, "text").body == lines + "\n"
    assert render(SPLIT, "tsv").body == (
        "start\tend\ttext\tchannel\n0\t1000\thi\tleft\n500\t2000\t你好\tright\n"
    )
    assert render(SPLIT, "srt").body.count("[right] ") == 1
    assert render(SPLIT, "vtt").body.count("<v left>") == 1
    for format_ in ("json", "verbose_json"):
        document = body(SPLIT, format_)
        assert (document["text"], document["channels"]) == (lines, channels)


def test_split_verbose_json_numbers_segments_through_and_names_their_channel() -> None:
    document = TranscriptionVerbose.model_validate(body(SPLIT, "verbose_json", BOTH))
    assert document.segments
    assert document.words
    assert [(s.id, s.start, s.to_dict()["channel"]) for s in document.segments] == [
        (0, 0.0, "left"),
        (1, 0.5, "right"),
    ]
    assert [(word.word, word.to_dict()["channel"]) for word in document.words] == [("你", "right")]
    assert document.language == "en", "the first of equally long texts"


_NUMBER = st.none() | st.floats()
_SEGMENT = st.builds(
    TranscriptSegment,
    st.integers(0, 9),
    st.floats(0, 40_000),
    st.floats(0, 40_000),
    st.text(),
    st.lists(
        st.builds(Word, st.text(), st.floats(0, 40_000), st.floats(0, 40_000), _NUMBER), max_size=3
    ).map(tuple),
    avg_logprob=_NUMBER,
    no_speech_prob=_NUMBER,
    tokens=st.lists(st.integers(0, 60_000), max_size=3).map(tuple),
)
_CHANNEL = st.builds(
    Transcript,
    st.text(),
    st.none() | st.just("en"),
    st.floats(0, 40_000),
    st.lists(_SEGMENT, max_size=3).map(tuple),
    st.sampled_from([None, "left", "right"]),
)
_TRANSCRIPTION = st.builds(
    Transcription,
    st.just("fake"),
    st.floats(0, 40_000),
    st.lists(_CHANNEL, min_size=1, max_size=2).map(tuple),
    st.lists(st.text(), max_size=2).map(tuple),
)


@given(_TRANSCRIPTION)
def test_openais_types_accept_any_answer_strictly(transcription: Transcription) -> None:
    plain = OpenAiTranscription.model_validate(body(transcription, "json"), strict=True)
    verbose = TranscriptionVerbose.model_validate(
        body(transcription, "verbose_json", BOTH), strict=True
    )
    assert plain.text == verbose.text
    assert plain.usage is not None
    assert plain.usage.type == "duration"
    assert verbose.segments is not None
    assert len(verbose.segments) == sum(len(each.segments) for each in transcription.transcripts)


@given(_TRANSCRIPTION)
def test_any_tsv_has_as_many_columns_in_every_row(transcription: Transcription) -> None:
    header, *rows = render(transcription, "tsv").body.removesuffix("\n").split("\n")
    assert len(rows) == sum(len(each.segments) for each in transcription.transcripts)
    assert all(row.count("\t") == header.count("\t") for row in rows)

"""Form fields: names in every spelling, values refused by name, phrases split as meant."""

from __future__ import annotations

import pytest

from voxfleet.audio.pcm import RAW_ENCODINGS as READABLE_ENCODINGS
from voxfleet.core import AudioOptions, ChannelMode, EngineInfo, RawPcm, VadMode
from voxfleet.errors import ParameterError
from voxfleet.gateway.file_transcriber import AnswerStyle, read_language
from voxfleet.gateway.form_fields import (
    RAW_ENCODINGS,
    FormFields,
    read_audio_options,
    read_phrases,
    split_prompt,
)
from voxfleet.gateway.openai_form import read_openai_style
from voxfleet.transcribe.hotword_text import WITHOUT_LISTS

BILINGUAL = EngineInfo("m", ("zh", "en"), speed=1)


def fields(*pairs: tuple[str, str]) -> FormFields:
    return FormFields(pairs)


@pytest.mark.parametrize(
    "pairs",
    [
        [("timestamp_granularities[]", "word"), ("timestamp_granularities[]", "segment")],
        [("timestamp_granularities", "word"), ("timestamp_granularities", "segment")],
        [("timestamp_granularities[0]", "word"), ("timestamp_granularities[1]", "segment")],
        [("timestamp_granularities", "word, segment")],
    ],
)
def test_a_list_may_be_spelled_in_four_ways(pairs: list[tuple[str, str]]) -> None:
    style = read_openai_style(fields(("response_format", "verbose_json"), *pairs))
    assert style.granularities == {"word", "segment"}


def test_nothing_said_means_json_with_segments() -> None:
    style = read_openai_style(fields(("user", "somebody"), ("response_format", " ")))
    assert style == AnswerStyle("json", frozenset({"segment"}), ())


@pytest.mark.parametrize(
    ("pairs", "param", "said"),
    [
        ([("response_format", "xml")], "response_format", "verbose_json"),
        ([("response_format", "diarized_json")], "response_format", "speakers"),
        ([("response_format", "json"), ("response_format", "srt")], "response_format", "once"),
        ([("stream", "perhaps")], "stream", "false"),
        ([("chunking_strategy", "vad")], "chunking_strategy", "server_vad"),
        ([("chunking_strategy[type]", "x")], "chunking_strategy[type]", "server_vad"),
        ([("include[]", "tokens")], "include", "logprobs"),
        ([("timestamp_granularities[]", "word")], "timestamp_granularities[]", "verbose_json"),
        ([("timestamp_granularities[]", "phone")], "timestamp_granularities", "segment"),
    ],
)
def test_a_wrong_answer_style_is_refused_by_name(
    pairs: list[tuple[str, str]], param: str, said: str
) -> None:
    with pytest.raises(ParameterError, match=said) as refused:
        read_openai_style(fields(*pairs))
    assert refused.value.param == param


@pytest.mark.parametrize("value", ["false", "False", "0", ""])
def test_stream_may_be_denied(value: str) -> None:
    assert read_openai_style(fields(("stream", value))).format == "json"


@pytest.mark.parametrize(
    ("value", "number"), [("0", 0.0), ("1", 1.0), (" 0.5 ", 0.5), ("1e-2", 0.01)]
)
def test_numbers_within_bounds(value: str, number: float) -> None:
    assert fields(("temperature", value)).number("temperature", 0, 1) == number


@pytest.mark.parametrize("value", ["-0.1", "1.01", "nan", "inf", "hot", "0x1", "1;2"])
def test_numbers_out_of_bounds(value: str) -> None:
    with pytest.raises(ParameterError, match="from 0 to 1") as refused:
        fields(("temperature", value)).number("temperature", 0, 1)
    assert refused.value.param == "temperature"


@pytest.mark.parametrize("value", ["3999", "-16000", "16000.0", "1e5", "²", "9" * 40])
def test_whole_numbers_out_of_bounds(value: str) -> None:
    with pytest.raises(ParameterError, match="whole number from 4000"):
        fields(("sample_rate", value)).whole_number("sample_rate", 4000, 384000)


def test_values_in_messages_are_one_short_line() -> None:
    with pytest.raises(ParameterError) as refused:
        fields(("vad", "a\nb\x1b[31m" + "x" * 5000)).choice("vad", tuple(VadMode))
    message = refused.value.message
    assert message.isprintable()
    assert len(message) < 250


def test_a_list_of_hotwords_is_not_split_again() -> None:
    given = fields(("hotwords[]", "New York"), ("keywords[]", "a, b"), ("keywords[]", "c"))
    assert read_phrases(given, WITHOUT_LISTS).all == ("New York", "a, b", "c")


def test_only_short_parts_of_a_prompt_are_phrases() -> None:
    prompt = "ZyntriQix, Digique Plus. The following is a long talk about the weather of Mars: OK"
    assert split_prompt(prompt) == ("ZyntriQix", "Digique Plus", "OK")


def test_phrases_come_once_and_prompt_fills_what_is_left() -> None:
    many = [("hotwords[]", f"w{n}") for n in range(999)]
    phrases = read_phrases(fields(*many, ("prompt", "w1, p1, p2")), WITHOUT_LISTS).all
    assert (len(phrases), phrases[-1]) == (1000, "p1")


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([("keywords[]", str(n)) for n in range(1001)], "more than the 1000"),
        ([("hotwords", "x" * 51)], "longer than 50"),
        ([("hotwords", '{"a": 1')], "not valid JSON"),
        ([("hotwords[]", str(n)) for n in range(600)] + [("keywords", "[1]")], "no string"),
    ],
)
def test_too_much_to_listen_for(pairs: list[tuple[str, str]], said: str) -> None:
    with pytest.raises(ParameterError, match=said) as refused:
        read_phrases(fields(*pairs), WITHOUT_LISTS)
    assert refused.value.param == pairs[-1][0].removesuffix("[]")


def test_hotwords_and_keywords_are_one_list_to_the_limit() -> None:
    given = [(name, f"{name}{n}") for name in ("hotwords", "keywords") for n in range(501)]
    with pytest.raises(ParameterError, match="1002 words"):
        read_phrases(fields(*given), WITHOUT_LISTS)


@pytest.mark.parametrize(
    "pairs",
    [
        [("hotwords", '{"阿里巴巴": 20, "New York": "30"}')],
        [("hotwords", '["阿里巴巴", "New York"]')],
        [("hotwords[阿里巴巴]", "20"), ("hotwords[New York]", "30")],
        [("hotwords[]", "阿里巴巴"), ("hotwords[]", "New York")],
        [("hotwords", "阿里巴巴\nNew York")],
        [("hotwords", "阿里巴巴,New York")],
    ],
)
def test_every_form_of_hotwords_is_the_same_list(pairs: list[tuple[str, str]]) -> None:
    assert read_phrases(fields(*pairs), WITHOUT_LISTS).all == ("阿里巴巴", "New York")


class Lists:
    def words(self, list_name: str) -> tuple[str, ...]:
        return {"team": ("Ann", "Bob"), "产品": ("通义",)}[list_name]


@pytest.mark.parametrize(
    ("pairs", "explicit"),
    [
        ([("hotwords", "@team")], ("Ann", "Bob")),
        ([("hotwords", "@team, Foo，@产品")], ("Ann", "Bob", "Foo", "通义")),
        ([("hotwords", "@team Foo")], ("Ann", "Bob", "Foo")),
        ([("hotwords", '["@team", "@@x"]')], ("Ann", "Bob", "@x")),
        ([("hotwords", '{"@team": 20, "Foo": 1}')], ("Ann", "Bob", "Foo")),
        ([("hotwords[]", "@产品"), ("hotwords[]", "Foo")], ("通义", "Foo")),
        ([("hotwords[@team]", "20")], ("Ann", "Bob")),
        ([("keywords[]", "@team"), ("hotwords", "@产品")], ("通义", "Ann", "Bob")),
    ],
)
def test_lists_may_be_named_wherever_words_may(
    pairs: list[tuple[str, str]], explicit: tuple[str, ...]
) -> None:
    assert read_phrases(fields(*pairs), Lists()).explicit == explicit


def test_a_prompt_names_no_list() -> None:
    phrases = read_phrases(fields(("prompt", "write to @team")), WITHOUT_LISTS)
    assert (phrases.explicit, phrases.hinted) == ((), ("write to @team",))


@pytest.mark.parametrize(
    ("name", "code"),
    [
        *[(name, "en") for name in ("en", "EN", "en-US", "en_GB", "english", "English", "eng")],
        *[(name, "zh") for name in ("zh", "zh-CN", "zh-Hans-CN", "Chinese", "mandarin", "cmn")],
        *[(name, None) for name in ("auto", "", "  ", "und")],
    ],
)
def test_languages_in_any_spelling(name: str, code: str | None) -> None:
    assert read_language(fields(("language", name)), BILINGUAL) == code


@pytest.mark.parametrize("name", ["de", "german", "englisch", "e", "en US", "../zh", "language"])
def test_a_language_the_model_lacks_is_refused_with_those_it_has(name: str) -> None:
    with pytest.raises(ParameterError, match="the model m has zh, en") as refused:
        read_language(fields(("language", name)), BILINGUAL)
    assert refused.value.param == "language"


def test_several_candidate_languages_are_detected_among_and_one_is_taken() -> None:
    assert read_language(fields(("languages[]", "en")), BILINGUAL) == "en"
    assert read_language(fields(("languages[]", "en"), ("languages[]", "zh")), BILINGUAL) is None
    with pytest.raises(ParameterError, match="languages 'fr'"):
        read_language(fields(("languages[]", "en"), ("languages[]", "fr")), BILINGUAL)


def test_audio_options() -> None:
    assert read_audio_options(fields(), VadMode.SILERO) == AudioOptions(vad=VadMode.SILERO)
    asked = fields(("vad", "energy"), ("channel", "split"))
    assert read_audio_options(asked, VadMode.AUTO) == AudioOptions(
        VadMode.ENERGY, ChannelMode.SPLIT
    )


def test_raw_pcm_only_by_explicit_option() -> None:
    asked = fields(("input_format", "pcm_s16le"), ("sample_rate", "8000"), ("channels", "2"))
    assert read_audio_options(asked, VadMode.AUTO).raw_pcm == RawPcm("s16le", 8000, 2)
    assert read_audio_options(fields(("input_format", "auto")), VadMode.AUTO).raw_pcm is None


@pytest.mark.parametrize(
    ("pairs", "param"),
    [
        ([("input_format", "pcm_s16le")], "sample_rate"),
        ([("sample_rate", "16000")], "sample_rate"),
        ([("channels", "2")], "channels"),
        ([("input_format", "pcm_s15le"), ("sample_rate", "16000")], "input_format"),
        ([("vad", "magic")], "vad"),
        ([("channel", "middle")], "channel"),
    ],
)
def test_audio_options_refused_by_name(pairs: list[tuple[str, str]], param: str) -> None:
    with pytest.raises(ParameterError) as refused:
        read_audio_options(fields(*pairs), VadMode.AUTO)
    assert refused.value.param == param


def test_every_raw_encoding_offered_can_be_read() -> None:
    assert set(RAW_ENCODINGS) == set(READABLE_ENCODINGS)


def test_a_control_character_is_no_part_of_a_phrase() -> None:
    with pytest.raises(ParameterError, match="control character"):
        read_phrases(fields(("hotwords[]", "a\x00b")), Lists())


def test_lists_of_both_fields_count_together() -> None:
    ten = [("hotwords[]", f"@h{n}") for n in range(11)] + [
        ("keywords[]", f"@k{n}") for n in range(10)
    ]
    with pytest.raises(ParameterError, match="21 lists are more than the 20"):
        read_phrases(fields(*ten), Lists())

"""Hotwords as people write them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.core import EngineInfo, RecognitionOptions
from voxfleet.errors import ParameterError
from voxfleet.transcribe.hotword_text import (
    MAX_HOTWORD_CHARS,
    MAX_HOTWORDS,
    show_words,
    split_hotwords,
    within_limits,
)
from voxfleet.transcribe.unheard import MAX_SHOWN_HOTWORDS, unheard


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("阿里巴巴 通义实验室", ("阿里巴巴", "通义实验室")),
        ("New York, Acme Corp", ("New York", "Acme Corp")),
        ("达摩院，通义、 千问;x\ny", ("达摩院", "通义", "千问", "x", "y")),
        (" , ", ()),
        ("", ()),
    ],
)
def test_hotwords_are_parted_by_commas_else_by_spaces(text: str, phrases: tuple[str, ...]) -> None:
    assert split_hotwords(text) == phrases


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ('{"阿里巴巴": 20}', ("阿里巴巴",)),
        ('{"阿里巴巴": "20", "New York": 1.5, "a, b": -3}', ("阿里巴巴", "New York", "a, b")),
        (' \n{"a": 1, "a": 2, " a ": 3, "": 4}', ("a",)),
        ('["阿里巴巴", "New York", " ", "New York"]', ("阿里巴巴", "New York")),
        ('["a, b\\nc"]', ("a, b\nc",)),
        ("{}", ()),
        ("[]", ()),
    ],
)
def test_json_is_a_list_or_words_with_weights(text: str, phrases: tuple[str, ...]) -> None:
    assert split_hotwords(text) == phrases


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"阿里巴巴": 20', "at character 12"),
        ("[阿里巴巴]", "at character 2"),
        ('["a"] and more', "at character 7"),
        ("[" * 100_000, "not valid JSON"),
        ('{"a": ' * 100_000, "not valid JSON"),
        ("[" + "9" * 5000 + "]", "not valid JSON"),
        ("[1, 2]", "no string"),
        ('["a", null]', "no string"),
        ('["a", ["b"]]', "no string"),
        ('[{"word": "a", "weight": 20}]', "no string"),
        ('{"a": null}', "weight of 'a' is no number"),
        ('{"a": true}', "weight of 'a' is no number"),
        ('{"a": {"weight": 3}}', "weight of 'a' is no number"),
        ('["\\ud800"]', "half a character"),
        ('{"\\udfff": 1}', "half a character"),
    ],
)
def test_what_begins_as_json_and_is_something_else_is_refused(text: str, said: str) -> None:
    with pytest.raises(ParameterError, match=said) as refused:
        split_hotwords(text, "keywords")
    assert refused.value.param == "keywords"
    assert refused.value.message.isprintable()
    assert len(refused.value.message) < 250


@pytest.mark.parametrize(
    "place", ["/etc/passwd", "../hotwords.txt", "http://host/words.txt", "file:///a.txt"]
)
def test_a_path_or_an_address_is_only_text(place: str) -> None:
    assert split_hotwords(place) == (place,)
    assert split_hotwords(json.dumps({place: 20})) == (place,)


@given(st.text())
def test_any_text_gives_clean_words_or_a_refusal(text: str) -> None:
    try:
        words = split_hotwords(text)
    except ParameterError:
        assert text.strip().startswith(("{", "["))
        return
    assert all(word and word == word.strip() for word in words)
    assert len(set(words)) == len(words)


def test_as_many_and_as_long_as_allowed() -> None:
    words = tuple(str(n).rjust(MAX_HOTWORD_CHARS, "字") for n in range(MAX_HOTWORDS))
    assert within_limits(words) == words


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([str(n) for n in range(MAX_HOTWORDS + 1)], "1001 words are more than the 1000"),
        (["字" * (MAX_HOTWORD_CHARS + 1)], "longer than 50 characters"),
        (["\n\x1b" * 10_000], "longer than 50 characters"),
    ],
)
def test_too_many_or_too_long(words: list[str], said: str) -> None:
    with pytest.raises(ParameterError, match=said) as refused:
        within_limits(words, "keywords")
    assert refused.value.param == "keywords"
    assert refused.value.message.isprintable()
    assert len(refused.value.message) < 250


def test_words_are_shown_on_one_line_and_counted() -> None:
    assert show_words(("甲", "a\nb\x1b"), 2) == "甲, a\\nb\\x1b"
    assert show_words([str(n) for n in range(1500)], 3) == "0, 1, 2 and 1,497 more"


LISTENING = EngineInfo("m", ("zh",), speed=1, hotwords=True)


def test_unknown_hotwords_become_one_warning_in_the_order_asked_for() -> None:
    wanted = RecognitionOptions(hotwords=("丙", "甲", "乙"))
    assert unheard(wanted, LISTENING, {"乙", "丙", "never asked for"}) == (
        "hotwords: not in the vocabulary of m and not used: 丙, 乙",
    )
    assert unheard(wanted, LISTENING, {"never asked for"}) == ()
    assert unheard(wanted, LISTENING) == ()


def test_the_warning_of_a_thousand_unknown_hotwords_is_short() -> None:
    words = tuple(str(n).rjust(MAX_HOTWORD_CHARS, "字") for n in range(1000))
    (warning,) = unheard(RecognitionOptions(hotwords=words), LISTENING, set(words))
    assert warning.endswith(f" and {1000 - MAX_SHOWN_HOTWORDS} more")
    assert len(warning) < 1500

"""Names of hotword lists, and the words that are put into one."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.errors import ParameterError
from voxfleet.gateway.hotword_names import MAX_BODY_BYTES, checked_name, read_words
from voxfleet.transcribe.hotword_text import MAX_HOTWORD_CHARS, MAX_HOTWORDS


@pytest.mark.parametrize(
    "name",
    ["products", "Team-7.v2_x", "产品名", "7", "ß", "हिन्दी", "עברית", "عربية", "x" * 64],
)
def test_letters_and_digits_of_any_script(name: str) -> None:
    assert checked_name(name) == unicodedata.normalize("NFC", name)


def test_a_letter_written_in_two_ways_is_one() -> None:
    assert checked_name("cafe\u0301") == checked_name("caf\u00e9") == "caf\u00e9"
    assert checked_name("e\u0301" * 64) == "\u00e9" * 64


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "a\\b",
        "-x",
        "_x",
        "\u0301x",
        "a b",
        "a,b",
        "@a",
        "a\0",
        "a\n",
        "\u202eabc",
        "a\u200db",
        "🙂",
        "a\ufffd",
        "a" + chr(0xD800),
        "²",
        "x" * 65,
        "x" * 100_000,
    ],
)
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(ParameterError, match="none for a hotword list") as refused:
        checked_name(name)
    assert refused.value.param == "name"
    assert refused.value.message.isprintable()
    assert len(refused.value.message) < 300


@given(st.text(max_size=80))
def test_any_name_is_kept_in_one_spelling_or_refused(name: str) -> None:
    try:
        checked = checked_name(name)
    except ParameterError:
        return
    assert checked_name(checked) == checked
    assert checked.isprintable()
    assert not set(checked) & set("/\\@ ,%?#")


@pytest.mark.parametrize(
    "words",
    [["阿里巴巴", "New York"], "阿里巴巴, New York", {"阿里巴巴": 20, "New York": "3"}],
)
def test_every_form_of_words(words: object) -> None:
    for ascii_only in (True, False):
        body = json.dumps({"words": words}, ensure_ascii=ascii_only).encode()
        assert read_words(body) == ("阿里巴巴", "New York")


def test_a_word_in_a_list_may_begin_with_the_mark_of_lists() -> None:
    assert read_words(b'{"words": ["@home", "@@x"]}') == ("@home", "@@x")


@pytest.mark.parametrize(
    ("body", "param", "said"),
    [
        (b"", "body", "not valid JSON"),
        (b'{"words": ["a"', "body", "not valid JSON"),
        (b'{"words": ["\xff"]}', "body", "not valid JSON"),
        (b"[" * 100_000, "body", "not valid JSON"),
        (b'["a"]', "body", "has no words"),
        (b"{}", "body", "has no words"),
        (b'{"words": ["a"], "wrods\\n": []}', "body", "wrods"),
        (b'{"words": null}', "words", "holds no words"),
        (b'{"words": 7}', "words", "holds no words"),
        (b'{"words": [7]}', "words", "no string"),
        (b'{"words": {"a": null}}', "words", "no number"),
        (b'{"words": ["\\ud800"]}', "words", "half a character"),
        (b'{"words": []}', "words", "DELETE"),
        (b'{"words": " , "}', "words", "DELETE"),
        (b'{"words": ["a\\u0000b"]}', "words", "control character"),
        (b'{"words": ["a\\nb"]}', "words", "control character"),
        (json.dumps({"words": [str(n) for n in range(1001)]}).encode(), "words", "1001 words"),
        (json.dumps({"words": ["x" * 51]}).encode(), "words", "longer than 50"),
    ],
)
def test_what_is_no_list_of_words(body: bytes, param: str, said: str) -> None:
    with pytest.raises(ParameterError, match=said) as refused:
        read_words(body)
    assert refused.value.param == param
    assert refused.value.message.isprintable()
    assert len(refused.value.message) < 300


def test_the_largest_list_fits_into_a_body_however_it_is_written() -> None:
    words = {chr(0x20000 + n) * MAX_HOTWORD_CHARS: "1000000000" for n in range(MAX_HOTWORDS)}
    body = json.dumps({"words": words}, indent=1).encode()
    assert len(body) <= MAX_BODY_BYTES
    assert read_words(body) == tuple(words)

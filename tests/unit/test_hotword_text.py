"""Hotwords as people write them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.core import EngineInfo, RecognitionOptions
from voxfleet.errors import NotFoundError, ParameterError
from voxfleet.transcribe.hotword_text import (
    MAX_HOTWORD_CHARS,
    MAX_HOTWORDS,
    MAX_LISTS_NAMED,
    WITHOUT_LISTS,
    expanded,
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


class Lists(dict[str, tuple[str, ...]]):
    """Remembers which lists were asked for."""

    asked: int = 0

    def words(self, list_name: str) -> tuple[str, ...]:
        self.asked += 1
        if list_name not in self:
            raise NotFoundError(f"there is no hotword list {list_name!r}")
        return self[list_name]


LISTS = Lists(a=("甲", "乙"), b=("乙", "@c", "New York"))


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ((), ()),
        (("x", "y"), ("x", "y")),
        (("@a",), ("甲", "乙")),
        (("x", "@a", "乙", "@b"), ("x", "甲", "乙", "@c", "New York")),
        (("@a", "@a"), ("甲", "乙")),
        (("@@a", "x@a", "a@"), ("@a", "x@a", "a@")),
        (("@@@a", "@@"), ("@@a", "@")),
    ],
)
def test_lists_stand_for_their_words(words: tuple[str, ...], meant: tuple[str, ...]) -> None:
    assert expanded(words, LISTS) == meant


@pytest.mark.parametrize("word", ["@", "@c", "@ a", "@../a", "@A"])
def test_an_unknown_list_is_told_as_what_it_was_sent_as(word: str) -> None:
    with pytest.raises(ParameterError, match="keywords: there is no hotword list") as refused:
        expanded(("x", word), LISTS, "keywords")
    assert refused.value.param == "keywords"


def test_where_there_are_no_lists_it_is_said() -> None:
    assert expanded(("x", "@@y"), WITHOUT_LISTS) == ("x", "@y")
    with pytest.raises(ParameterError, match="--hotwords: the hotword list 'a': only a server"):
        expanded(("@a",), WITHOUT_LISTS, "--hotwords")


def test_lists_and_words_have_one_limit() -> None:
    lists = Lists({str(n): tuple(f"{n}-{word}" for word in range(600)) for n in range(1000)})
    assert len(expanded(("@0", *map(str, range(400))), lists)) == MAX_HOTWORDS
    with pytest.raises(ParameterError, match="1200 words are more than the 1000"):
        expanded(("@0", "@1"), lists)


def test_only_so_many_lists_are_looked_at() -> None:
    lists = Lists({str(n): (str(n),) for n in range(MAX_LISTS_NAMED + 1)})
    named = [f"@{n}" for n in range(MAX_LISTS_NAMED + 1)]
    assert len(expanded(named[1:], lists)) == MAX_LISTS_NAMED
    lists.asked = 0
    with pytest.raises(ParameterError, match="keywords: 21 lists are more than the 20") as refused:
        expanded(named, lists, "keywords")
    assert (lists.asked, refused.value.param) == (0, "keywords")


def test_a_word_beside_a_list_has_its_limit_without_the_mark() -> None:
    longest = "x" * MAX_HOTWORD_CHARS
    assert expanded(("@a", f"@@{longest[1:]}", longest), LISTS)[2:] == (f"@{longest[1:]}", longest)
    with pytest.raises(ParameterError, match="longer than 50"):
        expanded(("@a", f"{longest}x"), LISTS)


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

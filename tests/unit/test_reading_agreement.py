"""What two readings agree on is told once and never taken back; the last reading tells the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.transcribe.reading_agreement import (
    Agreement,
    GrowingText,
    agreed_start,
    rest_after,
    surplus_after,
)

_TEXT = st.lists(st.sampled_from(("a", "bb", " ", "你", "好", "，")), max_size=12).map("".join)


@pytest.mark.parametrize(
    ("before", "reading", "agreed"),
    [
        ("", "one", ""),
        ("one two", "one twofold", "one"),
        ("one  two", "one two three", "one two"),
        ("你好吗", "你好啊", "你好"),
        ("你好abc", "你好 abcd", "你好"),
        ("one", "two", ""),
    ],
)
def test_readings_agree_in_whole_words_or_letters(before: str, reading: str, agreed: str) -> None:
    assert agreed_start(before, reading) == agreed


@pytest.mark.parametrize(
    ("told", "reading", "rest"),
    [
        ("", "one", "one"),
        ("one", "one two", " two"),
        ("one", "one, two.", ", two."),
        ("one two", "won two three", " three"),
        ("one two", "two three", " three"),
        ("one two three", "one two", ""),
        ("one  two", "one two three", " three"),
        ("你好", "您好吗", "吗"),
        ("one", "", ""),
        # of prefixes that need as many changes, the one as long as what was told
        ("x y", "a b c", " c"),
    ],
)
def test_the_rest_begins_where_what_was_told_fits_best(told: str, reading: str, rest: str) -> None:
    assert rest_after(told, reading) == rest


@pytest.mark.parametrize(
    ("told", "reading", "surplus"),
    [
        ("one two three", "one two", "three"),
        ("one two three", "one too", "three"),
        ("one two", "one two three", ""),
        ("one two", "one too", ""),
        ("你好吗", "你", "好吗"),
        ("one", "", "one"),
        ("", "one", ""),
    ],
)
def test_words_told_beyond_a_cut_are_known(told: str, reading: str, surplus: str) -> None:
    assert surplus_after(told, reading) == surplus


def test_a_word_is_told_when_it_is_read_twice() -> None:
    piece = Agreement()
    told = []
    for reading in ("one", "one two", "one two free", "one two three", "one to three four"):
        piece.hear(reading)
        told.append(piece.take())
    assert told == ["", "one", " two", "", ""]
    assert piece.settle("one two three four five") == " three four five"


def test_what_may_be_told_but_was_not_follows_the_newest_readings() -> None:
    piece = Agreement()
    for reading in ("one two", "one two", "one too", "one too"):
        piece.hear(reading)
    assert piece.take() == "one too"


def test_pieces_are_joined_as_their_scripts_want_it() -> None:
    text = GrowingText()
    deltas = [text.settle(Agreement(), reading) for reading in ("one", "two", "你", "", "好")]
    assert deltas == ["one", " two", "你", "", "好"]
    assert text.authoritative == text.told == "one two你好"


def test_the_last_piece_is_as_its_own_reading_has_it() -> None:
    text, piece = GrowingText(), Agreement()
    text.settle(Agreement(), "hello")
    for reading in ("wold", "wold is"):
        piece.hear(reading)
    assert text.grow(piece) == " wold"
    assert text.settle(piece, "world is round") == " is round"
    assert text.told == "hello wold is round"
    assert text.authoritative == "hello world is round"


def test_words_told_beyond_a_cut_are_not_told_again() -> None:
    text, piece, rest = GrowingText(), Agreement(), Agreement()
    for reading in ("one two three", "one two three"):
        piece.hear(reading)
    assert text.grow(piece) == "one two three"
    rest.hear("three four")
    rest.hear("three four")
    assert text.settle(piece, "one two", rest) == ""
    assert text.grow(rest) == " four"
    assert text.settle(rest, "tree four five") == " five"
    assert text.told == "one two three four five"
    assert text.authoritative == "one two tree four five"


@given(st.lists(_TEXT, max_size=6), _TEXT)
def test_what_is_told_only_grows(readings: list[str], last: str) -> None:
    piece = Agreement()
    told = ""
    for reading in readings:
        piece.hear(reading)
        told += piece.take()
        assert piece.told == told
    rest = piece.settle(last)
    assert piece.told == told + rest
    assert last.endswith(rest)


@given(_TEXT, _TEXT)
def test_a_reading_that_goes_on_is_told_exactly(told: str, more: str) -> None:
    assert told + rest_after(told, told + more) == told + more

"""The rules of punctuation without a network: the marks are given."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.paraformer.ct_text import (
    COMMA_CUT_WORDS,
    LONGEST_WINDOW_WORDS,
    NO_MARK,
    WINDOW_WORDS,
    PunctuationState,
    end_text,
    join,
    split_words,
)

MARKS = [NO_MARK, "，", "。", "？", "、"]
HAN = "一丁七万丈三上下不与丐丑专且世丘丙业丛东"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \t\u3000\n", []),
        ("今天 hello world天气", ["今", "天", "hello", "world", "天", "气"]),
        ("it's2023年", ["it's2023", "年"]),
        ("a,b。c", ["a,b", "。", "c"]),
        ("café is", ["caf", "é", "is"]),
        ("😀\ud800", ["😀", "\ud800"]),
    ],
)
def test_words_are_runs_of_ascii_and_single_characters(text: str, words: list[str]) -> None:
    assert split_words(text) == words


def test_a_cutter_gets_whole_runs_that_are_not_pure_latin() -> None:
    seen: list[str] = []

    def cutter(text: str) -> list[str]:
        seen.append(text)
        return [text[:2], text[2:]]

    words = split_words("今天 天气 hello it's 3月 abc1", cutter)
    assert seen == ["今天天气", "3月abc1"]
    assert words == ["今天", "天气", "hello", "it's", "3月", "abc1"]


@pytest.mark.parametrize(
    ("words", "marks", "text"),
    [
        (["今", "天"], "_。", "今天。"),
        (["hello", "world"], "，。", " Hello, world."),
        (["hello", "iPhone", "go"], "？_、", " Hello? Iphone go、"),
        (["我", "OK", "of", "了"], "___，", "我OK of了，"),
        (["好", "ok"], "。？", "好。Ok?"),
        (["hello", "好", "iOS"], "，_。", " Hello,好iOS."),
        ([], "", ""),
    ],
)
def test_words_and_marks_are_joined(words: list[str], marks: str, text: str) -> None:
    assert join(words, list(marks)) == text


@pytest.mark.parametrize(
    ("text", "ended"),
    [
        ("", ""),
        ("好", "好。"),
        ("好，", "好。"),
        ("好、", "好。"),
        ("ok、", "ok。"),
        ("ok,", "ok."),
        ("ok", "ok."),
        ("ok!", "ok!."),
        ("好！", "好！。"),
        ("好。", "好。"),
        ("好？", "好？"),
        ("ok.", "ok."),
        ("ok?", "ok?"),
    ],
)
def test_a_text_ends_with_a_mark(text: str, ended: str) -> None:
    assert end_text(text) == ended


def settled(state: PunctuationState, marks: dict[int, str], *, final: bool = True) -> str:
    """Settles one window in which the given places have marks."""
    window = state.window(final=final)
    assert window is not None
    return state.settle(window, [marks.get(at, NO_MARK) for at in range(len(window.words))], "。")


def state_of(count: int) -> PunctuationState:
    state = PunctuationState()
    state.push((HAN * (count // len(HAN) + 1))[:count])
    return state


def test_a_window_is_settled_up_to_its_last_sentence_end() -> None:
    state = state_of(30)
    assert settled(state, {3: "。", 7: "？", 12: "，"}) == "一丁七万。丈三上下？"
    assert len(state.unfinished) == 22
    assert settled(state, {}) == "不与丐丑专且世丘丙业丛东一丁七万丈三上下不与。"
    assert state.unfinished == ()
    assert state.window(final=True) is None


@pytest.mark.parametrize("place", [0, 1, WINDOW_WORDS - 1])
def test_the_first_two_words_and_the_last_end_no_window(place: int) -> None:
    state = state_of(30)
    assert settled(state, {place: "。"}) == ""
    assert len(state.unfinished) == 30


def test_a_comma_cuts_only_a_long_window() -> None:
    state = state_of(500)
    for _ in range(COMMA_CUT_WORDS // WINDOW_WORDS):
        assert settled(state, {5: "，", 100: "，"}) == ""
    cut = settled(state, {5: "，", 100: "，"})
    assert cut.endswith("。")
    assert "，" in cut
    assert len(state.unfinished) == 500 - 101


def test_a_window_without_marks_stays_within_bounds() -> None:
    state = state_of(3 * LONGEST_WINDOW_WORDS)
    parts = []
    while window := state.window(final=True):
        assert len(window.words) <= LONGEST_WINDOW_WORDS + WINDOW_WORDS
        parts.append(state.settle(window, [NO_MARK] * len(window.words), "。"))
    assert "".join(parts) == "".join(state_of(3 * LONGEST_WINDOW_WORDS).unfinished) + "。"


def test_a_full_window_waits_for_one_word_more() -> None:
    state = state_of(WINDOW_WORDS)
    assert state.window(final=False) is None
    state.push(["好"])
    assert state.window(final=False) is not None


def marks_of(words: Sequence[str], weights: list[int]) -> list[str]:
    """Marks that depend on the word, its place and how much is seen, as a network's do."""
    return [
        MARKS[(ord(word[0]) * weights[0] + place * weights[1] + len(words) * weights[2]) % 5]
        if (place + weights[3]) % 7 == 0
        else NO_MARK
        for place, word in enumerate(words)
    ]


def punctuate(pieces: Sequence[str], weights: list[int]) -> str:
    state = PunctuationState()
    parts = []
    for number, piece in enumerate(pieces, 1):
        state.push(split_words(piece))
        while window := state.window(final=number == len(pieces)):
            parts.append(state.settle(window, marks_of(window.words, weights), "。"))
    return "".join(parts)


PIECES = st.lists(st.text(st.sampled_from(HAN + "ab  "), max_size=60), min_size=1, max_size=12)
WEIGHTS = st.lists(st.integers(0, 30), min_size=4, max_size=4)


@given(PIECES, WEIGHTS)
def test_pieces_become_what_the_whole_becomes(pieces: list[str], weights: list[int]) -> None:
    assert punctuate(pieces, weights) == punctuate([" ".join(pieces)], weights)


@given(st.text(max_size=200), WEIGHTS)
def test_no_word_is_lost_and_none_is_added(text: str, weights: list[int]) -> None:
    found = punctuate([text], weights)

    def bare(value: str) -> str:
        return "".join(value.split()).casefold().translate(dict.fromkeys(map(ord, ",.?，。？、")))

    assert bare(found) == bare(text)

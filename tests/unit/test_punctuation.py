"""Marks find their way back to the segments whose letters they follow."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from voxfleet.core import TranscriptSegment, Word
from voxfleet.errors import AlignmentError
from voxfleet.transcribe.punctuation import (
    MAX_PASSAGE_CHARS,
    Letters,
    is_letter,
    passage_text,
    passages,
    split_like,
    with_marks,
)


def segments(*texts: str, gap_s: float = 0.5) -> tuple[TranscriptSegment, ...]:
    return tuple(
        TranscriptSegment(index, index * (1 + gap_s), index * (1 + gap_s) + 1, text)
        for index, text in enumerate(texts)
    )


@pytest.mark.parametrize(
    ("punctuated", "texts", "parts"),
    [
        ("Hello, world. Yes.", ["hello world", "yes"], ["Hello, world.", "Yes."]),
        ("今天好，我们走。对吗？", ["今天好", "我们走对吗"], ["今天好，", "我们走。对吗？"]),
        ("他说“走吧”。", ["他说", "走吧"], ["他说", "“走吧”。"]),
        ("It's 3.5 (about), no?", ["it's 3.5", "about", "no"], ["It's 3.5", "(about),", "no?"]),
        # a mark that was there before stays where it was
        ("and 'tis so.", ["and", "'tis so"], ["and", "'tis so."]),
        # an engine may put its own mark in the place of one that was there
        ("你好。", ["你好，"], ["你好。"]),
        ("  a。b ", ["a", "b"], ["a。", "b"]),
        ("STRASSE.", ["straße"], ["STRASSE."]),
    ],
)
def test_marks_belong_to_what_they_follow(
    punctuated: str, texts: list[str], parts: list[str]
) -> None:
    assert split_like(punctuated, texts) == parts


@pytest.mark.parametrize(
    ("punctuated", "texts"),
    [
        ("Hello.", ["hello", "world"]),
        ("Hello world again.", ["hello", "world"]),
        ("world hello", ["hello", "world"]),
        ("", ["a"]),
        ("1.", ["one"]),
        ("ß", ["s", "s"]),
    ],
)
def test_a_text_with_other_letters_is_refused(punctuated: str, texts: list[str]) -> None:
    with pytest.raises(AlignmentError, match="punctuation"):
        split_like(punctuated, texts)


PIECES = st.lists(st.text(min_size=1).filter(lambda t: any(map(is_letter, t))), min_size=1)
MARKS = st.lists(st.sampled_from(["", "", "，", "。", ", ", ". ", "?", " “", "” ", "…", "  "]))


@given(PIECES, MARKS, st.sampled_from([str, str.upper, str.lower, str.title, str.swapcase]))
def test_whatever_marks_come_each_part_keeps_its_letters(
    texts: list[str], marks: list[str], cased: type[str]
) -> None:
    chars = [char for text in texts for char in text]
    marks += [""] * (len(chars) - len(marks))
    text = "".join(cased(char) + mark for char, mark in zip(chars, marks, strict=False))
    # a few of Unicode's letters do not come back from another case
    assume(all(cased(char).casefold() == char.casefold() for char in chars))
    parts = split_like(text, texts)
    assert [Letters(part).folded for part in parts] == [Letters(text).folded for text in texts]
    kept = [char for part in parts for char in part if not char.isspace()]
    assert kept == [char for char in text if not char.isspace()]


def test_segments_get_their_text_and_words_stay_bare() -> None:
    words = (Word("hello", 0.0, 0.5), Word("there", 0.5, 1.0))
    passage = (TranscriptSegment(0, 0, 1, "hello there", words), *segments("", "...", "bye")[1:])
    assert passage_text(passage) == "hello there bye"
    marked = with_marks(passage, "Hello there. Bye!")
    assert [segment.text for segment in marked] == ["Hello there.", "...", "Bye!"]
    assert marked[0].words == words


def test_marks_alone_are_no_work() -> None:
    passage = segments("...", "?")
    assert passage_text(passage) == ""
    assert with_marks(passage, "") == passage


def test_a_short_transcript_is_one_passage_and_none_is_none() -> None:
    assert passages(()) == ()
    assert passages(segments("a", "b")) == (segments("a", "b"),)


@given(st.lists(st.integers(0, MAX_PASSAGE_CHARS * 2), max_size=30))
def test_passages_are_all_the_segments_and_not_too_long(lengths: list[int]) -> None:
    whole = segments(*("x" * length for length in lengths))
    parted = passages(whole)
    assert tuple(segment for passage in parted for segment in passage) == whole
    for passage in parted:
        assert len(passage) == 1 or len(passage_text(passage)) <= MAX_PASSAGE_CHARS


def test_a_long_transcript_is_parted_at_the_longest_pause() -> None:
    near = segments(*["x" * 99] * 12)
    far = tuple(
        TranscriptSegment(s.index, s.start_s + 60 * (s.index > 6), s.end_s + 60, s.text)
        if s.index > 6
        else s
        for s in near
    )
    assert [len(passage) for passage in passages(far)] == [7, 5]

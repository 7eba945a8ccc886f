"""subtitles: cues of readable size, in order, with every character of the text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.core import Transcript, TranscriptSegment, Word
from voxfleet.transcribe.subtitles import CUE_MAX_S, LINE_COLUMNS, Cue, cues, one_line, srt, vtt

ENGLISH = (
    "And so, my fellow Americans, ask not what your country can do for you. "
    "Ask what you can do for your country, and go on and on and on until the very end of the clip."
)
CHINESE = (
    "正是因为存在绝对正义，所以我们接受现实的相对正义。但是不要因为现实的相对正义，"
    "我们就认为这个世界没有正义，因为如果当你认为这个世界没有正义。"
)


@dataclass(frozen=True)
class Shown:
    start_ms: int
    end_ms: int
    text: str


def spoken(text: str, words: list[str], start_s: float = 0.0, word_s: float = 0.3) -> Transcript:
    """A transcript of one segment whose words follow one another, `word_s` each."""
    placed = tuple(
        Word(word, start_s + i * word_s, start_s + (i + 1) * word_s) for i, word in enumerate(words)
    )
    end_s = start_s + max(1, len(words)) * word_s
    return Transcript(text, None, end_s, (TranscriptSegment(0, start_s, end_s, text, placed),))


def segment(start_s: float, end_s: float, text: str, *words: Word) -> TranscriptSegment:
    return TranscriptSegment(0, start_s, end_s, text, words)


def only(*segments: TranscriptSegment, channel: str | None = None) -> Transcript:
    return Transcript("", None, 99.0, segments, channel)


_TIMES = re.compile(r"(\d{2,}):(\d\d):(\d\d)[,.](\d{3}) --> (\d{2,}):(\d\d):(\d\d)[,.](\d{3})")


def parsed(body: str, *, numbered: bool) -> list[Shown]:
    """Read a subtitle file as a player does: blocks of lines, parted by empty lines."""
    blocks = [block.split("\n") for block in body.split("\n\n") if block]
    found = []
    for index, lines in enumerate(blocks, 1):
        if numbered:
            assert lines.pop(0) == str(index)
        match = _TIMES.fullmatch(lines.pop(0))
        assert match, lines
        assert not any("-->" in line or not line for line in lines)
        h1, m1, s1, ms1, h2, m2, s2, ms2 = map(int, match.groups())
        start_ms, end_ms = (
            ((h1 * 60 + m1) * 60 + s1) * 1000 + ms1,
            ((h2 * 60 + m2) * 60 + s2) * 1000,
        )
        found.append(Shown(start_ms, end_ms + ms2, "\n".join(lines)))
    return found


def parsed_vtt(body: str) -> list[Shown]:
    header, _, rest = body.partition("\n\n")
    assert header == "WEBVTT"
    return parsed(rest, numbered=False)


def letters(text: str) -> str:
    return "".join(text.split())


# -- the two formats --------------------------------------------------------------------------


def test_srt_and_vtt_as_written() -> None:
    shown = (Cue(0, 1500, ("Hello", "there")), Cue(3_723_004, 360_000_000, ("bye",)))
    assert srt(shown) == (
        "1\n00:00:00,000 --> 00:00:01,500\nHello\nthere\n\n"
        "2\n01:02:03,004 --> 100:00:00,000\nbye\n\n"
    )
    assert vtt(shown) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHello\nthere\n\n"
        "01:02:03.004 --> 100:00:00.000\nbye\n\n"
    )


def test_nothing_said() -> None:
    assert cues([only()]) == cues([only(segment(0, 1, " \n"))]) == ()
    assert (srt(()), vtt(())) == ("", "WEBVTT\n\n")


def test_text_that_looks_like_syntax() -> None:
    shown = cues([only(segment(0, 1, "a --> b <i>&amp;\n\n2\n\0"))])
    assert srt(shown) == "1\n00:00:00,000 --> 00:00:01,000\na → b <i>&amp; 2\n\n"
    assert vtt(shown).endswith("01.000\na --&gt; b &lt;i&gt;&amp;amp; 2\n\n")


def test_channels_are_labelled_and_merged_in_time_order() -> None:
    shown = cues(
        [
            only(segment(0, 1, "hello"), segment(4, 5, "bye"), channel="left"),
            only(segment(2, 3, "yes"), channel="right"),
        ]
    )
    assert [cue.text for cue in parsed(srt(shown), numbered=True)] == [
        "[left] hello",
        "[right] yes",
        "[left] bye",
    ]
    assert [cue.text for cue in parsed_vtt(vtt(shown))] == [
        "<v left>hello",
        "<v right>yes",
        "<v left>bye",
    ]


@pytest.mark.parametrize(
    ("raw", "clean"),
    [("a\tb\r\n\x00c\u2028d  e ", "a b c d e"), ("\x85", ""), ("你 好", "你 好")],
)
def test_one_line(raw: str, clean: str) -> None:
    assert one_line(raw) == clean


# -- cutting ----------------------------------------------------------------------------------


def test_english_is_cut_at_sentences_and_commas() -> None:
    shown = cues([spoken(ENGLISH, re.findall(r"\w+", ENGLISH.lower()))])
    assert [cue.lines for cue in shown] == [
        ("And so, my fellow Americans, ask not what", "your country can do for you."),
        ("Ask what you can do for your country,",),
        ("and go on and on and on until the very end", "of the clip."),
    ]
    # 14, 8 and 14 words of 0.3 s
    assert [(cue.start_ms, cue.end_ms) for cue in shown] == [
        (0, 4200),
        (4200, 6600),
        (6600, 10800),
    ]


def test_chinese_is_cut_without_spaces() -> None:
    shown = cues([spoken(CHINESE, re.findall(r"\w", CHINESE), word_s=0.2)])
    assert [cue.lines for cue in shown] == [
        ("正是因为存在绝对正义，所以我们接受现实的相", "对正义。"),
        ("但是不要因为现实的相对正义，我们就认为这个", "世界没有正义，"),
        ("因为如果当你认为这个世界没有正义。",),
    ]
    assert [(cue.start_ms, cue.end_ms) for cue in shown] == [
        (0, 4600),
        (4600, 9800),
        (9800, 13000),
    ]


def test_mixed_scripts_keep_the_texts_own_spaces() -> None:
    text = "我们用GPT写代码, that's it，完。"
    words = ["我", "们", "用", "gpt", "写", "代", "码", "that's", "it", "完"]
    (cue,) = cues([spoken(text, words)])
    assert cue.lines == (text,)


def test_slow_speech_is_cut_by_time() -> None:
    shown = cues([spoken("one two three four five", ["one", "two", "three", "four", "five"], 0, 3)])
    assert [cue.lines for cue in shown] == [("one two",), ("three four",), ("five",)]
    assert [(c.start_ms, c.end_ms) for c in shown] == [(0, 6000), (6000, 12000), (12000, 15000)]


def test_a_pause_between_cues_stays_a_pause() -> None:
    words = (Word("yes", 0.0, 0.5), Word("no", 9.0, 9.5))
    shown = cues([only(segment(0, 10, "Yes. No.", *words))])
    assert [(cue.start_ms, cue.end_ms) for cue in shown] == [(0, 500), (9000, 9500)]


def test_without_word_times_a_segment_is_one_cue() -> None:
    (cue,) = cues([only(segment(1, 29, ENGLISH))])
    assert (cue.start_ms, cue.end_ms) == (1000, 29000)
    assert " ".join(cue.lines) == ENGLISH
    assert max(map(len, cue.lines)) <= LINE_COLUMNS


def test_text_with_formatted_numbers_takes_times_in_proportion() -> None:
    words = ["twenty", "twenty", "one", *["word"] * 30]
    text = "2021 " + " ".join(["word"] * 30)
    shown = cues([spoken(text, words)])
    assert len(shown) > 1
    assert (shown[0].start_ms, shown[-1].end_ms) == (0, 9900)
    assert letters("".join("".join(cue.lines) for cue in shown)) == letters(text)


def test_a_word_longer_than_a_line_is_cut() -> None:
    (cue,) = cues([only(segment(0, 1, "a" * 100))])
    assert cue.lines == ("a" * 42, "a" * 42, "a" * 16)


def test_word_times_that_run_backwards_keep_the_text_in_order() -> None:
    words = (Word("a" * 40, 20.0, 21.0), Word("b" * 40, 1.0, 2.0), Word("c" * 40, 5.0, 6.0))
    text = " ".join(word.text for word in words)
    shown = cues([only(segment(0, 30, text, *words))])
    assert " ".join(line for cue in shown for line in cue.lines) == text


@pytest.mark.parametrize(
    ("left", "right", "times"),
    [
        ((0, 4), (2, 3), [(0, 2000), (2000, 3000)]),
        ((0, 4), (0, 4), [(0, 500), (500, 4000)]),
        ((0, 4), (0.1, 0.2), [(0, 500), (500, 600)]),
        ((1, 1), (1, 1), [(1000, 1001), (1001, 1002)]),
    ],
)
def test_channels_that_speak_at_once_share_the_time(
    left: tuple[float, float], right: tuple[float, float], times: list[tuple[int, int]]
) -> None:
    shown = cues([only(segment(*left, "l"), channel="left"), only(segment(*right, "r"))])
    assert [(cue.start_ms, cue.end_ms) for cue in shown] == times


# -- any input --------------------------------------------------------------------------------

_TIME_S = st.floats(0, 30, allow_nan=False)
_TEXT = st.text(max_size=60) | st.lists(
    st.sampled_from(["-->", "<v>", "&", "hello,", "world.", "你好。", "正义", "「", "12", "\n\n"]),
    max_size=40,
).map(" ".join)
_WORDS = st.lists(st.builds(Word, st.text(max_size=5), _TIME_S, _TIME_S), max_size=12)


@st.composite
def transcripts(draw: st.DrawFn, channel: str | None) -> Transcript:
    starts = sorted(draw(st.lists(st.integers(0, 5), max_size=5, unique=True)))
    segments = [
        TranscriptSegment(
            index,
            start * 30.0,
            start * 30.0 + draw(_TIME_S),
            draw(_TEXT),
            tuple(Word(w.text, start * 30 + w.start_s, start * 30 + w.end_s) for w in draw(_WORDS)),
        )
        for index, start in enumerate(starts)
    ]
    return Transcript("", None, 200.0, tuple(segments), channel)


def check_sequence(shown: list[Shown]) -> None:
    assert all(cue.start_ms < cue.end_ms for cue in shown)
    assert all(a.end_ms <= b.start_ms for a, b in pairwise(shown))


@given(transcripts(None))
def test_any_transcript_parses_back_in_order_and_whole(transcript: Transcript) -> None:
    shown = cues([transcript])
    whole = letters("".join(one_line(each.text) for each in transcript.segments))
    assert letters("".join(line for cue in shown for line in cue.lines)) == whole

    from_srt, from_vtt = parsed(srt(shown), numbered=True), parsed_vtt(vtt(shown))
    check_sequence(from_srt)
    assert [(c.start_ms, c.end_ms) for c in from_vtt] == [(c.start_ms, c.end_ms) for c in from_srt]
    text = "".join(cue.text for cue in from_vtt)
    for escaped, plain in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(escaped, plain)
    assert letters(text) == whole


@given(transcripts("left"), transcripts("right"))
def test_any_two_channels_never_overlap(left: Transcript, right: Transcript) -> None:
    shown = cues([left, right])
    check_sequence(parsed(srt(shown), numbered=True))
    for transcript in (left, right):
        mine = [line for cue in shown if cue.channel == transcript.channel for line in cue.lines]
        whole = letters("".join(one_line(each.text) for each in transcript.segments))
        assert letters("".join(mine)) == whole


@given(st.lists(st.sampled_from(["hello,", "a", "wonderful", "day.", "正", "义。"]), min_size=1))
def test_cues_with_word_times_are_of_readable_size(parts: list[str]) -> None:
    words = [re.sub(r"\W", "", part) for part in parts]
    for cue in cues([spoken(" ".join(parts), words)]):
        assert len(cue.lines) <= 2
        assert all(len(line) <= LINE_COLUMNS for line in cue.lines)
        assert cue.end_ms - cue.start_ms <= CUE_MAX_S * 1000

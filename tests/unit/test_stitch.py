"""stitch: hypotheses in any order become transcripts in time order and file times."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.core import (
    SAMPLE_RATE_HZ,
    ChannelMode,
    Hypothesis,
    RecognitionOptions,
    SpooledSegment,
    Transcript,
    Word,
)
from voxfleet.errors import VoxfleetError
from voxfleet.transcribe.stitch import Piece, join_texts, stitch

MIX, SPLIT = ChannelMode.MIX, ChannelMode.SPLIT


def piece(
    text: str,
    start_s: float,
    duration_s: float = 1.0,
    *,
    channel: int = 0,
    words: tuple[Word, ...] = (),
    heard: str | None = None,
    asked: str | None = None,
) -> Piece:
    segment = SpooledSegment(
        id=f"{channel}-{start_s}",
        path=Path("spool.pcm"),
        start_s=start_s,
        sample_count=round(duration_s * SAMPLE_RATE_HZ),
        channel=channel,
        options=RecognitionOptions(language=asked),
    )
    return segment, Hypothesis(text, words, heard)


def stitched(pieces: Sequence[Piece], model_language: str | None = None) -> Transcript:
    (transcript,) = stitch(pieces, 60.0, model_language, 1, MIX)
    return transcript


@pytest.mark.parametrize(
    ("texts", "joined"),
    [
        ([], ""),
        (["", "  ", "\n"], ""),
        (["hello", "world"], "hello world"),
        ([" hello ", "", "\tworld\n"], "hello world"),
        (["你好", "世界"], "你好世界"),
        (["你好。", "世界"], "你好。世界"),
        (["他说“你好”", "“再见”"], "他说“你好”“再见”"),
        (["你好", "hello", "世界"], "你好hello世界"),
        (["こんにちは", "カナー", "々"], "こんにちはカナー々"),
        (["안녕하세요", "여러분"], "안녕하세요 여러분"),
        (["一共", "30", "个"], "一共30个"),
        (["Yes.", "“No.”"], "Yes. “No.”"),
        (["привет", "мир"], "привет мир"),
        (["𠀀", "𠀁"], "𠀀𠀁"),
        (["...", "!"], "... !"),
    ],
)
def test_join_texts(texts: list[str], joined: str) -> None:
    assert join_texts(texts) == joined


@given(st.lists(st.text(max_size=12)))
def test_join_texts_loses_no_character(texts: list[str]) -> None:
    joined = join_texts(texts)
    assert "".join(joined.split()) == "".join("".join(texts).split())
    assert joined == joined.strip()


def test_word_times_become_file_times_inside_the_segment() -> None:
    words = (
        Word("early", -0.5, 0.25, 0.9),
        Word("inside", 0.25, 0.75),
        Word("late", 0.75, 3.0),
        Word("beyond", 5.0, 6.0),
        Word("backwards", 0.5, 0.25),
    )
    (segment,) = stitched([piece("x", 10.0, 1.0, words=words)]).segments
    assert segment.words == (
        Word("early", 10.0, 10.25, 0.9),
        Word("inside", 10.25, 10.75),
        Word("late", 10.75, 11.0),
        Word("beyond", 11.0, 11.0),
        Word("backwards", 10.5, 10.5),
    )


def test_empty_hypotheses_give_no_segment() -> None:
    transcript = stitched([piece("b", 4.0), piece(" ", 2.0), piece("", 3.0), piece("a ", 1.0)])
    assert [(s.index, s.start_s, s.end_s, s.text) for s in transcript.segments] == [
        (0, 1.0, 2.0, "a"),
        (1, 4.0, 5.0, "b"),
    ]
    assert transcript.text == "a b"


def test_what_the_model_said_of_a_segment_is_kept() -> None:
    segment, _ = piece("a", 0.0)
    hypothesis = Hypothesis("a", avg_logprob=-0.5, no_speech_prob=0.25, tokens=(1, 2))
    (placed,) = stitched([(segment, hypothesis)]).segments
    assert (placed.avg_logprob, placed.no_speech_prob, placed.tokens) == (-0.5, 0.25, (1, 2))


@pytest.mark.parametrize(
    ("pieces", "model_language", "language"),
    [
        ([], None, None),
        ([], "en", "en"),
        ([piece("a", 0)], "en", "en"),
        ([piece("a", 0, heard="zh")], "en", "zh"),
        ([piece("a", 0, asked="de")], "en", "de"),
        ([piece("a", 0, heard="zh", asked="de")], "en", "zh"),
        ([piece("", 0, asked="de")], "en", "de"),
        ([piece("a", 0, 1, heard="zh"), piece("", 1, 9, heard="fr")], None, "zh"),
        ([piece("a", 0, 1, heard="zh"), piece("b", 1, 2, heard="en")], None, "en"),
        ([piece("a", 0, 3, heard="zh"), piece("b", 3, 2, heard="en")], None, "zh"),
        (
            [
                piece("a", 0, 3, heard="zh"),
                piece("b", 3, 2, heard="en"),
                piece("c", 5, 2, heard="en"),
            ],
            None,
            "en",
        ),
        ([piece("b", 1, heard="en"), piece("a", 0, heard="zh")], None, "zh"),
    ],
)
def test_language_is_that_of_most_seconds(
    pieces: list[Piece], model_language: str | None, language: str | None
) -> None:
    assert stitched(pieces, model_language).language == language


def test_split_gives_each_channel_its_own_transcript() -> None:
    pieces = [
        piece("r2", 5.0, channel=1, heard="zh"),
        piece("l1", 1.0, channel=0, heard="en"),
        piece("r1", 2.0, channel=1, heard="zh"),
    ]
    left, right = stitch(pieces, 9.0, None, 2, SPLIT)
    assert (left.channel, left.text, left.language, left.duration_s) == ("left", "l1", "en", 9.0)
    assert (right.channel, right.text, right.language) == ("right", "r1 r2", "zh")
    assert [s.index for s in left.segments + right.segments] == [0, 0, 1]


def test_a_channel_nobody_spoke_on_has_an_empty_transcript() -> None:
    left, right = stitch([piece("l", 1.0)], 9.0, "en", 2, SPLIT)
    assert (left.text, right) == ("l", Transcript("", "en", 9.0, (), "right"))


@pytest.mark.parametrize(
    ("channels", "mode"),
    [(1, MIX), (2, MIX), (2, ChannelMode.LEFT), (2, ChannelMode.RIGHT), (1, SPLIT)],
)
def test_what_is_not_split_is_one_transcript_without_a_name(
    channels: int, mode: ChannelMode
) -> None:
    pieces = [piece("b", 2.0, channel=channels - 1), piece("a", 1.0)]
    (transcript,) = stitch(pieces, 9.0, None, channels, mode)
    assert (transcript.channel, transcript.text) == (None, "a b")


def test_a_piece_of_no_known_channel_is_an_error_and_not_lost() -> None:
    with pytest.raises(VoxfleetError, match="channel 2"):
        stitch([piece("x", 1.0, channel=2)], 9.0, None, 2, SPLIT)


def _pieces() -> st.SearchStrategy[list[Piece]]:
    built = st.builds(
        piece,
        st.text(max_size=6),
        st.integers(0, 20).map(float),
        st.sampled_from([0.1, 0.7, 1.3]),
        channel=st.integers(0, 1),
        heard=st.sampled_from([None, "en", "zh"]),
    )
    return st.lists(built, max_size=8, unique_by=lambda each: each[0].id)


@given(_pieces().flatmap(lambda pieces: st.tuples(st.just(pieces), st.permutations(pieces))))
def test_arrival_order_does_not_matter(orders: tuple[list[Piece], list[Piece]]) -> None:
    first, second = (stitch(pieces, 30.0, None, 2, SPLIT) for pieces in orders)
    assert first == second
    for transcript in first:
        starts = [segment.start_s for segment in transcript.segments]
        assert starts == sorted(starts)

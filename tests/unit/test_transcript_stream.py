"""Pieces that are ready in any order become text in the file's, as soon as all before them are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.unit.test_live_text import Engines, sentences
from voxfleet.core import AudioOptions, ChannelMode, Hypothesis, SpooledSegment, Word
from voxfleet.errors import ParameterError, PoisonError
from voxfleet.transcribe.live_text import LiveText
from voxfleet.transcribe.stitch import Piece
from voxfleet.transcribe.transcript_stream import (
    PieceLine,
    TextDelta,
    TranscriptStream,
    refuse_split,
)


class Rig:
    """Pieces whose recognition the test itself ends."""

    def __init__(self, count: int, live: LiveText) -> None:
        self.heard: list[TextDelta] = []
        self.stream = TranscriptStream(live, "en", self)
        self.line: PieceLine = asyncio.Queue()
        self.pieces: list[asyncio.Future[Piece]] = [asyncio.Future() for _ in range(count)]
        self.gate: asyncio.Event | None = None
        for piece in self.pieces:
            self.line.put_nowait(piece)

    async def said(self, delta: TextDelta) -> None:
        self.heard.append(delta)
        if self.gate:
            await self.gate.wait()

    def recognise(self, index: int, text: str, *words: Word) -> None:
        segment = SpooledSegment(f"f-{index}", Path("none"), index * 10.0, 160_000)
        self.pieces[index].set_result((segment, Hypothesis(text, words)))

    @property
    def texts(self) -> list[str]:
        return [delta.text for delta in self.heard]


@asynccontextmanager
async def followed(count: int, live: LiveText | None = None) -> AsyncIterator[Rig]:
    rig = Rig(count, live or LiveText(None, marks=False, digits=False))
    task = asyncio.create_task(rig.stream.follow(rig.line))
    await settled()
    yield rig
    rig.line.put_nowait(None)
    await task


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_piece_waits_for_those_before_it_and_for_no_other() -> None:
    async with followed(4) as rig:
        rig.recognise(1, "b")
        rig.recognise(3, "d")
        await settled()
        assert rig.texts == []
        rig.recognise(0, "a")
        await settled()
        assert rig.texts == ["a b"]
        rig.recognise(2, "c")
    assert rig.texts == ["a b", " c d"]
    assert rig.stream.text == "a b c d"


async def test_silence_says_nothing() -> None:
    async with followed(2) as rig:
        rig.recognise(0, " ")
        rig.recognise(1, "")
    assert (rig.heard, rig.stream.text) == ([], "")


async def test_a_slow_listener_is_waited_for_and_then_told_what_has_come() -> None:
    async with followed(3) as rig:
        rig.gate = asyncio.Event()
        rig.recognise(0, "a")
        await settled()
        rig.recognise(1, "b")
        rig.recognise(2, "c")
        await settled()
        assert rig.texts == ["a"]
        rig.gate.set()
    assert rig.texts == ["a", " b c"]


async def test_what_is_told_at_once_has_a_limit() -> None:
    async with followed(20) as rig:
        for index in range(19, -1, -1):
            rig.recognise(index, "x")
    assert [len(text.split()) for text in rig.texts] == [8, 8, 4]


async def test_a_fault_ends_it_in_its_place() -> None:
    rig = Rig(3, LiveText(None, marks=False, digits=False))
    following = asyncio.create_task(rig.stream.follow(rig.line))
    rig.recognise(0, "a")
    rig.recognise(2, "c")
    await settled()
    rig.pieces[1].set_exception(PoisonError("killed it"))
    with pytest.raises(PoisonError):
        await following
    assert rig.texts == ["a"]


def word(text: str) -> Word:
    return Word(text, 1.0, 2.0, 0.5)


async def test_words_go_with_their_text_at_their_place_in_the_file() -> None:
    live = LiveText(Engines(ct_punc=sentences), marks=True, digits=False)
    async with followed(2, live) as rig:
        rig.recognise(0, "a bz", word("a"), word("bz"))
        await settled()
        assert rig.heard == []
        rig.recognise(1, "cc dd", word("cc"), word("dd"))
    assert rig.texts == ["a bz.", " cc dd."]
    words = [[heard.text for heard in delta.words] for delta in rig.heard]
    assert words == [["a", "bz"], ["cc", "dd"]]
    assert [heard.start_s for heard in rig.heard[1].words] == [11.0, 11.0]


@pytest.mark.parametrize("channel", list(ChannelMode))
def test_two_texts_are_not_one(channel: ChannelMode) -> None:
    if channel is not ChannelMode.SPLIT:
        refuse_split(AudioOptions(channel=channel))
        return
    with pytest.raises(ParameterError, match="channel=split") as refused:
        refuse_split(AudioOptions(channel=channel))
    assert refused.value.param == "stream"

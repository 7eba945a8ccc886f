"""A transcript told while it is being made: pieces, ready in any order, become text in the file's.

Knows neither who recognises the pieces nor how the text is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from voxfleet.core import AudioOptions, ChannelMode, Word
from voxfleet.errors import ParameterError
from voxfleet.transcribe.live_text import LiveText
from voxfleet.transcribe.punctuation import Letters
from voxfleet.transcribe.stitch import Piece, in_file_time

#: pieces that are ready are punctuated together, up to so many: about the length of a passage
_MAX_RUN = 8

#: pieces in the file's order, each still to be awaited; None is the end
PieceLine = asyncio.Queue[asyncio.Future[Piece] | None]


@dataclass(frozen=True, slots=True)
class TextDelta:
    """What is new of a text, with the space before it; its words as they were recognised."""

    text: str
    words: tuple[Word, ...] = ()


class TextListener(Protocol):
    """Somebody who is told a text while it grows."""

    async def said(self, delta: TextDelta) -> None:
        """The next deltas wait for it, the recognition does not."""
        ...


def refuse_split(audio: AudioOptions) -> None:
    """Raises ParameterError where there would be more than one text to tell."""
    if audio.channel is ChannelMode.SPLIT:
        raise ParameterError(
            "stream: the two texts of channel=split cannot be streamed as one; leave out stream or"
            " channel, or name one side with channel=left or channel=right",
            param="stream",
        )


class TranscriptStream:
    def __init__(self, live: LiveText, language: str | None, listener: TextListener) -> None:
        self._live = live
        #: of pieces that tell none
        self._language = language
        self._listener = listener
        self._told: list[str] = []
        #: those whose text has not been told yet
        self._words: list[Word] = []

    @property
    def text(self) -> str:
        """All that was told."""
        return "".join(self._told)

    @property
    def warnings(self) -> tuple[str, ...]:
        return self._live.warnings

    async def follow(self, pieces: PieceLine) -> None:
        """Tell the text of all pieces; raises what a piece raises."""
        run: list[Piece] = []
        while (coming := await pieces.get()) is not None:
            if not coming.done():
                run = await self._feed(run)
            run.append(await coming)
            if len(run) >= _MAX_RUN or pieces.empty():
                run = await self._feed(run)
        await self._feed(run)
        await self._tell(await self._live.finish())

    async def _feed(self, run: Sequence[Piece]) -> list[Piece]:
        """Tell what of them can be told; the empty list to begin the next run with."""
        if run:
            segment, hypothesis = run[-1]
            language = hypothesis.language or segment.options.language or self._language
            self._words += [
                in_file_time(word, segment) for segment, heard in run for word in heard.words
            ]
            await self._tell(await self._live.feed([heard.text for _, heard in run], language))
        return []

    async def _tell(self, text: str) -> None:
        if text:
            self._told.append(text)
            await self._listener.said(TextDelta(text, self._told_words()))

    def _told_words(self) -> tuple[Word, ...]:
        """All words but those of the text that is kept back."""
        kept = len(Letters(self._live.kept))
        count = len(self._words)
        while count and kept > 0:
            count -= 1
            kept -= len(Letters(self._words[count].text))
        told, self._words = self._words[:count], self._words[count:]
        return tuple(told)

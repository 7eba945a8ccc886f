"""What is done to a stitched transcript's text: marks are added, numbers are written as digits.

A text that cannot be had stays as it was recognised, and a warning says so. Knows no process and
no engine but by name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from voxfleet.core import EngineInfo, TextOptions, Transcript, TranscriptSegment
from voxfleet.engines.text_catalog import CT_PUNC, ITN
from voxfleet.errors import AlignmentError, ParameterError, VoxfleetError
from voxfleet.pool_contract import TextProcessor
from voxfleet.transcribe.live_text import LiveText
from voxfleet.transcribe.punctuation import Passage, passage_text, passages, with_marks
from voxfleet.transcribe.stitch import join_texts
from voxfleet.transcribe.text_notes import failure_notes, has_grammar, unread_notes


@dataclass(frozen=True, slots=True)
class FinishedText:
    transcripts: tuple[Transcript, ...]
    warnings: tuple[str, ...] = ()


class TextStage:
    def __init__(self, texts: TextProcessor | None) -> None:
        self._texts = texts

    def _has(self, engine: str) -> bool:
        return self._texts is not None and engine in self._texts.engines

    def refuse(self, wanted: TextOptions, info: EngineInfo) -> None:
        """Raises ParameterError where something is asked for that this server has not."""
        if wanted.itn and not self._has(ITN):
            raise ParameterError(
                "itn: this server does not format numbers; set itn.enabled = true (it needs"
                " pip install 'voxfleet[itn]'), or leave itn out",
                param="itn",
            )
        if wanted.punctuate and not (info.punctuates or self._has(CT_PUNC)):
            raise ParameterError(
                "punctuate: this server has no punctuation model; name the folder of ct-punc in"
                " punctuation.dir, or leave punctuate out",
                param="punctuate",
            )

    async def finish(
        self, transcripts: tuple[Transcript, ...], wanted: TextOptions, info: EngineInfo
    ) -> FinishedText:
        done = FinishedText(transcripts)
        if self._texts is None:
            return done
        # first marks, then digits: the model for marks has learnt from words
        if self._marks(wanted, info):
            done = await _punctuated(self._texts, done)
        if wanted.itn:
            done = await _with_digits(self._texts, done)
        return done

    def live(self, wanted: TextOptions, info: EngineInfo) -> LiveText:
        """The same for a text that is told while it is still being recognised."""
        return LiveText(self._texts, marks=self._marks(wanted, info), digits=wanted.itn)

    def _marks(self, wanted: TextOptions, info: EngineInfo) -> bool:
        return wanted.punctuate is not False and self._has(CT_PUNC) and not info.punctuates


# -- marks ------------------------------------------------------------------------------------


async def _punctuated(texts: TextProcessor, done: FinishedText) -> FinishedText:
    parted = [passages(transcript.segments) for transcript in done.transcripts]
    asked = {
        passage: text
        for passage in (passage for parts in parted for passage in parts)
        if (text := passage_text(passage))
    }
    answers = await texts.process(CT_PUNC, tuple(asked.values()))
    # hours of text: too much for the event loop
    marked, faults = await asyncio.to_thread(_marked, dict(zip(asked, answers, strict=True)))
    transcripts = tuple(
        _of_segments(transcript, [s for passage in parts for s in marked.get(passage, passage)])
        for transcript, parts in zip(done.transcripts, parted, strict=True)
    )
    return _warned(transcripts, done, "punctuation", faults, len(asked))


def _marked(
    answers: dict[Passage, str | VoxfleetError],
) -> tuple[dict[Passage, Passage], list[VoxfleetError]]:
    """The passages with their marks; those without an answer are left out, their faults told."""
    marked: dict[Passage, Passage] = {}
    faults: list[VoxfleetError] = []
    for passage, answer in answers.items():
        try:
            if isinstance(answer, VoxfleetError):
                faults.append(answer)
            else:
                marked[passage] = with_marks(passage, answer)
        except AlignmentError as fault:
            faults.append(fault)
    return marked, faults


# -- digits -----------------------------------------------------------------------------------


async def _with_digits(texts: TextProcessor, done: FinishedText) -> FinishedText:
    known = [t for t in done.transcripts if has_grammar(t.language)]
    spoken = [segment.text for transcript in known for segment in transcript.segments]
    answers = await texts.process(ITN, spoken)
    faults = [answer for answer in answers if isinstance(answer, VoxfleetError)]
    plain = iter(
        text if isinstance(answer, VoxfleetError) else answer
        for text, answer in zip(spoken, answers, strict=True)
    )
    transcripts = tuple(
        _of_segments(transcript, _replaced(transcript.segments, plain))
        if transcript in known
        else transcript
        for transcript in done.transcripts
    )
    notes = unread_notes({str(t.language) for t in done.transcripts if t not in known})
    warned = _warned(transcripts, done, "itn", faults, len(spoken))
    return replace(warned, warnings=(*warned.warnings, *notes))


def _replaced(
    segments: Sequence[TranscriptSegment], texts: Iterator[str]
) -> list[TranscriptSegment]:
    return [replace(segment, text=text) for segment, text in zip(segments, texts, strict=False)]


# -- both -------------------------------------------------------------------------------------


def _of_segments(transcript: Transcript, segments: Sequence[TranscriptSegment]) -> Transcript:
    text = join_texts(segment.text for segment in segments)
    return replace(transcript, text=text, segments=tuple(segments))


def _warned(
    transcripts: tuple[Transcript, ...],
    before: FinishedText,
    what: str,
    faults: Sequence[VoxfleetError],
    all_parts: int,
) -> FinishedText:
    notes = failure_notes(what, faults, all_parts)
    return FinishedText(transcripts, (*before.warnings, *notes))
